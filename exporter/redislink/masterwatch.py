"""Whether the Sentinels name another master: one that was replaced by mistake lives on and answers as before."""

from __future__ import annotations

import time

from redis.asyncio import Redis, RedisCluster

from exporter.redislink.connecting import leave_master, master_of

ASK_EVERY, ASK_AGAIN = 1.0, 10.0
"""Seconds; the longer one where there are no Sentinels, or none answers."""


class MasterWatch:
    """Asks for a client's owner, whenever that is about to use it."""

    def __init__(self, client: Redis | RedisCluster) -> None:
        self._client = client
        self._master: tuple[str, int] | None = None
        self._ask_at = 0.0

    async def follow(self) -> None:
        """From now on, the master that is named now is ours."""
        self._master = await master_of(self._client) or self._master
        await leave_master(self._client)

    async def replaced(self) -> bool:
        """Whether another one is named than before: its connections were closed. Asked once a second at most."""
        if time.monotonic() < self._ask_at:
            return False
        master = await master_of(self._client)
        self._ask_at = time.monotonic() + (ASK_EVERY if master else ASK_AGAIN)
        before, self._master = self._master, master or self._master
        if before in {None, self._master}:
            return False
        await leave_master(self._client)
        return True
