"""What comes back from a store is input: what cannot be is set aside, and the rest is served."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import msgspec
import pytest

from exporter.domain.durable import Mark
from exporter.domain.errors import StoreRefused, StoreUnavailable
from exporter.domain.recordchecks import BadRecord, RecordFault, check_record
from exporter.redislink.url import parse_redis_url
from exporter.stores.base import Batch, DatasetLost
from exporter.stores.redis import RedisStore
from exporter.stores.sqlite import SqliteStore
from tests.support.durables import NOW, heartbeats, record, tombstone, transition

PREFIX = "aurora:{registry}:"
HUGE = 10**22


def raw(changes: Any = (), head: tuple[int, int] | None = None, **registration: Any) -> bytes:
    """A value of the hash `nodes` with something changed in it."""
    made: dict[str, Any] = json.loads(msgspec.json.encode(record("bad")))
    made["registration"] |= registration
    made |= dict(changes)
    numbers = head or (made["revision_ns"], made["registered_at_ns"])
    return b"".join(b"%020d" % number for number in numbers) + json.dumps(made).encode()


BAD_RECORDS = {
    "junk": (b"junk", "unreadable"),
    "empty": (b"", "unreadable"),
    "binary": (b"\xff" * 60, "unreadable"),
    "no head": (json.dumps({"registration": {"name": "bad"}}).encode(), "unreadable"),
    "a newer form": (b"0" * 40 + b'{"form": 3}', "unreadable"),
    "a name that forges": (raw(name='a"} 1\nfake{x="y'), "name"),
    "another's name": (raw(name="good"), "name"),
    "a role that forges": (raw(role='x"} 1\n'), "name"),
    "the far future": (raw({"registered_at_ns": HUGE}, head=(1, 1)), "time"),
    "before 1970": (raw({"registered_at_ns": -5}, head=(1, 1)), "time"),
    "the year 2200": (raw({"revision_ns": 7_258_118_400 * 10**9}), "time"),
    "a head of its own": (raw(head=(10**19, 10**19)), "unreadable"),
    "an escape": (raw(gpu_type="\x1b[2J"), "value"),
    "no address": (raw(vpn_ip="10.0.0.999"), "value"),
    "endless GPUs": (raw(gpus=10**12), "value"),
    "negative memory": (raw(gpu_memory_bytes=-1), "value"),
    "a surrogate": (raw(capabilities={"x": "\ud800"}), "unreadable"),
    "deep metadata": (raw(metadata={"x": json.loads("[" * 40 + "]" * 40)}), "value"),
    "nested by the thousand": (raw(gpu_type="@").replace(b'"@"', b"[" * 5000 + b"]" * 5000), "unreadable"),
    "capabilities that are none": (raw(capabilities=[1]), "value"),
    "a lifecycle that never ends": (
        raw({"lifecycle": {"phase": "maintenance", "until_ns": -1, "reason": "x"}}),
        "time",
    ),
}


@pytest.fixture
def open_redis(redis_server, opened):
    def make() -> tuple[RedisStore, list[tuple[str, str]]]:
        store, rejected = RedisStore(parse_redis_url(redis_server.url)), []
        store.on_rejected = lambda where, reason, _: rejected.append((where, str(reason)))
        return opened(store, load=False), rejected

    return make


def put(redis_server, key, field, value):
    import redis  # noqa: PLC0415 - the one place that sends raw bytes

    with redis.Redis(port=redis_server.port) as client:
        client.hset(PREFIX + key, field, value)


@pytest.mark.servers
@pytest.mark.parametrize("what", BAD_RECORDS)
def test_a_record_in_redis_that_cannot_be_is_set_aside(open_redis, run, redis_server, what):
    """Counted by reason and kept; the others are served; its node may register again."""
    value, reason = BAD_RECORDS[what]
    store, rejected = open_redis()
    run(store.load())
    run(store.save(Batch({"good": record("good")})))
    put(redis_server, "nodes", "bad", value)

    assert [node.record.name for node in run(store.load()).nodes] == ["good"]
    assert rejected == [("b'bad' in aurora:{registry}:nodes", reason)]

    assert run(store.save(Batch({"bad": record("bad")}))).records <= {"bad"}
    assert [node.record.name for node in run(store.load()).nodes] == ["bad", "good"]
    assert redis_server.cli("HEXISTS", PREFIX + "aside", "nodes:bad")


@pytest.mark.servers
@pytest.mark.parametrize(
    "value",
    [
        ("nodes", b"\xff\xfe", b"x"),
        ("tombstones", "good", b"junk"),
        ("tombstones", "good", b"9" * 40 + b"{}"),
        ("heard", "good", b"junk"),
        ("heard", "good", b"%020dhttp" % (10**19)),
        ("heard", "good", b"-0000000000000000001http"),
        ("heard", "good", b"%020d%020dpigeon" % (NOW, NOW)),
        ("heard", "no name!", b"%020d%020dhttp" % (NOW, NOW)),
        ("heard", "good", b"%020d%020dhttp no name!" % (NOW, NOW)),
        ("recorded", "good", b"%020djunk" % NOW),
        ("recorded", "good", b'%020d{"node": %b' % (NOW, b"[" * 5000)),
        ("marks", "other", b'{"x": ' + b"[" * 5000),
        ("recorded", "good", b"9" * 20 + b"offline"),
        ("marks", "other", b'{"alive_ns": "soon"}'),
        ("marks", "other", b'{"alive_ns": %d}' % HUGE),
        ("marks", "other", b'{"alive_ns": %d}' % (NOW + 10**18)),
        ("marks", "other", b'{"alive_ns": 5, "outages": {"http": [[9, 2]]}}'),
    ],
)
def test_nothing_that_stands_beside_the_records_ends_a_load(open_redis, run, redis_server, value):
    """Nor does it keep later heartbeats, transitions and departures from being saved."""
    store, rejected = open_redis()
    run(store.load())
    run(store.save(Batch({"good": record("good")})))
    put(redis_server, *value)

    assert [node.record.name for node in run(store.load()).nodes] == ["good"]
    assert len(rejected) == 1

    saved = run(store.save(Batch({}, {}, [transition("good", at=5)], {"good": heartbeats(9)}, Mark(NOW))))
    assert saved.transitions == [transition("good", at=5)]
    [node] = run(store.load()).nodes
    assert (node.status, node.last_heartbeat) == ("warning", heartbeats(9))
    assert run(store.save(Batch({}, {"good": tombstone("good", at=10)}))).tombstones == {"good"}


@pytest.mark.servers
@pytest.mark.parametrize("key", ["tombstones", "heard", "recorded", "marks", "changes", "recent", "history:good"])
def test_a_key_of_another_type_is_renamed_and_serves_again(open_redis, run, redis_server, key):
    store, _ = open_redis()
    run(store.load())
    run(store.save(Batch({"good": record("good")})))
    redis_server.cli("DEL", PREFIX + key)
    redis_server.cli("SET", PREFIX + key, "mine")

    try:
        run(store.save(Batch({"next": record("next")}, {}, [transition("good", at=5)], {"good": heartbeats(9)})))
    except StoreUnavailable:
        run(store.load())
        run(store.save(Batch({"next": record("next")}, {}, [transition("good", at=5)], {"good": heartbeats(9)})))

    assert [node.record.name for node in run(store.load()).nodes] == ["good", "next"]
    [kept] = redis_server.cli("KEYS", PREFIX + key + ":*")
    assert redis_server.cli("GET", kept) == "mine"


@pytest.mark.servers
def test_a_stream_whose_ids_have_run_out_is_begun_again(open_redis, run, redis_server):
    store, _ = open_redis()
    run(store.load())
    redis_server.cli("XADD", PREFIX + "changes", "18446744073709551615-0", "o", "x")

    with pytest.raises(StoreUnavailable):
        run(store.save(Batch({"good": record("good")})))
    run(store.load())
    assert run(store.save(Batch({"good": record("good")}))).records <= {"good"}


@pytest.mark.servers
@pytest.mark.parametrize("last", ["18446744073709551615-0", "18446744073709551615-18446744073709551615", f"{2**53}-0"])
@pytest.mark.parametrize("entries", [0, 1])
def test_a_stream_whose_last_id_was_set_to_the_end_is_begun_again(open_redis, run, redis_server, last, entries):
    """None of its entries says so."""
    store, _ = open_redis()
    run(store.load())
    run(store.save(Batch({"good": record("good")})))
    redis_server.cli("XTRIM", PREFIX + "changes", "MAXLEN", str(entries))
    redis_server.cli("XSETID", PREFIX + "changes", last)

    with pytest.raises(StoreUnavailable):
        run(store.save(Batch({"other": record("other")})))
    run(store.load())
    assert run(store.save(Batch({"third": record("third")}))).records == {"third"}


@pytest.mark.servers
def test_what_others_announce_is_read_piece_by_piece(open_redis, run, redis_server):
    """A stream's entry of which one piece cannot be: the others are taken in."""
    one, rejected = open_redis()
    run(one.load())
    good = msgspec.json.encode(record("good")).decode()
    redis_server.cli("XADD", PREFIX + "changes", "1-0", "o", "other", "r0", "junk", "r2", good, "h4", "nine")

    assert run(anext(one.changes())) == Batch({"good": record("good")})
    assert rejected == [(f"b'{kind}' in aurora:{{registry}}:changes", "unreadable") for kind in "rh"]


@pytest.mark.servers
def test_junk_in_a_history_is_left_out(open_redis, run, redis_server):
    store, rejected = open_redis()
    run(store.load())
    run(store.save(Batch({"good": record("good")}, {}, [transition("good", at=5)])))
    redis_server.cli("ZADD", PREFIX + "history:good", 0, "junk")
    redis_server.cli("ZADD", PREFIX + "recent", 0, "9" * 20 + "junk")

    assert run(store.transitions("good", 10)) == [transition("good", at=5)]
    assert run(store.recent(0, 10)).transitions == [transition("good", at=5)]
    assert len(rejected) == 2


@pytest.fixture
def sqlite_file(tmp_path, run, opened):
    """A file with one node, and the store that has it open."""
    store = opened(SqliteStore(tmp_path / "aurora.db"))
    run(store.save(Batch({"good": record("good")}, {}, [transition("good", at=5)], {"good": heartbeats(1)})))
    return store


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transitions SET to_status = 'junk'",
        "UPDATE transitions SET to_status = 'offline'",
        "UPDATE transitions SET from_status = X'ff', checksum = 'x'",
        "UPDATE transitions SET to_status = CAST(X'ff' AS TEXT)",
        "INSERT INTO transitions SELECT CAST(X'ff' AS TEXT), 1, to_status, to_status, 1, 1, 1 FROM transitions",
        "UPDATE heard SET transport = CAST(X'c328' AS TEXT)",
        "INSERT INTO nodes SELECT CAST(X'ff' AS TEXT), 1, 1, record, 1 FROM nodes",
        "UPDATE transitions SET at_ns = 10000000000000000000000",
        "UPDATE nodes SET revision_ns = 'later'",
        "UPDATE nodes SET revision_ns = -1, record = 'junk'",
        "UPDATE nodes SET record = NULL WHERE 0",
        "UPDATE heard SET last_seen_ns = 'never'",
        "UPDATE mark SET record = 'x'",
        "INSERT INTO tombstones VALUES ('good', 'x', 'y', 'z', 'r', 0)",
    ],
)
def test_a_row_of_sqlite_altered_while_running_ends_nothing(sqlite_file, run, statement):
    """The registry goes on saving, and reading what is whole."""
    with sqlite3.connect(sqlite_file.path, isolation_level=None) as connection:
        connection.execute(statement)
    connection.close()

    for batch in (
        Batch({"good": record("good", revision=9)}, {}, [transition("good", at=20, to="offline")]),
        Batch({"next": record("next")}, {}, [], {"good": heartbeats(30)}, Mark(NOW)),
    ):
        try:
            run(sqlite_file.save(batch))
        except DatasetLost:
            # A row more than we wrote: what stands is read again, but for that row.
            assert [each.record.name for each in run(sqlite_file.load()).nodes] == ["good"]
            run(sqlite_file.save(batch))
    run(sqlite_file.transitions("good", 10))
    run(sqlite_file.recent(0, 10))
    assert transition("good", at=20, to="offline") in run(sqlite_file.transitions("good", 10))


def test_text_that_is_no_utf8_hides_no_other_row(tmp_path, run, opened):
    """SQLite itself would refuse the whole answer."""
    store, rejected = SqliteStore(tmp_path / "aurora.db"), []
    store.on_rejected = lambda where, reason, _: rejected.append((where, str(reason)))
    opened(store)
    sound = transition("good", at=5)
    run(store.save(Batch({"good": record("good")}, {}, [sound])))
    with sqlite3.connect(store.path, isolation_level=None) as connection:
        connection.execute(
            "INSERT INTO transitions "
            "SELECT name, sequence + 1, from_status, CAST(X'ff' AS TEXT), at_ns, stamp_ns, checksum FROM transitions"
        )
    connection.close()

    assert run(store.transitions("good", 10)) == [sound]
    assert run(store.recent(0, 10)).transitions == [sound]
    assert rejected == [("'good' in transitions", "checksum")] * 2


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE nodes SET record = '{}'", "good"),
        ("UPDATE nodes SET name = CAST(X'ff' AS TEXT)", "\ufffd"),
        ("UPDATE heard SET transport = CAST(X'ff' AS TEXT)", "good"),
    ],
)
def test_a_row_of_sqlite_altered_is_refused_at_a_start(sqlite_file, run, opened, statement, named):
    """Its checksum shows it; what else may be missing, nothing shows."""
    run(sqlite_file.close())
    with sqlite3.connect(sqlite_file.path, isolation_level=None) as connection:
        connection.execute(statement)
    connection.close()

    with pytest.raises(StoreRefused, match=f"the checksum of '{named}' in its table"):
        opened(SqliteStore(sqlite_file.path))


def test_every_reason_is_one_of_a_few():
    with pytest.raises(BadRecord) as caught:
        check_record(record("good"), "bad")
    assert caught.value.reason is RecordFault.NAME
