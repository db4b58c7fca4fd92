"""The store in a SQLite file: durable on its own, for one registry."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from exporter.domain.errors import StoreRefused, StoreUnavailable
from exporter.domain.transition import Transition
from exporter.stores.base import Batch, DatasetLost, OnRejected, Recent, Saved, Snapshot, Unconfirmed, overlook
from exporter.stores.rules import KEEP_TOMBSTONES, apply
from exporter.stores.sqlitefile import failure, lock, lock_itself, open_locked, refusing_damage
from exporter.stores.sqliterows import SqliteRows
from exporter.stores.sqliteseal import Seal, Sealed, count_on, prepare, sealed
from exporter.stores.sqliteupgrade import upgrade

ANSWER_SECONDS = 1.8
ROWS_A_SECOND = 5_000
"""Slower than any disk that is well, and what a batch of many thousands is given beyond ANSWER_SECONDS."""
Answer = TypeVar("Answer")


class SqliteStore:
    """A file, beside it SQLite's own `-journal` and our `-lock` and `-seal`.

    One thread does all the work, so that the event loop never waits for a disk. A batch is one transaction, on the
    disk when `save` returns (`synchronous = FULL`).
    """

    shared = False
    changes_taken = 0
    instance = ""
    durable: bool | None = True

    def __init__(self, path: Path) -> None:
        # Not Path.resolve, which raises one thing or another where links lead in a circle.
        self.path = Path(os.path.realpath(path))
        self.on_rejected: OnRejected = overlook
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="aurora-store")
        self._opened: _Opened | None = None
        self._closed = False

    async def open(self) -> None:
        """Lock the file and look whether it is whole and ours; create it where there is none."""
        await self._run(self._open, None)

    async def probe(self) -> None:
        """Each batch is its own proof, and costs no more."""

    async def load(self) -> Snapshot:
        """Everything, once every row's checksum was found to match."""
        return await self._run(lambda: self._file().load(), None)

    async def save(self, batch: Batch) -> Saved:
        """Apply the batch in one transaction."""
        kinds: tuple[Sized, ...] = (batch.records, batch.tombstones, batch.transitions, batch.history, batch.heartbeats)
        rows = sum(len(kind) for kind in kinds)
        return await self._run(lambda: self._file().save(batch), ANSWER_SECONDS + rows / ROWS_A_SECOND)

    async def transitions(self, name: str, limit: int) -> list[Transition]:
        """Newest first."""
        return await self._run(lambda: self._file().transitions(name, limit), ANSWER_SECONDS)

    async def recent(self, since_ns: int, limit: int) -> Recent:
        """Of all that is kept."""
        return await self._run(lambda: self._file().recent(since_ns, limit), ANSWER_SECONDS)

    async def changes(self) -> AsyncIterator[Batch]:
        """None: nobody else writes here."""
        return
        yield

    async def time_ns(self) -> int:
        """The host's own wall clock."""
        return time.time_ns()

    async def close(self) -> None:
        """Empty the log into the file, and let others have it."""
        if not self._closed:
            self._closed = True
            await self._run(self._close, None)
            self._executor.shutdown()

    async def _run(self, work: Callable[[], Answer], seconds: float | None) -> Answer:
        """Do the work in the store's thread. What was not begun when the time is up never will be; the rest goes on."""
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except TimeoutError:
            raise Unconfirmed(f"the store {self.path} failed: the disk did not answer in time") from None

    def _open(self) -> None:
        if self._opened is None:
            self._opened = _Opened(self.path, self.on_rejected)

    def _file(self) -> _Opened:
        if self._opened is None:
            raise StoreUnavailable(f"the store {self.path} is not open")
        return self._opened

    def _close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()


class _Opened:
    """The file while it is ours; lives in the store's thread."""

    def __init__(self, path: Path, on_rejected: OnRejected) -> None:
        self._path = path
        self._seal = Seal(path)
        self._noted: Sealed | None = None
        with contextlib.ExitStack() as opening:
            lock_descriptor = lock(path)
            opening.callback(os.close, lock_descriptor)
            own_descriptor = lock_itself(path)
            opening.callback(os.close, own_descriptor)
            self._connection = open_locked(path, self._seal)
            opening.callback(self._connection.close)
            upgrade(path, self._connection)
            prepare(self._connection)
            self._note()
            opening.callback(self._seal.close)
            self._opening = opening.pop_all()
        self._left = _state(path)
        """As our last transaction left the file."""
        self._rows = SqliteRows(path, self._connection, on_rejected)

    def load(self) -> Snapshot:
        with refusing_damage(self._path):
            mark = self._rows.mark()
            # In mesh time, as revisions are: whatever the wall clock says, what left just now is kept.
            now_ns = mark.alive_ns if mark else time.time_ns()
            self._transaction(lambda: self._rows.prune(now_ns - KEEP_TOMBSTONES))
            snapshot = replace(self._rows.snapshot(), lost=self._rows.altered)
        self._note()
        self._rows.altered = False
        return snapshot

    def save(self, batch: Batch) -> Saved:
        state = _state(self._path)
        if state is None or self._left is None or state[:2] != self._left[:2]:
            raise StoreUnavailable(
                f"the store {self._path} failed: the file was moved or removed while in use: "
                "put it back, or restart the registry"
            )

        def write() -> Saved:
            if state != self._left:
                self._look_at_alteration()
            if batch.mark is not None:
                self._rows.put_mark(batch.mark)
            if batch.records or batch.tombstones or batch.transitions:
                count_on(self._connection, self._seal.latest)
            return apply(batch, self._rows)

        try:
            saved = self._transaction(write)
        except sqlite3.Error as error:
            raise failure(self._path, error) from error
        except (TypeError, ValueError, OverflowError) as error:
            raise StoreUnavailable(f"the store {self._path} failed: a row was altered ({error})") from error
        self._note()
        return saved

    def _look_at_alteration(self) -> None:
        """Others wrote to the file; raises StoreUnavailable where what we wrote is not in it any more."""
        # SQLite keeps pages that it has read, and may not notice that another file was copied over them.
        self._connection.execute("PRAGMA shrink_memory")
        stands = sealed(self._connection)
        if self._noted is None or stands == self._noted:
            return
        if stands.dataset != self._noted.dataset:
            raise StoreUnavailable(
                f"the store {self._path} failed: another database was copied over it: put the right one back"
            )
        self._rows.altered = True
        raise DatasetLost(
            f"the store {self._path} was altered by others, or an older copy was put in its place: what it lacks is "
            "saved again"
        )

    def _note(self) -> None:
        """Beside the database, before anything is acknowledged."""
        try:
            latest = sealed(self._connection)
        except sqlite3.Error as error:
            raise failure(self._path, error) from error
        if latest != self._noted:
            try:
                self._seal.write(latest)
            except OSError as error:
                raise StoreUnavailable(f"the store {self._seal.path} failed: {error.strerror}") from error
            self._noted = latest

    def transitions(self, name: str, limit: int) -> list[Transition]:
        return self._read(lambda: self._rows.history(name, limit))

    def recent(self, since_ns: int, limit: int) -> Recent:
        return self._read(lambda: self._rows.recent(since_ns, limit))

    def _read(self, read: Callable[[], Answer]) -> Answer:
        try:
            return read()
        except sqlite3.Error as error:
            raise failure(self._path, error) from error
        except StoreRefused as error:
            raise StoreUnavailable(str(error)) from error

    def close(self) -> None:
        self._opening.close()

    def _transaction(self, write: Callable[[], Answer]) -> Answer:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            answer = write()
            self._connection.execute("COMMIT")
        finally:
            # SQLite has rolled back by itself after some errors, a full disk among them.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        self._left = _state(self._path)
        return answer


def _state(path: Path) -> tuple[int, int, int, int] | None:
    """Which file it is, and when it was last written to; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
