"""Nodes over the event bus: each call is an event that is published on a Redis channel."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from exporter.domain.eventnames import CHANNEL, DEREGISTER, HEARTBEAT, REGISTER
from exporter.domain.requestoutcome import OK, Outcome, Reply
from exporter.domain.text import shown
from exporter.redislink.connecting import TIMEOUT_SECONDS, connect
from exporter.redislink.errors import REDIS_ERRORS, explain
from exporter.redislink.url import RedisScheme, parse_redis_url


class RedisClient:
    """A RegistryClient over Redis Pub/Sub; up to `connections` events are on their way at once, the others wait.

    The bus does not answer for the registry: OK means that somebody listens on the channel, and a refusal is seen
    in the registry's log alone. A cluster does not even say whether anybody listens.
    Raises Invalid for a URL that is none of redislink's.
    """

    def __init__(
        self,
        url: str,
        channel: str = CHANNEL,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        connections: int = 1,
    ) -> None:
        self._url = parse_redis_url(url)
        self._channel = channel
        self._client = connect(self._url, timeout=timeout_seconds)
        self._free = asyncio.Semaphore(connections)

    @property
    def endpoint(self) -> str:
        """The Redis, without user and password, and the channel."""
        return f"{self._url.safe} {self._channel}"

    async def register(self, registration: Mapping[str, Any]) -> Reply:
        """Publish `node_register`."""
        return await self._publish(REGISTER, registration.get("name"), registration)

    async def heartbeat(self, node: str, report: Mapping[str, Any]) -> Reply:
        """Publish `node_heartbeat`."""
        return await self._publish(HEARTBEAT, node, {"node": node, **report})

    async def leave(self, node: str) -> Reply:
        """Publish `node_deregister`."""
        return await self._publish(DEREGISTER, node, {"node": node})

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _publish(self, event: str, node: object, data: Mapping[str, Any]) -> Reply:
        payload = msgspec.json.encode({"type": event, "source_node": node, "data": data})
        try:
            async with self._free:
                listeners = await self._client.publish(self._channel, payload)
        except REDIS_ERRORS as error:
            return Reply(Outcome.UNREACHABLE, explain(error, self._url))
        if not listeners and self._url.kind is not RedisScheme.CLUSTER:
            return Reply(
                Outcome.UNAVAILABLE,
                f"nobody listens on {shown(self._channel)} of {self._url.safe}: "
                "is aurora-registry running with --event-bus, on this Redis and channel?",
            )
        return OK
