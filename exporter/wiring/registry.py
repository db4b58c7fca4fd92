"""The registry: every part, built from one configuration, and their common life from start to stop."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from exporter import __version__
from exporter.api.stream import EventStream
from exporter.auth.audit import RELOAD_REFUSED, RELOADED, Actor, AuditLog
from exporter.auth.keyring import Keyring
from exporter.auth.webconfig import WebConfig
from exporter.auth.webfile import WebFile
from exporter.bus.listener import BusListener
from exporter.bus.publisher import BusPublisher
from exporter.bus.signatures import SignatureCheck
from exporter.configuration.loader import refused_at_reload
from exporter.domain.clock import SECOND
from exporter.domain.command import Command
from exporter.domain.config import Config
from exporter.domain.durable import Recent
from exporter.domain.errors import Invalid, StillLoading
from exporter.domain.eventnames import REGISTER_REQUESTED
from exporter.domain.node import Node
from exporter.domain.reception import Source
from exporter.domain.status import Transport
from exporter.domain.transition import Transition
from exporter.exposition.exposition import Exposition
from exporter.exposition.yielder import Yielder
from exporter.nodemap.nodemap import NodeMap
from exporter.notifier.notifier import Notifier
from exporter.process.tasks import end_tasks
from exporter.stores.base import Store
from exporter.telemetry import logs
from exporter.telemetry.metrics import Telemetry
from exporter.wiring.clock import SystemClock
from exporter.wiring.collector import LongLived
from exporter.wiring.eventpublisher import EventPublisher
from exporter.wiring.revision import revision
from exporter.wiring.storewriter import StoreWriter

log = logging.getLogger("aurora.registry")

FLUSH_SECONDS = 2.0
STEP = 20
"""Nodes that change their status between two looks at the time."""
REREAD_SECONDS = 2.0
"""Between two looks whether files of secrets changed."""


class Registry:
    """Implements what the edges need (`exporter.api.service.Service`); `run` is its life."""

    def __init__(self, config: Config, store: Store, load_config: Callable[[], Config]) -> None:
        """`load_config`: reads the configuration again, for a reload; raises Invalid."""
        self._config = config
        self._store = store
        self._load_config = load_config
        self.clock = SystemClock()
        self.keyring = Keyring(config.auth)
        self.web_file = WebFile(config.web.config_file)
        self.audit = AuditLog(self.clock)
        self._started_ns = self.clock.monotonic_ns()
        self._stopping = False
        self._store_source = Source("store", self._started_ns, lost=True) if store.shared else None
        self._bus_source = Source("bus", self._started_ns, lost=True) if config.event_bus.url else None
        self._exposition: Exposition | None = None
        self._applied = config
        """What the map and the exposition were made with, or last given."""
        self.telemetry = Telemetry(
            version=__version__,
            revision=revision(),
            started_ns=self.clock.wall_ns(),
            store_up=lambda: self.store_up,
            event_bus_up=lambda: self.event_bus_up,
            store_durable=lambda: store.durable,
        )
        self.events = EventStream(lambda: self.node_map, self.clock)
        self.audit.listeners.append(self.events.audit)
        self.telemetry.watch_event_streams(lambda: (len(self.events), self.events.dropped))
        self._listener, self._publisher = self._bus(config)
        self._notifier = Notifier(
            config,
            shared=store.shared,
            telemetry=self.telemetry,
            clock=self.clock,
        )
        self._announce = EventPublisher(self._publisher, self.clock)
        self._store_writer = StoreWriter(
            store,
            self.clock,
            self._new_map,
            source=self._store_source,
            announce=self._announce,
            telemetry=self.telemetry,
        )

    # What the edges see

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._config

    @property
    def node_map(self) -> NodeMap:
        """The node map; raises StillLoading until it was read from the store."""
        return self._store_writer.node_map

    @property
    def exposition(self) -> Exposition:
        """The node map as Prometheus reads it; raises StillLoading as the map does."""
        if self._exposition is None or not self._store_writer.loaded:
            raise StillLoading
        return self._exposition

    @property
    def web(self) -> WebConfig:
        """Users and headers in force."""
        return self.web_file.current

    @property
    def ready(self) -> bool:
        """The map is loaded and we are not stopping."""
        return self._store_writer.loaded and not self._stopping

    @property
    def store_up(self) -> bool:
        """The store answered when it was last asked."""
        return self._store_writer.store_up

    @property
    def store_durable(self) -> bool | None:
        """False where a Redis keeps nothing over a crash of its own; None where that is not known."""
        return self._store.durable if self._store.shared else None

    @property
    def event_bus_up(self) -> bool | None:
        """Whether the bus is received; None where there is no bus."""
        return self._listener.up if self._listener else None

    @property
    def uptime_seconds(self) -> float:
        """Since the registry was built."""
        return (self.clock.monotonic_ns() - self._started_ns) / SECOND

    async def submit(self, command: Command) -> Node | None:
        """Make the command durable, then apply it."""
        return await self._store_writer.submit(command)

    async def transitions(self, name: str, limit: int) -> list[Transition]:
        """The node's recorded transitions, newest first."""
        return await self._store_writer.transitions(name, limit)

    async def recent(self, since_ns: int, limit: int) -> Recent:
        """What happened to any node since then, newest first."""
        return await self._store_writer.recent(since_ns, limit)

    async def reload(self, actor: Actor) -> None:
        """Take the whole new configuration or none of it; two metrics say which. Raises Invalid."""
        try:
            new, keyring = await asyncio.to_thread(self._load_again)
        except Invalid as error:
            self.telemetry.reload_failed()
            self.audit.record(RELOAD_REFUSED, actor)
            log.error("the new configuration was refused, the old one stays", extra={"faults": str(error)})  # noqa: TRY400
            raise
        self._config, self.keyring = new, keyring
        self._notifier.reconfigure(new)
        logs.setup(new.log.level, new.log.format)
        self._apply()
        self.telemetry.reloaded(self.clock.wall_ns())
        await asyncio.to_thread(self.web_file.refresh, force=True)
        self.audit.record(RELOADED, actor)
        log.info("the new configuration is in force")

    def _apply(self) -> None:
        """Give the map the configuration in force; one that is still being loaded gets it at the first tick after."""
        config = self._config
        if config is self._applied or not self._store_writer.loaded:
            return
        self._applied = config
        self.node_map.reconfigure(config.thresholds, config.site, config.limits)
        self.exposition.reconfigure(
            disabled_families=config.metrics.disabled_families,
            rules=config.topology.rules,
            max_edges=config.topology.max_edges,
        )

    def _load_again(self) -> tuple[Config, Keyring]:
        new = self._load_config()
        if faults := refused_at_reload(self._config, new):
            raise Invalid(faults)
        return new, Keyring(new.auth)

    # Its life

    async def run(self, serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run every part until `serve` returns, then write and publish what is left. Raises StoreRefused."""
        parts = [
            serve(),
            self._store_writer.run(),
            self._tick(),
            self._notifier.run(),
            self._reread(),
            self._announce.run(),
            self.telemetry.loop_lag.watch(),
        ]
        if self._listener:
            parts.append(self._listener.run())
        tasks = [asyncio.create_task(part) for part in parts]
        publishing = asyncio.create_task(self._publisher.run()) if self._publisher else None
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.stopping()
            await end_tasks(tasks)
            await self._store_writer.stop()
            self._announce.flush()
            if self._publisher and publishing:
                await self._publisher.flush(FLUSH_SECONDS)
                await end_tasks([publishing])
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()

    def stopping(self) -> None:
        """We are about to end: from now on `ready` says no, so that nobody new is sent to us."""
        self._stopping = True
        self.events.stop()

    async def _tick(self) -> None:
        long_lived = LongLived()
        while True:
            await asyncio.sleep(self._config.thresholds.tick / SECOND)
            if not self._store_writer.loaded:
                continue
            self._apply()
            yielder = Yielder()
            while self.node_map.tick(STEP):
                await yielder.maybe_yield()
            self._notifier.look(self.node_map)
            if self.node_map.pending.waiting_transitions and self.store_up:
                self._store_writer.hurry()
            long_lived.look(len(self.node_map), self.node_map.queues.generations, self.clock.monotonic_ns())

    async def _reread(self) -> None:
        """Take changed tokens, certificates and users without a reload."""
        while True:
            await asyncio.sleep(REREAD_SECONDS)
            await asyncio.to_thread(self.keyring.refresh)
            await asyncio.to_thread(self.web_file.refresh)

    def _new_map(self) -> NodeMap:
        shared = (self._store_source,) if self._store_source else ()
        bus = (self._bus_source,) if self._bus_source else ()
        node_map = NodeMap(
            self.clock,
            self._config.thresholds,
            site_rule=self._config.site,
            limits=self._config.limits,
            sources={Transport.HTTP: shared, Transport.BUS: (*shared, *bus)},
            instance=self._store.instance,
            by=secrets.token_hex(4) if self._store.shared else "",
        )
        self.telemetry.watch(node_map)
        self._applied = self._config
        # It learns of the nodes one by one, as they are loaded: the first scrape of a large mesh stalls nobody.
        self._exposition = Exposition(
            node_map,
            disabled_families=self._config.metrics.disabled_families,
            rules=self._config.topology.rules,
            max_edges=self._config.topology.max_edges,
        )
        return node_map

    def _bus(self, config: Config) -> tuple[BusListener | None, BusPublisher | None]:
        if self._bus_source is None:
            return None, None
        bus = config.event_bus
        publisher = BusPublisher(bus.url, bus.channel, telemetry=self.telemetry, clock=self.clock)
        listener = BusListener(
            bus.url,
            bus.channel,
            node_map=lambda: self.node_map,
            source=self._bus_source,
            submit=self.submit,
            telemetry=self.telemetry,
            clock=self.clock,
            thresholds=lambda: self._config.thresholds,
            request_registration=lambda name: publisher.publish(REGISTER_REQUESTED, {"node": name}),
            signatures=SignatureCheck(
                lambda: self.keyring, lambda: self._config.auth.require_signed_events, self.clock
            ),
            audit=self.audit,
        )
        return listener, publisher
