"""A node's life with its registry: register, be heard, register again when forgotten, end when taken out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from random import random
from typing import Any

from exporter.client.protocol import Outcome, RegistryClient, Reply
from exporter.client.workers import Workers
from exporter.domain.clock import SECOND
from exporter.domain.lifecycle import ACTIVE
from exporter.programs.agent.exits import AgentExit
from exporter.programs.agent.gpus import Gpus, Inventory
from exporter.programs.agent.schedule import Backoff, Schedule

DEFAULT_INTERVAL = 30 * SECOND
"""Where neither the user nor the registry says, as over the bus."""
GPU_SECONDS = 2.0
"""How long a heartbeat waits for the driver, which may hang when a GPU dies."""
_FATAL = frozenset({Outcome.CONFLICT, Outcome.DEPARTED})
_log = logging.getLogger("aurora.agent")


class Session:
    """Registers one node and sends its heartbeats until cancelled, or until the registry's reply raises AgentExit."""

    def __init__(
        self,
        client: RegistryClient,
        describe: Callable[..., Mapping[str, Any]],
        gpus: Gpus,
        *,
        interval_ns: int | None = None,
        reregister_after_outage: bool = False,
    ) -> None:
        """`describe` gives the registration as the node is now, or with the inventory that it is given.

        `interval_ns` wins over what the registry says.

        `reregister_after_outage`: register also after an outage, for a way that cannot say that the node is not known.
        """
        self._client = client
        self._describe = describe
        self._gpus = gpus
        self._interval_ns = interval_ns
        self._introduce_again = reregister_after_outage
        self._driver = Workers(1, "aurora-nvml")
        self._registration: Mapping[str, Any] = {}
        self._sequence = 0
        self._lost_ns: int | None = None
        self._ever_heard = False
        self._schedule = Schedule(0, DEFAULT_INTERVAL)

    async def run(self) -> None:
        """Register, then beat."""
        await self._register()
        while True:
            now_ns = time.monotonic_ns()
            await asyncio.sleep((self._schedule.next_after(now_ns) - now_ns) / SECOND)
            await self._beat_on()

    async def once(self, *, register: bool = True, status: str = ACTIVE) -> None:
        """Register (or not) and send one heartbeat; AgentExit says why it did not arrive."""
        if register:
            await self._collect_inventory()
            answer = await self._client.register(self._registration)
            if not answer.ok:
                raise AgentExit(answer)
        else:
            self._registration = self._describe(Inventory())
        report = await self._report(status) if register else {"status": status}
        answer = await self._client.heartbeat(self.name, report)
        if not answer.ok:
            raise AgentExit(answer)

    @property
    def name(self) -> str:
        """The node's name."""
        return str(self._registration["name"])

    async def _register(self) -> None:
        """Until it is heard; a refusal of the very first ends it, since then a person is watching."""
        backoff = Backoff(random)
        await self._collect_inventory()
        while True:
            answer = await self._client.register(self._registration)
            if answer.ok:
                break
            if answer.outcome in _FATAL or (answer.outcome is Outcome.REFUSED and not self._ever_heard):
                raise AgentExit(answer)
            self._lose(answer)
            await asyncio.sleep(backoff.next_ns(answer.retry_after_seconds) / SECOND)
        self._found()
        said = answer.heartbeat_interval_seconds
        interval_ns = self._interval_ns or (round(said * SECOND) if said else DEFAULT_INTERVAL)
        if interval_ns != self._schedule.interval_ns or not self._ever_heard:
            phase_ns = round(random() * interval_ns)  # noqa: S311 - no secret: so that a mesh does not beat as one
            self._schedule = Schedule(time.monotonic_ns() + phase_ns, interval_ns)
        self._ever_heard = True
        _log.info(
            "registered",
            extra={"node": self.name, "endpoint": self._client.endpoint, "interval_seconds": interval_ns / SECOND},
        )

    async def _beat_on(self) -> None:
        report = await self._report(ACTIVE)
        if len(report.get("gpus", ())) > self._gpu_count:
            # The driver came up after us, or somebody put a GPU in.
            await self._register()
        answer = await self._client.heartbeat(self.name, report)
        if answer.outcome in _FATAL:
            raise AgentExit(answer)
        if answer.outcome is Outcome.UNKNOWN:
            _log.info("the registry does not know this node: registering again", extra={"node": self.name})
            await self._register()
        elif answer.ok:
            if self._found() and self._introduce_again:
                await self._register()
        else:
            self._lose(answer)

    async def _collect_inventory(self) -> None:
        """Look at the node as it is now; a driver that hangs shows what it showed before, or nothing."""
        try:
            self._registration = await self._driver.call(self._describe, within=GPU_SECONDS * 5)
        except TimeoutError:
            _log.warning("the NVIDIA driver does not answer", extra={"waited_seconds": GPU_SECONDS * 5})
            if not self._registration:
                self._registration = self._describe(Inventory())

    async def _report(self, status: str) -> dict[str, Any]:
        self._sequence += 1
        report: dict[str, Any] = {"role": self._registration["role"], "status": status, "sequence": self._sequence}
        try:
            gpus = await self._driver.call(self._gpus.readings, within=GPU_SECONDS)
        except TimeoutError:
            _log.warning("the NVIDIA driver does not answer", extra={"waited_seconds": GPU_SECONDS})
            gpus = []
        if gpus or self._gpu_count:
            report["gpus"] = gpus
        report["timestamp"] = time.time()
        return report

    @property
    def _gpu_count(self) -> int:
        return int(self._registration["capabilities"].get("gpu_count", 0))

    def _lose(self, answer: Reply) -> None:
        if self._lost_ns is None:
            self._lost_ns = time.monotonic_ns()
            _log.warning("the registry does not hear this node: trying on", extra={"reason": answer.reason})
        else:
            _log.debug("still not heard", extra={"reason": answer.reason})

    def _found(self) -> bool:
        """Whether it had been lost."""
        if self._lost_ns is None:
            return False
        seconds = (time.monotonic_ns() - self._lost_ns) / SECOND
        self._lost_ns = None
        _log.info("the registry hears this node again", extra={"lost_seconds": round(seconds, 1)})
        return True
