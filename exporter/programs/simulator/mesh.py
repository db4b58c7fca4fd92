"""The running mesh: heartbeats in turn, and incidents at their times."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.client.overhttp import HttpClient
from exporter.client.protocol import RegistryClient
from exporter.domain.backoff import Backoff
from exporter.domain.clock import SECOND
from exporter.domain.errors import AuroraError
from exporter.domain.requestoutcome import Outcome, Reply
from exporter.programs.simulator.faults import FaultInjector
from exporter.programs.simulator.incident import ActiveFault, Incident, condition
from exporter.programs.simulator.population import Member
from exporter.programs.simulator.report import report, time_of_day
from exporter.programs.simulator.schedule import Turn, due, log_line, next_due_ns, turns
from exporter.programs.simulator.seededrandom import draw
from exporter.programs.simulator.targets import select_targets

AGAIN_EVERY = 20
"""Heartbeats after which a node on the bus registers again: the bus cannot report that a node is unknown."""
SHORTEST_WAIT, LONGEST_WAIT = 0.005, 0.25
REGISTERING = 8
"""Registrations, or leaves, that are under way at once."""
LEAVE_SECONDS = 10.0
_LATER = frozenset({Outcome.UNAVAILABLE, Outcome.UNREACHABLE})
_log = logging.getLogger("aurora.simulator")


class RegistrationRefused(AuroraError):
    """The registry refuses a node, now and later."""

    def __init__(self, name: str, answer: Reply) -> None:
        super().__init__(f"the registry refuses {name}: {answer.reason}")


@dataclass(frozen=True, slots=True)
class Settings:
    """How time passes. Durations are nanoseconds as they were written, before `speed`."""

    interval_ns: int
    day_ns: int
    speed: float
    seed: int


class Mesh:
    """Nodes of one registry: each with its client of `clients` by name, else over HTTP."""

    def __init__(
        self,
        settings: Settings,
        members: Sequence[Member],
        incidents: Sequence[Incident],
        *,
        http: HttpClient,
        clients: Mapping[str, RegistryClient],
        injector: FaultInjector,
        print_line: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._members = members
        self._incidents = incidents
        self._http = http
        self._clients = [clients.get(member.name, http) for member in members]
        self._injector = injector
        self._print = print_line
        self._began = 0
        self._sequences = [0] * len(members)
        self._faults: list[list[ActiveFault]] = [[] for _ in members]
        self._busy: set[int] = set()
        self._last_failure = ""
        self._going_on: dict[tuple[int, int], asyncio.Task[None]] = {}

    def now_ns(self) -> int:
        """Time since the start as the script counts it."""
        return int((time.monotonic_ns() - self._began) * self._settings.speed)

    async def run(self, duration_ns: int | None = None) -> None:
        """Register all, then run until cancelled or for this time. Raises Refused."""
        await self._each(self._register_patiently, range(len(self._members)))
        _log.info("the mesh is registered", extra={"nodes": len(self._members)})
        self._began = time.monotonic_ns()
        try:
            async with asyncio.timeout(duration_ns and duration_ns / self._settings.speed / SECOND):
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._beat_on(tasks))
                    tasks.create_task(self._play(tasks))
        except TimeoutError:
            return

    async def leave(self) -> None:
        """Deregister all, within ten seconds or not at all."""

        async def leave(index: int) -> None:
            self._note(await self._http.leave(self._members[index].name))

        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._each(leave, range(len(self._members)))
        except TimeoutError:
            _log.warning("not all nodes left: the registry was too slow")

    async def _beat_on(self, tasks: asyncio.TaskGroup) -> None:
        nodes, interval_ns = len(self._members), self._settings.interval_ns
        done_ns = -1
        while True:
            now_ns = self.now_ns()
            for index in due(nodes, interval_ns, done_ns, now_ns):
                # A node that still waits for a reply sends nothing.
                if index not in self._busy:
                    tasks.create_task(self._beat(index, now_ns))
            done_ns = now_ns
            wait = self._seconds(next_due_ns(nodes, interval_ns, done_ns) - self.now_ns())
            await asyncio.sleep(min(LONGEST_WAIT, max(SHORTEST_WAIT, wait)))

    async def _beat(self, index: int, now_ns: int) -> None:
        how = condition(self._faults[index], now_ns)
        if not how.sending:
            return
        settings, member, client = self._settings, self._members[index], self._clients[index]
        self._sequences[index] += 1
        sequence = self._sequences[index]
        if how.loss and draw(settings.seed, member.name, sequence, "loss") < how.loss:
            return
        hours = time_of_day(now_ns, settings.day_ns)
        beat = report(member, how, hours=hours, wall_ns=time.time_ns(), sequence=sequence, seed=settings.seed)
        self._busy.add(index)
        try:
            answer = await client.heartbeat(member.name, beat)
            again = client is not self._http and sequence % AGAIN_EVERY == index % AGAIN_EVERY
            if answer.outcome is Outcome.UNKNOWN or again:
                answer = await self._http.register(member.registration())
            self._note(answer)
        finally:
            self._busy.discard(index)

    async def _play(self, tasks: asyncio.TaskGroup) -> None:
        for turn in turns(self._incidents):
            await asyncio.sleep(max(0.0, self._seconds(turn.at_ns - self.now_ns())))
            incident = self._incidents[turn.position]
            affected = select_targets(incident, turn.number, self._members, self._settings.seed)
            self._print(log_line(turn, incident, [self._members[index] for index in affected]))
            self._turn(turn, incident, affected, tasks)

    def _turn(self, turn: Turn, incident: Incident, affected: tuple[int, ...], tasks: asyncio.TaskGroup) -> None:
        key = (turn.position, turn.number)
        if turn.begins:
            for index in affected:
                self._faults[index].append(ActiveFault(incident, turn.at_ns))
            action = self._injector.begin(incident, [self._members[index] for index in affected])
            self._going_on[key] = tasks.create_task(self._do(action))
            return
        for index in affected:
            began_ns = turn.at_ns - (incident.for_ns or 0)
            self._faults[index].remove(ActiveFault(incident, began_ns))
        begun = self._going_on.pop(key)
        if self._injector.lasts(incident):
            begun.cancel()
        tasks.create_task(self._do(self._injector.end(incident, [self._members[index] for index in affected])))

    async def _do(self, action: Coroutine[Any, Any, list[Reply]]) -> None:
        for answer in await action:
            self._note(answer)

    async def _register_patiently(self, index: int) -> None:
        registration = self._members[index].registration()
        backoff = Backoff(random.random, first=1.0)
        while not (answer := await self._http.register(registration)).ok:
            self._note(answer)
            if answer.outcome not in _LATER:
                raise RegistrationRefused(self._members[index].name, answer)
            await asyncio.sleep(backoff.next(answer.retry_after_seconds or 0.0))
        self._note(answer)

    async def _each(self, do: Callable[[int], Coroutine[Any, Any, None]], indexes: Iterable[int]) -> None:
        waiting = deque(indexes)

        async def work() -> None:
            while waiting:
                await do(waiting.popleft())

        async with asyncio.TaskGroup() as tasks:
            for _ in range(REGISTERING):
                tasks.create_task(work())

    def _note(self, answer: Reply) -> None:
        """Log why a request failed, each reason once until one succeeds."""
        if answer.ok:
            self._last_failure = ""
        elif answer.reason != self._last_failure:
            self._last_failure = answer.reason
            _log.warning("request failed", extra={"outcome": answer.outcome.value, "reason": answer.reason})

    def _seconds(self, script_ns: int) -> float:
        return script_ns / self._settings.speed / SECOND
