"""The list of nodes: filtered, sorted, paged, and rendered in short stretches, however many there are."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter

from exporter.api.documents import Renderer, timestamp
from exporter.api.queries import FILTERS, MAX_COUNT, Test, integer, name_of, parse_query
from exporter.api.responses import encode
from exporter.domain.errors import Invalid
from exporter.domain.node import Node
from exporter.domain.status import Status
from exporter.domain.text import shown
from exporter.exposition.yielder import Yielder
from exporter.nodemap.nodemap import NodeMap

CHUNK = 100
"""Nodes between two looks at the time: at some 5 us each, half a millisecond."""
RUN = 500
POSITION_BITS = 32
FREE_VRAM = "free_vram"
NO_PLACE = -(1 << 120)
"""Before every place of an order by free VRAM."""
Place = Callable[[list[Node]], int]


@dataclass(frozen=True, slots=True)
class Listing:
    """What was asked for."""

    tests: tuple[Test, ...] = ()
    by_free_vram: bool = False
    limit: int = MAX_COUNT
    after: str = ""

    def wants(self, node: Node) -> bool:
        """Whether the node passes every filter."""
        return not self.tests or all(test(node) for test in self.tests)


def parse_listing(query_string: bytes) -> Listing:
    """The listing that a query asks for; Invalid names what is wrong with it."""
    parameters = {**FILTERS, "sort": _sort, "limit": integer(1, MAX_COUNT), "after": name_of}
    values = parse_query(query_string, parameters)
    tests = tuple(value for name, value in values.items() if name in FILTERS)
    by_free_vram = bool(values.pop("sort", False))
    return Listing(tests, by_free_vram, values.get("limit", MAX_COUNT), values.get("after", ""))


def place_of(node_map: NodeMap, listing: Listing) -> Place:
    """Where the page begins: a position, or a key of the order by free VRAM. Invalid where that is not known any more.

    Behind the node that `after` names. Where that left meanwhile, at the first one that registered after it.
    """
    if not listing.after:
        return lambda _: NO_PLACE
    node = node_map.find(listing.after)
    order = attrgetter("order")
    if node is not None and listing.by_free_vram:
        rank = -node.free_vram_bytes << POSITION_BITS
        return lambda nodes: rank + bisect_right(nodes, node.order, key=order)
    if node is not None:
        return lambda nodes: bisect_right(nodes, node.order, key=order)
    tombstone = node_map.departed.get(listing.after)
    if tombstone is None or not tombstone.epoch or listing.by_free_vram:
        raise Invalid.of("after", f"no node {listing.after!r} to continue after: start again without after")
    since = tombstone.epoch
    return lambda nodes: bisect_right(nodes, since, key=lambda node: node.record.epoch)


class Roster:
    """All nodes in order of registration, as one list for all who render: many copies keep the collector busy."""

    def __init__(self) -> None:
        self._of: NodeMap | None = None
        self._version = -1
        self._nodes: list[Node] = []

    def nodes(self, node_map: NodeMap) -> list[Node]:
        """Those of this moment; not to be changed."""
        if self._of is not node_map or self._version != node_map.facts_version:
            self._of, self._version, self._nodes = node_map, node_map.facts_version, list(node_map.nodes())
        return self._nodes


async def render(node_map: NodeMap, roster: Roster, listing: Listing, place: Place) -> AsyncIterator[bytes]:
    """The answer's JSON, piece by piece; each node stands as when it is rendered."""
    yielder = Yielder()
    nodes = roster.nodes(node_map)
    if listing.by_free_vram:
        chosen = await _by_free_vram(nodes, listing, place, yielder)
    else:
        chosen = await _in_order(nodes, listing, place, yielder)
    yield b'{"nodes":{'
    for start in range(0, len(chosen.nodes), CHUNK):
        renderer = Renderer(node_map)
        chunk = chosen.nodes[start : start + CHUNK]
        documents = [b'"%b":%b' % (node.name.encode(), renderer.document(node)) for node in chunk]
        yield (b"," if start else b"") + b",".join(documents)
        await yielder.maybe_yield()
    following = b',"next":' + encode(chosen.nodes[-1].name) if chosen.more else b""
    now = timestamp(node_map.clock.wall_ns()).encode()
    yield b'},"total":%d,"active":%d%b,"timestamp":"%b"}' % (chosen.total, chosen.active, following, now)


@dataclass(slots=True)
class _Page:
    """The nodes of a page, whether more follow, and how many there are altogether."""

    nodes: list[Node]
    more: bool = False
    total: int = 0
    active: int = 0


async def _in_order(nodes: list[Node], listing: Listing, place: Place, yielder: Yielder) -> _Page:
    chosen, begin = _Page([]), place(nodes)
    page: list[Node] = []
    for start in range(0, len(nodes), CHUNK):
        for position, node in enumerate(nodes[start : start + CHUNK], start):
            if listing.wants(node):
                chosen.total += 1
                chosen.active += node.status is Status.ACTIVE
                if position >= begin and len(page) <= listing.limit:
                    page.append(node)
        await yielder.maybe_yield()
    chosen.nodes, chosen.more = page[: listing.limit], len(page) > listing.limit
    return chosen


async def _by_free_vram(nodes: list[Node], listing: Listing, place: Place, yielder: Yielder) -> _Page:
    # As whole numbers, the position in the lower bits, since so many tuples would call the garbage collector. Sorted in
    # runs and merged, since one sort of 100,000 would hold the loop up; a short page keeps the best run alone.
    chosen, begin = _Page([]), place(nodes)
    runs: list[list[int]] = [[]]
    for start in range(0, len(nodes), RUN):
        run: list[int] = []
        for position, node in enumerate(nodes[start : start + RUN], start):
            if listing.wants(node):
                chosen.total += 1
                chosen.active += node.status is Status.ACTIVE
                key = (-node.free_vram_bytes << POSITION_BITS) + position
                if key >= begin:
                    run.append(key)
        if listing.limit < RUN:
            runs[0] = heapq.nsmallest(listing.limit + 1, runs[0] + run)
        else:
            run.sort()
            runs.append(run)
        await yielder.maybe_yield()
    merged = islice(heapq.merge(*runs), listing.limit + 1)
    while keys := list(islice(merged, CHUNK)):
        chosen.nodes += [nodes[key % (1 << POSITION_BITS)] for key in keys]
        await yielder.maybe_yield()
    chosen.more = len(chosen.nodes) > listing.limit
    del chosen.nodes[listing.limit :]
    return chosen


def _sort(text: str) -> bool:
    if text != FREE_VRAM:
        raise ValueError(f"expected {FREE_VRAM}, got {shown(text)}")
    return True
