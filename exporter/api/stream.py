"""The event stream: what happens to nodes, noted as it happens, and passed to any number of readers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from exporter.api.documents import Renderer
from exporter.api.eventlog import EventLog, Subject, frame
from exporter.api.noting import Noted, Noter, encoded
from exporter.api.problems import Problem
from exporter.api.readers import Reader, Readers
from exporter.api.responses import encode
from exporter.api.sharing import Shared
from exporter.domain.clock import Clock
from exporter.domain.eventnames import AUDIT
from exporter.domain.node import Node
from exporter.exposition.yielder import Yielder
from exporter.nodemap.changes import Change
from exporter.nodemap.nodemap import NodeMap

MAX_WAITING = 50_000
"""Events that are noted and not encoded yet; beyond, all are dropped and readers have to reload."""
CHUNK = 50
BATCH = 100
"""Events that a reader is sent at a time; after so many new ones, all readers have their turn before there are more."""
PAUSE_SECONDS = 0.02
"""Before a round: what happens together is sent together, such as a change and who made it."""
REST = 3
"""A round is followed by a pause of so many times its length, so that readers never take more than a quarter."""
CLOSE_SECONDS = 1.0
"""For which readers are waited for at the end."""
Encoded = tuple[bytes, tuple[Subject, ...]]
BUSY, STOPPING = "stream-limit", "stopping"


class EventStream:
    """The log and its readers. Nothing is noted until the first reader comes: before, nobody can miss anything."""

    def __init__(self, node_map: Callable[[], NodeMap], clock: Clock) -> None:
        """`node_map`: raises StillLoading until there is one."""
        self._node_map = node_map
        self.log = EventLog(clock.wall_ns)
        self.dropped = 0
        """Readers that were too slow."""
        self.stopping = False
        self._readers: Readers | None = None
        self._waiting: deque[Noted | Encoded] = deque()
        self._bell = asyncio.Event()
        self._noter: Noter | None = None
        self._preparing: Shared[None] | None = None
        self._prepared = False
        """Whether it is known how all nodes stand: what changes before is no event."""
        self._pump: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._readers) if self._readers is not None else 0

    async def open(self, limit: int) -> Reader:
        """A new reader, at the end of the log. Raises StillLoading, and Problem where there are too many."""
        if not (self._prepared or self.stopping):
            if self._preparing is None or self._preparing.done():
                self._preparing = Shared(self._prepare(self._node_map()))
            await self._preparing.result()
        if self.stopping:
            raise Problem(503, "the registry is stopping", kind=STOPPING, headers={"Retry-After": "2"})
        if len(self) >= limit:
            detail = f"{limit} event streams are open (limits.max_event_streams): try again later"
            raise Problem(503, detail, kind=BUSY, headers={"Retry-After": "10"})
        reader = Reader(self.log.end)
        self._begin().add(reader)
        return reader

    def ring(self, reader: Reader) -> None:
        """Wake the reader when it is its turn."""
        if self._readers is not None:
            self._readers.ring(reader)

    def close(self, reader: Reader) -> None:
        """The reader is done."""
        if self._readers is not None:
            self._readers.remove(reader)

    def audit(self, entry: Mapping[str, Any]) -> None:
        """Pass on that somebody changed something: `action`, `node` and whatever else the entry says."""
        if not self._prepared:
            return
        node = self._node_map().find(str(entry.get("node", "")))
        subjects = (Subject(node.facts, node.status, node.free_vram_bytes),) if node else ()
        self._push((frame(AUDIT, encode(entry)), subjects))

    def stop(self) -> None:
        """Let every reader end; no new one is taken."""
        self.stopping = True
        if self._pump is not None and self._readers is not None:
            self._readers.stop()
            self._pump.get_loop().call_later(CLOSE_SECONDS, self._readers.cut)
            self._pump.cancel()

    async def _prepare(self, node_map: NodeMap) -> None:
        if self._noter is None:
            self._noter = Noter(node_map)
            node_map.listeners.append(self._note)
        await self._noter.remember_all()
        self._prepared = True

    def _begin(self) -> Readers:
        if self._readers is None or self._pump is None or self._pump.done():
            loop = asyncio.get_running_loop()
            self._readers = Readers(loop)
            self._pump = loop.create_task(self._run(self._readers))
        return self._readers

    def _note(self, change: Change, node: Node) -> None:
        if change is Change.REPORT or self._noter is None:
            return
        for noted in self._noter.note(change, node):
            if self._prepared:
                self._push(noted)

    def _push(self, event: Noted | Encoded) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.clear()
            self.log.skip()
        self._waiting.append(event)
        self._bell.set()

    async def _run(self, readers: Readers) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._bell.wait()
            await asyncio.sleep(PAUSE_SECONDS)
            self._bell.clear()
            began = loop.time()
            await self._write(readers)
            await readers.round()
            await asyncio.sleep(REST * (loop.time() - began))

    async def _write(self, readers: Readers) -> None:
        """Encode what waits; where that is a lot, readers take some in between, before the log drops it."""
        yielder = Yielder()
        rung = self.log.end
        while self._waiting:
            renderer = Renderer(self._node_map())
            for _ in range(min(CHUNK, len(self._waiting))):
                event = self._waiting.popleft()
                self.log.append(*(encoded(event, renderer) if isinstance(event, Noted) else event))
            if self._waiting and self.log.end - rung >= BATCH:
                rung = self.log.end
                await readers.round()
            await yielder.maybe_yield()
