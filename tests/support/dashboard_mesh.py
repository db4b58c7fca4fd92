"""A mesh in which every family of /metrics has something to show: in health, broken, and with its Redis gone.

Two registries over one Redis expose it, as the second must change no number. A second here is a minute of production.
"""

from __future__ import annotations

import signal
from typing import Any

import redis
import requests

from tests.support.scenario_mesh import SimulatedNode
from tests.support.scenario_stack import Stack
from tests.support.seed_mesh import CHANNEL
from tests.support.server_process import until


class GpuNode(SimulatedNode):
    """A node whose heartbeats carry every reading of its GPUs."""

    skipping = False
    """Whether every other heartbeat is lost on its way."""
    idle = False
    """Whether its GPUs do nothing."""
    ill = False
    """Whether its GPUs report errors."""

    def heartbeat(self, status: str = "active") -> dict[str, Any]:
        """Load rises from GPU to GPU and moves with each heartbeat; heat and power follow, and memory fills up."""
        beat = super().heartbeat(status)
        if self.skipping:
            self._sequence += 1
        for gpu in beat.get("gpus", []):
            load = 0.0 if self.idle else round(0.2 + 0.15 * gpu["index"] + 0.05 * (self._sequence % 5), 3)
            gpu |= {
                "utilization": load,
                "memory_used_bytes": gpu["index"] * 2**30 + self._sequence * 2**26,
                "temperature_celsius": 40 + 45 * load,
                "power_watts": 80 + 300 * load,
                "health": {
                    "xid_errors": {"79": self._sequence if self.ill else 0},
                    "ecc_uncorrected_errors": self._sequence if self.ill else 0,
                    "remapped_rows": 1,
                    "remap_pending": self.ill,
                    "remap_failed": False,
                    "retired_pages": 2,
                    "recovery_needed": False,
                    "throttled": ["sw_power_cap"] if self._sequence % 2 else [],
                    "pcie_degraded": self.ill,
                    "fan": 0.3 + load / 2,
                    "sm_clock_hertz": 2_520_000_000,
                    "memory_clock_hertz": 10_501_000_000,
                    "energy_joules": 300.0 * self._sequence,
                    "mig_enabled": False,
                    "processes": 1 + gpu["index"],
                },
            }
        return beat


def populate(stack: Stack) -> dict[str, GpuNode]:
    """The nodes, by name; they register and send once the stack's curtain opens."""
    mesh = stack.mesh
    nodes: dict[str, GpuNode] = {}

    def add(name: str, *, cost: float | None = None, gpu_type: str = "", system: str = "", **facts: Any) -> None:
        node = GpuNode(mesh, name, **facts)
        optional = {"cost_per_hour": cost, "os": system or None}
        node.registration["metadata"] |= {key: value for key, value in optional.items() if value is not None}
        if gpu_type:
            node.registration["capabilities"]["gpu_type"] = gpu_type
        mesh.nodes.append(node)
        nodes[name] = node

    add("aurora", role="lead", vpn_ip="10.0.0.1", public_ip="45.32.194.172", site="frankfurt", system="debian")
    for number in (1, 2, 3):
        address = f"10.0.1.{number}"
        add(f"cellar-{number}", vpn_ip=address, site="cellar", gpus=2, gpu_type="RTX 4090", cost=0.5, system="ubuntu")
    rented = {"public_ip": "82.221.170.242", "system": "ubuntu"}
    add("runpod-tx", vpn_ip="10.0.0.3", site="texas", gpus=4, gpu_type="A100", cost=4.4, http=True, **rented)
    add("runpod-ca", vpn_ip="10.0.0.6", site="canada", gpus=2, gpu_type="A100", cost=2.2, node_id="one")
    nfs = [{"target": "runpod-tx", "type": "nfs"}]
    add("vengeance", vpn_ip="10.0.0.4", site="desk", gpus=1, gpu_type="RTX 4090", cost=0.4, links=nfs)
    add("robbiebook1", vpn_ip="10.0.0.5", environment="test")
    add("attic", role="storage", vpn_ip="10.0.0.7", site="frankfurt", cost=0.05)
    add("bench", vpn_ip="10.0.0.8", gpus=1, gpu_type="RTX 3090", site="frankfurt", http=True)
    for number in (1, 2):
        add(f"spare-{number}", vpn_ip=f"10.0.2.{number}")
    add("guest", vpn_ip="10.0.0.9", ttl="6s")
    return nodes


def let_idle(nodes: dict[str, GpuNode]) -> None:
    """One node's GPU does nothing from now on: an alert is pending from here, so only once the curtain is open."""
    nodes["vengeance"].idle = True


def break_mesh(stack: Stack, nodes: dict[str, GpuNode]) -> None:
    """One of each incident, and return once all show: a site without heartbeats, lost GPUs, refusals, a warning."""
    for name in ("cellar-1", "cellar-2", "cellar-3", "guest"):
        nodes[name].stop()
    nodes["bench"].stop()
    nodes["bench"].maintain("3s")  # by then it is in warning, so the maintenance becomes overdue
    nodes["runpod-tx"].lose_gpu()
    nodes["runpod-ca"].ill = True
    nodes["runpod-tx"].set_clock(30)
    nodes["runpod-ca"].skipping = True
    nodes["runpod-ca"].be_impersonated()
    answer = stack.mesh.ask("PUT", "/nodes/runpod-tx/drain", {"reason": "full", "until": "1h"})
    assert answer.status_code == requests.codes.ok, answer.text
    answer = stack.mesh.ask("POST", "/nodes/spare-1/heartbeat", {"timestamp": "yesterday"})
    assert [each["field"] for each in answer.json()["ignored"]] == ["timestamp"], answer.text
    refused = stack.registries[0].ask("DELETE", "/nodes/spare-1", headers={"Origin": "http://elsewhere.example"})
    assert refused.status_code == requests.codes.forbidden, refused.text
    for registry in stack.registries:
        registry.configure({"thresholds": {"warning_after": "no duration"}})
        registry.signal(signal.SIGHUP)
    with redis.Redis(port=stack.redis.port) as bus:
        for _ in range(20):
            bus.publish(CHANNEL, "no JSON")
    offline = {"cellar-1", "cellar-2", "cellar-3", "bench"}
    first = stack.registries[0]
    until(lambda: {name for name, status in first.statuses().items() if status == "offline"}, offline)
    for registry in stack.registries:
        until(lambda registry=registry: "guest" in registry.nodes(), expected=False)  # type: ignore[misc]  # bound now
    nodes["vengeance"].stop()
    until(lambda: first.statuses()["vengeance"], "warning")


def cut_off(stack: Stack) -> None:
    """Redis is gone, and with it bus and store: the registries hold the statuses of all that send over it."""
    stack.redis.kill()
    for registry in stack.registries:
        until(lambda registry=registry: registry.nodes()["aurora"].get("held"), expected=True)  # type: ignore[misc]


def take_away(stack: Stack) -> None:
    """No registry can be scraped any more."""
    for registry in stack.registries:
        registry.kill()
    until(lambda: set(stack.prometheus.query("up").values()), {0.0})
