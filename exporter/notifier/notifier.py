"""Instant notification: Alertmanager gets a transition from us at once, and the same alert from the rules later."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

from exporter.alerting.parameters import RuleParameters
from exporter.domain.clock import Clock
from exporter.domain.config import Alertmanager, Config
from exporter.nodemap.nodemap import NodeMap
from exporter.notifier.alertmanager import AlertmanagerClient
from exporter.notifier.tracker import AlertTracker, lifetime_ns
from exporter.process.tasks import end_tasks
from exporter.telemetry.metrics import Telemetry


class Notifier:
    """Looks at the node map after each tick and sends to every configured Alertmanager, each on its own."""

    def __init__(self, configuration: Config, *, shared: bool, telemetry: Telemetry, clock: Clock) -> None:
        """`shared`: other registries share the store."""
        self._settings = Alertmanager()
        self._rules = RuleParameters.of(configuration)
        self._source = _own_url(configuration.web.listen_address)
        self._shared = shared
        self._telemetry = telemetry
        self._clock = clock
        self._book: AlertTracker | None = None
        self._alertmanagers: dict[str, AlertmanagerClient] = {}
        self._reconfigured = asyncio.Event()
        telemetry.watch_notifications(lambda: sum(each.waiting for each in self._alertmanagers.values()))
        self.reconfigure(configuration)

    def reconfigure(self, configuration: Config) -> None:
        """Send to these from now on. New ones get all that fires; removed ones get nothing more."""
        settings, self._rules = configuration.alertmanager, RuleParameters.of(configuration)
        same = replace(settings, urls=()) == replace(self._settings, urls=())
        kept = self._alertmanagers if same else {}
        if self._book:
            self._book.reconfigure(self._rules)
        self._settings = settings
        self._alertmanagers = {url: kept.get(url) or self._new(url) for url in settings.urls}
        if self._book and not settings.urls:
            self._book.close()
            self._book = None
        elif self._book and not self._alertmanagers.keys() <= kept.keys():
            self._book.resend()
        self._reconfigured.set()

    def look(self, node_map: NodeMap) -> None:
        """Send what changed. Call it after each tick, so that nodes that go missing together are seen together."""
        if not self._alertmanagers:
            return
        if self._book is None:
            self._book = AlertTracker(node_map, shared=self._shared, setting=self._rules)
        alerts = self._book.look()
        for alertmanager in self._alertmanagers.values():
            alertmanager.put(alerts)

    async def run(self) -> None:
        """Send until cancelled; what fires then expires, or is taken up by the next start."""
        running: dict[AlertmanagerClient, asyncio.Task[None]] = {}
        try:
            while True:
                self._reconfigured.clear()
                wanted = set(self._alertmanagers.values())
                await end_tasks([running.pop(left_out) for left_out in running.keys() - wanted])
                for new in wanted - running.keys():
                    running[new] = asyncio.create_task(new.run())
                    running[new].add_done_callback(lambda _: self._reconfigured.set())
                for task in running.values():
                    if task.done():
                        task.result()  # It ends by a mistake of ours only.
                await self._reconfigured.wait()
        finally:
            await end_tasks(running.values())

    def _new(self, url: str) -> AlertmanagerClient:
        return AlertmanagerClient(
            url,
            self._settings.external_labels,
            source=self._source,
            lifetime_ns=lifetime_ns(self._rules),
            telemetry=self._telemetry,
            clock=self._clock,
        )


def _own_url(listen_address: str) -> str:
    """As Prometheus has it: the host's name, where we listen on every interface."""
    host, _, port = listen_address.rpartition(":")
    return f"http://{socket.gethostname() if host in {'', '0.0.0.0', '[::]'} else host}:{port}"  # noqa: S104 - compared
