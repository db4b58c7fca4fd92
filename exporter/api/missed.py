"""What a reader of the event stream missed while it was away, from the store's record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.api.documents import Renderer, timestamp
from exporter.api.eventlog import frame
from exporter.api.queries import Test
from exporter.api.responses import encode
from exporter.api.service import Service
from exporter.api.sharing import SharedByKey
from exporter.api.stream import BATCH
from exporter.domain.clock import SECOND
from exporter.domain.durable import Recent
from exporter.domain.duration import DAY
from exporter.domain.errors import AuroraError
from exporter.domain.eventnames import DEREGISTERED, FORGOTTEN, REGISTERED, STATUS_CHANGED, UPDATED
from exporter.domain.node import Node, Removal
from exporter.exposition.yielder import Yielder

MAX_MISSED = 2_000
"""A reader that missed more loads all nodes again with less effort."""
KEPT = 7 * DAY
"""How long a store keeps the history of a node that is gone."""
MARGIN = 2 * SECOND
"""What happened shortly before may not have been known to the registry that gave the id."""
Dated = tuple[int, bytes]


class NotKept(AuroraError):
    """What was missed is not known; the reader has to load all nodes again."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was missed, up to a position in the log; `pieces` of up to BATCH events, shared by their readers."""

    pieces: list[bytes]
    position: int


class Missed:
    """Looks up what was missed: once for all who ask for the same at the same time, one after the other otherwise."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._slot = asyncio.Semaphore(1)
        self._running: SharedByKey[Found] = SharedByKey()

    async def since(self, at_ns: int, query: bytes, tests: tuple[Test, ...]) -> Found:
        """All that happened to nodes since then (wall clock) that pass `tests`, which `query` states. Raises NotKept.

        What happened within the margin comes again, since losing it would be worse; of a node that changed more than
        once in what it is, the latest document alone.
        """
        key = (at_ns, query)
        shared = self._running.find(key) or self._running.begin(key, self._find(at_ns, tests))
        return await shared.result()

    async def _find(self, at_ns: int, tests: tuple[Test, ...]) -> Found:
        async with self._slot:
            position = self._service.events.log.end
            frames = await _missed(self._service, at_ns, tests)
        return Found([b"".join(frames[start : start + BATCH]) for start in range(0, len(frames), BATCH)], position)


async def _missed(service: Service, since_ns: int, tests: tuple[Test, ...]) -> list[bytes]:
    """The frames, in order. Raises NotKept."""
    node_map = service.node_map
    wall_ns = node_map.clock.wall_ns()
    if not wall_ns - KEPT <= since_ns <= wall_ns + MARGIN:
        raise NotKept("the id is not from the last 7 days")
    since_ns -= MARGIN
    recent = await service.recent(since_ns, MAX_MISSED + 1)
    if not service.store_up:
        raise NotKept("the store, which knows what happened, is down")
    found: list[Dated] = []
    yielder, renderer = Yielder(), Renderer(node_map)
    for dated in _of_record(service, recent, tests):
        found.append(dated)
        await yielder.maybe_yield()
    for node in list(node_map.nodes()):
        if node.record.revision_ns > since_ns and all(test(node) for test in tests):
            found.append(_changed(node, since_ns, renderer))
        await yielder.maybe_yield()
    if len(found) > MAX_MISSED:
        raise NotKept(f"more than {MAX_MISSED} events were missed")
    return [text for _, text in sorted(found, key=lambda dated: dated[0])]


def _of_record(service: Service, recent: Recent, tests: tuple[Test, ...]) -> Iterator[Dated]:
    renderer = Renderer(service.node_map)
    for each in recent.transitions:
        node = service.node_map.find(each.node)
        happened = {"node": each.node, "at": timestamp(each.at_ns), "from": each.from_, "to": each.to}
        if node is None:
            yield each.at_ns, frame(STATUS_CHANGED, encode(happened))
        elif all(test(node) for test in tests):
            yield each.at_ns, frame(STATUS_CHANGED, b"%b,%b" % (encode(happened)[:-1], renderer.document(node)[1:]))
    for gone in recent.tombstones:
        # Whether it passed the filters is not known any more: better one event too many than one too few.
        event_type = DEREGISTERED if gone.removal is Removal.DEPARTED else FORGOTTEN
        yield gone.at_ns, frame(event_type, encode({"node": gone.name, "at": timestamp(gone.at_ns)}))


def _changed(node: Node, since_ns: int, renderer: Renderer) -> Dated:
    record = node.record
    event_type = REGISTERED if record.registered_at_ns > since_ns else UPDATED
    happened = encode({"node": node.name, "at": timestamp(record.revision_ns)})
    return record.revision_ns, frame(event_type, b"%b,%b" % (happened[:-1], renderer.document(node)[1:]))
