"""The store and bus is a Redis that fails: the registry answers from memory, says so, and catches up."""

from __future__ import annotations

import json

import pytest
import redis

from tests.support.registry_process import RegistryProcess
from tests.support.seed_mesh import CHANNEL, REGISTRATIONS, Heartbeats, over_bus, over_http
from tests.support.server_process import until

pytestmark = pytest.mark.servers

QUICK = {"thresholds": {"warning_after": "2s", "offline_after": "3s"}}
NEWCOMER = {"name": "newcomer", "vpn_ip": "10.0.0.6"}


def codes(registry: RegistryProcess, *paths: str) -> dict[str, int]:
    """The HTTP status of each path."""
    return {path: registry.get(path).status_code for path in paths}


def test_redis_is_down_at_the_start(new_registry, redis_server, measured):
    """It serves, says 503 for what it cannot know yet, and loads the map when Redis comes."""
    registry = new_registry(store=redis_server.url, event_bus=redis_server.url).start()
    assert registry.register(**REGISTRATIONS["vengeance"]) == 201
    registry.kill()
    # Redis keeps nothing on disk, so it must live on for the map to be there: it hangs instead.
    redis_server.pause()
    registry.start(ready="/-/healthy")
    unknown = ("/-/ready", "/nodes", "/nodes/vengeance", "/topology", "/stats", "/sd/prometheus")
    assert codes(registry, *unknown) == dict.fromkeys(unknown, 503)
    assert registry.get("/nodes").headers["Content-Type"] == "application/problem+json"
    assert codes(registry, "/-/healthy", "/metrics", "/health") == {"/-/healthy": 200, "/metrics": 200, "/health": 200}
    assert registry.get("/health").json()["status"] == "degraded"
    assert registry.metric("aurora_registry_store_up") == 0
    assert registry.register(**NEWCOMER) == 503
    redis_server.resume()
    with measured("back"):
        until(lambda: registry.get("/-/ready").status_code, 200)
    assert list(registry.nodes()) == ["vengeance"]
    until(lambda: registry.metric("aurora_registry_store_up"), 1.0)
    until(lambda: registry.register(**NEWCOMER), 201)


def test_nobody_listens_at_the_address_of_redis(new_registry, redis_server):
    """The same where connections are refused: the registry waits, and starts empty with an empty Redis."""
    redis_server.kill()
    registry = new_registry(store=redis_server.url, event_bus=redis_server.url).start(ready="/-/healthy")
    assert codes(registry, "/-/ready", "/nodes", "/metrics") == {"/-/ready": 503, "/nodes": 503, "/metrics": 200}
    redis_server.start()
    until(lambda: registry.get("/-/ready").status_code, 200)
    assert registry.get("/nodes").json()["total"] == 0


def test_redis_is_killed_and_comes_back_empty(new_registry, redis_server, measured):
    """Reads stay 200, writes are 503, and the map is written again; a deleted node stays deleted."""
    registry = new_registry(store=redis_server.url, event_bus=redis_server.url, settings=QUICK).start()
    for registration in REGISTRATIONS.values():
        assert registry.register(**registration) == 201
    assert registry.ask("DELETE", "/nodes/robbiebook1").status_code == 204
    living = [name for name in REGISTRATIONS if name != "robbiebook1"]
    with redis.Redis.from_url(redis_server.url, socket_timeout=1) as bus, Heartbeats(over_bus(bus), living):
        until(lambda: {node["transport"] for node in registry.nodes().values()}, {"bus"})
        registered = {name: node["registered_at"] for name, node in registry.nodes().items()}

        redis_server.kill()
        with measured("noticed"):
            until(lambda: registry.metric("aurora_registry_store_up"), 0.0)
        reads = ("/nodes", "/nodes/vengeance", "/topology", "/stats", "/metrics", "/sd/prometheus", "/-/ready")
        assert codes(registry, *reads) == dict.fromkeys(reads, 200)
        assert registry.register(**NEWCOMER) == 503
        assert registry.ask("DELETE", "/nodes/vengeance").status_code == 503
        # Both transports need the shared store to be received at every replica: blind, for longer than offline_after.
        until(lambda: registry.metric('aurora_registry_blind_seconds_total{transport="bus"}') > 4, expected=True)
        assert registry.metric("aurora_registry_event_bus_up") == 0
        assert {node["held"] for node in registry.nodes().values()} == {True}

        redis_server.start()
        with measured("back"):
            until(lambda: registry.get("/health").json()["status"], "ok")
        until(lambda: any("held" in node for node in registry.nodes().values()), expected=False)
        assert {name: node["registered_at"] for name, node in registry.nodes().items()} == registered
        assert {name: registry.transitions(name) for name in living} == {name: [] for name in living}

        # The next reader of the store finds all of it, and not what was deleted.
        second = new_registry(store=redis_server.url, event_bus=redis_server.url, settings=QUICK).start()
        assert {name: node["registered_at"] for name, node in second.nodes().items()} == registered
        assert set(second.statuses().values()) == {"active"}
        # On a busy machine Redis may be late once more: 503 says that it is safe to repeat.
        until(lambda: registry.register(**NEWCOMER) in {200, 201}, expected=True)
        until(lambda: "newcomer" in second.nodes(), expected=True)


def test_redis_hangs(new_registry, redis_server, measured):
    """SIGSTOP: every request is answered while it lasts, from memory or with 503, and no node is blamed."""
    registry = new_registry(store=redis_server.url, event_bus=redis_server.url, settings=QUICK).start()
    for registration in REGISTRATIONS.values():
        assert registry.register(**registration) == 201
    with Heartbeats(over_http(registry), REGISTRATIONS):
        redis_server.pause()
        with measured("noticed"):
            until(lambda: registry.metric('aurora_registry_blind{transport="http"}'), 1.0)
        answer = registry.ask("POST", "/nodes/register", json=NEWCOMER, timeout=10)
        assert answer.status_code == 503
        assert json.loads(answer.text)["status"] == 503
        assert registry.get("/metrics", timeout=10).status_code == 200
        until(lambda: registry.metric('aurora_registry_blind_seconds_total{transport="http"}') > 4, expected=True)
        assert set(registry.statuses().values()) == {"active"}
        redis_server.resume()
        with measured("back"):
            until(lambda: registry.register(**NEWCOMER) in {200, 201}, expected=True)
        until(lambda: registry.metric('aurora_registry_blind{transport="http"}'), 0.0)
        assert {name: registry.transitions(name) for name in REGISTRATIONS} == {name: [] for name in REGISTRATIONS}


def test_subscription_is_cut(new_registry, redis_server, measured):
    """CLIENT KILL: it subscribes again by itself, and goes on receiving."""
    registry = new_registry(event_bus=redis_server.url).start()
    until(lambda: registry.metric("aurora_registry_event_bus_up"), 1.0)
    with redis.Redis.from_url(redis_server.url) as bus:
        assert redis_server.cli("CLIENT", "KILL", "TYPE", "pubsub") == 1
        with measured("back"):
            until(lambda: bus.pubsub_numsub(CHANNEL), [(CHANNEL.encode(), 1)])
        over_bus(bus)("vengeance")
        until(lambda: list(registry.nodes()), ["vengeance"])
