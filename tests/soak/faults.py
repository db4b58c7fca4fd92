"""Faults of all kinds, drawn from a seed, injected into the running servers, and taken back."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import redis

from tests.soak.fleet import Fleet, junk
from tests.soak.oracle import Oracle
from tests.soak.stack import REGISTRIES, Stack
from tests.support.redis_server import RedisServer

HOUR = 3600.0
QUICK_FAILOVER = 12.0


class Faults:
    """Injects one round after the other. `Oracle.disturbances` says what is disturbed meanwhile."""

    def __init__(self, stack: Stack, oracle: Oracle, fleet: Fleet, seed: str) -> None:
        self.injected: Counter[str] = Counter()
        self.complaints: list[str] = []
        """What went wrong by itself: an exit status, a traceback."""
        self._stack = stack
        self._oracle = oracle
        self._fleet = fleet
        self._random = random.Random(f"{seed}-faults")
        self._log_read = [0] * REGISTRIES
        self._left: list[str] = []
        self._of_registry: dict[str, Callable[[int], Awaitable[None]]] = {
            "registry killed (kill -9)": self._kill_registry,
            "registry ended (SIGTERM)": self._end_registry,
            "registry stopped (SIGSTOP)": self._stop_registry,
            "registry cut off from Redis and Sentinel": self._cut_registry,
        }
        self._of_redis: dict[str, Callable[[], Awaitable[None]]] = {
            "Redis stopped (SIGSTOP), shorter than a failover": self._pause_redis,
            "Redis stopped (SIGSTOP), with a failover": self._stop_redis,
            "Redis killed (kill -9), with a failover": self._kill_redis,
            "Redis killed (kill -9), back at once": self._restart_redis,
            "Redis emptied (FLUSHALL)": self._flush_redis,
            "connections killed (CLIENT KILL)": self._kill_clients,
        }
        self._harmless: dict[str, Callable[[], Awaitable[None]]] = {
            "registry's wall clock set": self._set_clock,
            "Redis' wall clock set": self._set_redis_clock,
            "junk on the bus": self._publish_junk,
        }

    async def round(self) -> list[str]:
        """One or two faults at the same time, with what harms nobody; their names, once all is as before."""
        names: list[str] = []
        work: list[Awaitable[None]] = []
        for name in self._random.sample(sorted(self._harmless), self._random.choice([0, 1, 1, 2])):
            names.append(name)
            work.append(self._harmless[name]())
        name = self._next()
        if name in self._of_redis:
            names.append(name)
            work.append(self._of_redis[name]())
        else:
            numbers = self._random.sample(range(REGISTRIES), self._random.choice([1, 2]))
            for number, each in zip(numbers, [name, self._random.choice(sorted(self._of_registry))], strict=False):
                names.append(f"{each} {self._stack.name(number)[-1]}")
                work.append(self._of_registry[each](number))
        self.injected.update(name.removesuffix(f" {name[-1]}") if name[-2:-1] == " " else name for name in names)
        await asyncio.gather(*work)
        self.read_logs()
        return names

    def _next(self) -> str:
        """The next fault: each comes once before any comes again."""
        if not self._left:
            kinds = sorted([*self._of_registry, *self._of_redis])
            self._left = self._random.sample(kinds, len(kinds))
        return self._left.pop()

    def read_logs(self) -> None:
        """What the registries complained of since."""
        for number, registry in enumerate(self._stack.registries):
            log = registry.log[self._log_read[number] :]
            self._log_read[number] += len(log)
            for line in log.splitlines():
                if "raceback" in line or "did not end in time" in line:
                    self.complaints.append(f"{self._stack.name(number)}: {line[:2000]}")

    # Registries

    async def _kill_registry(self, number: int) -> None:
        async with self._disturbed("killed", number):
            await asyncio.to_thread(self._stack.registries[number].kill)
            self._oracle.restarted(self._stack.name(number))
            await self._pause(0.0, 10.0)
            await asyncio.to_thread(self._stack.registries[number].start)

    async def _end_registry(self, number: int) -> None:
        async with self._disturbed("ended", number):
            status = await asyncio.to_thread(self._stack.registries[number].stop)
            if status != 0:
                self.complaints.append(f"{self._stack.name(number)} ended with status {status}")
            self._oracle.restarted(self._stack.name(number))
            await self._pause(0.0, 8.0)
            await asyncio.to_thread(self._stack.registries[number].start)

    async def _stop_registry(self, number: int) -> None:
        async with self._disturbed("stopped", number):
            self._stack.registries[number].signal(signal.SIGSTOP)
            try:
                await self._pause(0.3, 15.0)
            finally:
                self._stack.registries[number].signal(signal.SIGCONT)

    async def _cut_registry(self, number: int) -> None:
        async with self._disturbed("cut off", number):
            self._stack.cables[number].cut()
            try:
                await self._pause(1.0, 15.0)
            finally:
                self._stack.cables[number].heal()

    # Redis

    async def _pause_redis(self) -> None:
        async with self._disturbed("Redis stopped"):
            await self._stopped(self._stack.master(), self._random.uniform(0.3, 1.0))

    async def _stop_redis(self) -> None:
        async with self._disturbed("Redis stopped"):
            await self._stopped(self._stack.master(), self._random.uniform(2.0, 12.0))

    async def _kill_redis(self) -> None:
        async with self._disturbed("Redis killed"):
            master = self._stack.master()
            await asyncio.to_thread(master.kill)
            await self._another_master(master.port)
            await self._pause(0.0, 4.0)
            # As the replica that it is now, as an operator starts it; as it was, where no failover came.
            other = self._stack.master_port()
            replica_of = () if other == master.port else ("--replicaof", "127.0.0.1", str(other))
            master.arguments = (*master.arguments[:4], *replica_of)
            await asyncio.to_thread(master.start)
            await self._stack.redis_settled()

    async def _restart_redis(self) -> None:
        async with self._disturbed("Redis killed"):
            master = self._stack.master()
            master.arguments = master.arguments[:4]
            await asyncio.to_thread(master.restart)
            await self._stack.redis_settled()

    async def _flush_redis(self) -> None:
        async with self._disturbed("Redis emptied"):
            await asyncio.to_thread(self._stack.master().cli, "FLUSHALL")

    async def _kill_clients(self) -> None:
        kind = self._random.choice(["pubsub", "normal"])
        async with self._disturbed("connections killed"):
            await asyncio.to_thread(self._stack.master().cli, "CLIENT", "KILL", "TYPE", kind)

    async def _stopped(self, server: RedisServer, seconds: float) -> None:
        server.pause()
        try:
            await asyncio.sleep(seconds)
        finally:
            server.resume()
        await self._stack.redis_settled()

    async def _another_master(self, port: int) -> None:
        deadline = time.monotonic() + QUICK_FAILOVER
        while time.monotonic() < deadline:
            with contextlib.suppress(redis.RedisError):
                if await asyncio.to_thread(self._stack.master_port) != port:
                    return
            await asyncio.sleep(0.1)

    # What harms nobody

    async def _set_clock(self) -> None:
        number = self._random.randrange(REGISTRIES)
        self._stack.clocks[number].set(self._random.choice([0.0, HOUR, -HOUR, 30.0, -30.0]))

    async def _set_redis_clock(self) -> None:
        self._random.choice(self._stack.redis_clocks).set(self._random.choice([0.0, 30.0, -30.0, -HOUR, HOUR]))

    async def _publish_junk(self) -> None:
        for _ in range(self._random.randrange(1, 20)):
            await self._fleet.publish_junk(junk(self._random, 50))
            await asyncio.sleep(0.1)

    def draw_calm(self, shortest: float, longest: float) -> float:
        """So many seconds of calm until the next round."""
        return self._random.uniform(shortest, longest)

    async def _pause(self, shortest: float, longest: float) -> None:
        await asyncio.sleep(self._random.uniform(shortest, longest))

    @contextlib.asynccontextmanager
    async def _disturbed(self, name: str, number: int | None = None) -> AsyncIterator[None]:
        registry = "" if number is None else self._stack.name(number)
        disturbance = self._oracle.disturbances.begin(name, registry, time.monotonic())
        try:
            yield
        finally:
            self._oracle.disturbances.end(disturbance, time.monotonic())
