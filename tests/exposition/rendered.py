"""A node map with its exposition, and short words for what happens to it."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

from exporter.domain.command import Depart, Register, SetLifecycle
from exporter.domain.lifecycle import Lifecycle
from exporter.domain.node import Node
from exporter.domain.parsing import heartbeat_of
from exporter.domain.registration import parse_registration
from exporter.domain.status import Thresholds, Transport
from exporter.exposition.exposition import Exposition
from exporter.nodemap.nodemap import NodeMap
from tests.support.clock import ManualClock


class Mesh:
    """Time stands still unless a test moves it."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock()
        self.node_map = NodeMap(self.clock, Thresholds())
        self.exposition = Exposition(self.node_map, **settings)

    def register(self, name: str, **keys: Any) -> Node:
        """A node registers over HTTP."""
        registration = parse_registration({"name": name, **keys})
        node = self.node_map.commit(self.node_map.plan(Register(registration)))
        assert node is not None
        return node

    def depart(self, name: str) -> None:
        """It leaves on purpose."""
        self.node_map.commit(self.node_map.plan(Depart(name)))

    def heartbeat(self, name: str, **keys: Any) -> None:
        """It sends a heartbeat, over HTTP."""
        self.node_map.heartbeat(heartbeat_of({"node": name, "status": "active", **keys}), Transport.HTTP)

    def set_lifecycle(self, name: str, lifecycle: Lifecycle) -> None:
        """People decide."""
        self.node_map.commit(self.node_map.plan(SetLifecycle(name, lifecycle)))

    def pass_time(self, seconds: float) -> None:
        """In steps that are no stall."""
        while seconds > 0:
            self.clock.advance(min(seconds, 2))
            self.node_map.tick()
            seconds -= 2

    def scrape(self, *, open_metrics: bool = False, **options: Any) -> str:
        """The body's text; whether plain or compressed, it is the same."""
        plain = asyncio.run(self.exposition.scrape(open_metrics=open_metrics, gzip=False, **options))
        compressed = asyncio.run(self.exposition.scrape(open_metrics=open_metrics, gzip=True, **options))
        assert gzip.decompress(compressed) == plain
        return plain.decode()
