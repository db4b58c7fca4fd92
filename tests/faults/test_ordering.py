"""Cut cables, clocks that are set, stores that forget: no heartbeat is invented, no transition lost or sent twice."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from exporter.stores.rediscodec import NODES
from tests.conftest import Measured
from tests.support.proxy_thread import ProxyThread
from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess
from tests.support.seed_mesh import CHANNEL, Heartbeats, heartbeat_event, over_bus, over_http
from tests.support.server_process import until
from tests.support.shifted_clock import ShiftedClock

pytestmark = pytest.mark.servers

QUICK = {"thresholds": {"warning_after": "1s", "offline_after": "2s", "heartbeat_interval": "200ms"}}
PATIENT = {"thresholds": {"warning_after": "4s", "offline_after": "5s", "heartbeat_interval": "500ms"}}
DIED = [("active", "warning"), ("warning", "offline")]
RETURNED_AND_DIED = [*DIED, ("offline", "active"), *DIED]
Registries = Callable[..., RegistryProcess]


@pytest.fixture
def cable(redis_server: RedisServer) -> Iterator[ProxyThread]:
    """Between one registry and Redis."""
    with ProxyThread(redis_server.port) as proxy:
        yield proxy


def through(cable: ProxyThread) -> str:
    return f"redis://127.0.0.1:{cable.port}/0"


def histories(registry: RegistryProcess, names: list[str]) -> dict[str, Any]:
    """All that is shown of each node's past, times included."""
    return {name: registry.get(f"/nodes/{name}/transitions").json()["transitions"] for name in names}


def registers(registry: RegistryProcess, name: str) -> bool:
    """Whether it takes a registration."""
    return registry.register(name=name) in {200, 201}


def agree(*registries: RegistryProcess) -> Callable[[], bool]:
    """Whether all registries say the same of every node, its last heartbeat included."""

    def look() -> bool:
        keys = ("status", "last_seen", "registered_at")
        views = [
            {name: [node[key] for key in keys] for name, node in registry.nodes().items()} for registry in registries
        ]
        return all(view == views[0] for view in views)

    return look


def test_merging_makes_no_heartbeat(
    new_registry: Registries, redis_server: RedisServer, cable: ProxyThread, measured: Measured
) -> None:
    """A node that came and died while a registry was cut off is offline there as well."""
    first = new_registry(store=redis_server.url, settings=QUICK).start()
    cut_off = new_registry(store=through(cable), settings=QUICK).start()
    cable.cut()
    with measured("noticed"):
        until(lambda: cut_off.metric("aurora_registry_store_up"), 0.0)
    assert first.register(name="x") == 201
    until(lambda: first.statuses()["x"], "offline")
    before = first.nodes()["x"], histories(first, ["x"])

    cable.heal()
    with measured("back"):
        until(lambda: list(cut_off.nodes()), ["x"])
    # A change that takes the whole way from there to here: what the merge had to publish is published by then.
    until(lambda: cut_off.register(name="later"), 201)
    until(lambda: "later" in first.nodes(), expected=True)
    for registry in (first, cut_off):
        node = registry.nodes()["x"]
        assert (node["status"], node["last_seen"]) == ("offline", before[0]["last_seen"])
        assert histories(registry, ["x"]) == before[1]


def test_nodes_of_a_registry_that_is_cut_off_are_held(
    new_registry: Registries, redis_server: RedisServer, cable: ProxyThread, measured: Measured
) -> None:
    """While it acknowledges their heartbeats, no other registry turns them; then it refuses, and they go elsewhere."""
    first = new_registry(store=redis_server.url, settings=PATIENT).start()
    cut_off = new_registry(store=through(cable), settings=PATIENT).start()
    assert cut_off.register(name="x") == 201
    until(lambda: "x" in first.nodes(), expected=True)
    answers = [cut_off.ask("POST", "/nodes/x/heartbeat").status_code]
    until(agree(first, cut_off), expected=True)

    cable.cut()
    held = False
    deadline = time.monotonic() + 30
    while answers[-1] == 204 and time.monotonic() < deadline:
        answers.append(cut_off.ask("POST", "/nodes/x/heartbeat", timeout=10).status_code)
        node = first.nodes()["x"]
        assert node["status"] == "active"
        held = held or node.get("held", False)
        time.sleep(0.2)
    assert (answers[-1], held) == (503, True)
    assert cut_off.get("/-/ready").status_code == 200
    refusal = cut_off.ask("POST", "/nodes/x/heartbeat")
    assert "send heartbeats to another" in refusal.json()["detail"]

    with Heartbeats(over_http(first), ["x"]):
        cable.heal()
        with measured("back"):
            until(lambda: cut_off.ask("POST", "/nodes/x/heartbeat").status_code, 204)
        until(lambda: "held" in first.nodes()["x"], expected=False)
        assert (first.transitions("x"), first.statuses()["x"]) == ([], "active")


def test_a_dead_node_of_a_registry_that_is_gone_goes_offline(
    new_registry: Registries, redis_server: RedisServer, measured: Measured
) -> None:
    """It is held for the lease and no longer."""
    first, killed = (new_registry(store=redis_server.url, settings=QUICK).start() for _ in range(2))
    assert killed.register(name="x") == 201
    until(lambda: "x" in first.nodes(), expected=True)
    killed.kill()
    with measured("noticed"):
        until(lambda: first.transitions("x"), DIED)


@pytest.mark.parametrize("shift", [-45, 3600])
def test_the_clock_of_redis_is_set(new_registry: Registries, tmp_path: Path, shift: int, measured: Measured) -> None:
    """As after a failover to a host that is behind: nobody turns a node whose heartbeats come."""
    clock = ShiftedClock(tmp_path, "redis")
    with RedisServer(environment=clock.environment()) as server:
        registries = [new_registry(store=server.url, settings=QUICK).start() for _ in range(2)]
        for name in ("x", "dies"):
            assert registries[0].register(name=name) == 201
        with Heartbeats(over_http(registries[0]), ["x", "dies"], every=0.1) as heartbeats:
            until(lambda: len(registries[1].nodes()), 2)
            clock.set(shift)
            heartbeats.die("dies")
            with measured("noticed"):
                until(lambda: [registry.statuses()["dies"] for registry in registries], ["offline"] * 2)
            assert [registry.statuses()["x"] for registry in registries] == ["active"] * 2
            assert [registry.transitions("x") for registry in registries] == [[], []]
            assert [registry.transitions("dies") for registry in registries] == [DIED, DIED]


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_the_wall_clock_is_set_back(
    new_registry: Registries, redis_server: RedisServer, tmp_path: Path, store: str
) -> None:
    """To before the registration: a node's death is recorded at once, in order, and known after kill -9."""
    clock = ShiftedClock(tmp_path, "registry")
    registry = new_registry(store=redis_server.url if store == "redis" else "sqlite:///nodes.db", settings=QUICK)
    registry.variables = clock.environment()
    registry.start()
    for name in ("dies", "lives"):
        assert registry.register(name=name) == 201
    with Heartbeats(over_http(registry), ["dies", "lives"], every=0.1) as heartbeats:
        heartbeats.die("dies")
        until(lambda: registry.transitions("dies"), DIED)
        over_http(registry)("dies")
        clock.set(-3600)
        # What is logged is written down.
        until(lambda: registry.log.count("node=dies from=warning to=offline"), 2)
        assert registry.transitions("dies") == RETURNED_AND_DIED
        times = [each["at"] for each in registry.get("/nodes/dies/transitions").json()["transitions"]]
        assert times == sorted(times, reverse=True)
        registry.kill()
        registry.start()
        assert registry.statuses() == {"dies": "offline", "lives": "active"}
        assert registry.transitions("dies") == RETURNED_AND_DIED
        assert registry.transitions("lives") == []
        assert registry.metric('aurora_node_last_seen_age_seconds{node="lives"}') >= 0


@pytest.mark.parametrize("years", [74, 200])
def test_the_wall_clock_is_set_beyond_what_stores_take(new_registry: Registries, tmp_path: Path, years: int) -> None:
    """As by a clock chip without a battery: what is acknowledged meanwhile is there after kill -9."""
    clock = ShiftedClock(tmp_path, "registry")
    registry = new_registry(store="sqlite:///nodes.db", settings=QUICK)
    registry.variables = clock.environment()
    registry.start()
    assert registry.register(name="before") == 201
    clock.set(years * 365 * 86400)
    assert registry.register(name="after") == 201
    body = {"until": "80000h"}
    assert registry.ask("PUT", "/nodes/after/maintenance", json=body).status_code == 200
    until(lambda: [registry.transitions(name) for name in ("before", "after")], [DIED, DIED])
    registry.kill()
    clock.set(0)
    registry.start()
    assert registry.statuses() == {"before": "offline", "after": "offline"}
    assert registry.nodes()["after"]["lifecycle"] == "maintenance"
    assert [registry.transitions(name) for name in ("before", "after")] == [DIED, DIED]


@pytest.mark.parametrize("method", ["DELETE", "POST"])
def test_a_write_that_was_given_up_is_applied_later(
    new_registry: Registries, redis_server: RedisServer, method: str, measured: Measured
) -> None:
    """It was answered 503; when Redis does it all the same, every registry knows."""
    registries = [new_registry(store=redis_server.url, settings=PATIENT).start() for _ in range(2)]
    assert registries[0].register(name="x") == 201
    until(lambda: "x" in registries[1].nodes(), expected=True)
    redis_server.pause()
    if method == "DELETE":
        status = registries[1].ask("DELETE", "/nodes/x", timeout=10).status_code
    else:
        status = registries[1].register(name="new")
    assert status == 503
    redis_server.resume()
    with measured("back"):
        until(lambda: [registry.metric("aurora_registry_store_up") for registry in registries], [1.0, 1.0])
        until(lambda: registries[0].nodes().keys() == registries[1].nodes().keys(), expected=True)
    answers = [registry.ask("POST", "/nodes/x/heartbeat").status_code for registry in registries]
    assert answers[0] == answers[1]


@pytest.fixture
def mesh(new_registry: Registries, redis_server: RedisServer) -> Iterator[list[RegistryProcess]]:
    """Two registries; of their nodes one lives, one died, and one died, came back and died again."""
    made = [new_registry(store=redis_server.url, event_bus=redis_server.url, settings=QUICK).start() for _ in range(2)]
    first = made[0]
    for name in ("lives", "died", "died-twice"):
        assert first.register(name=name) == 201
    with Heartbeats(over_http(first), ["lives"], every=0.1):
        until(lambda: first.transitions("died-twice"), DIED)
        redis_server.cli("SAVE")
        shutil.copy(redis_server.directory / "dump.rdb", redis_server.directory / "old.rdb")
        over_http(first)("died-twice")
        until(lambda: [each.transitions("died-twice") for each in made], [RETURNED_AND_DIED] * 2)
        yield made


@pytest.mark.parametrize("loss", ["flush", "old dump"])
def test_a_store_forgets(mesh: list[RegistryProcess], redis_server: RedisServer, loss: str, measured: Measured) -> None:
    """Histories are what they were, nobody is active without a heartbeat, and nothing is published again."""
    registries = mesh
    names = ["died", "died-twice", "lives"]
    before = histories(registries[0], names)
    if loss == "flush":
        redis_server.cli("FLUSHALL")
    else:
        redis_server.kill()
        shutil.copy(redis_server.directory / "old.rdb", redis_server.directory / "dump.rdb")
        redis_server.start()
    logged = [registry.log for registry in registries]
    with measured("back"):
        for number, registry in enumerate(registries):
            until(partial(registers, registry, f"new-{number}"), expected=True)
        until(lambda: [histories(registry, names) for registry in registries], [before, before])
    for registry in registries:
        assert [registry.statuses()[name] for name in names] == ["offline", "offline", "active"]
    # What is logged is what is published.
    for registry, before_log in zip(registries, logged, strict=True):
        assert [name for name in names if f" node={name} " in registry.log[len(before_log) :]] == []


def test_redis_restarts_empty_after_the_registry_did(
    new_registry: Registries, redis_server: RedisServer, measured: Measured
) -> None:
    """The re-seed carries what the registry read at its start, and publishes none of it."""
    registry = new_registry(store=redis_server.url, event_bus=redis_server.url, settings=QUICK).start()
    assert registry.register(name="died") == 201
    until(lambda: registry.transitions("died"), DIED)
    registry.kill()
    registry.start()
    log = registry.log.count("node=died")
    before = histories(registry, ["died"])
    redis_server.restart()
    with measured("back"):
        until(lambda: registry.register(name="new") in {200, 201}, expected=True)
    assert histories(registry, ["died"]) == before
    assert (registry.statuses()["died"], registry.log.count("node=died")) == ("offline", log)


def test_a_registry_that_was_stopped_brings_no_dead_node_back(
    new_registry: Registries, redis_server: RedisServer
) -> None:
    """The last heartbeats of a node wait in its buffer while the node dies."""
    first, stopped = (
        new_registry(store=redis_server.url, event_bus=redis_server.url, settings=QUICK).start() for _ in range(2)
    )
    for name in ("dies", "lives"):
        assert first.register(name=name) == 201
    with redis.Redis.from_url(redis_server.url) as bus:
        send = over_bus(bus)
        with Heartbeats(send, ["dies", "lives"], every=0.1) as heartbeats:
            until(lambda: [set(each.nodes()) for each in (first, stopped)], [{"dies", "lives"}] * 2)
            stopped.signal(signal.SIGSTOP)
            for _ in range(10):
                send("dies")
            heartbeats.die("dies")
            until(lambda: first.statuses()["dies"], "offline")
            stopped.signal(signal.SIGCONT)
            until(lambda: stopped.statuses()["dies"], "offline")
            until(lambda: stopped.metric('aurora_registry_blind{transport="bus"}'), 0.0)
            # A change that takes the whole way: whatever the other had to say is said by then.
            assert stopped.register(name="later") == 201
            until(lambda: "later" in first.nodes(), expected=True)
            assert [each.transitions("dies") for each in (first, stopped)] == [DIED, DIED]
            assert [each.transitions("lives") for each in (first, stopped)] == [[], []]


def test_a_master_that_was_replaced_by_mistake_is_left(
    new_registry: Registries, redis_server: RedisServer, measured: Measured
) -> None:
    """It lives on, takes writes and answers pings, while the Sentinel names another, where everybody else is."""
    sentinel = RedisServer(sentinel=True)
    url = f"redis+sentinel://127.0.0.1:{sentinel.port}/mesh"
    monitored = "sentinel monitor mesh 127.0.0.1 {} 1\n"
    (sentinel.directory / "redis.conf").write_text(monitored.format(redis_server.port))
    with RedisServer() as other, sentinel:
        registry = new_registry(store=url, event_bus=url, settings=PATIENT).start()
        assert registry.register(name="x") == 201
        until(lambda: registry.metric("aurora_registry_event_bus_up"), 1.0)
        sentinel.cli("SENTINEL", "REMOVE", "mesh")
        sentinel.cli("SENTINEL", "MONITOR", "mesh", "127.0.0.1", other.port, 1)
        # What it has is written there, and the bus is received there.
        with measured("noticed"):
            until(lambda: other.cli("HEXISTS", NODES, "x"), expected=True)
        until(lambda: other.cli("PUBLISH", CHANNEL, heartbeat_event("y")), 1)
        until(lambda: "y" in registry.nodes(), expected=True)
        assert registry.register(name="z") == 201
        assert other.cli("HEXISTS", NODES, "z")
        assert registry.statuses() == dict.fromkeys("xyz", "active")
        assert redis_server.cli("ROLE")[0] == "master"
