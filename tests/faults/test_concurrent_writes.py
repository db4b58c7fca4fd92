"""Two registries on one Redis write of one node in the same moment: what one acknowledged, the other takes over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import redis

from tests.support.proxy_thread import ProxyThread
from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess
from tests.support.seed_mesh import over_bus
from tests.support.server_process import until

pytestmark = pytest.mark.servers

Registries = Callable[..., RegistryProcess]
QUICK = {"thresholds": {"warning_after": "4s", "offline_after": "8s", "heartbeat_interval": "500ms"}}
FACTS: dict[str, Any] = {"role": "lead", "capabilities": {"gpu": True, "gpu_count": 8}}


@pytest.fixture
def behind_a_cable(
    new_registry: Registries, redis_server: RedisServer
) -> Iterator[tuple[RegistryProcess, RegistryProcess, ProxyThread]]:
    """Two registries on one Redis, and the cable between it and the second."""
    with ProxyThread(redis_server.port) as cable:
        first = new_registry(store=redis_server.url, settings=QUICK).start()
        behind = new_registry(store=f"redis://127.0.0.1:{cable.port}/0", settings=QUICK).start()
        yield first, behind, cable


def facts(registry: RegistryProcess, name: str) -> tuple[str, Any]:
    node = registry.nodes()[name]
    return node["role"], node["capabilities"].get("gpu_count")


def all_facts(registry: RegistryProcess, names: list[str]) -> set[tuple[str, Any]]:
    return {facts(registry, name) for name in names}


def lifecycles(registry: RegistryProcess) -> set[str]:
    return {node["lifecycle"] for node in registry.nodes().values()}


def roles(registry: RegistryProcess) -> dict[str, str]:
    return {name: node["role"] for name, node in registry.nodes().items()}


def departure(registry: RegistryProcess, name: str) -> int:
    return registry.ask("DELETE", f"/nodes/{name}", timeout=10).status_code


def test_a_registry_that_stops_saves_no_birth_over_a_registration(
    new_registry: Registries, redis_server: RedisServer
) -> None:
    """Nodes appear at one over the bus, register at the other, and the first is stopped at once."""
    living = new_registry(store=redis_server.url, event_bus=redis_server.url, settings=QUICK).start()
    names = [f"n{number}" for number in range(20)]
    with redis.Redis.from_url(redis_server.url) as bus:
        send = over_bus(bus)
        for round_ in range(4):
            stopping = new_registry(store=redis_server.url, event_bus=redis_server.url, settings=QUICK).start()
            part = names[round_ * 5 : round_ * 5 + 5]
            for name in part:
                send(name)
                assert living.register(name=name, **FACTS) in {200, 201}
                send(name)
            assert stopping.stop() == 0
            # A start reads what is in the store.
            started = new_registry(store=redis_server.url, settings=QUICK).start()
            for registry in (living, started):
                assert [facts(registry, name) for name in part] == [("lead", 8)] * 5
            assert started.stop() == 0


def test_a_birth_that_was_not_saved_yet_yields_to_a_registration(
    new_registry: Registries, redis_server: RedisServer
) -> None:
    """The store is away from one registry while the node appears there; the other has its registration already."""
    with ProxyThread(redis_server.port) as cable:
        living = new_registry(store=redis_server.url, event_bus=redis_server.url, settings=QUICK).start()
        through = f"redis://127.0.0.1:{cable.port}/0"
        cut_off = new_registry(store=through, event_bus=redis_server.url, settings=QUICK).start()
        cable.cut()
        until(lambda: cut_off.metric("aurora_registry_store_up"), 0.0)
        assert living.register(name="x", **FACTS) == 201
        with redis.Redis.from_url(redis_server.url) as bus:
            over_bus(bus)("x")
            until(lambda: list(cut_off.nodes()), ["x"])
        cable.heal()
        until(lambda: cut_off.metric("aurora_registry_store_up"), 1.0)
        until(lambda: facts(cut_off, "x"), ("lead", 8))
        assert facts(living, "x") == ("lead", 8)


def test_commands_at_two_registries_in_one_moment_both_count(
    new_registry: Registries, redis_server: RedisServer
) -> None:
    """One registers, the other sets maintenance: what each answered stands, at both."""
    registries = [new_registry(store=redis_server.url, settings=QUICK).start() for _ in range(2)]
    names = [f"n{number}" for number in range(40)]
    for name in names:
        assert registries[0].register(name=name) == 201
    until(lambda: len(registries[1].nodes()), len(names))
    answers: list[int] = []

    def set_maintenance() -> None:
        for name in names:
            body = {"reason": "a fan", "until": "2h"}
            answers.append(registries[1].ask("PUT", f"/nodes/{name}/maintenance", json=body, timeout=10).status_code)

    other = threading.Thread(target=set_maintenance)
    other.start()
    mine = [registries[0].register(name=name, **FACTS) for name in names]
    other.join()
    assert (set(mine), set(answers)) == ({200}, {200})
    for registry in registries:
        until(partial(all_facts, registry, names), {("lead", 8)})
        until(partial(lifecycles, registry), {"maintenance"})


def test_nothing_is_acknowledged_from_what_a_registry_has_not_heard_of(
    behind_a_cable: tuple[RegistryProcess, RegistryProcess, ProxyThread],
) -> None:
    """One ends a maintenance that another set while the first was cut off: it is ended, or not acknowledged."""
    first, behind, cable = behind_a_cable
    assert first.register(name="x") == 201
    until(lambda: "x" in behind.nodes(), expected=True)
    cable.cut()
    assert first.ask("PUT", "/nodes/x/maintenance", json={"until": "2h"}).status_code == 200
    # It may still take its store for up, or know better by now.
    assert behind.ask("DELETE", "/nodes/x/maintenance", timeout=10).status_code == 503
    cable.heal()
    until(lambda: behind.ask("DELETE", "/nodes/x/maintenance", timeout=10).status_code, 200)
    for registry in (first, behind):
        until(partial(lifecycles, registry), {"in_service"})


def test_a_registry_says_nothing_of_nodes_that_it_has_not_heard_of(
    behind_a_cable: tuple[RegistryProcess, RegistryProcess, ProxyThread],
) -> None:
    """That a node left already, or is unknown: another one may have registered it since. The store says, once asked."""
    first, behind, cable = behind_a_cable
    assert first.register(name="left") == 201
    assert first.ask("DELETE", "/nodes/left").status_code == 204
    # Once it is not unknown there, it has left there too.
    until(partial(departure, behind, "left"), 204)
    cable.cut()
    for name in ("left", "new"):
        assert first.register(name=name) == 201
        for method, path in (("DELETE", ""), ("PUT", "/maintenance"), ("DELETE", "/maintenance")):
            answer = behind.ask(method, f"/nodes/{name}{path}", timeout=10)
            assert (method, path, answer.status_code) == (method, path, 503)
    cable.heal()
    for name in ("left", "new"):
        until(partial(departure, behind, name), 204)
    assert departure(behind, "never") == 404
    for registry in (first, behind):
        until(partial(roles, registry), {})


def test_a_node_that_left_registers_again_elsewhere(new_registry: Registries, redis_server: RedisServer) -> None:
    """At a registry that starts."""
    first = new_registry(store=redis_server.url, event_bus=redis_server.url, settings=QUICK).start()
    assert first.register(name="x", **FACTS) == 201
    assert first.ask("DELETE", "/nodes/x").status_code == 204
    second = new_registry(store=redis_server.url, event_bus=redis_server.url, settings=QUICK).start()
    assert second.register(name="x", role="storage") == 201
    for registry in (first, second):
        until(partial(roles, registry), {"x": "storage"})
