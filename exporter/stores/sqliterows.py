"""The rows of the SQLite store: each with a checksum, since SQLite itself has none for its pages."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.status import Status, Transport
from exporter.domain.transition import Transition
from exporter.stores.base import LastHeartbeat, Mark, Recent, Snapshot
from exporter.stores.rules import MAX_TRANSITIONS, Recorded, Version, registration_order, stored_node
from exporter.stores.sqlitefile import damaged

Cell = str | int | bytes
Value = TypeVar("Value")

_encode = msgspec.json.Encoder().encode
_decode_record = msgspec.json.Decoder(NodeRecord).decode
_decode_tombstone = msgspec.json.Decoder(Tombstone).decode
_decode_mark = msgspec.json.Decoder(Mark).decode


class SqliteRows:
    """Reads and writes rows; the caller is the one thread that uses the connection, and ends the transactions."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._execute = connection.execute
        self._executemany = connection.executemany

    def record(self, name: str) -> Version | None:
        """Of the node's record."""
        row = self._execute("SELECT revision_ns, registered_at_ns FROM nodes WHERE name = ?", (name,)).fetchone()
        return Version(*row) if row else None

    def tombstone(self, name: str) -> Version | None:
        """Of the node's tombstone."""
        row = self._execute("SELECT at_ns, registered_at_ns FROM tombstones WHERE name = ?", (name,)).fetchone()
        return Version(*row) if row else None

    def recorded(self, name: str) -> Recorded | None:
        """The node's last transition."""
        row = self._execute(
            "SELECT at_ns, to_status FROM transitions WHERE name = ? ORDER BY at_ns DESC LIMIT 1", (name,)
        ).fetchone()
        return Recorded(row[0], Status(row[1])) if row else None

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
        return [self._read("transitions", row, _transition) for row in rows]

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
            [self._read("transitions", row, _transition) for row in transitions],
            [self._read("tombstones", row, _tombstone) for row in tombstones],
        )

    def snapshot(self) -> Snapshot:
        """Everything; StoreRefused where a row is not what was written."""
        heartbeats, recorded = {}, {}
        for row in self._execute("SELECT name, last_seen_ns, transport, checksum FROM heard"):
            heartbeats[row[0]] = self._read(
                "heard", row, lambda _, at_ns, transport: LastHeartbeat(at_ns, Transport(transport))
            )
        for row in self._execute(
            "SELECT name, at_ns, from_status, to_status, checksum FROM transitions ORDER BY name, at_ns"
        ):
            transition = self._read("transitions", row, _transition)
            recorded[transition.node] = Recorded(transition.at_ns, transition.to)
        nodes = []
        for row in self._execute("SELECT name, revision_ns, registered_at_ns, record, checksum FROM nodes"):
            record = self._read("nodes", row, lambda *cells: _decode_record(cells[-1]))
            nodes.append(stored_node(record, heartbeats.get(record.name), recorded.get(record.name)))
        tombstones = [
            self._read("tombstones", row, _tombstone)
            for row in self._execute("SELECT name, at_ns, registered_at_ns, record, checksum FROM tombstones")
        ]
        marks = [
            self._read("mark", row, lambda *cells: _decode_mark(cells[-1]))
            for row in self._execute("SELECT id, record, checksum FROM mark")
        ]
        return Snapshot(sorted(nodes, key=registration_order), tombstones, marks[0] if marks else None)

    def _put(self, table: str, *cells: Cell) -> None:
        places = ", ".join("?" * len(cells))
        self._execute(
            f"INSERT OR REPLACE INTO {table} VALUES ({places}, ?)",  # noqa: S608 - the table is a constant
            (*cells, _checksum(*cells)),
        )

    def _read(self, table: str, row: tuple[Cell, ...], read: Callable[..., Value]) -> Value:
        *cells, checksum = row
        if checksum != _checksum(*cells):
            raise damaged(self._path, f"the checksum of {cells[0]!r} in its table {table} does not match")
        try:
            return read(*cells)
        except (msgspec.MsgspecError, ValueError) as error:
            raise damaged(self._path, f"the row {cells[0]!r} of its table {table} cannot be read ({error})") from error


def _transition(name: str, at_ns: int, from_status: str, to_status: str) -> Transition:
    return Transition(name, Status(from_status), Status(to_status), at_ns)


def _tombstone(_name: str, _at_ns: int, _registered_at_ns: int, record: bytes) -> Tombstone:
    return _decode_tombstone(record)


def _checksum(*cells: Cell) -> int:
    return zlib.crc32(b"\0".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells))
