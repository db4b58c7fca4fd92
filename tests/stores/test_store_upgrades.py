"""What the first format wrote is read by this version: nodes, departures, heartbeats and histories, in their order."""

from __future__ import annotations

import sqlite3
import zlib
from typing import Any

import msgspec
import pytest

from exporter.domain.errors import StoreRefused
from exporter.domain.status import Status, Transport
from exporter.redislink.url import parse_redis_url
from exporter.stores.base import Batch, LastHeartbeat, Mark, Store
from exporter.stores.redis import RedisStore
from exporter.stores.sqlite import SqliteStore
from tests.support.durables import NOW, transition

RECORD = msgspec.json.encode(
    {"registration": {"name": "a", "role": "lead"}, "registered_at_ns": NOW, "revision_ns": NOW + 3}
)
TOMBSTONE = msgspec.json.encode({"name": "b", "at_ns": NOW + 4, "removal": "departed", "registered_at_ns": NOW})
STEPS = [("active", "warning", NOW + 10), ("warning", "offline", NOW + 20)]
MARK = msgspec.json.encode({"alive_ns": NOW + 30, "outages": {"http": [[NOW + 1, NOW + 2]]}})
SCHEMA_1 = """
CREATE TABLE nodes (name TEXT PRIMARY KEY, revision_ns INTEGER NOT NULL, registered_at_ns INTEGER NOT NULL,
    record BLOB NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE tombstones (name TEXT PRIMARY KEY, at_ns INTEGER NOT NULL, registered_at_ns INTEGER NOT NULL,
    record BLOB NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE heard (name TEXT PRIMARY KEY, last_seen_ns INTEGER NOT NULL, transport TEXT NOT NULL,
    checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE transitions (name TEXT NOT NULL, at_ns INTEGER NOT NULL, from_status TEXT NOT NULL,
    to_status TEXT NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (name, at_ns)) WITHOUT ROWID;
CREATE INDEX transitions_by_time ON transitions (at_ns);
CREATE TABLE mark (id INTEGER PRIMARY KEY CHECK (id = 1), record BLOB NOT NULL, checksum INTEGER NOT NULL);
PRAGMA application_id = 1096110671;
PRAGMA user_version = 1;
"""


def write_sqlite_1(path, *, record=RECORD, checksum=None):
    """A file as the first version left it."""
    rows: list[tuple[Any, ...]] = [
        ("nodes", "a", NOW + 3, NOW, record),
        ("tombstones", "b", NOW + 4, NOW, TOMBSTONE),
        ("heard", "a", NOW + 5, "bus"),
        *(("transitions", "a", at, from_, to) for from_, to, at in STEPS),
        ("mark", 1, MARK),
    ]
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA_1)
        for table, *cells in rows:
            whole = b"\0".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells)
            found = checksum if checksum is not None and table == "nodes" else zlib.crc32(whole)
            places = ", ".join("?" * (len(cells) + 1))
            connection.execute(f"INSERT INTO {table} VALUES ({places})", (*cells, found))
    connection.close()


def write_redis_1(server):
    """A dataset as the first version left it."""
    prefix = "aurora:{registry}:"
    server.cli("SET", prefix + "dataset", "1:abcdef")
    server.cli("HSET", prefix + "nodes", "a", f"{NOW + 3:020}{NOW:020}" + RECORD.decode())
    server.cli("HSET", prefix + "tombstones", "b", f"{NOW + 4:020}{NOW:020}" + TOMBSTONE.decode())
    server.cli("HSET", prefix + "heard", "a", f"{NOW + 5:020}bus")
    server.cli("HSET", prefix + "marks", "0123456789abcdef", MARK.decode())
    for from_, to, at in STEPS:
        text = msgspec.json.encode({"node": "a", "from": from_, "to": to, "at_ns": at}).decode()
        server.cli("HSET", prefix + "recorded", "a", f"{at:020}" + to)
        server.cli("LPUSH", prefix + "transitions:a", text)
        server.cli("ZADD", prefix + "recent", 0, f"{at:020}{text}")


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.servers)])
def open_old(request, tmp_path, run, opened):
    """Opens the old data with this version."""
    if request.param == "sqlite":
        write_sqlite_1(tmp_path / "aurora.db")
    else:
        write_redis_1(request.getfixturevalue("redis_server"))
    made: list[Store] = []

    def make():
        store: Store
        if request.param == "redis":
            store = RedisStore(parse_redis_url(request.getfixturevalue("redis_server").url))
        else:
            for earlier in made:
                run(earlier.close())
            store = SqliteStore(tmp_path / "aurora.db")
        made.append(store)
        return opened(store, load=False)

    return make


def test_what_the_first_format_wrote_is_there(open_old, run):
    """And again after a second start, which upgrades nothing."""
    history = [transition(at=20, from_="warning", to="offline"), transition(at=10)]
    for _ in range(2):
        store = open_old()
        snapshot = run(store.load())
        [node] = snapshot.nodes
        assert (node.record.name, node.record.registration.role, node.record.epoch) == ("a", "lead", NOW)
        assert node.last_heartbeat == LastHeartbeat(NOW + 5, Transport.BUS, NOW + 5)
        assert (node.status, node.last_transition) == (Status.OFFLINE, history[0])
        assert [(gone.name, gone.revision_ns, gone.epoch) for gone in snapshot.tombstones] == [("b", NOW + 4, NOW)]
        assert snapshot.mark == Mark(NOW + 30, {Transport.HTTP: [(NOW + 1, NOW + 2)]})
        assert run(store.transitions("a", 9)) == history
        assert run(store.recent(NOW, 9)).transitions == history


def test_an_upgraded_history_goes_on(open_old, run):
    """What is older by its number is refused; what is later is taken, whatever its wall clock says."""
    store = open_old()
    run(store.load())
    back = transition(at=21, from_="offline", to="active")

    assert run(store.save(Batch(transitions=[transition(at=19, to="active"), back]))).transitions == [back]
    assert run(store.transitions("a", 1)) == [back]


def test_a_damaged_file_of_the_first_format_is_refused_and_left_alone(tmp_path, run):
    path = tmp_path / "aurora.db"
    write_sqlite_1(path, checksum=7)
    before = path.read_bytes()
    store = SqliteStore(path)

    with pytest.raises(StoreRefused, match="the checksum of 'a' in its table nodes does not match"):
        run(store.open())
    run(store.close())
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT record FROM nodes").fetchone() == (RECORD,)
    connection.close()
    assert len(path.read_bytes()) >= len(before)
