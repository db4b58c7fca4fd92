"""Our own events on the bus."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis

from exporter.bus.events import write_event
from exporter.domain.clock import Clock
from exporter.redislink.connecting import subscriber
from exporter.redislink.errors import REDIS_ERRORS, explain
from exporter.redislink.url import parse_redis_url
from exporter.telemetry.metrics import Telemetry
from exporter.telemetry.ratelimit import RateLimitedLogger

MAX_WAITING = 250_000
MAX_TOGETHER = 250
TIMEOUT_SECONDS = 2.0
_log = logging.getLogger("aurora.bus")


class BusPublisher:
    """Publishes in order, at most once, and holds nobody up: Pub/Sub may lose, the recorded transitions do not."""

    def __init__(self, url: str, channel: str, *, telemetry: Telemetry, clock: Clock) -> None:
        self._url = parse_redis_url(url)
        self._channel = channel
        self._telemetry = telemetry
        self._warnings = RateLimitedLogger(_log, clock)
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)

    def publish(self, event_type: str, data: Mapping[str, Any]) -> None:
        """Publish an event as soon as `run` comes to it. What cannot be published is counted and dropped."""
        try:
            self._waiting.put_nowait(write_event(event_type, data))
        except asyncio.QueueFull:
            self._drop(1, f"{MAX_WAITING} of them wait for the bus")

    async def run(self) -> None:
        """Publish until cancelled."""
        client = subscriber(self._url)
        try:
            while True:
                payloads = [await self._waiting.get()]
                while len(payloads) < MAX_TOGETHER and not self._waiting.empty():
                    payloads.append(self._waiting.get_nowait())
                await self._send(client, payloads)
                for _ in payloads:
                    self._waiting.task_done()
        finally:
            await client.aclose()

    async def flush(self, seconds: float) -> None:
        """Wait until all is published or dropped, for so long at most: before `run` is cancelled."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._waiting.join()

    async def _send(self, client: Redis, payloads: list[bytes]) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), client.pipeline(transaction=False) as pipeline:
                for payload in payloads:
                    pipeline.publish(self._channel, payload)
                answers = await pipeline.execute(raise_on_error=False)
        except REDIS_ERRORS as fault:
            self._drop(len(payloads), explain(fault, self._url))
        else:
            refused = [answer for answer in answers if isinstance(answer, Exception)]
            if refused:
                self._drop(len(refused), explain(refused[0], self._url))

    def _drop(self, count: int, why: str) -> None:
        self._telemetry.publishes_failed += count
        self._warnings.warn("an event of ours was not published on the bus", "unpublished", why)
