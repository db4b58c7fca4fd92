"""The event stream: what happens to nodes, noted as it happens, and passed to any number of readers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from exporter.api.documents import Renderer
from exporter.api.eventlog import EventLog, Subject, frame
from exporter.api.noting import Noted, Noter, encoded
from exporter.api.problems import Problem
from exporter.api.responses import encode
from exporter.domain.clock import Clock
from exporter.domain.eventnames import AUDIT
from exporter.domain.node import Node
from exporter.exposition.yielder import Yielder
from exporter.nodemap.changes import Change
from exporter.nodemap.nodemap import NodeMap

MAX_WAITING = 50_000
"""Events that are noted and not encoded yet; beyond, all are dropped and readers have to reload."""
CHUNK = 50
SLICE = 20
"""Readers woken at a time, at some 25 us each: in between, heartbeats are answered."""
PAUSE_SECONDS = 0.02
"""Before a round: what happens together is sent together, such as a change and who made it."""
REST = 3
"""A round is followed by a pause of so many times its length, so that readers never take more than a quarter."""
CLOSE_SECONDS = 1.0
"""For which readers are waited for at the end."""
Encoded = tuple[bytes, tuple[Subject, ...]]
BUSY, STOPPING = "stream-limit", "stopping"


class Reader:
    """One open stream: a position in the log, and a bell that rings when there is more."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.bell = asyncio.Event()
        self.gone = False
        """The caller closed the connection."""
        self.cut: Callable[[], None] = lambda: None
        """Cuts the connection, whatever is still to be sent."""


class EventStream:
    """The log and its readers. Nothing is noted until the first reader comes: before, nobody can miss anything."""

    def __init__(self, node_map: Callable[[], NodeMap], clock: Clock) -> None:
        """`node_map`: raises StillLoading until there is one."""
        self._node_map = node_map
        self.log = EventLog(clock.wall_ns)
        self.dropped = 0
        """Readers that were too slow."""
        self.stopping = False
        self._readers: dict[Reader, None] = {}
        self._waiting: deque[Noted | Encoded] = deque()
        self._bell = asyncio.Event()
        self._noter: Noter | None = None
        self._pump: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._readers)

    def open(self, limit: int) -> Reader:
        """A new reader, at the end of the log. Raises StillLoading, and Problem where there are too many."""
        if self.stopping:
            raise Problem(503, "the registry is stopping", kind=STOPPING, headers={"Retry-After": "2"})
        if len(self._readers) >= limit:
            detail = f"{limit} event streams are open (limits.max_event_streams): try again later"
            raise Problem(503, detail, kind=BUSY, headers={"Retry-After": "10"})
        self._begin()
        reader = Reader(self.log.end)
        self._readers[reader] = None
        return reader

    def close(self, reader: Reader) -> None:
        """The reader is done."""
        self._readers.pop(reader, None)

    def audit(self, entry: Mapping[str, Any]) -> None:
        """Pass on that somebody changed something: `action`, `node` and whatever else the entry says."""
        if self._noter is None:
            return
        node = self._node_map().find(str(entry.get("node", "")))
        subjects = (Subject(node.facts, node.status, node.free_vram_bytes),) if node else ()
        self._push((frame(AUDIT, encode(entry)), subjects))

    def stop(self) -> None:
        """Let every reader end; no new one is taken."""
        self.stopping = True
        for reader in self._readers:
            reader.bell.set()
        if self._pump is not None:
            self._pump.get_loop().call_later(CLOSE_SECONDS, self._cut_all)
            self._pump.cancel()

    def _cut_all(self) -> None:
        for reader in self._readers:
            reader.cut()

    def _begin(self) -> None:
        if self._noter is None:
            node_map = self._node_map()
            self._noter = Noter(node_map)
            node_map.listeners.append(self._note)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._run())

    def _note(self, change: Change, node: Node) -> None:
        if change is Change.REPORT or self._noter is None:
            return
        for noted in self._noter.note(change, node):
            self._push(noted)

    def _push(self, event: Noted | Encoded) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.clear()
            self.log.skip()
        self._waiting.append(event)
        self._bell.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._bell.wait()
            await asyncio.sleep(PAUSE_SECONDS)
            self._bell.clear()
            began = loop.time()
            await self._write()
            readers = list(self._readers)
            for start in range(0, len(readers), SLICE):
                for reader in readers[start : start + SLICE]:
                    reader.bell.set()
                await asyncio.sleep(0)
            await asyncio.sleep(REST * (loop.time() - began))

    async def _write(self) -> None:
        """Encode what waits; where that is a lot, readers get to it in between."""
        yielder = Yielder()
        while self._waiting:
            renderer = Renderer(self._node_map())
            for _ in range(min(CHUNK, len(self._waiting))):
                event = self._waiting.popleft()
                self.log.append(*(encoded(event, renderer) if isinstance(event, Noted) else event))
            if len(self._waiting) >= CHUNK:
                for reader in self._readers:
                    reader.bell.set()
            await yielder.maybe_yield()


async def rung(reader: Reader, seconds: float) -> bool:
    """Wait until there may be more for the reader, for so long at most; whether there is."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(reader.bell.wait(), seconds)
    rang = reader.bell.is_set()
    reader.bell.clear()
    return rang
