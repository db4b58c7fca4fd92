"""A small mesh that lives for some minutes, and the proof that what a registry shows and writes of it is sound."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open_metrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from exporter.api.documents import Renderer
from exporter.domain.clock import HOUR
from exporter.domain.command import Command, Depart, Register, SetLifecycle
from exporter.domain.durable import Batch
from exporter.domain.errors import NameConflict
from exporter.domain.lifecycle import Lifecycle, Phase
from exporter.domain.parsing import heartbeat_of
from exporter.domain.registration import parse_registration
from exporter.domain.status import Thresholds, Transport
from exporter.exposition.exposition import Exposition
from exporter.nodemap import merging
from exporter.nodemap.nodemap import NodeMap
from tests.support.clock import ManualClock

ALL = 1_000_000
FULL = {
    "role": "lead",
    "vpn_ip": "10.0.0.4",
    "public_ip": "203.0.113.9",
    "node_id": "abc",
    "ttl": "90h",
    "links": [{"target": "plain", "type": "nvlink"}],
    "agent": {"name": "aurora-agent", "version": "1", "instance": "i"},
    "capabilities": {"gpu": True, "gpu_count": 2, "gpu_type": "RTX 4090", "gpu_memory": 48, "x": [1, {"y": "é"}]},
    "metadata": {"os": "ubuntu", "site": "home", "environment": "test", "cost_per_hour": 0.5},
}
NODES: dict[str, dict[str, Any]] = {"plain": {}, "full": FULL, "away": {}, "gone": {}}
KNOWN = frozenset({"plain", "full", "away"})


class LivingMesh:
    """A registry's map; `minutes` of its clock have passed before it begins."""

    def __init__(self, instance: str, minutes: float = 0) -> None:
        self.clock = ManualClock()
        self.clock.advance(60 * minutes)
        self.map = NodeMap(self.clock, Thresholds(), instance=instance, by=instance)
        self._exposition = Exposition(self.map)

    def begin(self) -> None:
        """Nodes of every kind: some wait for a heartbeat, one sleeps, one is in maintenance, one left."""
        self.pass_seconds(1)
        for name, facts in NODES.items():
            self._do(Register(parse_registration({"name": name, **facts})))
        until_ns = self.clock.wall_ns() + HOUR
        self._do(SetLifecycle("away", Lifecycle(Phase.MAINTENANCE, until_ns, "disk")))
        self.beat("full", "sleeping")
        self._do(Depart("gone"))
        self.pass_seconds(200)
        self.beat("full", "active")
        self.beat("away", "active")

    def saved(self) -> Batch:
        """All that a store would have by now."""
        nodes = [*self.map.nodes()]
        heartbeats = {node.name: merging._last_heartbeat(self.map, node) for node in nodes}
        lasts = [node.last_transition for node in nodes if node.last_transition]
        records = {node.name: node.record for node in nodes}
        return Batch(records, dict(self.map.departed), lasts, heartbeats, merging.mark_of(self.map))

    def live_on(self) -> Batch:
        """Some minutes in which nodes send, register, drain and go missing; what is to be written then."""
        self.look()
        self.pass_seconds(6)
        for name in KNOWN:
            if self.map.find(name):
                self.beat(name, "draining")
                self.beat(name, "active")
        for name in NODES:
            with contextlib.suppress(NameConflict):
                self._do(Register(parse_registration({"name": name, "metadata": {"site": "x"}})))
        self._do(SetLifecycle("plain", Lifecycle(Phase.DRAINING, self.clock.wall_ns() + HOUR, "x")))
        self.pass_seconds(400)
        self.look()
        assert {node.name for node in self.map.nodes()} == NODES.keys()
        taken = merging.batch_of(self.map, self.map.pending.take(ALL))
        everything = self.saved()
        transitions = [*everything.transitions, *taken.transitions, *taken.history]
        return Batch(everything.records, everything.tombstones, transitions, everything.heartbeats, everything.mark)

    def look(self) -> None:
        """Scrapes parse in both formats, and documents are JSON."""
        plain = asyncio.run(self._exposition.scrape(open_metrics=False, gzip=False)).decode()
        assert len([*read_text(plain)]) > 1
        assert (
            len([*read_open_metrics(asyncio.run(self._exposition.scrape(open_metrics=True, gzip=False)).decode())]) > 1
        )
        renderer = Renderer(self.map)
        for node in self.map.nodes():
            json.loads(renderer.document(node))

    def pass_seconds(self, seconds: int) -> None:
        """In steps that are no stall."""
        for _ in range(0, seconds, 2):
            self.clock.advance(2)
            self.map.tick()

    def beat(self, name: str, status: str) -> None:
        """A heartbeat over HTTP."""
        self.map.heartbeat(heartbeat_of({"node": name, "status": status}), Transport.HTTP)

    def _do(self, command: Command) -> None:
        self.map.commit(self.map.plan(command))
