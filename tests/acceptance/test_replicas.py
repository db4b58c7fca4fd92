"""Two registries on one Redis: one mesh, at either of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self

import pytest
import redis

from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess
from tests.support.seed_mesh import CHANNEL, REGISTRATIONS, Heartbeats, over_bus, over_http
from tests.support.server_process import until

pytestmark = pytest.mark.servers

QUICK = {"thresholds": {"warning_after": "2s", "offline_after": "3s", "heartbeat_interval": "500ms"}}


class Recorded:
    """What the registries say on the bus, in order."""

    def __init__(self, bus: redis.Redis) -> None:
        self.events: list[dict[str, Any]] = []
        self._channel = bus.pubsub(ignore_subscribe_messages=False)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def of(self, event_type: str, node: str) -> list[dict[str, Any]]:
        """The data of the events of this type about this node."""
        return [e["data"] for e in self.events if e["type"] == event_type and e["data"]["node"] == node]

    def count(self, event_type: str, node: str) -> int:
        """How many events of this type there were about this node."""
        return len(self.of(event_type, node))

    def __enter__(self) -> Self:
        self._channel.subscribe(CHANNEL)
        until(lambda: (self._channel.get_message(timeout=1) or {}).get("type"), "subscribe")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._channel.close()

    def _listen(self) -> None:
        while not self._stopped.is_set():
            message = self._channel.get_message(timeout=0.1)
            if message is not None and message["type"] == "message":
                event = json.loads(message["data"])
                if event["source_node"] == "node-registry":
                    self.events.append(event)


@pytest.fixture
def bus(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the Redis that both registries share."""
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
def pair(new_registry: Any, redis_server: RedisServer) -> tuple[RegistryProcess, RegistryProcess]:
    """Two registries, started one after the other."""
    first, second = (
        new_registry(store=redis_server.url, event_bus=redis_server.url, settings=QUICK).start() for _ in range(2)
    )
    until(lambda: [registry.metric("aurora_registry_event_bus_up") for registry in (first, second)], [1, 1])
    return first, second


def test_what_one_receives_the_other_knows(pair):
    """A registration, a lifecycle and a departure travel."""
    first, second = pair
    assert first.register(**REGISTRATIONS["vengeance"]) == 201
    until(lambda: list(second.nodes()), ["vengeance"])
    assert second.nodes()["vengeance"]["capabilities"] == REGISTRATIONS["vengeance"]["capabilities"]
    assert second.ask("PUT", "/nodes/vengeance/drain", json={"reason": "moving"}).status_code == 200
    until(lambda: first.nodes()["vengeance"]["lifecycle"], "draining")
    assert second.ask("DELETE", "/nodes/vengeance").status_code == 204
    until(lambda: list(first.nodes()), [])
    assert first.ask("POST", "/nodes/vengeance/heartbeat").status_code == 410


def test_heartbeat_at_one_keeps_the_node_alive_at_the_other(pair):
    """A node that sends over HTTP to one registry only is active at both; when it dies, both say so."""
    first, second = pair
    assert first.register(name="vengeance") == 201
    assert first.register(name="missing") == 201
    with Heartbeats(over_http(first), ["vengeance"]):
        expected = {"vengeance": "active", "missing": "offline"}
        until(first.statuses, expected)
        until(second.statuses, expected)
        for registry in pair:
            assert registry.transitions("vengeance") == []
            assert registry.transitions("missing") == [("active", "warning"), ("warning", "offline")]


def test_each_transition_is_published_once(pair, bus):
    """However many registries saw it."""
    first, second = pair
    with Recorded(bus) as recorded, Heartbeats(over_bus(bus), ["aurora", "vengeance"]) as heartbeats:
        until(first.statuses, {"aurora": "active", "vengeance": "active"})
        heartbeats.die("vengeance")
        until(lambda: [registry.statuses()["vengeance"] for registry in pair], ["offline", "offline"])
        over_bus(bus)("vengeance")
        until(lambda: [registry.statuses()["vengeance"] for registry in pair], ["active", "active"])
        assert second.ask("DELETE", "/nodes/aurora").status_code == 204
        until(lambda: recorded.count("node_deregistered", "aurora"), 1)
        until(lambda: recorded.count("node_status_changed", "vengeance") >= 3, expected=True)
        # Another event, published by each registry after all those: nothing published before is still on its way.
        assert (first.register(name="last-at-first"), second.register(name="last-at-second")) == (201, 201)
        for name in ("last-at-first", "last-at-second"):
            until(partial(recorded.count, "node_registered", name), 1)
        changes = [(event["from"], event["to"]) for event in recorded.of("node_status_changed", "vengeance")]
        assert changes[:3] == [("active", "warning"), ("warning", "offline"), ("offline", "active")]
        assert recorded.count("node_registered", "aurora") == 1
        assert recorded.count("node_registered", "vengeance") == 1
        assert recorded.count("node_deregistered", "aurora") == 1
        assert recorded.count("node_status_changed", "aurora") == 0


def test_one_registry_dies_and_the_other_goes_on(pair, bus):
    """One is killed: the other answers, receives and takes registrations; the first catches up when it is back."""
    first, second = pair
    with Heartbeats(over_bus(bus), ["vengeance"]):
        until(second.statuses, {"vengeance": "active"})
        first.kill()
        assert second.register(name="newcomer") == 201
        until(second.statuses, {"vengeance": "active", "newcomer": "offline"})
        first.start()
        until(first.statuses, {"vengeance": "active", "newcomer": "offline"})
        for registry in (first, second):
            assert registry.transitions("vengeance") == []
            assert registry.transitions("newcomer") == [("active", "warning"), ("warning", "offline")]


def test_of_two_machines_that_register_one_name_at_one_moment_the_first_has_it(pair):
    """At two registries, neither of which knows of the other's caller: one answer is 201, the other 409."""
    for attempt in range(20):
        name = f"twin-{attempt}"
        together = threading.Barrier(2)

        def claim(registry: RegistryProcess, machine: str, name: str = name, together: Any = together) -> int:
            together.wait()
            return registry.register(name=name, node_id=machine)

        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(claim, pair, ("one", "two")))
        assert sorted(answers) == [201, 409]
        owner, other = ("one", "two") if answers[0] == 201 else ("two", "one")
        for registry in pair:
            until(partial(registry.register, name=name, node_id=owner), 200)
            assert registry.register(name=name, node_id=other) == 409
