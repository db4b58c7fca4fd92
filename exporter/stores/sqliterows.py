"""The rows of the SQLite store: each with a checksum, since SQLite itself has none for its pages."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from exporter.domain.largelists import sorted_in_parts
from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.recordchecks import (
    UNREADABLE,
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
from exporter.stores import sqlitemany
from exporter.stores.base import LastHeartbeat, Mark, OnRejected, Recent, Snapshot, overlook
from exporter.stores.rules import (
    LOOKED_AT,
    MAX_TOMBSTONES,
    MAX_TRANSITIONS,
    Last,
    Number,
    Version,
    registration_order,
    stored_node,
)
from exporter.stores.sqlitefile import damaged
from exporter.stores.sqlitemany import TRANSITION, Cell

LOOK_BACK = 10
"""So many of a node's latest transitions are read to find one that nobody altered."""
Value = TypeVar("Value")

_encode = msgspec.json.Encoder().encode
_decode_record = msgspec.json.Decoder(NodeRecord).decode
_decode_tombstone = msgspec.json.Decoder(Tombstone).decode
_decode_mark = msgspec.json.Decoder(Mark).decode
_TRANSITIONS = f"SELECT {TRANSITION} FROM transitions"  # noqa: S608 - a constant
_TOMBSTONES = "SELECT name, revision_ns, epoch, at_ns, record, checksum FROM tombstones"

_NEWEST = "SELECT * FROM ({} LIMIT ?) WHERE at_ns >= ? LIMIT ?"


class SqliteRows:
    """Reads and writes rows; the caller is the one thread that uses the connection, and ends the transactions."""

    def __init__(self, path: Path, connection: sqlite3.Connection, on_rejected: OnRejected = overlook) -> None:
        self._path = path
        self._on_rejected = on_rejected
        self.altered = False
        """Others wrote to the file since we did: what is not whole is set aside, for memory has it."""
        self._connection = connection
        self._execute = connection.execute

    def record_versions(self, names: Collection[str]) -> dict[str, Version]:
        """Of the nodes' records."""
        return self._versions("nodes", names)

    def tombstone_versions(self, names: Collection[str]) -> dict[str, Version]:
        """Of the nodes' tombstones."""
        return self._versions("tombstones", names)

    def last_transitions(self, names: Collection[str]) -> dict[str, Last]:
        """Of the nodes."""
        try:
            rows = sqlitemany.last_transitions(self._connection, names)
        except sqlitemany.ALTERED:
            return self._look_back(names)
        sound = {row[0]: Last(row[1], row[3], row[5]) for row in rows if row[-1] == checksum_of(*row[:-1])}
        return sound | self._look_back([row[0] for row in rows if row[0] not in sound])

    def transitions_at(self, numbers: Collection[Number]) -> dict[Number, Transition]:
        """Those that are there."""
        rows = sqlitemany.transitions_at(self._connection, numbers)
        return {(each.node, each.sequence): each for each in self._sound("transitions", rows, _transition)}

    def put_record(self, record: NodeRecord) -> None:
        """In place of the record or tombstone that is there."""
        self._execute("DELETE FROM tombstones WHERE name = ?", (record.name,))
        self._put("nodes", record.name, record.revision_ns, record.epoch, _encode(record))

    def put_tombstone(self, tombstone: Tombstone) -> None:
        """In place of the tombstone, or the record and last heartbeat, that is there."""
        name = tombstone.name
        self._execute("DELETE FROM nodes WHERE name = ?", (name,))
        self._execute("DELETE FROM heard WHERE name = ?", (name,))
        cells = (tombstone.revision_ns, tombstone.epoch, tombstone.at_ns)
        self._put("tombstones", name, *cells, _encode(tombstone))

    def limit_tombstones(self) -> None:
        """Drop the oldest above MAX_TOMBSTONES, with the history of their nodes."""
        oldest = self._execute(
            "SELECT revision_ns FROM tombstones ORDER BY revision_ns DESC LIMIT 1 OFFSET ?", (MAX_TOMBSTONES - 1,)
        ).fetchone()
        if oldest:
            self.prune(*oldest)

    def put_transitions(self, transitions: list[Transition]) -> None:
        """Into the nodes' histories, of each of which the newest MAX_TRANSITIONS are kept."""
        rows = [(each.node, each.sequence, each.from_, each.to, each.at_ns, each.stamp_ns) for each in transitions]
        sqlitemany.put_transitions(self._connection, _with_checksums(rows), MAX_TRANSITIONS)

    def put_heartbeats(self, heartbeats: dict[str, LastHeartbeat]) -> None:
        """Each one whose node has a record, and whose time is later than that which is there."""
        rows = [(name, latest.stamp_ns, latest.last_seen_ns, latest.transport) for name, latest in heartbeats.items()]
        sqlitemany.put_heartbeats(self._connection, _with_checksums(rows))

    def put_mark(self, mark: Mark) -> None:
        """In place of the one before."""
        self._put("mark", 1, _encode(mark))

    def prune(self, before_ns: int) -> None:
        """Drop the tombstones from before that time, and the history of their nodes."""
        old = "SELECT name FROM tombstones WHERE revision_ns < ?"
        self._execute(f"DELETE FROM transitions WHERE name IN ({old})", (before_ns,))  # noqa: S608 - a constant
        self._execute("DELETE FROM tombstones WHERE revision_ns < ?", (before_ns,))

    def history(self, name: str, limit: int) -> list[Transition]:
        """The node's transitions, newest first."""
        return [*self._latest(name, limit)]

    def _latest(self, name: str, limit: int) -> Iterator[Transition]:
        rows = self._execute(f"{_TRANSITIONS} WHERE name = ? ORDER BY sequence DESC LIMIT ?", (name, limit))
        return self._sound("transitions", rows, _transition)

    def recent(self, since_ns: int, limit: int) -> Recent:
        """The newest transitions and tombstones of all nodes, from that time on."""
        among = (max(limit, LOOKED_AT), since_ns, limit)
        transitions = self._execute(_NEWEST.format(f"{_TRANSITIONS} ORDER BY stamp_ns DESC, name DESC"), among)
        tombstones = self._execute(_NEWEST.format(f"{_TOMBSTONES} ORDER BY revision_ns DESC, name DESC"), among)
        return Recent(
            [*self._sound("transitions", transitions, _transition)],
            [*self._sound("tombstones", tombstones, _tombstone)],
        )

    def snapshot(self) -> Snapshot:
        """Everything that can be; StoreRefused where a row is not what was written."""
        recorded = {}
        heard = "SELECT name, stamp_ns, last_seen_ns, transport, checksum FROM heard"
        heartbeats = dict(self._whole("heard", heard, _heard))
        for transition in self._whole("transitions", f"{_TRANSITIONS} ORDER BY name, sequence", _transition):
            recorded[transition.node] = transition
        records = self._whole("nodes", "SELECT name, revision_ns, epoch, record, checksum FROM nodes", _record)
        nodes = [stored_node(record, heartbeats.get(record.name), recorded.get(record.name)) for record in records]
        tombstones = self._whole("tombstones", _TOMBSTONES, _tombstone)
        return Snapshot(sorted_in_parts(nodes, registration_order), [*tombstones], self.mark())

    def mark(self) -> Mark | None:
        """The last one; StoreRefused where it is not what was written."""
        return next(self._whole("mark", "SELECT id, record, checksum FROM mark", _mark), None)

    def _put(self, table: str, *cells: Cell) -> None:
        places = ", ".join("?" * len(cells))
        self._execute(
            f"INSERT OR REPLACE INTO {table} VALUES ({places}, ?)",  # noqa: S608 - the table is a constant
            (*cells, checksum_of(*cells)),
        )

    def _versions(self, table: str, names: Collection[str]) -> dict[str, Version]:
        try:
            return sqlitemany.versions(self._connection, table, names)
        except sqlitemany.ALTERED:
            versions = {name: self._version(table, name) for name in names}
            return {name: version for name, version in versions.items() if version is not None}

    def _version(self, table: str, name: str) -> Version | None:
        """What was altered since it was loaded counts as nothing, and is written over."""
        select = f"SELECT revision_ns, epoch FROM {table} WHERE name = ?"  # noqa: S608 - the table is a constant
        row = self._execute(select, (name,)).fetchone()
        try:
            for number in row or ():
                check_time("a time", number)
        except BadRecord as error:
            self._on_rejected(f"{shown(name)} in {table}", error.reason, str(error))
            return None
        return Version(*row) if row else None

    def _look_back(self, names: Collection[str]) -> dict[str, Last]:
        """The last transitions that nobody altered."""
        lasts = {name: next(self._latest(name, LOOK_BACK), None) for name in names}
        return {name: Last.of(last) for name, last in lasts.items() if last is not None}

    def _whole(self, table: str, select: str, read: Callable[..., Value]) -> Iterator[Value]:
        """What a registry starts from: StoreRefused where a row is not what was written: others may be missing."""
        for row in self._execute(select):
            if row[-1] != checksum_of(*row[:-1]) and not self.altered:
                raise damaged(self._path, f"the checksum of {row[0]!r} in its table {table} does not match")
            yield from self._sound(table, [row], read)

    def _sound(self, table: str, rows: Iterable[tuple[Cell, ...]], read: Callable[..., Value]) -> Iterator[Value]:
        """What can be read of the rows."""
        for *cells, checksum in rows:
            try:
                if checksum != checksum_of(*cells):
                    raise BadRecord(RecordFault.CHECKSUM, "its checksum does not match")
                yield read(*cells)
            except UNREADABLE as error:
                self._on_rejected(f"{shown(cells[0])} in {table}", fault_of(error), str(error))


def _record(name: str, _revision_ns: int, _epoch: int, record: bytes) -> NodeRecord:
    return check_record(_decode_record(record), name)


def _heard(name: str, stamp_ns: int, last_seen_ns: int, transport: str) -> tuple[str, LastHeartbeat]:
    return name, check_last_heartbeat(LastHeartbeat(last_seen_ns, Transport(transport), stamp_ns), name)


def _transition(name: str, sequence: int, from_status: str, to_status: str, *times_ns: int) -> Transition:
    at_ns, stamp_ns = times_ns
    return check_transition(Transition(name, Status(from_status), Status(to_status), at_ns, sequence, stamp_ns), name)


def _tombstone(name: str, *cells: Any) -> Tombstone:
    return check_tombstone(_decode_tombstone(cells[-1]), name)


def _mark(_id: int, record: bytes) -> Mark:
    return check_mark(_decode_mark(record))


def checksum_of(*cells: Cell) -> int:
    """What stands in the last column of a row."""
    if not isinstance(cells[-1], bytes):
        return zlib.crc32("\0".join([str(cell) for cell in cells]).encode())
    return zlib.crc32(b"\0".join([cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells]))


def _with_checksums(rows: Iterable[tuple[str | int, ...]]) -> list[tuple[Cell, ...]]:
    """By name, as the tables are: a mesh whose nodes come in any order else takes half as long again on the disk."""
    return [(*row, checksum_of(*row)) for row in sorted(rows)]
