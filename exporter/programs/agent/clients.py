"""Which way the agent speaks: over HTTP, over the bus, or registering over one and beating over the other."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from exporter.client.overhttp import HttpClient
from exporter.client.protocol import RegistryClient, Reply


def voice_of(arguments: argparse.Namespace) -> RegistryClient:
    """The voice that the arguments ask for; raises Invalid for a URL that is none."""
    if not arguments.event_bus:
        return HttpClient(arguments.registry)
    # The Redis client weighs as much as all the rest, and is of no use over HTTP.
    from exporter.client.overredis import RedisClient  # noqa: PLC0415

    bus = RedisClient(arguments.event_bus, arguments.event_bus_channel)
    return BothClients(HttpClient(arguments.registry), bus) if arguments.registry else bus


class BothClients:
    """Registers and leaves over HTTP, which answers; heartbeats go over the bus, which costs less."""

    def __init__(self, http: HttpClient, bus: RegistryClient) -> None:
        self._http = http
        self._bus = bus

    @property
    def endpoint(self) -> str:
        """Both."""
        return f"{self._http.endpoint} and {self._bus.endpoint}"

    async def register(self, registration: Mapping[str, Any]) -> Reply:
        """Over HTTP."""
        return await self._http.register(registration)

    async def heartbeat(self, node: str, report: Mapping[str, Any]) -> Reply:
        """Over the bus."""
        return await self._bus.heartbeat(node, report)

    async def leave(self, node: str) -> Reply:
        """Over HTTP."""
        return await self._http.leave(node)

    async def aclose(self) -> None:
        """Close both."""
        await self._http.aclose()
        await self._bus.aclose()
