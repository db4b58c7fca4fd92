"""Reads what every registry shows, again and again, and receives their events on the bus; the oracle judges it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import Any

import aiohttp
import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.soak.oracle import Oracle, Transition
from tests.soak.stack import Stack
from tests.support.seed_mesh import CHANNEL

TIMEOUT = aiohttp.ClientTimeout(total=5.0)
EVERY = 1.0
GAUGES_EVERY = 5
"""One look in so many compares `/metrics` and the histories too."""
GAUGE = re.compile(r'^aurora_node_status\{node="([^"]+)",status="(\w+)"\} 1$', re.MULTILINE)
OWN = "node-registry"


class Watch:
    """Looks at all registries. `run` looks until cancelled."""

    def __init__(self, stack: Stack, oracle: Oracle) -> None:
        self._stack = stack
        self._oracle = oracle
        self.looks = 0
        self.events = 0

    async def run(self) -> None:
        """Until cancelled."""
        async with aiohttp.ClientSession() as session:
            registries = [self._look(session, number) for number in range(len(self._stack.registries))]
            await asyncio.gather(*registries, *(self._listen(server.port) for server in self._stack.servers))

    async def _look(self, session: aiohttp.ClientSession, number: int) -> None:
        name, look = self._stack.name(number), number
        while True:
            await asyncio.sleep(EVERY)
            look += 1
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                before = await self._nodes(session, number)
                if before is None or look % GAUGES_EVERY:
                    continue
                gauges = dict(GAUGE.findall(await self._text(session, number, "/metrics")))
                after = await self._nodes(session, number)
                if after is not None and gauges:
                    self._oracle.see_gauges(name, before, gauges, after)
                asked = time.monotonic()
                histories = await self._histories(session, number)
                self._oracle.see_histories(name, asked, time.monotonic(), histories)
                self._oracle.compare_events(time.monotonic())

    async def _nodes(self, session: aiohttp.ClientSession, number: int) -> dict[str, str] | None:
        asked = time.monotonic()
        documents = await self._document(session, number, "/nodes")
        if documents is None:
            return None
        self.looks += 1
        self._oracle.see(self._stack.name(number), asked, time.monotonic(), documents["nodes"])
        return {name: document["status"] for name, document in documents["nodes"].items()}

    async def _histories(self, session: aiohttp.ClientSession, number: int) -> dict[str, list[Transition]]:
        document = await self._document(session, number, "/transitions?since=3h&limit=10000")
        histories: dict[str, list[Transition]] = {}
        for each in reversed(document["transitions"] if document else []):
            histories.setdefault(each["node"], []).append((each["from"], each["to"], each["at"]))
        if document is None or not document["complete"]:
            raise TimeoutError
        return histories

    async def _document(self, session: aiohttp.ClientSession, number: int, path: str) -> Any:
        url = self._stack.registries[number].url + path
        async with session.get(url, timeout=TIMEOUT) as response:
            body = await response.read()
            return msgspec.json.decode(body) if response.status == 200 else None

    async def _text(self, session: aiohttp.ClientSession, number: int, path: str) -> str:
        async with session.get(self._stack.registries[number].url + path, timeout=TIMEOUT) as response:
            return await response.text() if response.status == 200 else ""

    async def _listen(self, port: int) -> None:
        """On each Redis: a replica passes on what was published on its master."""
        while True:
            async with Redis(host="127.0.0.1", port=port, socket_connect_timeout=1.0) as client:
                with contextlib.suppress(RedisError, OSError):
                    async with client.pubsub() as subscription:
                        await subscription.subscribe(CHANNEL)
                        async for message in subscription.listen():
                            if message["type"] == "message":
                                self._take(message["data"], port)
            await asyncio.sleep(0.1)

    def _take(self, payload: bytes, port: int) -> None:
        if OWN.encode() not in payload:
            return
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            event = msgspec.json.decode(payload)
            if isinstance(event, dict) and event.get("source_node") == OWN:
                self.events += 1
                self._oracle.take_event(event, time.monotonic(), f"Redis {port}")
