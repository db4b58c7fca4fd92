"""A mesh that misbehaves on command: its nodes send to real registries over the real bus and the real REST API."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import redis
import requests

from tests.support.periodic import Periodic
from tests.support.registry_process import RegistryProcess
from tests.support.seed_mesh import CHANNEL

BEAT_SECONDS = 0.25
REPEATS = 32


class SimulatedNode:
    """One node. Its methods are what happens to it."""

    def __init__(
        self, mesh: SimulatedMesh, name: str, *, site: str = "", environment: str = "", http: bool = False, **facts: Any
    ) -> None:
        """`facts`: what else it registers with, as the REST API takes it; `gpus` is short for capabilities."""
        self.name = name
        self.http = http
        self.clock_offset = 0.0
        self.gpus: int = facts.pop("gpus", 0)
        metadata = {key: value for key, value in (("site", site), ("environment", environment)) if value}
        if self.gpus:
            facts["capabilities"] = {"gpu": True, "gpu_count": self.gpus, "gpu_memory": 24 * self.gpus}
        self.registration = {"name": name, "metadata": metadata, **facts}
        self.alive = True
        self._mesh = mesh
        self._sequence = 0

    def heartbeat(self, status: str = "active") -> dict[str, Any]:
        """The next heartbeat, as the node itself sees the world."""
        self._sequence += 1
        beat: dict[str, Any] = {
            "node": self.name,
            "role": self.registration.get("role", "compute"),
            "status": status,
            "timestamp": time.time() + self.clock_offset,
            "sequence": self._sequence,
        }
        if self.gpus:
            beat["gpus"] = [
                {"index": index, "uuid": f"GPU-{self.name}-{index}", "utilization": 0.5, "temperature_celsius": 60}
                for index in range(self.gpus)
            ]
        return beat

    def stop(self) -> None:
        """It dies, or loses its network: nothing is received from it."""
        self.alive = False

    def resume(self) -> None:
        """It sends heartbeats again."""
        self.alive = True

    def breathe_out(self) -> None:
        """It sends a heartbeat at this moment, and then no more."""
        self.alive = False
        self._mesh.send(self, self.heartbeat())

    def breathe_in(self) -> None:
        """It sends a heartbeat at this moment, and goes on."""
        self._mesh.send(self, self.heartbeat())
        self.alive = True

    def sleep(self) -> None:
        """Its lid is closed, and its last heartbeat says so."""
        self.alive = False
        self._mesh.send(self, self.heartbeat("sleeping"))

    def lose_gpu(self) -> None:
        """One of its GPUs falls off the bus."""
        self.gpus -= 1

    def set_clock(self, offset: float) -> None:
        """Its clock is so many seconds ahead."""
        self.clock_offset = offset

    def depart(self) -> None:
        """It leaves as planned, and sends nothing from then on."""
        self.alive = False
        assert self._mesh.ask("DELETE", f"/nodes/{self.name}").status_code == requests.codes.no_content

    def maintain(self, until: str, phase: str = "maintenance") -> None:
        """People take it into maintenance, or drain it (`drain`)."""
        answer = self._mesh.ask("PUT", f"/nodes/{self.name}/{phase}", {"reason": "new fans", "until": until})
        assert answer.status_code == requests.codes.ok, answer.text

    def rename(self, name: str) -> None:
        """Its agent starts again under another name, on the same machine."""
        answer = self._mesh.ask("POST", "/nodes/register", {**self.registration, "name": name})
        assert answer.status_code == requests.codes.created, answer.text
        self.name = self.registration["name"] = name

    def be_inventoried(self) -> None:
        """Somebody else registers it once more, and says so."""
        answer = self._mesh.ask("POST", "/nodes/register?heartbeat=false", self.registration)
        assert answer.status_code == requests.codes.ok, answer.text

    def be_impersonated(self) -> None:
        """Another machine claims its name."""
        answer = self._mesh.ask("POST", "/nodes/register", {**self.registration, "node_id": "another"})
        assert answer.status_code == requests.codes.conflict, answer.text


class SimulatedMesh:
    """Nodes that send heartbeats several times a second, whether received or not. Use it as a context."""

    def __init__(self, registries: Sequence[RegistryProcess], redis_port: int) -> None:
        self.nodes: list[SimulatedNode] = []
        self._registries = registries
        self._redis = redis.Redis(port=redis_port, socket_timeout=1, socket_connect_timeout=1)
        self._session = requests.Session()
        self._sending = [Periodic(partial(_send, each), BEAT_SECONDS) for each in (self._publish, self._post)]

    def node(self, name: str, **facts: Any) -> SimulatedNode:
        """A new node; it registers with the others, in `register`."""
        node = SimulatedNode(self, name, **facts)
        self.nodes.append(node)
        return node

    def register(self) -> None:
        """Register every node, and begin with the heartbeats."""
        for node in self.nodes:
            answer = self.ask("POST", "/nodes/register", node.registration)
            assert answer.status_code in {requests.codes.created, requests.codes.ok}, answer.text
        for sending in self._sending:
            sending.start()

    def ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        """The first registry's answer; what is not acknowledged, as while it starts again, is repeated for a while."""
        for repeats_left in reversed(range(REPEATS)):
            try:
                answer = self._registries[0].ask(method, path, json=body)
            except requests.ConnectionError:
                if not repeats_left:
                    raise
            else:
                if answer.status_code != requests.codes.unavailable:
                    break
            time.sleep(BEAT_SECONDS)
        return answer

    def send(self, node: SimulatedNode, beat: dict[str, Any]) -> None:
        """One heartbeat more than those that come by themselves, over the bus."""
        self._redis.publish(CHANNEL, _event(node, beat))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sending in self._sending:
            sending.stop()
        self._redis.close()
        self._session.close()

    def _publish(self) -> None:
        with self._redis.pipeline(transaction=False) as pipeline:
            for node in self.nodes:
                if node.alive and not node.http:
                    pipeline.publish(CHANNEL, _event(node, node.heartbeat()))
            pipeline.execute()

    def _post(self) -> None:
        for node in self.nodes:
            if node.alive and node.http:
                url = f"{self._registries[0].url}/nodes/{node.name}/heartbeat"
                self._session.post(url, json=node.heartbeat(), timeout=1)


def _send(send: Callable[[], None]) -> None:
    # A node does not know whether it is received.
    with contextlib.suppress(OSError, redis.RedisError):
        send()


def _event(node: SimulatedNode, beat: dict[str, Any]) -> str:
    return json.dumps({"type": "node_heartbeat", "source_node": node.name, "data": beat})
