from __future__ import annotations

import asyncio
import itertools
import logging
import time

import pytest

from exporter.domain.clock import HOUR, SECOND
from exporter.domain.errors import StoreRefused, StoreUnavailable
from exporter.redislink.url import parse_redis_url
from exporter.stores.base import Batch, DatasetLost, Mark, Saved
from exporter.stores.redis import RedisStore
from exporter.stores.rediscodec import NODES
from exporter.stores.redisscripts import MAX_RECENT
from tests.support.durables import NOW, heartbeats, record, stored, tombstone, transition

pytestmark = pytest.mark.servers


@pytest.fixture
def open_redis(open_redis, redis_server):
    """Opens and loads stores on the one Redis, as several registries would."""
    return lambda url=redis_server.url: open_redis(url)


async def first(changes, count=1):
    """The next so many batches that other registries saved."""
    async with asyncio.timeout(10):
        found = [await anext(changes) for _ in range(count)]
    await changes.aclose()
    return found


def test_another_registry_learns_what_is_new(open_redis, run):
    """Records, tombstones, transitions and heartbeats; over the bus it receives them itself, once it knows the node."""
    one, other = open_redis(), open_redis()
    beats = {"a": heartbeats(7, "http"), "b": heartbeats(8, "bus")}
    news = Batch(
        {"a": record("a"), "b": record("b", site="Zürich")},
        {"c": tombstone("c", at=9)},
        [transition("a", at=3)],
        beats,
        Mark(NOW),
    )
    run(one.save(news))

    (reported,) = run(first(other.changes()))

    assert reported == Batch(news.records, news.tombstones, news.transitions, beats)

    run(one.save(Batch(heartbeats={"a": heartbeats(9, "http"), "b": heartbeats(9, "bus")})))

    assert run(first(other.changes(), 2))[1] == Batch(heartbeats={"a": heartbeats(9, "http")})


def test_what_others_wrote_can_be_asked_for(open_redis, run, redis_server):
    """Before it is read among the changes; what cannot be read, or is of another dataset, is not there."""
    one, other = open_redis(), open_redis()
    beats = {"a": heartbeats(7, "http"), "b": heartbeats(8, "bus")}
    run(one.save(Batch({"a": record("a"), "b": record("b"), "c": record("c")}, {"d": tombstone("d")}, [], beats)))
    redis_server.cli("HSET", NODES, "c", "altered")

    assert run(other.by_others(["a", "b", "c", "d", "e"])) == Batch({"a": record("a"), "b": record("b")}, {}, [], beats)

    redis_server.cli("FLUSHALL")
    with pytest.raises(DatasetLost):
        run(other.by_others(["a"]))


def test_what_was_not_new_is_not_announced(open_redis, run):
    one, other = open_redis(), open_redis()
    run(one.save(Batch({"a": record(revision=5)}, {}, [transition(at=5)], {"a": heartbeats(5)})))
    run(
        one.save(
            Batch({"a": record(revision=5)}, {"b": tombstone("b", at=1)}, [transition(at=5)], {"a": heartbeats(4)})
        )
    )
    run(
        one.save(
            Batch({"a": record(revision=4)}, {"b": tombstone("b", at=1)}, [transition(at=4)], {"a": heartbeats(5)})
        )
    )
    run(one.save(Batch({"end": record("end")})))

    reported = run(first(other.changes(), 3))

    assert reported == [
        Batch({"a": record(revision=5)}, {}, [transition(at=5)], {"a": heartbeats(5)}),
        Batch({}, {"b": tombstone("b", at=1)}),
        Batch({"end": record("end")}),
    ]


def test_a_registry_does_not_read_back_what_it_saved_itself(open_redis, run):
    one, other = open_redis(), open_redis()
    run(one.save(Batch({"a": record("a")})))
    run(other.save(Batch({"b": record("b")})))

    assert run(first(one.changes())) == [Batch({"b": record("b")})]
    assert run(first(other.changes())) == [Batch({"a": record("a")})]


def test_how_far_the_changes_of_others_are_known(open_redis, run):
    """Those up to the batch before which the reader asks for more; our own need not be read back."""
    one, other = open_redis(), open_redis()
    revisions = itertools.count(1)

    async def all_known() -> bool:
        saved = await one.save(Batch({"a": record("a", revision=next(revisions))}))
        return bool(saved.changes_before <= one.changes_taken)

    async def scenario() -> None:
        assert [await all_known(), await all_known()] == [True, True]
        await other.save(Batch({"b": record("b")}))
        changes = one.changes()
        assert [await all_known(), await all_known()] == [False, False]
        assert await anext(changes) == Batch({"b": record("b")})
        assert not await all_known()
        await other.save(Batch({"c": record("c")}))
        assert await anext(changes) == Batch({"c": record("c")})
        assert not await all_known()
        reading = asyncio.create_task(anext(changes))
        async with asyncio.timeout(10):
            while not await all_known():
                pass
        await other.save(Batch({"d": record("d")}))
        assert await reading == Batch({"d": record("d")})
        await changes.aclose()

    run(scenario())


def test_what_was_saved_before_the_load_is_not_announced(open_redis, run):
    open_redis_before = open_redis()
    run(open_redis_before.save(Batch({"a": record("a")})))
    late = open_redis()
    run(open_redis_before.save(Batch({"b": record("b")})))

    assert run(first(late.changes())) == [Batch({"b": record("b")})]


def test_one_transition_is_announced_by_the_first_registry_alone(open_redis, run):
    """Each sees the threshold pass; one publishes it, and it is recorded once."""
    one, other = open_redis(), open_redis()
    run(one.save(Batch({"a": record()})))

    assert run(one.save(Batch(transitions=[transition(at=10)]))).transitions == [transition(at=10)]
    assert run(other.save(Batch(transitions=[transition(at=11)]))) == Saved()
    assert run(one.transitions("a", 9)) == [transition(at=10)]


def test_one_registration_and_one_departure_are_news_once(open_redis, run):
    one, other = open_redis(), open_redis()

    assert run(one.save(Batch({"a": record(revision=1)}))).records == {"a"}
    assert run(other.save(Batch({"a": record(revision=2)}))).records == set()
    assert run(one.save(Batch(tombstones={"a": tombstone(at=3)}))).tombstones == {"a"}
    assert run(other.save(Batch(tombstones={"a": tombstone(at=4)}))).tombstones == set()


def test_the_freshest_mark_of_all_registries_is_loaded(open_redis, run, redis_server):
    """Those of registries gone for 72 hours are removed."""
    one, other, gone = open_redis(), open_redis(), open_redis()
    run(gone.save(Batch(mark=Mark(NOW - 73 * HOUR))))
    run(one.save(Batch(mark=Mark(NOW + 2))))
    run(other.save(Batch(mark=Mark(NOW + 1))))

    assert run(one.load()).mark == Mark(NOW + 2)
    assert redis_server.cli("HLEN", "aurora:{registry}:marks") == 2


def test_a_large_batch_is_announced_in_parts(open_redis, run):
    """Whatever its size, every node is in them once."""
    one, other = open_redis(), open_redis()
    records = {f"n{number}": record(f"n{number}") for number in range(2_500)}
    run(one.save(Batch(records, {}, [transition(name) for name in records], dict.fromkeys(records, heartbeats(5)))))
    run(one.save(Batch({"end": record("end")})))

    async def collect():
        reported = Batch()
        changes = other.changes()
        async for batch in changes:
            if "end" in batch.records:
                break
            reported.records.update(batch.records)
            reported.transitions.extend(batch.transitions)
            reported.heartbeats.update(batch.heartbeats)
        await changes.aclose()
        return reported

    reported = run(collect())

    assert reported.records == records
    assert reported.transitions == [transition(name) for name in records]
    assert reported.heartbeats == dict.fromkeys(records, heartbeats(5))


def test_a_reader_that_was_too_slow_has_to_reload(open_redis, run, redis_server):
    """The stream is trimmed; the gap is noticed, and a reload has what was missed."""
    one, slow = open_redis(), open_redis()
    for number in range(4):
        run(one.save(Batch({f"n{number}": record(f"n{number}")})))
    redis_server.cli("XTRIM", "aurora:{registry}:changes", "MAXLEN", 2)

    with pytest.raises(StoreUnavailable, match="changes were missed"):
        run(first(slow.changes()))

    assert len(run(slow.load()).nodes) == 4
    run(one.save(Batch({"end": record("end")})))
    assert run(first(slow.changes())) == [Batch({"end": record("end")})]


@pytest.mark.parametrize("lose", ["FLUSHALL", "DEL"])
def test_a_redis_that_was_emptied_is_noticed(open_redis, run, redis_server, lose):
    """The batch is not applied; after a load, the same data is news again."""
    store = open_redis()
    run(store.save(Batch({"a": record()})))
    redis_server.cli(*([lose] if lose == "FLUSHALL" else [lose, "aurora:{registry}:dataset"]))

    with pytest.raises(DatasetLost, match=f"127.0.0.1:{redis_server.port} restarted, failed over or was emptied"):
        run(store.save(Batch({"b": record("b")})))
    with pytest.raises(DatasetLost):
        run(first(store.changes()))

    left = run(store.load())
    assert [node.record.name for node in left.nodes] == ([] if lose == "FLUSHALL" else ["a"])
    assert run(store.save(Batch({"b": record("b")}))) == Saved({"b"}, set(), [])


def test_the_loss_is_noticed_by_every_registry(open_redis, run, redis_server):
    """Also after another one has taken up the new dataset."""
    one, other = open_redis(), open_redis()
    redis_server.cli("FLUSHALL")
    run(one.load())
    run(one.save(Batch({"a": record()})))

    with pytest.raises(DatasetLost):
        run(other.save(Batch(mark=Mark(NOW))))


def test_a_load_that_failed_does_not_make_good_the_loss(open_redis, run, redis_server):
    """Until one succeeds, nothing is saved into a store that nobody seeded again."""
    store = open_redis()
    redis_server.cli("FLUSHALL")
    redis_server.cli("SET", "aurora:{registry}:nodes", "no hash")
    with pytest.raises(StoreRefused):
        run(store.load())

    with pytest.raises(DatasetLost):
        run(store.save(Batch(mark=Mark(NOW))))


def test_saving_before_anything_was_loaded_is_refused(redis_server, run):
    store = RedisStore(parse_redis_url(redis_server.url))

    with pytest.raises(StoreUnavailable, match="nothing was loaded from it yet"):
        run(store.save(Batch()))

    run(store.close())


def test_the_time_is_that_of_redis(open_redis, run):
    """Both run on this host: they agree to within what the answer took, and some."""
    before = time.time_ns()

    between = run(open_redis().time_ns())

    assert before - SECOND < between < time.time_ns() + SECOND


def test_a_format_of_a_newer_version_is_refused(open_redis, run, redis_server):
    store = open_redis()
    redis_server.cli("SET", "aurora:{registry}:dataset", "3:abc")

    with pytest.raises(StoreRefused, match="its format is '3', and this version of the registry knows '2'"):
        run(store.load())


def test_keys_of_another_application_are_refused(open_redis, run, redis_server):
    store = open_redis()
    redis_server.cli("DEL", "aurora:{registry}:nodes")
    redis_server.cli("SET", "aurora:{registry}:nodes", "x")

    with pytest.raises(StoreRefused, match=r"another application has keys under aurora:\{registry\}:"):
        run(store.load())


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_redis_that_drops_data_is_warned_of(open_redis, redis_server, caplog, policy):
    redis_server.cli("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", policy)
    try:
        with caplog.at_level(logging.WARNING, "aurora.store"):
            open_redis()
    finally:
        redis_server.cli("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")

    warning = (
        f"Redis at redis://127.0.0.1:{redis_server.port} drops data when its memory is full "
        f"(maxmemory-policy {policy}), nodes among it: set noeviction"
    )
    assert [message for message in caplog.messages if "drops data" in message] == [warning]


def test_a_redis_without_a_limit_is_not_warned_of(open_redis, caplog):
    with caplog.at_level(logging.WARNING, "aurora.store"):
        open_redis()

    assert [message for message in caplog.messages if "drops data" in message] == []


def test_a_user_without_the_right_to_ask_about_the_server_can_use_it(open_redis, run, redis_server):
    """Managed ones often come so: scripts, our keys, and nothing dangerous."""
    redis_server.cli("ACL", "SETUSER", "aurora", "on", ">pass", "~aurora:*", "+@all", "-@dangerous", "-info")
    store = open_redis(f"redis://aurora:pass@127.0.0.1:{redis_server.port}")

    run(store.save(Batch({"a": record()})))

    assert run(store.load()).nodes == [stored(record())]


def test_the_latest_transitions_of_all_nodes_are_kept_up_to_a_number(open_redis, redis_server, run):
    """A node's own history keeps its hundred; the common one loses the oldest."""
    store = open_redis()
    names = [f"n{number:05}" for number in range(MAX_RECENT + 5)]
    crossed = [transition(name, at=1 + number) for number, name in enumerate(names)]
    run(store.save(Batch({name: record(name) for name in names}, transitions=crossed)))

    assert redis_server.cli("ZCARD", "aurora:{registry}:recent") == MAX_RECENT
    assert run(store.recent(NOW, MAX_RECENT + 5)).transitions == crossed[:4:-1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"appendonly": "yes"}, ""), ({"save": "3600 1"}, "dumps only (3600 1)"), ({}, "no persistence")],
)
def test_a_redis_that_keeps_nothing_is_warned_of(open_redis, redis_server, caplog, settings, words):
    """Once, and the gauge has it."""
    for name, value in settings.items():
        redis_server.cli("CONFIG", "SET", name, value)
    try:
        with caplog.at_level(logging.WARNING, "aurora.store"):
            store = open_redis()
    finally:
        redis_server.cli("CONFIG", "SET", "appendonly", "no", "save", "")

    assert store.durable is (not words)
    assert [words in message for message in caplog.messages if "keeps its data in memory" in message] == [True] * bool(
        words
    )


def test_what_is_recent_costs_as_many_records_as_are_asked_for(redis_server, open_redis, run):
    """However many nodes are gone: the whole hash of them is not read."""
    store = open_redis()
    gone = {f"n{number}": tombstone(f"n{number}", at=number) for number in range(3_000)}
    run(store.save(Batch({}, gone)))
    redis_server.cli("CONFIG", "RESETSTAT")

    assert [each.name for each in run(store.recent(NOW, 2)).tombstones] == ["n2999", "n2998"]
    calls = {name: stats["calls"] for name, stats in redis_server.cli("INFO", "commandstats").items()}
    asked = {
        name: count
        for name, count in calls.items()
        if name not in {"cmdstat_config|resetstat", "cmdstat_hello", "cmdstat_client|setinfo"}
    }
    assert asked == {"cmdstat_zrevrange": 2, "cmdstat_hmget": 1}


def test_what_an_earlier_build_wrote_has_an_order_after_a_load(redis_server, open_redis, run):
    """It wrote the hash alone."""
    store = open_redis()
    run(store.save(Batch({}, {name: tombstone(name, at=at) for name, at in (("a", 3), ("b", 1), ("c", 2))})))
    redis_server.cli("DEL", "aurora:{registry}:departures")
    assert run(store.recent(NOW, 9)).tombstones == []
    run(store.load())

    assert [each.name for each in run(store.recent(NOW, 9)).tombstones] == ["a", "c", "b"]


def test_what_was_worked_out_from_an_older_record_is_not_taken(open_redis, run):
    """Whatever the revisions say: what stands is answered; the newcomer leaves nothing behind."""
    one, other = open_redis(), open_redis()
    first = record("a", revision=5, node_id="one")
    assert run(one.save(Batch({"a": first}, bases={"a": 0}))) == Saved({"a"})

    late = Batch({"a": record("a", revision=9)}, heartbeats={"a": heartbeats(9)}, bases={"a": 0})
    assert run(other.save(late)) == Saved(standing={"a": first})
    assert run(other.load()).nodes == [stored(first)]

    upon_it = record("a", revision=10, node_id="one")
    batch = Batch({"a": upon_it}, bases={"a": first.revision_ns})
    assert [run(other.save(batch)).standing for _ in range(2)] == [{}, {}]
    unconditional = record("a", revision=11, node_id="two")
    assert run(other.save(Batch({"a": unconditional}))).standing == {}
    assert run(one.load()).nodes[0].record == unconditional

    gone = tombstone("a", at=12, registered=12)
    assert run(one.save(Batch({}, {"a": gone}))).tombstones == {"a"}
    back = Batch({"a": record("a", revision=13)}, bases={"a": unconditional.revision_ns})
    assert run(other.save(back)) == Saved(standing={"a": gone})
    assert run(other.save(Batch(back.records, bases={"a": gone.revision_ns}))) == Saved({"a"})
