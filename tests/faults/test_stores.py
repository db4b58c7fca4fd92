"""What happens to a store while a registry runs, and before it starts: real servers, public interfaces only."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import threading
import time

import pytest
import redis

from tests.support.redis_server import RedisServer
from tests.support.server_process import until

pytestmark = pytest.mark.servers

PREFIX = "aurora:{registry}:"
REJECTED = 'aurora_registry_store_records_rejected_total{{reason="{}"}}'


def reload_store(redis_server):
    """Make the registry lose its Redis for a moment: what is in there is read again."""
    redis_server.restart()


@pytest.fixture
def redis_server():
    """One that keeps on disk what it acknowledged."""
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["HSET", PREFIX + "nodes", "foo", "junk"], "unreadable"),
        (["HSET", PREFIX + "nodes", "a", "junk"], "unreadable"),
        (["HSET", PREFIX + "nodes", 'a"} 1\nfake{x="y', "0" * 40 + "{}"], "unreadable"),
        (["HSET", PREFIX + "heard", "a", "junk"], "unreadable"),
        (["SET", PREFIX + "heard", "junk"], "key_type"),
        (["SET", PREFIX + "changes", "junk"], "key_type"),
    ],
)
def test_junk_in_redis_ends_nothing(new_registry, redis_server, command, reason):
    """Neither a registry that runs nor one that starts; all nodes are there, and may be written to."""
    registry = new_registry(store=redis_server.url).start()
    for name in ("a", "b"):
        assert registry.register(name=name, capabilities={"gpu": True}) == 201
    before = registry.nodes()
    if command[0] == "SET":
        redis_server.cli("DEL", command[1])
    redis_server.cli(*command)
    reload_store(redis_server)

    until(lambda: registry.metric(REJECTED.format(reason)) > 0, expected=True)
    until(lambda: registry.register(name="a", capabilities={"gpu": True}), 200)
    assert {name: node["capabilities"] for name, node in registry.nodes().items()} == {
        name: node["capabilities"] for name, node in before.items()
    }
    assert 'msg="a record of the store was set aside"' in registry.log
    assert "\nfake" not in registry.get("/metrics").text

    assert registry.stop() == 0
    registry.start()
    assert set(registry.nodes()) == {"a", "b"}
    assert registry.register(name="foo") == 201


@pytest.mark.parametrize(
    "command",
    [["SET", PREFIX + "dataset", "9:newer"], ["SET", PREFIX + "nodes", "x"], ["HSET", PREFIX + "dataset", "a", "b"]],
)
def test_a_redis_that_says_nothing_is_waited_for_while_running_and_refused_at_a_start(
    new_registry, redis_server, command
):
    registry = new_registry(store=redis_server.url).start()
    assert registry.register(name="a") == 201
    kept = redis_server.cli("GET", PREFIX + "dataset") if command[1].endswith("dataset") else None
    redis_server.cli("DEL", command[1])
    redis_server.cli(*command)
    reload_store(redis_server)

    until(lambda: registry.metric("aurora_registry_store_up"), 0)
    assert list(registry.nodes()) == ["a"]
    other = new_registry(store=redis_server.url).run()
    assert (other.returncode, "cannot be used" in other.stderr) == (1, True)

    redis_server.cli("DEL", command[1])
    if kept:
        redis_server.cli("SET", PREFIX + "dataset", kept)
    until(lambda: registry.metric("aurora_registry_store_up"), 1)
    until(lambda: registry.register(name="b"), 201)
    assert set(registry.nodes()) == {"a", "b"}


def test_rows_of_sqlite_altered_while_running_end_nothing(new_registry, tmp_path):
    registry = new_registry(
        store="sqlite:///nodes.db",
        settings={"thresholds": {"heartbeat_interval": "100ms", "warning_after": "400ms", "offline_after": "800ms"}},
    ).start()
    assert registry.register(name="a") == 201
    until(lambda: registry.transitions("a"), [("active", "warning"), ("warning", "offline")])
    with sqlite3.connect(tmp_path / "nodes.db", isolation_level=None, timeout=30) as connection:
        connection.execute("UPDATE transitions SET to_status = 'junk'")
        connection.execute("UPDATE nodes SET revision_ns = 'x', record = 'y'")
    connection.close()

    until(lambda: registry.register(name="a"), 200)
    until(lambda: registry.statuses()["a"], "offline")
    until(lambda: len(registry.transitions("a")) > 1, expected=True)
    assert registry.metric(REJECTED.format("checksum")) > 0
    until(lambda: registry.metric("aurora_registry_store_up"), 1)


ODD = {
    "denied": b"-DENIED Redis is running in protected mode because protected mode is enabled.\r\n",
    "http": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "tls": bytes.fromhex("15030100020246"),
    "nothing": b"",
    "other answers": b"*3\r\n:1\r\n$-1\r\n+x\r\n" * 50,
    "ok": b"+OK\r\n" * 100,
    "errors": b"-ERR no\r\n" * 100,
    "deep": b"*1\r\n" * 50_000,
}
REASONS = {
    "denied": "it is in protected mode",
    "http": "it does not answer as a Redis does",
    "tls": "it does not answer as a Redis does",
}


@contextlib.contextmanager
def listener(answer, at=0):
    """Answers every connection so, asked or not, and closes it."""
    with socket.create_server(("127.0.0.1", at)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)


def healthy(registry):
    return lambda: registry.get("/health").json()["status"]


@pytest.mark.parametrize("what", ODD)
def test_what_is_no_redis_is_named_and_waited_for(new_registry, measured, what):
    """From the start on, and in place of one that was there; store and bus."""
    with RedisServer() as redis_server:
        port = redis_server.port
        running = new_registry(store=redis_server.url, event_bus=redis_server.url).start()
        assert running.register(name="a") == 201
        redis_server.kill()
        with listener(ODD[what], port):
            starting = new_registry(store=redis_server.url, event_bus=redis_server.url).start(ready="/-/healthy")
            with measured("noticed"):
                until(lambda: running.get("/health").json()["store"], "down")
            until(lambda: REASONS.get(what, "the store is down") in running.log + starting.log, expected=True)
            assert list(running.nodes()) == ["a"]
            assert starting.get("/nodes").status_code == 503
            refusal = running.ask("POST", "/nodes/register", json={"name": "b"})
            assert (refusal.status_code, "the store is down (Redis at" in refusal.json()["detail"]) == (503, True)
        redis_server.start()
        for registry in (running, starting):
            with measured("back"):
                until(healthy(registry), "ok")
            assert "Traceback" not in registry.log
        until(lambda: set(starting.nodes()), {"a"})
        assert [registry.stop() for registry in (running, starting)] == [0, 0]


def refuse_writes(redis_server, how):
    """Make it answer what it is asked, and take no writes; how to end that."""
    if how == "replica":
        redis_server.cli("REPLICAOF", "127.0.0.1", "1")
        return lambda: redis_server.cli("REPLICAOF", "NO", "ONE")
    if how == "memory":
        redis_server.cli("CONFIG", "SET", "maxmemory", "1mb", "maxmemory-policy", "noeviction")
        return lambda: redis_server.cli("CONFIG", "SET", "maxmemory", "0")
    if how == "paused":
        redis_server.cli("CLIENT", "PAUSE", "600000", "WRITE")
        return lambda: redis_server.cli("CLIENT", "UNPAUSE")
    if how == "script":
        redis_server.cli("CONFIG", "SET", "busy-reply-threshold", "100")
        with redis.Redis(port=redis_server.port) as client:
            connection = client.connection_pool.get_connection()
            connection.send_command("EVAL", "while true do end", "0")
        return lambda: redis_server.cli("SCRIPT", "KILL")
    if how == "permission":
        redis_server.cli("ACL", "SETUSER", "default", "-xread")
        return lambda: redis_server.cli("ACL", "SETUSER", "default", "+xread")
    redis_server.cli("CONFIG", "SET", "min-replicas-to-write", "1")
    return lambda: redis_server.cli("CONFIG", "SET", "min-replicas-to-write", "0")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("replica", "it is a replica and takes no writes"),
        ("memory", "it is out of memory and takes no writes"),
        ("replicas", "too few of its replicas are there"),
        ("paused", "it did not answer in time"),
        ("script", "it is busy with a script that another program runs"),
        ("permission", "no permissions to run the 'xread' command"),
    ],
)
def test_a_redis_that_takes_no_writes_is_down_until_it_does(new_registry, redis_server, measured, how, reason):
    """The gauge does not flicker, the log says why once, the 503 says why too, and all is there afterwards."""
    registry = new_registry(store=redis_server.url).start()
    assert registry.register(name="a") == 201
    accept = refuse_writes(redis_server, how)
    with measured("noticed"):
        until(lambda: registry.metric("aurora_registry_store_up"), 0)

    seen = set()
    for _ in range(40):
        seen.add(registry.metric("aurora_registry_store_up"))
        time.sleep(0.05)
    assert seen == {0}
    detail = registry.ask("POST", "/nodes/register", json={"name": "b"}).json()["detail"]
    assert reason in detail
    assert registry.log.count('msg="the store is down"') <= 2
    assert list(registry.nodes()) == ["a"]

    accept()
    with measured("back"):
        until(lambda: registry.metric("aurora_registry_store_up"), 1)
    until(lambda: registry.register(name="b"), 201)
    assert redis_server.cli("HLEN", PREFIX + "nodes") == 2


def test_a_redis_without_persistence_is_reported(new_registry):
    with RedisServer() as redis_server:
        registry = new_registry(store=redis_server.url).start()
        assert registry.metric("aurora_registry_store_durable") == 0
        assert registry.get("/health").json()["store_durable"] is False
        assert "keeps its data in memory, with no persistence" in registry.log
