"""A SQLite file of format 1 becomes one of format 2, in one transaction: a crash leaves either, and both are whole."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec

from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.recordchecks import UNREADABLE
from exporter.domain.status import Status, Transport
from exporter.domain.transition import Transition
from exporter.stores.base import LastHeartbeat
from exporter.stores.sqlitefile import FORMAT, SCHEMA, damaged, refusing_damage
from exporter.stores.sqlitemany import Cell
from exporter.stores.sqliterows import SqliteRows, checksum_of

TOGETHER = 1_000
"""So many transitions are written at a time."""
Value = TypeVar("Value")
_log = logging.getLogger("aurora.store")
_OLD = {
    "nodes": "name, revision_ns, registered_at_ns, record",
    "tombstones": "name, at_ns, registered_at_ns, record",
    "heard": "name, last_seen_ns, transport",
    "transitions": "name, at_ns, from_status, to_status",
}
_decode_record = msgspec.json.Decoder(NodeRecord).decode
_decode_tombstone = msgspec.json.Decoder(Tombstone).decode


def upgrade(path: Path, connection: sqlite3.Connection) -> None:
    """Bring the file to our format, once its rows were found whole; nothing where it is of our format."""
    if connection.execute("PRAGMA user_version").fetchone() == (FORMAT,):
        return
    with refusing_damage(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            _rebuild(path, connection)
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    _log.info("the store was upgraded", extra={"path": str(path), "format": FORMAT})


def _rebuild(path: Path, connection: sqlite3.Connection) -> None:
    # The mark's row is the same in both formats.
    old = {table: list(_whole_rows(path, connection, table)) for table in _OLD}
    connection.execute("DROP INDEX transitions_by_time")
    for table in _OLD:
        connection.execute(f"DROP TABLE {table}")
    for statement in SCHEMA.split(";"):
        if statement.strip() and "TABLE mark" not in statement:
            connection.execute(statement)
    rows = SqliteRows(path, connection)
    for record in _read(path, "nodes", old, lambda *cells: _decode_record(cells[-1])):
        rows.put_record(record)
    for tombstone in _read(path, "tombstones", old, lambda *cells: _decode_tombstone(cells[-1])):
        rows.put_tombstone(tombstone)
    transitions = _read(path, "transitions", old, _transition)
    while some := [*islice(transitions, TOGETHER)]:
        rows.put_transitions(some)
    rows.put_heartbeats(dict(_read(path, "heard", old, _heard)))


def _transition(name: str, at_ns: int, from_status: str, to_status: str) -> Transition:
    return Transition(name, Status(from_status), Status(to_status), at_ns)


def _heard(name: str, seen_ns: int, transport: str) -> tuple[str, LastHeartbeat]:
    return name, LastHeartbeat(seen_ns, Transport(transport))


def _whole_rows(path: Path, connection: sqlite3.Connection, table: str) -> Iterator[tuple[Cell, ...]]:
    for *cells, checksum in connection.execute(f"SELECT {_OLD[table]}, checksum FROM {table}"):  # noqa: S608 - constants
        if checksum != checksum_of(*cells):
            raise damaged(path, f"the checksum of {cells[0]!r} in its table {table} does not match")
        yield tuple(cells)


def _read(
    path: Path, table: str, old: dict[str, list[tuple[Cell, ...]]], read: Callable[..., Value]
) -> Iterator[Value]:
    for cells in old[table]:
        try:
            yield read(*cells)
        except UNREADABLE as error:
            raise damaged(path, f"the row {cells[0]!r} of its table {table} cannot be read ({error})") from error
