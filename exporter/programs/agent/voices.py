"""Which way the agent speaks: over HTTP, over the bus, or registering over one and beating over the other."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from exporter.speaking.overhttp import HttpVoice
from exporter.speaking.voice import Answer, Voice


def voice_of(arguments: argparse.Namespace) -> Voice:
    """The voice that the arguments ask for; raises Invalid for a URL that is none."""
    if not arguments.event_bus:
        return HttpVoice(arguments.registry)
    # The Redis client weighs as much as all the rest, and is of no use over HTTP.
    from exporter.speaking.overbus import BusVoice  # noqa: PLC0415

    bus = BusVoice(arguments.event_bus, arguments.event_bus_channel)
    return TwoVoices(HttpVoice(arguments.registry), bus) if arguments.registry else bus


class TwoVoices:
    """Registers and leaves over HTTP, which answers; heartbeats go over the bus, which costs less."""

    def __init__(self, http: HttpVoice, bus: Voice) -> None:
        self._http = http
        self._bus = bus

    @property
    def place(self) -> str:
        """Both."""
        return f"{self._http.place} and {self._bus.place}"

    async def register(self, registration: Mapping[str, Any]) -> Answer:
        """Over HTTP."""
        return await self._http.register(registration)

    async def heartbeat(self, node: str, report: Mapping[str, Any]) -> Answer:
        """Over the bus."""
        return await self._bus.heartbeat(node, report)

    async def leave(self, node: str) -> Answer:
        """Over HTTP."""
        return await self._http.leave(node)

    async def aclose(self) -> None:
        """Close both."""
        await self._http.aclose()
        await self._bus.aclose()
