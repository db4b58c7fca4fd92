"""Proof that a SQLite file holds all that was acknowledged: nothing less is ever taken for the whole.

Inside, triggers keep a count and a sum of the rows that were acknowledged, so that rows which a damage to the file took
away are missed. Outside, a small file beside the database notes how far it was acknowledged, so that an older copy, an
empty file or none at all is not taken for it. The note follows each commit and is not flushed to the disk: after a
power cut it may lag behind the database, which is whole by itself, and is never ahead of it.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import zlib
from pathlib import Path
from typing import NamedTuple

from exporter.domain.errors import StoreRefused

TABLES = ("nodes", "tombstones", "transitions")
RESTORE = "restore a backup, or move the file and its -seal aside to start empty"
SLOT = 128
"""Two slots are written in turn, so that one is whole whenever the process ends."""
_MAGIC = "aurora-seal"
_TABLE = """
CREATE TABLE IF NOT EXISTS seal (
    id INTEGER PRIMARY KEY CHECK (id = 1), dataset TEXT NOT NULL, generation INTEGER NOT NULL,
    count INTEGER NOT NULL, sum INTEGER NOT NULL
)
"""
_COUNT = "SELECT count(*), coalesce(sum(checksum), 0) FROM {}"
_TRIGGERS = {
    f"seal_{table}_{event}": f"CREATE TRIGGER seal_{table}_{event} AFTER {event.upper()} ON {table} BEGIN "  # noqa: S608
    f"UPDATE seal SET count = count + {new.count('new') - new.count('old')}, sum = sum{new}; END"
    for table in TABLES
    for event, new in (
        ("insert", " + new.checksum"),
        ("delete", " - old.checksum"),
        ("update", " + new.checksum - old.checksum"),
    )
}


class Sealed(NamedTuple):
    """How far a database was acknowledged."""

    dataset: str
    generation: int
    """Counts on with each batch that was acknowledged."""
    rows: int
    """For people."""


class Seal:
    """The note beside the database; write it after each commit."""

    def __init__(self, path: Path) -> None:
        """`path`: the database's."""
        self.path = Path(f"{path}-seal")
        self._descriptor: int | None = None
        self.latest = 0
        """The highest generation that was noted."""

    def read(self) -> Sealed | None:
        """The latest note; None where there is none that can be read."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return None
        found = [_parse(content[start : start + SLOT]) for start in (0, SLOT)]
        return max((sealed for sealed in found if sealed), key=lambda sealed: sealed.generation, default=None)

    def write(self, sealed: Sealed) -> None:
        """Note it; raises OSError."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        text = f"{_MAGIC} {sealed.dataset} {sealed.generation} {sealed.rows}"
        line = f"{text} {zlib.crc32(text.encode()):08x}\n".ljust(SLOT)
        os.pwrite(self._descriptor, line.encode(), SLOT * (sealed.generation % 2))
        self.latest = max(self.latest, sealed.generation)

    def close(self) -> None:
        """Safe to call twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def prepare(connection: sqlite3.Connection) -> None:
    """Make the database keep count; one that did not do so yet begins with what is in it."""
    connection.execute("PRAGMA recursive_triggers = ON")  # Else a row that is replaced would not be counted out.
    triggers = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")}
    if triggers >= _TRIGGERS.keys():
        return
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_TABLE)
    for name, statement in _TRIGGERS.items():
        connection.execute(f"DROP TRIGGER IF EXISTS {name}")
        connection.execute(statement)
    count, total = _counted(connection)
    connection.execute(
        "INSERT INTO seal VALUES (1, ?, 0, ?, ?) ON CONFLICT DO UPDATE SET count = excluded.count, sum = excluded.sum",
        (secrets.token_hex(8), count, total),
    )
    connection.execute("COMMIT")


def check(path: Path, connection: sqlite3.Connection, seal: Seal) -> None:
    """Raise StoreRefused where the database is not all that was acknowledged."""
    stands, noted = check_rows(path, connection), seal.read()
    if noted is None:
        return
    if noted.dataset != stands.dataset:
        raise StoreRefused(
            f"the store {path} cannot be used: it is not the database that was written last under this name: "
            f"put that one back; or, to use this one, remove {seal.path}"
        )
    if stands.generation < noted.generation:
        raise StoreRefused(
            f"the store {path} cannot be used: it holds less than was acknowledged "
            f"({noted.generation - stands.generation} changes are missing: is it an old copy, or was the registry "
            "ended while it wrote another file in place of a damaged one?): "
            f"put the latest one back; or, to go on with what is in it, remove {seal.path}"
        )


def check_rows(path: Path, connection: sqlite3.Connection) -> Sealed:
    """How far the database goes; raises StoreRefused where rows are missing from it."""
    row = connection.execute("SELECT dataset, generation, count, sum FROM seal").fetchone()
    if row is None or _counted(connection) != row[2:]:
        raise StoreRefused(f"the store {path} cannot be used: rows are missing from it: {RESTORE}")
    return Sealed(*row[:3])


def go_on_as(connection: sqlite3.Connection, before: Sealed) -> None:
    """Within a transaction: the database takes the place of another, and holds nothing yet that was acknowledged."""
    connection.execute("UPDATE seal SET dataset = ?, generation = 0", (before.dataset,))


def check_missing(path: Path, seal: Seal) -> None:
    """Raise StoreRefused where there was a database, before an empty one is made in its place."""
    noted = seal.read()
    if noted is not None:
        raise StoreRefused(
            f"the store {path} cannot be used: it is gone, and by {seal.path.name} there were {noted.rows} rows in it: "
            f"put it back or restore a backup; or, to start empty, remove {seal.path}"
        )


def sealed(connection: sqlite3.Connection) -> Sealed:
    """How far the database goes."""
    return Sealed(*connection.execute("SELECT dataset, generation, count FROM seal").fetchone())


def count_on(connection: sqlite3.Connection, noted: int) -> None:
    """Within a transaction: what it writes will be acknowledged; `noted`: the generation that was reached before."""
    connection.execute("UPDATE seal SET generation = max(generation, ?) + 1", (noted,))


def _counted(connection: sqlite3.Connection) -> tuple[int, int]:
    counted = [connection.execute(_COUNT.format(table)).fetchone() for table in TABLES]
    return sum(count for count, _ in counted), sum(total for _, total in counted)


def _parse(slot: bytes) -> Sealed | None:
    text, _, checksum = slot.decode(errors="replace").rstrip().rpartition(" ")
    parts = text.split(" ")
    if checksum != f"{zlib.crc32(text.encode()):08x}" or len(parts) != 4 or parts[0] != _MAGIC:  # noqa: PLR2004
        return None
    return Sealed(parts[1], int(parts[2]), int(parts[3]))
