"""A real Redis that is killed, stopped, filled, locked, demoted: the store says so in time and comes back."""

from __future__ import annotations

import asyncio
import time

import pytest

from exporter.domain.errors import StoreUnavailable
from exporter.redislink.url import parse_redis_url
from exporter.stores.base import Batch, DatasetLost, Mark, Saved
from exporter.stores.redis import RedisStore
from tests.support.durables import NOW, heartbeats, record, stored
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.servers
PATIENCE_SECONDS = 20


@pytest.fixture
def start(request):
    """Starts a Redis of the test's own."""

    def make(*arguments, **options):
        server = RedisServer(*arguments, **options)
        request.addfinalizer(server.close)
        server.start()
        return server

    return make


def failure(run, call):
    """What the call raises."""
    with pytest.raises(StoreUnavailable) as caught:
        run(call)
    return caught.value


def refusal(run, call):
    return str(failure(run, call))


def wait_until(condition):
    """Servers take their time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the server did not come to it"
        time.sleep(0.02)


def test_a_redis_that_is_gone_is_refused_and_used_again_when_it_is_back(start, open_redis, run):
    """It kept its data: nothing is lost, and the restart is noticed."""
    server = start("--appendonly", "yes", "--appendfsync", "always")
    store = open_redis(server.url)
    run(store.save(Batch({"a": record()})))
    server.kill()

    for call in (store.save(Batch()), store.load(), store.transitions("a", 1), store.time_ns(), anext(store.changes())):
        assert refusal(run, call) == (
            f"Redis at redis://127.0.0.1:{server.port}: it refuses connections: nobody listens at this address"
        )

    server.start()
    with pytest.raises(DatasetLost):
        run(store.save(Batch(mark=Mark(NOW))))
    assert run(store.load()).nodes == [stored(record())]
    assert run(store.save(Batch({"b": record("b")}))) == Saved({"b"}, set(), [])


def test_a_redis_that_restarts_empty_is_seeded_again(start, open_redis, run):
    """`save` does not pretend; what is saved after the load is there."""
    server = start()
    store = open_redis(server.url)
    run(store.save(Batch({"a": record()}, heartbeats={"a": heartbeats(3)})))
    server.restart()

    with pytest.raises(DatasetLost):
        run(store.save(Batch(mark=Mark(NOW))))
    assert run(store.load()).nodes == []
    run(store.save(Batch({"a": record()}, heartbeats={"a": heartbeats(3)})))
    assert run(store.load()).nodes == [stored(record(), 3)]


def test_a_redis_that_restarts_from_an_old_dump_is_noticed(start, open_redis, run):
    server = start()
    store = open_redis(server.url)
    run(store.save(Batch({"a": record("a")})))
    server.cli("SAVE")
    run(store.save(Batch({"b": record("b")})))
    server.restart()

    with pytest.raises(DatasetLost):
        run(store.save(Batch({"c": record("c")})))
    assert [node.record.name for node in run(store.load()).nodes] == ["a"]


@pytest.mark.parametrize("connected", [True, False])
def test_a_redis_that_hangs_is_given_up_within_two_seconds(start, open_redis, run, connected):
    """Whatever is asked; the limit is the store's own promise, and far above what it takes."""
    server = start()
    store = open_redis(server.url)
    if not connected:
        server.cli("CLIENT", "KILL", "TYPE", "normal")
    server.pause()

    async def ask_all():
        calls = (store.save(Batch()), store.load(), store.transitions("a", 1), store.time_ns(), anext(store.changes()))
        async with asyncio.timeout(2):
            return await asyncio.gather(*calls, return_exceptions=True)

    answers = run(ask_all())

    reason = f"Redis at redis://127.0.0.1:{server.port}: it did not answer in time"
    assert [(type(answer), str(answer)) for answer in answers] == [(StoreUnavailable, reason)] * 5
    server.resume()
    assert run(store.save(Batch({"a": record()}))) == Saved({"a"}, set(), [])


def test_a_full_redis_takes_no_writes_and_is_read_all_the_same(start, open_redis, run):
    server = start("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    store = open_redis(server.url)
    run(store.save(Batch({"a": record()})))
    server.cli("CONFIG", "SET", "maxmemory", "1mb")

    assert refusal(run, store.save(Batch({"b": record("b")}))) == (
        f"Redis at redis://127.0.0.1:{server.port}: "
        "it is out of memory and takes no writes: raise its maxmemory or free some"
    )
    assert run(store.load()).nodes == [stored(record())]

    server.cli("CONFIG", "SET", "maxmemory", "0")
    assert run(store.save(Batch({"b": record("b")}))) == Saved({"b"}, set(), [])


def test_a_redis_that_cannot_save_to_its_disk_is_refused(start, open_redis, run):
    server = start("--stop-writes-on-bgsave-error", "yes")
    store = open_redis(server.url)
    server.cli("CONFIG", "SET", "save", "3600 1")
    (server.directory / "dump.rdb").mkdir()
    server.cli("BGSAVE")
    wait_until(lambda: server.cli("INFO", "persistence")["rdb_last_bgsave_status"] == "err")

    assert refusal(run, store.save(Batch({"a": record()}))) == (
        f"Redis at redis://127.0.0.1:{server.port}: "
        "it takes no writes, since it cannot save to its disk: look into its log"
    )


def test_a_wrong_password_is_said_without_it(start, run):
    server = start(password="right")
    store = RedisStore(parse_redis_url(f"redis://:wr0ng@127.0.0.1:{server.port}"))

    reason = refusal(run, store.open())

    assert reason == (
        f"Redis at redis://127.0.0.1:{server.port}: it refuses the user and password: set the right ones in its URL"
    )
    run(store.close())


def test_a_password_that_changes_while_running_is_said_and_waited_for(start, open_redis, run):
    server = start(password="s3cret")
    store = open_redis(server.url)
    server.cli("CONFIG", "SET", "requirepass", "changed")
    server.password = "changed"
    server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    reason = refusal(run, store.save(Batch({"a": record()})))

    assert "it refuses the user and password" in reason
    assert "s3cret" not in reason
    server.cli("CONFIG", "SET", "requirepass", "s3cret")
    assert run(store.save(Batch({"a": record()}))) == Saved({"a"}, set(), [])


def test_a_replica_is_refused(start, open_redis, run):
    server, master = start(), start()
    store = open_redis(server.url)
    server.cli("REPLICAOF", "127.0.0.1", master.port)

    reason = refusal(run, store.save(Batch({"a": record()})))

    assert "it is a replica and takes no writes" in reason or "failed over" in reason


def test_scripts_that_redis_forgot_are_given_again(start, open_redis, run):
    server = start()
    store = open_redis(server.url)
    server.cli("SCRIPT", "FLUSH")

    assert run(store.save(Batch({"a": record()}))) == Saved({"a"}, set(), [])


def test_a_cluster_is_a_store_like_any_other(start, open_redis, run):
    """All keys are in one slot. A node that restarts is found again."""
    server = start("--cluster-enabled", "yes", "--appendonly", "yes", "--cluster-require-full-coverage", "no")
    server.cli("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    url = f"redis+cluster://127.0.0.1:{server.port},127.0.0.1:1"
    wait_until(lambda: "cluster_state:ok" in server.cli("CLUSTER", "INFO"))
    one, other = open_redis(url), open_redis(url)

    run(one.save(Batch({"a": record()}, heartbeats={"a": heartbeats(3)})))

    assert run(other.load()).nodes == [stored(record(), 3)]
    assert run(other.time_ns()) > NOW

    run(one.save(Batch({"b": record("b")})))
    assert run(anext(other.changes())) == Batch({"b": record("b")})

    server.pause()
    refusal(run, asyncio.wait_for(one.save(Batch()), 2))
    server.resume()
    server.restart()
    wait_until(lambda: "cluster_state:ok" in server.cli("CLUSTER", "INFO"))
    assert type(failure(run, one.save(Batch()))) is DatasetLost
    assert [node.record.name for node in run(one.load()).nodes] == ["a", "b"]
    assert run(one.save(Batch({"c": record("c")}))) == Saved({"c"}, set(), [])


def test_sentinels_lead_to_the_new_master(start, open_redis, run):
    """The master is killed, its replica promoted: the store follows, and the failover is noticed as a possible loss."""
    master = start()
    replica = start("--replicaof", f"127.0.0.1 {master.port}", "--repl-diskless-sync-delay", "0")
    sentinel = RedisServer(sentinel=True)
    (sentinel.directory / "redis.conf").write_text(
        f"sentinel monitor aurora 127.0.0.1 {master.port} 1\n"
        "sentinel down-after-milliseconds aurora 500\n"
        "sentinel failover-timeout aurora 2000\n"
    )
    try:
        sentinel.start()
        store = open_redis(f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/aurora/0")
        run(store.save(Batch({"a": record()})))
        wait_until(lambda: replica.cli("HEXISTS", "aurora:{registry}:nodes", "a"))
        wait_until(lambda: sentinel.cli("SENTINEL", "REPLICAS", "aurora"))
        master.kill()

        refusal(run, store.save(Batch()))
        wait_until(lambda: isinstance(failure(run, store.save(Batch(mark=Mark(NOW)))), DatasetLost))

        assert run(store.load()).nodes == [stored(record())]
        assert run(store.save(Batch({"b": record("b")}))) == Saved({"b"}, set(), [])
        assert replica.cli("HEXISTS", "aurora:{registry}:nodes", "b")
    finally:
        sentinel.close()


def test_a_sentinel_that_knows_no_such_master_is_said(run):
    sentinel = RedisServer(sentinel=True)
    (sentinel.directory / "redis.conf").write_text("")
    try:
        sentinel.start()
        store = RedisStore(parse_redis_url(f"redis+sentinel://:pass@127.0.0.1:{sentinel.port}/nobody"))
        reason = refusal(run, store.open())
        run(store.close())
    finally:
        sentinel.close()

    assert reason == (
        f"Redis at redis+sentinel://127.0.0.1:{sentinel.port}/nobody: "
        "the Sentinels know no living master of this name: check the service name, or wait"
    )
