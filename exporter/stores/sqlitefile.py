"""A SQLite file of ours: created whole, opened by one registry at a time, and refused where it is anything else."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from exporter.domain.errors import StoreRefused, StoreUnavailable
from exporter.stores.sqliteseal import RESTORE, Seal, check, check_missing, prepare

APPLICATION_ID = 0x4155_524F
"""`AURO`, so that `file` and we recognize the database."""
FORMAT = 2
"""Of the tables; kept in `user_version`. A file of format 1 is upgraded when it is opened (sqliteupgrade)."""
SCHEMA = """
CREATE TABLE nodes (
    name TEXT PRIMARY KEY, revision_ns INTEGER NOT NULL, epoch INTEGER NOT NULL,
    record BLOB NOT NULL, checksum INTEGER NOT NULL
);
CREATE TABLE tombstones (
    name TEXT PRIMARY KEY, revision_ns INTEGER NOT NULL, epoch INTEGER NOT NULL, at_ns INTEGER NOT NULL,
    record BLOB NOT NULL, checksum INTEGER NOT NULL
);
CREATE INDEX tombstones_by_time ON tombstones (revision_ns, name);
CREATE TABLE heard (
    name TEXT PRIMARY KEY, stamp_ns INTEGER NOT NULL, last_seen_ns INTEGER NOT NULL, transport TEXT NOT NULL,
    checksum INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE transitions (
    name TEXT NOT NULL, sequence INTEGER NOT NULL, from_status TEXT NOT NULL, to_status TEXT NOT NULL,
    at_ns INTEGER NOT NULL, stamp_ns INTEGER NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (name, sequence)
) WITHOUT ROWID;
CREATE INDEX transitions_by_time ON transitions (stamp_ns, at_ns);
CREATE TABLE mark (id INTEGER PRIMARY KEY CHECK (id = 1), record BLOB NOT NULL, checksum INTEGER NOT NULL);
"""
MAX_JOURNAL_BYTES = 4 * 2**20
"""What the journal is cut to after a large batch."""
MAX_ASIDE = 10
"""So many files, and journals of such, are put aside; a disk that damages one after the other is not filled."""
_MAGIC = b"SQLite format 3\0"
_HEADER_SIZE = 100
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full: make room",
    sqlite3.SQLITE_IOERR: "the disk has an I/O error: look into the system's log",
    sqlite3.SQLITE_BUSY: "another program holds a lock on it",
    sqlite3.SQLITE_LOCKED: "another program holds a lock on it",
    sqlite3.SQLITE_READONLY: "it must not be written to: check its owner, its mode and its mount",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check its directory and its mode",
    sqlite3.SQLITE_PERM: "it must not be opened: check its owner and its mode",
    sqlite3.SQLITE_CORRUPT: f"it is damaged: {RESTORE}",
    sqlite3.SQLITE_NOTADB: f"it is no SQLite database: {RESTORE}",
}


def refused(path: Path, reason: str) -> StoreRefused:
    """The error for a file that we must not touch."""
    return StoreRefused(f"the store {path} cannot be used: {reason}")


def damaged(path: Path, what: str) -> StoreRefused:
    """The error for content that is not what was written."""
    return refused(path, f"{what}: {RESTORE}")


def failure(path: Path, error: sqlite3.Error) -> StoreUnavailable:
    """The error for a file that cannot be read or written now."""
    reason = _REASONS.get(_code(error), str(error))
    return StoreUnavailable(f"the store {path} failed: {reason}")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether something else stands there than what was written: SQLite's own pages, or our tables."""
    return _code(error) in _DAMAGE or "no such " in str(error)


@contextlib.contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """What SQLite itself finds wrong, while a file is opened or read whole, as StoreRefused or StoreUnavailable."""
    try:
        yield
    except sqlite3.Error as error:
        code = _code(error)
        # A missing table or column is an SQLITE_ERROR: the file says that it is ours, and it is not whole.
        if code in _DAMAGE or code == sqlite3.SQLITE_ERROR:
            raise damaged(path, f"it is damaged ({error})") from error
        if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
            raise refused(path, _REASONS[code]) from error
        raise failure(path, error) from error


def lock(path: Path) -> int:
    """Make sure that no other registry uses the file; the lock is a descriptor, and dies with the process."""
    if path.is_dir():
        raise refused(path, "it is a directory: name a file in it")
    if path.is_symlink():  # Of a path whose links were followed.
        raise refused(path, "its symbolic links lead in a circle: name another file")
    if path.exists() and not path.is_file():
        raise refused(path, "it is no regular file: name another")
    if not path.parent.is_dir():
        raise refused(path, f"the directory {path.parent} does not exist: create it first")
    try:
        descriptor = os.open(f"{path}-lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise refused(path, f"{error.filename}: {error.strerror}: check the directory's owner and mode") from error
    _lock(path, descriptor)
    return descriptor


def _lock(path: Path, descriptor: int) -> None:
    """Lock what is open; it is closed where that is refused."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if not isinstance(error, BlockingIOError):
            raise refused(path, f"it cannot be locked ({error.strerror}): use a local disk") from error
        raise refused(
            path, "another registry uses it: stop that one, or give each its own file (or all of them one Redis)"
        ) from error


def lock_itself(path: Path) -> int:
    """Create the file where there is none, and lock it whatever name it goes by: a link's, or after the lock is gone.

    Close the descriptor after SQLite's connection: closing it takes SQLite's own locks away.
    """
    try:
        if not path.exists():
            check_missing(path, Seal(path))
            _create(path)
        descriptor = os.open(path, os.O_RDWR)
    except OSError as error:
        raise refused(path, f"{error.strerror}: check the file, its owner and its mode") from error
    _lock(path, descriptor)
    return descriptor


def put_aside(path: Path) -> None:
    """Keep a file that is damaged, or not ours, under another name; raises OSError, also where there are too many."""
    before = len([*path.parent.glob(f"{path.name}-damaged-*")])
    if before >= MAX_ASIDE:
        raise OSError(errno.EEXIST, f"{before} damaged files were put aside already: remove them")
    aside = path.with_name(f"{path.name}-damaged-{time.time_ns()}")
    path.rename(aside)
    with contextlib.suppress(FileNotFoundError):
        Path(f"{path}-journal").rename(f"{aside}-journal")


def create_again(path: Path) -> int:
    """An empty file in place of one that was put aside; its lock. Raises OSError."""
    _create(path)
    descriptor = os.open(path, os.O_RDWR)
    _lock(path, descriptor)
    return descriptor


def open_locked(path: Path, seal: Seal | None) -> sqlite3.Connection:
    """Open the file, if all is in it that was acknowledged (`seal`). The caller holds its locks."""
    try:
        _check_header(path)
    except OSError as error:
        raise refused(path, f"{error.strerror}: check the file, its owner and its mode") from error
    with refusing_damage(path):
        connection = _connect(path)
        try:
            check_content(path, connection)
            _index_tombstones(connection)
            prepare(connection)
            if seal is not None:
                check(path, connection, seal)
        except BaseException:
            connection.close()
            raise
        return connection


def _index_tombstones(connection: sqlite3.Connection) -> None:
    """Files of earlier builds lack this index of the format; in the first format the column has another meaning."""
    if connection.execute("PRAGMA user_version").fetchone() == (FORMAT,):
        connection.execute("CREATE INDEX IF NOT EXISTS tombstones_by_time ON tombstones (revision_ns, name)")


def _code(error: sqlite3.Error) -> int:
    """The primary result code: the low byte of the extended one; SQLITE_ERROR where Python itself complains."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=1, isolation_level=None)
    # Text that others wrote need not be UTF-8: then a checksum does not match, where SQLite would refuse all rows.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    try:
        # Not WAL: what is committed would be in the log alone for megabytes, and a bit that flips in it takes all of
        # them.
        connection.execute("PRAGMA journal_mode = PERSIST")
        connection.execute(f"PRAGMA journal_size_limit = {MAX_JOURNAL_BYTES}")
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: Path) -> None:
    """Under another name first: a crash leaves no half-made file, which would have to be refused later."""
    unfinished = path.with_name(f"{path.name}-new")
    for leftover in (unfinished, Path(f"{unfinished}-journal")):
        leftover.unlink(missing_ok=True)
    with refusing_damage(path):
        connection = _connect(unfinished)
        try:
            connection.executescript(
                f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT;"
            )
        finally:
            connection.close()
    unfinished.rename(path)
    Path(f"{unfinished}-journal").unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _check_header(path: Path) -> None:
    """Look before SQLite does, who would take an empty file for a new database and write to a foreign one."""
    with path.open("rb") as file:
        header = file.read(_HEADER_SIZE)
    if not header:
        raise damaged(path, "it has zero bytes, so what was in it is lost")
    if header[: len(_MAGIC)] != _MAGIC[: len(header)]:
        raise refused(path, "it is no SQLite database: name another file, restore a backup, or move it aside")
    if len(header) < _HEADER_SIZE:
        raise damaged(path, f"it is truncated to {len(header)} bytes")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise refused(path, "it is the database of another application: name another file")
    _check_version(path, int.from_bytes(header[60:64], "big"))


def _check_version(path: Path, version: int) -> None:
    if version > FORMAT:
        raise refused(
            path,
            f"a newer version of the registry wrote it (format {version}, this one knows {FORMAT}): "
            "install that version again, or restore a backup",
        )
    if version not in {1, FORMAT}:
        raise damaged(path, f"its format is {version}, which no version of the registry wrote")


def check_content(path: Path, connection: sqlite3.Connection) -> None:
    """Raise StoreRefused where SQLite finds damage, or a format that is not ours."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    _check_version(path, version)
    findings = [finding for (finding,) in connection.execute("PRAGMA quick_check(1)")]
    if findings != ["ok"]:
        raise damaged(path, f"it is damaged ({findings[0]})")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")
