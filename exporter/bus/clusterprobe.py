"""Proof that a cluster's messages arrive: messages to ourselves, published through its other nodes.

A node that was removed from its cluster lives on, keeps its subscribers and answers their pings, but receives nothing
from the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import cast

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import NoPermissionError

from exporter.domain.clock import SECOND, Clock
from exporter.redislink.connecting import connect
from exporter.redislink.errors import REDIS_ERRORS
from exporter.redislink.url import RedisUrl


class ClusterProbe:
    """Publishes the time, again and again, on a channel of our own."""

    def __init__(self, url: RedisUrl, channel: str, clock: Clock) -> None:
        self.channel = f"{channel}:probe:{secrets.token_hex(8)}"
        self.allowed = True
        """Redis lets us publish on that channel; without it nothing can be proven, and nothing is missed."""
        self._url = url
        self._clock = clock

    async def publish(self, subscribed_at: bytes, every_ns: Callable[[], int]) -> None:
        """Runs until cancelled; `subscribed_at`: the id of the Redis node where we subscribe; another one publishes."""
        while True:
            client = cast("RedisCluster", connect(self._url))
            try:
                with contextlib.suppress(*REDIS_ERRORS):
                    await self._publish_through(client, subscribed_at, every_ns)
            finally:
                with contextlib.suppress(*REDIS_ERRORS):
                    await client.aclose()
            await asyncio.sleep(every_ns() / SECOND)

    async def _publish_through(self, client: RedisCluster, subscribed_at: bytes, every_ns: Callable[[], int]) -> None:
        """Until the node that is taken fails; then the cluster is looked at again."""
        try:
            await client.initialize()
            node = await self._another(client, subscribed_at)
            while True:
                text = str(self._clock.monotonic_ns())
                await client.execute_command("PUBLISH", self.channel, text, target_nodes=node)
                self.allowed = True
                await asyncio.sleep(every_ns() / SECOND)
        except NoPermissionError:
            self.allowed = False

    @staticmethod
    async def _another(client: RedisCluster, subscribed_at: bytes) -> ClusterNode:
        """A node that answers, of a cluster of one node that one; raises what the last one raised."""
        nodes: list[ClusterNode] = client.get_nodes()
        fault: Exception | None = None
        for node in nodes:
            try:
                identity = await client.execute_command("CLUSTER MYID", target_nodes=node)
            except NoPermissionError:
                raise
            except REDIS_ERRORS as error:
                fault = error
            else:
                if identity != subscribed_at or len(nodes) == 1:
                    return node
        raise fault or LookupError("no node of the cluster but the one that we are subscribed at")
