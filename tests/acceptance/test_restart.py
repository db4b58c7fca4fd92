"""The registry ends, by force or cleanly, or stops for a while: nothing is lost, and no node is blamed for it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from exporter.domain.clock import HOUR
from exporter.domain.timestamp import format_timestamp
from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess
from tests.support.seed_mesh import REGISTRATIONS, Heartbeats, over_http
from tests.support.server_process import until

pytestmark = pytest.mark.servers

WARNING_AFTER, OFFLINE_AFTER = 2, 3
QUICK = {"thresholds": {"warning_after": f"{WARNING_AFTER}s", "offline_after": f"{OFFLINE_AFTER}s"}}
LIVING = ("aurora", "runpod-tx", "vengeance")
LASTING = ("name", "role", "vpn_ip", "public_ip", "capabilities", "metadata", "registered_at")
LIFECYCLE = ("lifecycle", "lifecycle_reason", "lifecycle_until")


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[str]:
    """A store that outlives the registry."""
    if request.param == "sqlite":
        yield "sqlite:///nodes.db"
    else:
        with RedisServer() as server:
            yield server.url


def register_all(registry: RegistryProcess) -> None:
    for registration in REGISTRATIONS.values():
        assert registry.register(**registration) == 201


def lasting(registry: RegistryProcess) -> dict[str, dict[str, Any]]:
    """What of each document must outlive the process."""
    keys = (*LASTING, *LIFECYCLE)
    return {name: {key: node[key] for key in keys if key in node} for name, node in registry.nodes().items()}


def let_them_go_offline() -> None:
    """Let more time pass than makes a node offline; nobody serves meanwhile, so there is nothing to poll."""
    time.sleep(OFFLINE_AFTER + 1)


def test_kill_9_loses_nothing_and_blames_nobody(new_registry, store, measured):
    """Registrations, lifecycle and transitions are there again; a node that lives never leaves `active`."""
    registry = new_registry(store=store, settings=QUICK).start()
    register_all(registry)
    with Heartbeats(over_http(registry), LIVING) as heartbeats:
        # What is logged (and published) is written down; readers may see it a moment earlier.
        until(lambda: "node=robbiebook1 from=warning to=offline" in registry.log, expected=True)
        until_time = format_timestamp(time.time_ns() + HOUR)
        maintenance = {"reason": "new fans", "until": until_time}
        assert registry.ask("PUT", "/nodes/vengeance/maintenance", json=maintenance).status_code == 200
        assert registry.ask("PUT", "/nodes/aurora/drain", json={"reason": "moving house"}).status_code == 200
        before = lasting(registry)
        history = registry.get("/nodes/robbiebook1/transitions").json()

        registry.kill()
        heartbeats.die("runpod-tx")
        let_them_go_offline()
        with measured("back"):
            registry.start()

        assert lasting(registry) == before
        assert [before["vengeance"][key] for key in LIFECYCLE] == ["maintenance", "new fans", until_time]
        assert registry.get("/nodes/robbiebook1/transitions").json() == history
        assert registry.statuses() == dict.fromkeys(LIVING, "active") | {"robbiebook1": "offline"}
        # The node that died in between: held at first, then offline after the grace and one window.
        until(lambda: registry.transitions("runpod-tx"), [("active", "warning"), ("warning", "offline")])
        assert registry.statuses()["runpod-tx"] == "offline"
        assert {name: registry.transitions(name) for name in ("aurora", "vengeance")} == {"aurora": [], "vengeance": []}


def test_node_that_died_in_between_is_held_first(new_registry, store):
    """After the start its status waits, and the document and the metric say so."""
    settings = {"thresholds": {"warning_after": "4s", "offline_after": "5s"}}
    registry = new_registry(store=store, settings=settings).start()
    register_all(registry)
    registry.kill()
    registry.start()
    with Heartbeats(over_http(registry), LIVING):
        until(lambda: [name for name, node in registry.nodes().items() if node.get("held")], ["robbiebook1"])
        assert registry.nodes()["robbiebook1"]["status"] == "active"
        assert registry.metric('aurora_node_status_held{node="robbiebook1"}') == 1
        assert registry.metric('aurora_node_status_held{node="aurora"}') == 0
        until(lambda: registry.statuses()["robbiebook1"], "offline")
        assert "held" not in registry.nodes()["robbiebook1"]


def test_stopped_process_blames_nobody(new_registry, store, measured):
    """SIGSTOP for longer than `offline_after`, then SIGCONT: no node that lives changes its status."""
    registry = new_registry(store=store, settings=QUICK).start()
    register_all(registry)
    with Heartbeats(over_http(registry), REGISTRATIONS):
        until(lambda: set(registry.statuses().values()), {"active"})
        blind_seconds = partial(registry.metric, 'aurora_registry_blind_seconds_total{transport="http"}')
        before = blind_seconds()
        registry.signal(signal.SIGSTOP)
        let_them_go_offline()
        registry.signal(signal.SIGCONT)
        with measured("noticed"):
            until(
                lambda: (
                    registry.metric('aurora_registry_blind_seconds_total{transport="http"}') >= before + OFFLINE_AFTER
                ),
                expected=True,
            )
        with measured("back"):
            until(lambda: registry.metric('aurora_registry_blind{transport="http"}'), 0.0)
        assert set(registry.statuses().values()) == {"active"}
        assert {name: registry.transitions(name) for name in REGISTRATIONS} == {name: [] for name in REGISTRATIONS}


def test_sigterm_during_load_finishes_what_it_began(new_registry, store):
    """Exit status 0, and whatever was acknowledged is there after the next start."""
    registry = new_registry(store=store).start()
    acknowledged: list[str] = []
    ended = threading.Event()

    def load(worker: int) -> None:
        for number in range(100_000):
            name = f"node-{worker}-{number}"
            try:
                status = registry.register(name=name)
            except OSError:
                break
            if status == 201:
                acknowledged.append(name)
        ended.set()

    workers = [threading.Thread(target=load, args=(worker,), daemon=True) for worker in range(4)]
    for worker in workers:
        worker.start()
    until(lambda: len(acknowledged) >= 100, expected=True)
    assert registry.stop() == 0
    for worker in workers:
        worker.join()
    assert ended.is_set()
    registry.start()
    assert set(registry.nodes()) >= set(acknowledged)


def test_kill_9_during_load_loses_nothing_acknowledged(new_registry, store):
    """Time after time: an answered registration is durable."""
    registry = new_registry(store=store).start()
    acknowledged: list[str] = []

    def load(turn: int) -> None:
        for number in range(100_000):
            try:
                if registry.register(name=f"node-{turn}-{number}") == 201:
                    acknowledged.append(f"node-{turn}-{number}")
            except OSError:
                return

    for turn in range(3):
        enough = len(acknowledged) + 20
        worker = threading.Thread(target=load, args=(turn,), daemon=True)
        worker.start()
        while len(acknowledged) < enough:
            worker.join(0.01)
            assert worker.is_alive()
        registry.kill()
        worker.join()
        registry.start()
        assert set(registry.nodes()) >= set(acknowledged)
