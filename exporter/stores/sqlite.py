"""The store in a SQLite file: durable on its own, for one registry."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from exporter.domain.errors import StoreRefused, StoreUnavailable
from exporter.domain.transition import Transition
from exporter.stores.base import Batch, DatasetLost, OnRejected, Recent, Saved, Snapshot, Unconfirmed, overlook
from exporter.stores.rules import KEEP_TOMBSTONES, apply
from exporter.stores.sqlitefile import (
    check_content,
    create_again,
    failure,
    is_damage,
    lock,
    lock_itself,
    open_locked,
    put_aside,
    refused,
    refusing_damage,
)
from exporter.stores.sqliterows import SqliteRows
from exporter.stores.sqliteseal import Seal, Sealed, check_rows, count_on, go_on_as, prepare, sealed
from exporter.stores.sqliteupgrade import upgrade
from exporter.stores.sqlitewatch import Openings

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

    async def agreed(self) -> None:
        """From now on a start takes the file for whole, also where it is another one."""
        await self._run(lambda: self._file().agreed(), None)

    async def transitions(self, name: str, limit: int) -> list[Transition]:
        """Newest first."""
        return await self._run(lambda: self._file().transitions(name, limit), ANSWER_SECONDS)

    async def recent(self, since_ns: int, limit: int) -> Recent:
        """Of all that is kept."""
        return await self._run(lambda: self._file().recent(since_ns, limit), ANSWER_SECONDS)

    async def by_others(self, names: Collection[str]) -> Batch:  # noqa: ARG002 - nobody else writes here
        """Nothing."""
        return Batch()

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
        self._on_rejected = on_rejected
        self._seal = Seal(path)
        self._noted: Sealed | None = None
        self._whole_in_memory = False
        """All was loaded once: whatever becomes of the file, another one can be written."""
        self._restoring = False
        """Not all that memory has is in the file: it is not sealed meanwhile, so that a start refuses it."""
        self._damage = ""
        """Why another file must be made; empty where none must be."""
        with contextlib.ExitStack() as opening:
            opening.callback(os.close, lock(path))
            self._file = opening.enter_context(contextlib.ExitStack())
            self._attach(lock_itself(path))
            self._note(sealed(self._connection))
            opening.callback(self._seal.close)
            self._opening = opening.pop_all()

    def _attach(self, descriptor: int) -> None:
        """Take over the file that the descriptor has locked."""
        with contextlib.ExitStack() as attaching:
            attaching.callback(os.close, descriptor)
            self._connection = open_locked(self._path, None if self._restoring else self._seal)
            attaching.callback(self._connection.close)
            upgrade(self._path, self._connection)
            prepare(self._connection)
            self._openings = attaching.enter_context(Openings(self._path))
            self._left = _state(self._path)
            """As our last transaction left the file."""
            self._rows = SqliteRows(self._path, self._connection, self._on_rejected)
            self._file.push(attaching.pop_all())

    def load(self) -> Snapshot:
        self._repair()
        try:
            snapshot = self._load()
        except StoreRefused as error:
            if not self._whole_in_memory:
                raise
            self._renew(str(error))
            snapshot = self._load()
        self._rows.altered = False
        self._whole_in_memory = True
        return snapshot

    def _load(self) -> Snapshot:
        with refusing_damage(self._path):
            mark = self._rows.mark()
            # In mesh time, as revisions are: whatever the wall clock says, what left just now is kept.
            now_ns = mark.alive_ns if mark else time.time_ns()
            self._write(lambda: self._rows.prune(now_ns - KEEP_TOMBSTONES))
            return replace(self._rows.snapshot(), lost=self._rows.altered)

    def save(self, batch: Batch) -> Saved:
        if not self._damage:
            try:
                return self._save(batch)
            except StoreRefused as error:
                self._damage = str(error)
            except sqlite3.Error as error:
                unavailable = failure(self._path, error)
                if not is_damage(error):
                    raise unavailable from error
                self._damage = str(unavailable)
            except (TypeError, ValueError, OverflowError) as error:
                raise StoreUnavailable(f"the store {self._path} failed: a row was altered ({error})") from error
        reason = self._damage
        self._repair()
        raise DatasetLost(f"{reason} (it was put aside, and all that memory has is written to another file)")

    def _save(self, batch: Batch) -> Saved:
        state = _state(self._path)
        if state is None or self._left is None or state[:2] != self._left[:2]:
            raise self._moved()

        def write() -> Saved:
            if batch.mark is not None:
                self._rows.put_mark(batch.mark)
            if (batch.records or batch.tombstones or batch.transitions) and not self._restoring:
                count_on(self._connection, self._seal.latest)
            return apply(batch, self._rows)

        if state != self._left and self._noted is not None:
            self._look(self._noted)
        return self._write(write)

    def agreed(self) -> None:
        """What memory has is in the file: from now on a start takes it for whole."""
        if self._restoring:
            try:
                self._restoring = False
                with refusing_damage(self._path):
                    self._write(lambda: count_on(self._connection, self._seal.latest))
            except BaseException:
                self._restoring = True
                raise

    def _write(self, work: Callable[[], Answer]) -> Answer:
        """One transaction; what it wrote counts once it is certain that nobody else wrote between."""
        answer, written = self._transaction(lambda: (work(), sealed(self._connection)))
        if self._openings.seen():
            self._look(written)
        self._note(written)
        return answer

    def _look(self, expected: Sealed) -> None:
        """Others may have written to the file: raises StoreRefused where it is not whole or not ours any more.

        DatasetLost, where it lacks something that we wrote.
        """
        # SQLite keeps pages that it has read, and may not notice that another file was copied over them.
        self._connection.execute("PRAGMA shrink_memory")
        with refusing_damage(self._path):
            check_content(self._path, self._connection)
            stands = check_rows(self._path, self._connection)
        if stands == expected:
            return
        if stands.dataset != expected.dataset:
            raise refused(self._path, "another database was copied over it")
        self._rows.altered = self._restoring = True
        raise DatasetLost(
            f"the store {self._path} was altered by others, or an older copy was put in its place: what it lacks is "
            "saved again"
        )

    def _repair(self) -> None:
        if self._damage:
            self._renew(self._damage)

    def _renew(self, damage: str) -> None:
        """Put the file aside and begin another one, since memory has all; the caller loads, merges and saves it."""
        self._damage = damage
        state = _state(self._path)
        try:
            # Where there is none, it was put aside before, and no other one could be made.
            if state is not None:
                if self._left is None or state[:2] != self._left[:2]:
                    raise self._moved()
                put_aside(self._path)
            descriptor = create_again(self._path)
        except OSError as error:
            raise StoreUnavailable(f"{damage}; and it cannot be put aside: {error.strerror}") from error
        self._restoring = True
        self._file.close()
        self._attach(descriptor)
        if (before := self._noted) is not None:
            self._transaction(lambda: go_on_as(self._connection, before))
        self._noted = sealed(self._connection)
        self._rows.altered = True
        self._damage = ""

    def _moved(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"the store {self._path} failed: the file was moved or removed while in use: "
            "put it back, or restart the registry"
        )

    def _note(self, latest: Sealed) -> None:
        """Beside the database, before anything is acknowledged."""
        if latest != self._noted and not self._restoring:
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
