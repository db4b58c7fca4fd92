"""The rows of the SQLite store: each with a checksum, since SQLite itself has none for its pages."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.recordchecks import (
    BadRecord,
    RecordFault,
    check_last_heartbeat,
    check_mark,
    check_record,
    check_time,
    check_tombstone,
    check_transition,
    fault_of,
)
from exporter.domain.status import Status, Transport
from exporter.domain.text import shown
from exporter.domain.transition import Transition
from exporter.stores.base import LastHeartbeat, Mark, OnRejected, Recent, Snapshot, overlook
from exporter.stores.rules import MAX_TRANSITIONS, Recorded, Version, registration_order, stored_node
from exporter.stores.sqlitefile import damaged

LOOK_BACK = 10
"""So many of a node's latest transitions are read to find one that nobody altered."""
Cell = str | int | bytes
Value = TypeVar("Value")

_encode = msgspec.json.Encoder().encode
_decode_record = msgspec.json.Decoder(NodeRecord).decode
_decode_tombstone = msgspec.json.Decoder(Tombstone).decode
_decode_mark = msgspec.json.Decoder(Mark).decode


class SqliteRows:
    """Reads and writes rows; the caller is the one thread that uses the connection, and ends the transactions."""

    def __init__(self, path: Path, connection: sqlite3.Connection, on_rejected: OnRejected = overlook) -> None:
        self._path = path
        self._on_rejected = on_rejected
        self._execute = connection.execute
        self._executemany = connection.executemany

    def record(self, name: str) -> Version | None:
        """Of the node's record."""
        row = self._execute("SELECT revision_ns, registered_at_ns FROM nodes WHERE name = ?", (name,)).fetchone()
        return self._version("nodes", name, row)

    def tombstone(self, name: str) -> Version | None:
        """Of the node's tombstone."""
        row = self._execute("SELECT at_ns, registered_at_ns FROM tombstones WHERE name = ?", (name,)).fetchone()
        return self._version("tombstones", name, row)

    def recorded(self, name: str) -> Recorded | None:
        """The node's last transition."""
        latest = next(iter(self.history(name, LOOK_BACK)), None)
        return Recorded(latest.at_ns, latest.to) if latest else None

    def put_record(self, record: NodeRecord) -> None:
        """In place of the record or tombstone that is there."""
        self._execute("DELETE FROM tombstones WHERE name = ?", (record.name,))
        self._put("nodes", record.name, record.revision_ns, record.registered_at_ns, _encode(record))

    def put_tombstone(self, tombstone: Tombstone) -> None:
        """In place of the tombstone, or the record and last heartbeat, that is there."""
        name = tombstone.name
        self._execute("DELETE FROM nodes WHERE name = ?", (name,))
        self._execute("DELETE FROM heard WHERE name = ?", (name,))
        self._put("tombstones", name, tombstone.at_ns, tombstone.registered_at_ns, _encode(tombstone))

    def put_transition(self, transition: Transition) -> None:
        """Newest of the node's history, of which MAX_TRANSITIONS are kept."""
        self._put("transitions", transition.node, transition.at_ns, transition.from_, transition.to)
        self._execute(
            "DELETE FROM transitions WHERE name = ?1 AND at_ns <= "
            "(SELECT at_ns FROM transitions WHERE name = ?1 ORDER BY at_ns DESC LIMIT 1 OFFSET ?2)",
            (transition.node, MAX_TRANSITIONS),
        )

    def put_heartbeats(self, heartbeats: dict[str, LastHeartbeat]) -> None:
        """Each one whose node has a record, and whose time is later than that which is there."""
        rows = [(name, latest.last_seen_ns, latest.transport.value) for name, latest in heartbeats.items()]
        self._executemany(
            "INSERT INTO heard SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM nodes WHERE name = ?1) "
            "ON CONFLICT (name) DO UPDATE SET last_seen_ns = excluded.last_seen_ns, transport = excluded.transport, "
            "checksum = excluded.checksum WHERE excluded.last_seen_ns > last_seen_ns",
            [(*row, _checksum(*row)) for row in rows],
        )

    def put_mark(self, mark: Mark) -> None:
        """In place of the one before."""
        self._put("mark", 1, _encode(mark))

    def prune(self, before_ns: int) -> None:
        """Drop the tombstones from before that time, and the history of their nodes."""
        old = "SELECT name FROM tombstones WHERE at_ns < ?"
        self._execute(f"DELETE FROM transitions WHERE name IN ({old})", (before_ns,))  # noqa: S608 - a constant
        self._execute("DELETE FROM tombstones WHERE at_ns < ?", (before_ns,))

    def history(self, name: str, limit: int) -> list[Transition]:
        """The node's transitions, newest first."""
        rows = self._execute(
            "SELECT name, at_ns, from_status, to_status, checksum FROM transitions WHERE name = ? "
            "ORDER BY at_ns DESC LIMIT ?",
            (name, limit),
        )
        return [*self._sound("transitions", rows, _transition)]

    def recent(self, since_ns: int, limit: int) -> Recent:
        """The newest transitions and tombstones of all nodes, from that time on."""
        transitions = self._execute(
            "SELECT name, at_ns, from_status, to_status, checksum FROM transitions WHERE at_ns >= ? "
            "ORDER BY at_ns DESC, name DESC LIMIT ?",
            (since_ns, limit),
        )
        tombstones = self._execute(
            "SELECT name, at_ns, registered_at_ns, record, checksum FROM tombstones WHERE at_ns >= ? "
            "ORDER BY at_ns DESC, name DESC LIMIT ?",
            (since_ns, limit),
        )
        return Recent(
            [*self._sound("transitions", transitions, _transition)],
            [*self._sound("tombstones", tombstones, _tombstone)],
        )

    def snapshot(self) -> Snapshot:
        """Everything that can be; StoreRefused where a row is not what was written."""
        recorded = {}
        heartbeats = dict(self._whole("heard", "SELECT name, last_seen_ns, transport, checksum FROM heard", _heard))
        history = "SELECT name, at_ns, from_status, to_status, checksum FROM transitions ORDER BY name, at_ns"
        for transition in self._whole("transitions", history, _transition):
            recorded[transition.node] = Recorded(transition.at_ns, transition.to)
        records = self._whole(
            "nodes", "SELECT name, revision_ns, registered_at_ns, record, checksum FROM nodes", _record
        )
        nodes = [stored_node(record, heartbeats.get(record.name), recorded.get(record.name)) for record in records]
        tombstones = self._whole(
            "tombstones", "SELECT name, at_ns, registered_at_ns, record, checksum FROM tombstones", _tombstone
        )
        marks = [*self._whole("mark", "SELECT id, record, checksum FROM mark", _mark)]
        return Snapshot(sorted(nodes, key=registration_order), [*tombstones], marks[0] if marks else None)

    def _put(self, table: str, *cells: Cell) -> None:
        places = ", ".join("?" * len(cells))
        self._execute(
            f"INSERT OR REPLACE INTO {table} VALUES ({places}, ?)",  # noqa: S608 - the table is a constant
            (*cells, _checksum(*cells)),
        )

    def _version(self, table: str, name: str, row: tuple[int, int] | None) -> Version | None:
        """What was altered since it was loaded counts as nothing, and is written over."""
        try:
            for number in row or ():
                check_time("a time", number)
        except BadRecord as error:
            self._on_rejected(f"{shown(name)} in {table}", error.reason, str(error))
            return None
        return Version(*row) if row else None

    def _whole(self, table: str, select: str, read: Callable[..., Value]) -> Iterator[Value]:
        """What a registry starts from: StoreRefused where a row is not what was written: others may be missing."""
        for row in self._execute(select):
            if row[-1] != _checksum(*row[:-1]):
                raise damaged(self._path, f"the checksum of {row[0]!r} in its table {table} does not match")
            yield from self._sound(table, [row], read)

    def _sound(self, table: str, rows: Iterable[tuple[Cell, ...]], read: Callable[..., Value]) -> Iterator[Value]:
        """What can be read of the rows."""
        for *cells, checksum in rows:
            try:
                if checksum != _checksum(*cells):
                    raise BadRecord(RecordFault.CHECKSUM, "its checksum does not match")
                yield read(*cells)
            except (msgspec.MsgspecError, ValueError, TypeError) as error:
                self._on_rejected(f"{shown(cells[0])} in {table}", fault_of(error), str(error))


def _record(name: str, _revision_ns: int, _registered_at_ns: int, record: bytes) -> NodeRecord:
    return check_record(_decode_record(record), name)


def _heard(name: str, last_seen_ns: int, transport: str) -> tuple[str, LastHeartbeat]:
    return name, check_last_heartbeat(LastHeartbeat(last_seen_ns, Transport(transport)), name)


def _transition(name: str, at_ns: int, from_status: str, to_status: str) -> Transition:
    return check_transition(Transition(name, Status(from_status), Status(to_status), at_ns), name)


def _tombstone(name: str, _at_ns: int, _registered_at_ns: int, record: bytes) -> Tombstone:
    return check_tombstone(_decode_tombstone(record), name)


def _mark(_id: int, record: bytes) -> Mark:
    return check_mark(_decode_mark(record))


def _checksum(*cells: Cell) -> int:
    return zlib.crc32(b"\0".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells))
