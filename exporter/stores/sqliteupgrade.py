"""A SQLite file of format 1 becomes one of format 2, in one transaction: a crash leaves either, and both are whole."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.status import Status, Transport
from exporter.domain.transition import Transition
from exporter.stores.base import LastHeartbeat
from exporter.stores.sqlitefile import FORMAT, SCHEMA, damaged, refusing_damage
from exporter.stores.sqliterows import Cell, SqliteRows, checksum_of

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
    _each(path, "nodes", old, lambda *cells: rows.put_record(_decode_record(cells[-1])))
    _each(path, "tombstones", old, lambda *cells: rows.put_tombstone(_decode_tombstone(cells[-1])))
    _each(
        path,
        "transitions",
        old,
        lambda name, at_ns, from_, to: rows.put_transition(Transition(name, Status(from_), Status(to), at_ns)),
    )
    _each(
        path,
        "heard",
        old,
        lambda name, seen_ns, transport: rows.put_heartbeats({name: LastHeartbeat(seen_ns, Transport(transport))}),
    )


def _whole_rows(path: Path, connection: sqlite3.Connection, table: str) -> Iterator[tuple[Cell, ...]]:
    for *cells, checksum in connection.execute(f"SELECT {_OLD[table]}, checksum FROM {table}"):  # noqa: S608 - constants
        if checksum != checksum_of(*cells):
            raise damaged(path, f"the checksum of {cells[0]!r} in its table {table} does not match")
        yield tuple(cells)


def _each(path: Path, table: str, old: dict[str, list[tuple[Cell, ...]]], put: Callable[..., None]) -> None:
    for cells in old[table]:
        try:
            put(*cells)
        except (msgspec.MsgspecError, ValueError) as error:
            raise damaged(path, f"the row {cells[0]!r} of its table {table} cannot be read ({error})") from error
