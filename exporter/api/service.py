"""What the edges need of the running registry; the wiring provides it."""

from __future__ import annotations

from typing import Protocol

from exporter.api.stream import EventStream
from exporter.auth.audit import Actor, AuditLog
from exporter.auth.keyring import Keyring
from exporter.auth.webconfig import WebConfig
from exporter.domain.clock import Clock
from exporter.domain.command import Command
from exporter.domain.config import Config
from exporter.domain.durable import Recent
from exporter.domain.node import Node
from exporter.domain.transition import Transition
from exporter.exposition.exposition import Exposition
from exporter.nodemap.nodemap import NodeMap
from exporter.telemetry.metrics import Telemetry


class Service(Protocol):
    """The registry as its edges see it."""

    @property
    def config(self) -> Config:
        """The configuration in force; a reload replaces it whole."""

    @property
    def node_map(self) -> NodeMap:
        """The node map; raises StillLoading until it was read from the store: it is never shown empty."""

    @property
    def exposition(self) -> Exposition:
        """The node map as Prometheus reads it."""

    @property
    def keyring(self) -> Keyring:
        """The tokens in force; a reload replaces it whole."""

    @property
    def web(self) -> WebConfig:
        """Users and headers."""

    @property
    def audit(self) -> AuditLog:
        """Who changed what."""

    @property
    def telemetry(self) -> Telemetry:
        """Metrics about ourselves."""

    @property
    def events(self) -> EventStream:
        """What happens, for those that follow it."""

    @property
    def clock(self) -> Clock:
        """The clock of this registry."""

    @property
    def ready(self) -> bool:
        """The map is loaded and we are not stopping."""

    @property
    def store_up(self) -> bool:
        """The store answered when it was last asked."""

    @property
    def store_durable(self) -> bool | None:
        """False where a store of others keeps nothing over a crash of its own; None where that is not known."""

    @property
    def event_bus_up(self) -> bool | None:
        """The bus is received; None where none is configured."""

    @property
    def uptime_seconds(self) -> float:
        """Since the process came up."""

    async def submit(self, command: Command) -> Node | None:
        """Make the command durable, then apply it; the node, or None where it is gone.

        Raises StillLoading, StoreUnavailable (not acknowledged, safe to repeat), NameConflict, NodeLimit, StateLimit,
        UnknownNode.
        """

    async def transitions(self, name: str, limit: int) -> list[Transition]:
        """The node's recorded transitions, newest first; while the store is down, those that memory still has."""

    async def recent(self, since_ns: int, limit: int) -> Recent:
        """What happened to any node since then (wall clock), newest first; while the store is down, as above."""

    async def reload(self, actor: Actor) -> None:
        """Take the whole new configuration or none of it; raises Invalid for what is wrong with it."""
