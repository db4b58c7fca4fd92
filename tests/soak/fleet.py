"""Light nodes in one process: half of them on the bus, half over HTTP; they die, return, leave and come again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import RedisError

from tests.soak.oracle import Oracle
from tests.soak.stack import SERVICE, Stack
from tests.support.seed_mesh import CHANNEL, heartbeat_event

TIMEOUT = aiohttp.ClientTimeout(total=1.0)
WRITE_TIMEOUT = aiohttp.ClientTimeout(total=4.0)
STEP = 0.05
ACTIONS_EVERY = 0.4
FIND_EVERY = 0.5
AGAIN = 0.5
"""Seconds after which a write that was not acknowledged is repeated."""
ENDED = frozenset({200, 201, 204})
FAULTS = (RedisError, OSError, TimeoutError, AttributeError)
"""Of a Redis that is away; the last is what redis-py raises for a connection that another task closes meanwhile."""


@dataclass(frozen=True)
class Write:
    """A write that is repeated until it is acknowledged: what is asked, and what is so afterwards."""

    method: str
    path: str
    kind: str
    value: str
    body: Any = None
    ended: frozenset[int] = ENDED


@dataclass
class LightNode:
    """One node: what it is to do, and when next."""

    name: str
    http: bool
    registry: int
    due: float = 0.0
    alive: bool = False
    registered: bool = False
    phase: str = "in_service"
    busy: bool = False
    """A write of its own is under way."""
    beating: bool = False


class Fleet:
    """All nodes. `run` sends until cancelled; everything that is sent or answered goes to the oracle."""

    def __init__(self, stack: Stack, oracle: Oracle, seed: str, count: int, interval: float) -> None:
        self.lagged: Callable[[float], None] = lambda _: None
        """Called where this process itself was late by more than it should."""
        self._stack = stack
        self._oracle = oracle
        self._random = random.Random(f"{seed}-fleet")
        self._interval = interval
        self.nodes = [LightNode(f"node-{n:03}", n % 2 == 0, n // 2 % 3) for n in range(count)]
        self.acting = True
        """Whether nodes die, leave and so on by themselves."""
        self.heartbeats = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._bus: Redis | None = None
        self._address = "", 0
        self._found = 0.0
        self._finding = asyncio.Lock()

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
        self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()
        await self._forget_master()

    async def register_all(self) -> None:
        """All of them, over HTTP; then they live."""
        await asyncio.gather(*(self._register(node) for node in self.nodes))

    async def run(self) -> None:
        """Heartbeats and whatever happens to nodes."""
        acted = last = time.monotonic()
        while True:
            now = time.monotonic()
            self.lagged(now - last - STEP)
            last = now
            due = [node for node in self.nodes if node.alive and node.registered and node.due <= now]
            for node in due:
                node.due = now + self._interval * self._random.uniform(0.8, 1.0)
                self._oracle.attempt(node.name, now)
            self._start(self._publish([node for node in due if not node.http]))
            for node in due:
                if node.http and not node.beating:
                    self._start(self._beat(node))
            while self.acting and acted < now:
                acted += ACTIONS_EVERY
                self._act()
            await asyncio.sleep(STEP)

    async def publish_junk(self, payloads: list[bytes]) -> None:
        """Onto the bus, if there is one."""
        try:
            client = await self._master()
            async with client.pipeline(transaction=False) as pipeline:
                for payload in payloads:
                    pipeline.publish(CHANNEL, payload)
                await pipeline.execute()
        except FAULTS:
            await self._forget_master()

    # What nodes do

    async def _beat(self, node: LightNode) -> None:
        """A heartbeat to one registry after the other, until one acknowledges it."""
        node.beating = True
        try:
            for _ in self._stack.registries:
                sent = time.monotonic()
                status = await self._ask("POST", node.registry, f"/nodes/{node.name}/heartbeat", None, TIMEOUT)
                if status in ENDED:
                    self._oracle.receive(node.name, sent, time.monotonic(), self._stack.name(node.registry))
                    self.heartbeats += 1
                    return
                if status in {404, 410} and node.registered and node.alive:
                    self._oracle.refused(self._stack.name(node.registry), node.name, status, sent)
                node.registry = (node.registry + 1) % len(self._stack.registries)
        finally:
            node.beating = False

    async def _publish(self, nodes: list[LightNode]) -> None:
        if not nodes:
            return
        sent = time.monotonic()
        try:
            client = await self._master()
            async with asyncio.timeout(1.0), client.pipeline(transaction=False) as pipeline:
                for node in nodes:
                    pipeline.publish(CHANNEL, heartbeat_event(node.name))
                pipeline.execute_command("ROLE")
                *answers, (role, *_) = await pipeline.execute()
        except FAULTS:
            role, answers = b"", []
        if role != b"master":  # A replica passes nothing on to its master.
            await self._forget_master()
            # At their next look: by then there may be another master.
            for node in nodes:
                node.due = min(node.due, sent + AGAIN)
            return
        for node, subscribers in zip(nodes, answers, strict=True):
            self.heartbeats += 1
            # We listen ourselves; who else does not is blind, and knows it.
            if subscribers > len(self._stack.registries):
                self._oracle.receive(node.name, sent, time.monotonic())

    def _act(self) -> None:
        node = self._random.choice(self.nodes)
        what = self._random.random()
        if node.busy or not node.registered:
            return
        if what < 0.45:
            if node.alive:
                self._start(self._die(node, self._random.uniform(2.0, 40.0)))
        elif what < 0.7:
            self._start(self._leave(node, self._random.uniform(6.0, 20.0)))
        elif what < 0.9:
            self._start(self._change_phase(node))
        else:
            self._start(self._register(node))

    async def _die(self, node: LightNode, seconds: float) -> None:
        node.busy = True
        node.alive = False
        await asyncio.sleep(seconds)
        node.alive = True
        node.busy = False

    async def _leave(self, node: LightNode, seconds: float) -> None:
        """It departs, stays away for longer than late heartbeats are ignored, and registers again."""
        node.busy = True
        node.alive = node.registered = False
        # What is on its way comes to its end first.
        await asyncio.sleep(3 * STEP)
        while node.beating:  # noqa: ASYNC110 - a flag that many set
            await asyncio.sleep(STEP)
        path = f"/nodes/{node.name}"
        await self._write(node, Write("DELETE", path, "presence", "absent", ended=ENDED | {404}))
        node.phase = "in_service"
        await asyncio.sleep(seconds)
        await self._register(node)

    async def _register(self, node: LightNode) -> None:
        node.busy = True
        body = {"name": node.name, "role": "compute", "capabilities": {"gpu": True, "gpu_count": 1, "gpu_memory": 24}}
        await self._write(node, Write("POST", "/nodes/register", "presence", "present", body))
        node.registered = node.alive = True
        node.busy = False

    async def _change_phase(self, node: LightNode) -> None:
        node.busy = True
        path = f"/nodes/{node.name}/maintenance"
        if node.phase == "in_service":
            body = {"reason": "soak", "until": "12h"}
            await self._write(node, Write("PUT", path, "lifecycle", "maintenance", body))
            node.phase = "maintenance"
        else:
            await self._write(node, Write("DELETE", path, "lifecycle", "in_service"))
            node.phase = "in_service"
        node.busy = False

    async def _write(self, node: LightNode, write: Write) -> None:
        """Repeat it, at one registry after the other, until it is acknowledged."""
        number = self._random.randrange(len(self._stack.registries))
        while True:
            sent = time.monotonic()
            if write.value == "present":
                self._oracle.attempt(node.name, sent)
            # What is sent may be done from now on.
            self._oracle.write(node.name, write.kind, write.value, sent, acknowledged=False)
            status = await self._ask(write.method, number, write.path, write.body, WRITE_TIMEOUT)
            if status in write.ended:
                self._oracle.write(node.name, write.kind, write.value, time.monotonic(), acknowledged=True)
                if write.value == "present":
                    self._oracle.receive(node.name, sent, time.monotonic(), self._stack.name(number))
                return
            if status in {404, 410}:
                self._oracle.refused(self._stack.name(number), node.name, status, sent)
            number = (number + 1) % len(self._stack.registries)
            await asyncio.sleep(AGAIN)

    async def _ask(self, method: str, number: int, path: str, body: Any, within: aiohttp.ClientTimeout) -> int:
        """The answer's status; 0 where there was none."""
        try:
            url = self._stack.registries[number].url + path
            async with self._session.request(method, url, json=body, timeout=within) as response:
                await response.read()
                return response.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0

    async def _master(self) -> Redis:
        """A client of the master that the Sentinel names, as any program on the bus finds it, again and again."""
        async with self._finding:
            if self._bus is None or time.monotonic() - self._found > FIND_EVERY:
                # Who is connected goes on, where the Sentinel names nobody.
                with contextlib.nullcontext() if self._bus is None else contextlib.suppress(RedisError):
                    await self._find_master()
            assert self._bus is not None
            return self._bus

    async def _find_master(self) -> None:
        options: dict[str, Any] = {"socket_timeout": 0.8, "socket_connect_timeout": 0.8}
        sentinel = Sentinel([("127.0.0.1", self._stack.sentinel.port)], sentinel_kwargs=options)
        try:
            address = await sentinel.discover_master(SERVICE)
        finally:
            for client in sentinel.sentinels:
                await client.aclose()
        if address != self._address or self._bus is None:
            await self._forget_master()
            self._address = host, port = address
            self._bus = Redis(host=host, port=port, max_connections=8, **options)
        self._found = time.monotonic()

    async def _forget_master(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            # Closing is given as long as an answer: more than a stall of this machine may leave.
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await bus.aclose()

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()


def junk(source: random.Random, count: int) -> list[bytes]:
    """What nobody can read, and what almost is an event."""
    kinds: list[Callable[[], bytes]] = [
        lambda: source.randbytes(source.randrange(1, 2000)),
        lambda: b"[" * source.randrange(1, 20_000),
        lambda: b'{"type": "node_heartbeat", "data": {"node": "\\ud800"}}',
        lambda: json.dumps(
            {"type": "node_heartbeat", "data": {"node": source.choice([None, 5, "", "a b", "x" * 90])}}
        ).encode(),
        lambda: b'{"type": "node_register", "data": {"name": "../etc", "role": 7}}',
        lambda: b'{"type": "node_deregister", "data": {}}',
        lambda: b'{"type": "chat", "data": {"text": "' + b"x" * source.randrange(100_000) + b'"}}',
        lambda: b'{"type": 1e999, "data": []}',
        lambda: b"null",
    ]
    return [source.choice(kinds)() for _ in range(count)]
