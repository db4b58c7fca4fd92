"""Our own events on the bus."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import Connection
from redis.exceptions import ResponseError

from exporter.bus.events import write_event
from exporter.domain.clock import Clock
from exporter.redislink.connecting import subscriber
from exporter.redislink.errors import REDIS_ERRORS, explain
from exporter.redislink.masterwatch import MasterWatch
from exporter.redislink.url import parse_redis_url
from exporter.telemetry.metrics import Telemetry
from exporter.telemetry.ratelimit import RateLimitedLogger

MAX_WAITING = 250_000
MAX_TOGETHER = 1_000
TIMEOUT_SECONDS = 2.0
_log = logging.getLogger("aurora.bus")


class BusPublisher:
    """Publishes in order, at most once, and holds nobody up: Pub/Sub may lose, the recorded transitions do not."""

    def __init__(self, url: str, channel: str, *, telemetry: Telemetry, clock: Clock) -> None:
        self._url = parse_redis_url(url)
        self._command = b"*3\r\n$7\r\nPUBLISH\r\n" + _sized(channel.encode())
        self._telemetry = telemetry
        self._warnings = RateLimitedLogger(_log, clock)
        self._waiting: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()

    def publish(self, event_type: str, data: Mapping[str, Any]) -> None:
        """Publish an event as soon as `run` comes to it. What cannot be published is counted and dropped."""
        if len(self._waiting) >= MAX_WAITING:
            self._drop(1, f"{MAX_WAITING} of them wait for the bus")
            return
        self._waiting.append(write_event(event_type, data))
        self._arrived.set()
        self._done.clear()

    async def run(self) -> None:
        """Publish until cancelled."""
        client = subscriber(self._url)
        watch = MasterWatch(client)
        try:
            while True:
                await self._arrived.wait()
                count = min(len(self._waiting), MAX_TOGETHER)
                await self._send(client, watch, [self._waiting.popleft() for _ in range(count)])
                if not self._waiting:
                    self._arrived.clear()
                    self._done.set()
        finally:
            await client.aclose()

    async def flush(self, seconds: float) -> None:
        """Wait, at most for this time, until all is published or dropped; call it before `run` is cancelled."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._done.wait()

    async def _send(self, client: Redis, watch: MasterWatch, payloads: list[bytes]) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                # Nothing is under way meanwhile that would be lost with a connection.
                await watch.replaced()
                connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # as it ships
                try:
                    await self._send_over(connection, payloads)
                finally:
                    await client.connection_pool.release(connection)
        except REDIS_ERRORS as fault:
            self._drop(len(payloads), explain(fault, self._url))

    async def _send_over(self, connection: Connection, payloads: list[bytes]) -> None:
        """Not by a pipeline of redis-py: that takes some ten times as long for each event, and where the connection
        breaks before all answers are there it sends all of them again.
        """  # noqa: D205 - one sentence
        commands = b"".join([self._command + _sized(payload) for payload in payloads])
        await connection.send_packed_command(commands, check_health=False)
        refused = []
        for _ in payloads:
            try:
                await connection.read_response(timeout=math.inf)
            except ResponseError as fault:
                refused.append(fault)
        if refused:
            self._drop(len(refused), explain(refused[0], self._url))

    def _drop(self, count: int, why: str) -> None:
        self._telemetry.publishes_failed += count
        self._warnings.warn("an event of ours was not published on the bus", "unpublished", why)


def _sized(argument: bytes) -> bytes:
    """An argument of a command, as Redis reads it."""
    return b"$%d\r\n%b\r\n" % (len(argument), argument)
