"""Whatever others do to a Redis while two registries run: no node is lost, none is turned, and writes go on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

import pytest
import redis

from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess
from tests.support.seed_mesh import Heartbeats, over_http
from tests.support.server_process import until

pytestmark = pytest.mark.servers

PREFIX = "aurora:{registry}:"
SETTINGS = {"thresholds": {"warning_after": "8s", "offline_after": "12s", "heartbeat_interval": "500ms"}}
NAMES = ["a", "b", "c"]
ALTERED: dict[str, tuple[list[list[str]], list[list[str]]]] = {
    "a record is removed": ([["HDEL", PREFIX + "nodes", "a"]], []),
    "all records are removed": ([["DEL", PREFIX + "nodes"]], []),
    "the dataset's id is removed": ([["DEL", PREFIX + "dataset"]], []),
    "the changes are removed": ([["DEL", PREFIX + "changes"]], []),
    "the changes are cut": ([["XTRIM", PREFIX + "changes", "MAXLEN", "0"]], []),
    "marks of another type": ([["DEL", PREFIX + "marks"], ["LPUSH", PREFIX + "marks", "x"]], []),
    "peers of another type": ([["DEL", PREFIX + "peers"], ["SADD", PREFIX + "peers", "x"]], []),
    "time of another type": ([["DEL", PREFIX + "time"], ["HSET", PREFIX + "time", "x", "y"]], []),
    "records of another type": (
        [["RENAME", PREFIX + "nodes", "kept"], ["SET", PREFIX + "nodes", "x"]],
        [["RENAME", "kept", PREFIX + "nodes"]],
    ),
    "departures of another type": ([["SET", PREFIX + "departures", "x"]], []),
    "the mesh time is far ahead": ([["SET", PREFIX + "time", "1" + "0" * 19]], []),
    "the mesh time is junk": ([["SET", PREFIX + "time", "junk"]], []),
    "scripts are forgotten": ([["SCRIPT", "FLUSH"]], []),
    "databases are swapped": ([["SWAPDB", "0", "1"]], []),
    "rights are taken away": ([["ACL", "SETUSER", "default", "-hset"]], [["ACL", "SETUSER", "default", "+hset"]]),
    "connections are killed": ([["CLIENT", "KILL", "TYPE", "normal"]], []),
}


def register(registry: RegistryProcess, name: str) -> bool:
    """Whether it takes a registration now."""
    return registry.register(name=name) in {200, 201}


@pytest.mark.parametrize("what", ALTERED)
def test_a_redis_that_others_alter(
    new_registry: Callable[..., RegistryProcess], redis_server: RedisServer, what: str
) -> None:
    """It is put right, from memory where need be, and what a start finds there is all."""
    registries = [new_registry(store=redis_server.url, settings=SETTINGS).start() for _ in range(2)]
    for name in NAMES:
        assert registries[0].register(name=name) == 201
    until(lambda: [sorted(registry.nodes()) for registry in registries], [NAMES] * 2)
    injected, healed = ALTERED[what]
    with Heartbeats(over_http(registries[0]), NAMES, every=0.3):
        for command in injected:
            with contextlib.suppress(redis.ConnectionError):
                redis_server.cli(*command)
        if healed:
            until(lambda: registries[0].metric("aurora_registry_store_up"), 0.0)
            for command in healed:
                redis_server.cli(*command)
        for number, registry in enumerate(registries):
            until(partial(register, registry, f"later-{number}"), expected=True)
        everybody = [*NAMES, "later-0", "later-1"]
        until(lambda: [sorted(registry.nodes()) for registry in registries], [everybody] * 2)
        until(lambda: [registry.metric("aurora_registry_store_up") for registry in registries], [1.0, 1.0])
        for registry in registries:
            assert [registry.transitions(name) for name in NAMES] == [[]] * 3
            assert [registry.statuses()[name] for name in NAMES] == ["active"] * 3
            assert "Traceback" not in registry.log
        started = new_registry(store=redis_server.url, settings=SETTINGS).start()
        until(lambda: sorted(started.nodes()), everybody)
