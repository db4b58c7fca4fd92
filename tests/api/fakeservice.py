"""A registry without a store, a bus and a process."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from exporter.api.stream import EventStream
from exporter.auth.audit import RELOADED, Actor, AuditLog
from exporter.auth.keyring import Keyring
from exporter.auth.webconfig import WebConfig
from exporter.domain.command import Command
from exporter.domain.config import Config
from exporter.domain.durable import Recent
from exporter.domain.errors import StillLoading, StoreUnavailable
from exporter.domain.node import Node
from exporter.domain.transition import Transition
from exporter.exposition.exposition import Exposition
from exporter.nodemap.nodemap import NodeMap
from exporter.telemetry.metrics import Telemetry
from tests.support.clock import ManualClock


@dataclass
class FakeService:
    """The Service of the REST interface's tests.

    It does not test: durability (a command counts as soon as it is planned), the order of concurrent writes, time that
    passes by itself (nobody ticks), and what a reload really reads.
    """

    config: Config = field(default_factory=Config)
    clock: ManualClock = field(default_factory=ManualClock)
    loaded: bool = True
    ready: bool = True
    store_up: bool = True
    store_durable: bool | None = None
    event_bus_up: bool | None = None
    uptime_seconds: float = 12.5
    reload_error: Exception | None = None
    reloads: int = 0

    def __post_init__(self) -> None:
        self.web = WebConfig()
        self.keyring = Keyring(self.config.auth)
        self.audit = AuditLog(self.clock)
        self._node_map = NodeMap(
            self.clock,
            self.config.thresholds,
            site_rule=self.config.site,
            limits=self.config.limits,
        )
        self._node_map.tick()
        self._exposition = Exposition(self._node_map)
        self.telemetry = Telemetry(
            version="0.0.0",
            revision="",
            started_ns=self.clock.wall_ns(),
            store_up=lambda: self.store_up,
            event_bus_up=lambda: self.event_bus_up,
        )
        self.telemetry.watch(self._node_map)
        self.events = EventStream(lambda: self.node_map, self.clock)

    @property
    def node_map(self) -> NodeMap:
        if not self.loaded:
            raise StillLoading
        return self._node_map

    @property
    def exposition(self) -> Exposition:
        if not self.loaded:
            raise StillLoading
        return self._exposition

    async def submit(self, command: Command) -> Node | None:
        planned = self.node_map.plan(command)
        if not self.store_up:
            raise StoreUnavailable("Redis at redis://localhost:6379: it did not answer in time")
        return self.node_map.commit(planned)

    async def transitions(self, name: str, limit: int) -> list[Transition]:
        if not self.store_up:
            raise StoreUnavailable("Redis at redis://localhost:6379: it did not answer in time")
        return [each for each in reversed(self._node_map.recent) if each.node == name][:limit]

    async def recent(self, since_ns: int, limit: int) -> Recent:
        transitions = [each for each in reversed(self._node_map.recent) if each.at_ns >= since_ns]
        tombstones = [each for each in reversed(self._node_map.departed.values()) if each.at_ns >= since_ns]
        return Recent(transitions[:limit], tombstones[:limit])

    async def reload(self, actor: Actor) -> None:
        self.audit.record(RELOADED, actor)
        self.reloads += 1
        if self.reload_error is not None:
            raise self.reload_error

    def set_config(self, **sections: object) -> None:
        """As a reload would: the whole configuration is another object afterwards."""
        self.config = replace(self.config, **sections)  # type: ignore[arg-type]  # sections by name
        self.keyring = Keyring(self.config.auth)

    def pass_time(self, seconds: float) -> None:
        """Time passes, and the registry was awake all the while."""
        step = self.config.thresholds.tick / 1e9
        while seconds > 0:
            self.clock.advance(min(step, seconds))
            seconds -= step
            self._node_map.tick()
