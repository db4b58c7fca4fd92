"""The mesh that the product was made for: its four nodes as they register, and their heartbeats."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import redis

from tests.support.periodic import Periodic
from tests.support.registry_process import RegistryProcess

CHANNEL = "aurora:events:global"
REGISTRATIONS: dict[str, dict[str, Any]] = {
    "aurora": {"name": "aurora", "role": "lead", "vpn_ip": "10.0.0.1", "public_ip": "45.32.194.172"},
    "runpod-tx": {
        "name": "runpod-tx",
        "role": "compute",
        "vpn_ip": "10.0.0.3",
        "public_ip": "82.221.170.242",
        "capabilities": {"gpu": True, "gpu_count": 2, "gpu_type": "RTX 4090", "gpu_memory": 48},
    },
    "vengeance": {
        "name": "vengeance",
        "role": "compute",
        "vpn_ip": "10.0.0.4",
        "public_ip": "dynamic",
        "capabilities": {"gpu": True, "gpu_count": 1, "gpu_type": "RTX 4090", "gpu_memory": 24},
        "metadata": {"os": "ubuntu", "docker_version": "24.0.7"},
    },
    "robbiebook1": {
        "name": "robbiebook1",
        "role": "compute",
        "vpn_ip": "10.0.0.5",
        "public_ip": "dynamic",
        "capabilities": {"gpu": False},
    },
}


def over_http(registry: RegistryProcess) -> Callable[[str], None]:
    """A heartbeat as a node sends it to this registry; a refusal or a 503 is not its business."""

    def send(name: str) -> None:
        registry.ask("POST", f"/nodes/{name}/heartbeat", timeout=2)

    return send


def over_bus(bus: redis.Redis, readings: Mapping[str, Any] | None = None) -> Callable[[str], None]:
    """A heartbeat as the event bus service publishes it, with the GPU readings of the nodes that have some."""

    def send(name: str) -> None:
        role = REGISTRATIONS.get(name, {}).get("role", "compute")
        gpus = {"gpus": readings[name]} if readings and name in readings else {}
        bus.publish(CHANNEL, heartbeat_event(name, role=role, **gpus))

    return send


def heartbeat_event(node: str, **data: Any) -> str:
    """The event that a heartbeat is on the bus."""
    event = {"type": "node_heartbeat", "source_node": node, "data": {"node": node, "status": "active", **data}}
    return json.dumps(event)


class Heartbeats(Periodic):
    """Nodes that live: each sends a heartbeat several times a second, whether received or not."""

    def __init__(self, send: Callable[[str], None], names: Iterable[str], *, every: float = 0.25) -> None:
        super().__init__(self._beat, every)
        self._send = send
        self._living = set(names)

    def die(self, name: str) -> None:
        """The node never sends again."""
        self._living.discard(name)

    def _beat(self) -> None:
        for name in sorted(self._living):
            try:
                self._send(name)
            except (OSError, redis.RedisError):
                continue
