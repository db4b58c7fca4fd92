"""The rows of the SQLite store: each with a checksum, since SQLite itself has none for its pages."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.status import Status, Transport
from exporter.domain.transition import Transition
from exporter.stores.base import LastHeartbeat, Mark, Recent, Snapshot
from exporter.stores.rules import MAX_TRANSITIONS, Version, registration_order, stored_node
from exporter.stores.sqlitefile import damaged

Cell = str | int | bytes
Value = TypeVar("Value")

_encode = msgspec.json.Encoder().encode
_decode_record = msgspec.json.Decoder(NodeRecord).decode
_decode_tombstone = msgspec.json.Decoder(Tombstone).decode
_decode_mark = msgspec.json.Decoder(Mark).decode
_TRANSITIONS = "SELECT name, sequence, from_status, to_status, at_ns, stamp_ns, checksum FROM transitions"
_TOMBSTONES = "SELECT name, revision_ns, epoch, at_ns, record, checksum FROM tombstones"


class SqliteRows:
    """Reads and writes rows; the caller is the one thread that uses the connection, and ends the transactions."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._execute = connection.execute
        self._executemany = connection.executemany

    def record(self, name: str) -> Version | None:
        """Of the node's record."""
        row = self._execute("SELECT revision_ns, epoch FROM nodes WHERE name = ?", (name,)).fetchone()
        return Version(*row) if row else None

    def tombstone(self, name: str) -> Version | None:
        """Of the node's tombstone."""
        row = self._execute("SELECT revision_ns, epoch FROM tombstones WHERE name = ?", (name,)).fetchone()
        return Version(*row) if row else None

    def last_transition(self, name: str) -> Transition | None:
        """The node's last transition."""
        row = self._execute(f"{_TRANSITIONS} WHERE name = ? ORDER BY sequence DESC LIMIT 1", (name,)).fetchone()
        return _transition(*row[:-1]) if row else None

    def transition(self, name: str, sequence: int) -> Transition | None:
        """The one of that number."""
        row = self._execute(f"{_TRANSITIONS} WHERE name = ? AND sequence = ?", (name, sequence)).fetchone()
        return _transition(*row[:-1]) if row else None

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

    def put_transition(self, transition: Transition) -> None:
        """Into the node's history, of which the newest MAX_TRANSITIONS are kept."""
        cells = (transition.from_, transition.to, transition.at_ns, transition.stamp_ns)
        self._put("transitions", transition.node, transition.sequence, *cells)
        self._execute(
            "DELETE FROM transitions WHERE name = ?1 AND sequence <= "
            "(SELECT sequence FROM transitions WHERE name = ?1 ORDER BY sequence DESC LIMIT 1 OFFSET ?2)",
            (transition.node, MAX_TRANSITIONS),
        )

    def put_heartbeats(self, heartbeats: dict[str, LastHeartbeat]) -> None:
        """Each one whose node has a record, and whose time is later than that which is there."""
        rows = [
            (name, latest.stamp_ns, latest.last_seen_ns, latest.transport.value) for name, latest in heartbeats.items()
        ]
        self._executemany(
            "INSERT INTO heard SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM nodes WHERE name = ?1) "
            "ON CONFLICT (name) DO UPDATE SET stamp_ns = excluded.stamp_ns, last_seen_ns = excluded.last_seen_ns, "
            "transport = excluded.transport, checksum = excluded.checksum WHERE excluded.stamp_ns > stamp_ns",
            [(*row, checksum_of(*row)) for row in rows],
        )

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
        rows = self._execute(f"{_TRANSITIONS} WHERE name = ? ORDER BY sequence DESC LIMIT ?", (name, limit))
        return [self._read("transitions", row, _transition) for row in rows]

    def recent(self, since_ns: int, limit: int) -> Recent:
        """The newest transitions and tombstones of all nodes, from that time on."""
        transitions = self._execute(
            f"{_TRANSITIONS} WHERE at_ns >= ? ORDER BY stamp_ns DESC, name DESC LIMIT ?", (since_ns, limit)
        )
        tombstones = self._execute(
            f"{_TOMBSTONES} WHERE at_ns >= ? ORDER BY revision_ns DESC, name DESC LIMIT ?",
            (since_ns, limit),
        )
        return Recent(
            [self._read("transitions", row, _transition) for row in transitions],
            [self._read("tombstones", row, _tombstone) for row in tombstones],
        )

    def snapshot(self) -> Snapshot:
        """Everything; StoreRefused where a row is not what was written."""
        heartbeats, recorded = {}, {}
        for row in self._execute("SELECT name, stamp_ns, last_seen_ns, transport, checksum FROM heard"):
            heartbeats[row[0]] = self._read("heard", row, _heartbeat)
        for row in self._execute(f"{_TRANSITIONS} ORDER BY name, sequence"):
            transition = self._read("transitions", row, _transition)
            recorded[transition.node] = transition
        nodes = []
        for row in self._execute("SELECT name, revision_ns, epoch, record, checksum FROM nodes"):
            record = self._read("nodes", row, lambda *cells: _decode_record(cells[-1]))
            nodes.append(stored_node(record, heartbeats.get(record.name), recorded.get(record.name)))
        tombstones = [self._read("tombstones", row, _tombstone) for row in self._execute(_TOMBSTONES)]
        marks = [
            self._read("mark", row, lambda *cells: _decode_mark(cells[-1]))
            for row in self._execute("SELECT id, record, checksum FROM mark")
        ]
        return Snapshot(sorted(nodes, key=registration_order), tombstones, marks[0] if marks else None)

    def _put(self, table: str, *cells: Cell) -> None:
        places = ", ".join("?" * len(cells))
        self._execute(
            f"INSERT OR REPLACE INTO {table} VALUES ({places}, ?)",  # noqa: S608 - the table is a constant
            (*cells, checksum_of(*cells)),
        )

    def _read(self, table: str, row: tuple[Cell, ...], read: Callable[..., Value]) -> Value:
        *cells, checksum = row
        if checksum != checksum_of(*cells):
            raise damaged(self._path, f"the checksum of {cells[0]!r} in its table {table} does not match")
        try:
            return read(*cells)
        except (msgspec.MsgspecError, ValueError) as error:
            raise damaged(self._path, f"the row {cells[0]!r} of its table {table} cannot be read ({error})") from error


def _transition(name: str, sequence: int, from_status: str, to_status: str, *times_ns: int) -> Transition:
    at_ns, stamp_ns = times_ns
    return Transition(name, Status(from_status), Status(to_status), at_ns, sequence, stamp_ns)


def _heartbeat(_name: str, stamp_ns: int, last_seen_ns: int, transport: str) -> LastHeartbeat:
    return LastHeartbeat(last_seen_ns, Transport(transport), stamp_ns)


def _tombstone(*cells: Any) -> Tombstone:
    return _decode_tombstone(cells[-1])


def checksum_of(*cells: Cell) -> int:
    """What stands in the last column of a row."""
    return zlib.crc32(b"\0".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells))
