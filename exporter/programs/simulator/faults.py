"""What an incident does beyond changing its nodes' heartbeats: calls to the registry, and garbage on the bus."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from redis.asyncio import Redis, RedisCluster

from exporter.client.overhttp import HttpClient
from exporter.client.protocol import RegistryClient
from exporter.domain.clock import MINUTE, SECOND
from exporter.domain.duration import format_duration
from exporter.domain.eventnames import CHANNEL
from exporter.domain.requestoutcome import Outcome, Reply
from exporter.programs.simulator.incident import Incident, IncidentKind
from exporter.programs.simulator.population import Member
from exporter.programs.simulator.seededrandom import serial
from exporter.redislink.connecting import connect
from exporter.redislink.errors import REDIS_ERRORS
from exporter.redislink.url import parse_redis_url

DEFAULT_REASON = "simulated"
_DAY = 24 * 60 * MINUTE
_MILLISECOND = 1_000_000
_LASTING = frozenset({IncidentKind.NAME_CONFLICT, IncidentKind.GARBAGE_ON_BUS})
_GARBAGE = (
    b'{"type": "node_heartbeat", "data": {"node": "../etc"}}',
    b"\x93NUMPY\x01\x00",
    b'{"type": "node_heartbeat", "data": "yes"}',
    b'["node_heartbeat"]',
    b'{"type": "node_register", "data": {"name": "x", "colour": "red"}}',
    b'{"data": {}}',
)
"""One event for each reason for which the registry rejects what it reads."""


class FaultInjector:
    """Injects incidents. `clients`: the clients of nodes that do not use HTTP, by name."""

    def __init__(
        self, http: HttpClient, clients: dict[str, RegistryClient], *, bus_url: str, interval_ns: int, speed: float
    ) -> None:
        self._http = http
        self._clients = clients
        self._interval_ns = interval_ns
        self._speed = speed
        self._bus: Redis | RedisCluster | None = connect(parse_redis_url(bus_url)) if bus_url else None

    def lasts(self, incident: Incident) -> bool:
        """Whether `begin` runs until it is cancelled."""
        return incident.kind in _LASTING

    async def begin(self, incident: Incident, members: Sequence[Member]) -> list[Reply]:
        """Start the incident; the replies that failed and should not have."""
        match incident.kind:
            case IncidentKind.NODE_SLEEPS:
                report = {"status": "sleeping"}
                return [await self._client(member).heartbeat(member.name, report) for member in members]
            case IncidentKind.NODE_LEAVES:
                return [await self._http.leave(member.name) for member in members]
            case IncidentKind.MAINTENANCE | IncidentKind.DRAIN:
                until_ns = int((incident.until_ns or incident.for_ns or _DAY) / self._speed)
                until = format_duration(max(100 * _MILLISECOND, until_ns))
                leave = {"reason": incident.reason or DEFAULT_REASON, "until": until}
                return [await self._http.set_lifecycle(member.name, incident.kind, leave) for member in members]
            case IncidentKind.NAME_CONFLICT:
                return await self._claim(members)
            case IncidentKind.GARBAGE_ON_BUS:
                return await self._publish_garbage(incident)
            case _:
                return []

    async def end(self, incident: Incident, members: Sequence[Member]) -> list[Reply]:
        """End the incident; replies as `begin` returns them."""
        match incident.kind:
            case IncidentKind.NODE_LEAVES:
                return [await self._http.register(member.registration()) for member in members]
            case IncidentKind.MAINTENANCE | IncidentKind.DRAIN:
                return [await self._http.set_lifecycle(member.name, incident.kind, None) for member in members]
            case _:
                return []

    async def aclose(self) -> None:
        """Close the connection to the bus."""
        if self._bus is not None:
            await self._bus.aclose()

    def _client(self, member: Member) -> RegistryClient:
        return self._clients.get(member.name, self._http)

    async def _claim(self, members: Sequence[Member]) -> list[Reply]:
        while True:
            for member in members:
                claim = {**member.registration(), "node_id": serial("intruder", member.name)}
                answer = await self._http.register(claim)
                if answer.outcome not in {Outcome.CONFLICT, Outcome.UNREACHABLE, Outcome.UNAVAILABLE}:
                    return [answer]
            await asyncio.sleep(self._interval_ns / self._speed / SECOND)

    async def _publish_garbage(self, incident: Incident) -> list[Reply]:
        assert self._bus is not None  # noqa: S101 - the program refuses such a script where there is no bus
        number = 0
        while True:
            # The bus may be down: the heartbeats report that.
            with contextlib.suppress(*REDIS_ERRORS):
                await self._bus.publish(CHANNEL, _GARBAGE[number % len(_GARBAGE)])
            number += 1
            await asyncio.sleep(MINUTE / SECOND / incident.per_minute / self._speed)
