"""What happens to a store while a registry runs, and before it starts: real servers, public interfaces only."""

from __future__ import annotations

import sqlite3

import pytest

from tests.support.redis_server import RedisServer
from tests.support.server_process import until

pytestmark = pytest.mark.servers

PREFIX = "aurora:{registry}:"
REJECTED = 'aurora_registry_store_records_rejected_total{{reason="{}"}}'


def reload_store(redis_server):
    """Make the registry lose its Redis for a moment: what is in there is read anew."""
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
def test_a_redis_that_tells_nothing_is_waited_for_while_running_and_refused_at_a_start(
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

    assert registry.register(name="a") == 200
    until(lambda: registry.statuses()["a"], "offline")
    until(lambda: len(registry.transitions("a")) > 1, expected=True)
    assert registry.metric(REJECTED.format("checksum")) > 0
    assert registry.metric("aurora_registry_store_up") == 1
