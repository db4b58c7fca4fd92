"""Two Redis with a Sentinel, and three registries on them, each with a clock and cables of its own."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import redis

from tests.soak.cables import Cables
from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess
from tests.support.shifted_clock import ShiftedClock

SERVICE = "mesh"
REGISTRIES = 3
PATIENCE = 180.0
"""Seconds that servers are given; a Sentinel that was stalled for two does nothing for half a minute."""
STEADY = 1.0
"""So many seconds the two Redis must be as they should."""
DOWN_AFTER, FAILOVER = 1.5, 4.0
"""Seconds after which the Sentinel takes a Redis for dead, and that it gives a failover."""


class Stack:
    """All servers of a run. Use it as an asynchronous context."""

    def __init__(self, directory: Path, settings: Any) -> None:
        self.directory = directory
        self._settings = settings
        self._stack = AsyncExitStack()
        self.redis_clocks = [ShiftedClock(directory, f"redis-{number}") for number in range(2)]
        self.servers = [
            RedisServer("--appendonly", "yes", "--repl-diskless-sync-delay", "0", environment=clock.environment())
            for clock in self.redis_clocks
        ]
        self.sentinel = RedisServer(sentinel=True)
        self.registries: list[RegistryProcess] = []
        self.clocks: list[ShiftedClock] = []
        self.cables: list[Cables] = []

    async def __aenter__(self) -> Self:
        for server in (*self.servers, self.sentinel):
            self._stack.callback(server.close)
        first, second = self.servers
        await asyncio.to_thread(first.start)
        second.arguments += ("--replicaof", "127.0.0.1", str(first.port))
        await asyncio.to_thread(second.start)
        (self.sentinel.directory / "redis.conf").write_text(
            f"sentinel monitor {SERVICE} 127.0.0.1 {first.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER * 1000:.0f}\n"
            f"sentinel failover-timeout {SERVICE} {FAILOVER * 1000:.0f}\n"
        )
        await asyncio.to_thread(self.sentinel.start)
        await self.redis_settled()
        for number in range(REGISTRIES):
            cables = await self._stack.enter_async_context(
                Cables(self.sentinel.port, [server.port for server in self.servers])
            )
            url = f"redis+sentinel://127.0.0.1:{cables.port}/{SERVICE}/0"
            registry = RegistryProcess(
                self.directory / f"registry-{number}", store=url, event_bus=url, settings=self._settings
            )
            clock = ShiftedClock(self.directory, f"registry-{number}")
            registry.variables = clock.environment()
            registry.patience = PATIENCE
            self._stack.callback(registry.close)
            self.registries.append(registry)
            self.clocks.append(clock)
            self.cables.append(cables)
            await asyncio.to_thread(registry.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def name(self, number: int) -> str:
        """A registry's name in reports."""
        return f"registry {'ABC'[number]}"

    def master_port(self) -> int:
        """The master that the Sentinel names."""
        return int(self.sentinel.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])

    def master(self) -> RedisServer:
        """The server that the Sentinel names."""
        port = self.master_port()
        return next(server for server in self.servers if server.port == port)

    async def redis_settled(self) -> None:
        """Wait until one of the two is the master that the Sentinel names, and the other its replica, up to date."""
        now = asyncio.get_running_loop().time
        steady_since = began = now()
        while now() - steady_since < STEADY:
            if not await self.is_settled():
                steady_since = now()
            if now() - began > PATIENCE:
                raise TimeoutError(f"the two Redis did not settle within {PATIENCE:g} s")
            await asyncio.sleep(0.1)

    async def is_settled(self) -> bool:
        """Whether it is so now."""
        return await asyncio.to_thread(self._is_settled)

    def _is_settled(self) -> bool:
        with contextlib.suppress(redis.RedisError, StopIteration):
            master = self.master()
            other = next(server for server in self.servers if server is not master)
            role, state = self._ask(master, "ROLE"), self._ask(other, "ROLE")
            seen = [
                self.sentinel.cli("SENTINEL", "MASTER", SERVICE),
                *self.sentinel.cli("SENTINEL", "REPLICAS", SERVICE),
            ]
            return bool(
                role[0] == "master"
                and state[0] == "slave"
                and int(state[2]) == master.port
                and state[3] == "connected"
                # Neither suspected nor in a failover, which goes on although the master is back.
                and [each["flags"] for each in seen] == ["master", "slave"]
            )
        return False

    @staticmethod
    def _ask(server: RedisServer, *command: str) -> Any:
        with redis.Redis(port=server.port, socket_timeout=1, decode_responses=True) as client:
            return client.execute_command(*command)
