"""Many rows of the SQLite store in one statement, and in one step of it.

At each step Python gives its lock away, and an event loop that has work to do keeps it for milliseconds: with a step
for each row, a batch of thousands would take seconds. So rows come out, and go in, as one array of JSON.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import msgspec

from exporter.domain.recordchecks import UNREADABLE, Time
from exporter.domain.status import Status
from exporter.stores.rules import Version

ALTERED = (sqlite3.OperationalError, *UNREADABLE)
"""What reading raises where a row is none that we wrote: it has a cell that JSON cannot hold, or no such value."""
TRANSITION = "name, sequence, from_status, to_status, at_ns, stamp_ns, checksum"
Cell = str | int | bytes
TransitionRow = tuple[str, Time, Status, Status, Time, Time, int]
"""As TRANSITION has it."""

_encode = msgspec.json.Encoder().encode
_decode_versions = msgspec.json.Decoder(list[tuple[str, Version]]).decode
_decode_transitions = msgspec.json.Decoder(list[TransitionRow]).decode


def versions(connection: sqlite3.Connection, table: str, names: Collection[str]) -> dict[str, Version]:
    """Of those that are in the table; may raise one of ALTERED."""
    columns = "name, json_array(revision_ns, epoch)"
    return dict(_decode_versions(_select(connection, columns, f"{table} ON name = value", names)))


def last_transitions(connection: sqlite3.Connection, names: Collection[str]) -> list[TransitionRow]:
    """Of those that have one, checksums not compared; may raise one of ALTERED."""
    latest = "(SELECT max(sequence) FROM transitions WHERE name = value)"
    return _decode_transitions(
        _select(connection, TRANSITION, f"transitions ON name = value AND sequence = {latest}", names)
    )


def transitions_at(connection: sqlite3.Connection, numbers: Collection[tuple[str, int]]) -> Iterator[tuple[Cell, ...]]:
    """Those of that node and sequence; row by row, as they stand there: they are but few."""
    if not numbers:
        return iter(())
    return connection.execute(
        f"SELECT {TRANSITION} FROM json_each(?) CROSS JOIN transitions "  # noqa: S608 - constants
        "ON name = json_extract(value, '$[0]') AND sequence = json_extract(value, '$[1]')",
        (_json(numbers),),
    )


def put_transitions(connection: sqlite3.Connection, rows: list[tuple[Cell, ...]], keep: int) -> None:
    """Each in place of the one of its number; the newest `keep` of each node stay."""
    connection.execute(f"INSERT OR REPLACE INTO transitions SELECT {_cells(7)} FROM json_each(?)", (_json(rows),))  # noqa: S608 - constants
    connection.execute(
        "DELETE FROM transitions WHERE (name, sequence) IN ("
        "SELECT name, sequence FROM json_each(?1) CROSS JOIN transitions ON name = value AND sequence <= "
        "(SELECT sequence FROM transitions WHERE name = value ORDER BY sequence DESC LIMIT 1 OFFSET ?2))",
        (_json({row[0] for row in rows}), keep),
    )


def put_heartbeats(connection: sqlite3.Connection, rows: list[tuple[Cell, ...]]) -> None:
    """Each one whose node has a record, and whose stamp is later than that which is there."""
    connection.execute(
        f"INSERT INTO heard SELECT {_cells(5)} FROM json_each(?) "  # noqa: S608 - constants
        "WHERE EXISTS (SELECT 1 FROM nodes WHERE name = json_extract(value, '$[0]')) "
        "ON CONFLICT (name) DO UPDATE SET stamp_ns = excluded.stamp_ns, last_seen_ns = excluded.last_seen_ns, "
        "transport = excluded.transport, checksum = excluded.checksum WHERE excluded.stamp_ns > stamp_ns",
        (_json(rows),),
    )


def _select(connection: sqlite3.Connection, columns: str, joined: str, keys: Collection[str]) -> str:
    statement = f"SELECT json_group_array(json_array({columns})) FROM json_each(?) CROSS JOIN {joined}"  # noqa: S608 - constants
    found: str = connection.execute(statement, (_json(keys),)).fetchone()[0]
    return found


def _cells(count: int) -> str:
    return ", ".join(f"json_extract(value, '$[{position}]')" for position in range(count))


def _json(values: Iterable[Any]) -> str:
    return _encode([*values]).decode()
