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
    """Where the page begins; Invalid where that is not known any more.

    Behind the node that `after` names. Where that left meanwhile, at the first one that registered after it.
    """
    if not listing.after:
        return lambda _: 0
    node = node_map.find(listing.after)
    if node is not None:
        key = _rank if listing.by_free_vram else attrgetter("order")
        return lambda nodes: bisect_right(nodes, key(node), key=key)
    tombstone = node_map.departed.get(listing.after)
    if tombstone is None or not tombstone.epoch or listing.by_free_vram:
        raise Invalid.of("after", f"no node {listing.after!r} is here to go on from: start again without after")
    since = tombstone.epoch
    return lambda nodes: bisect_right(nodes, since, key=lambda node: node.record.epoch)


async def render(node_map: NodeMap, nodes: list[Node], listing: Listing, place: Place) -> AsyncIterator[bytes]:
    """The answer's JSON, piece by piece. `nodes`: in order of registration; each stands as when it is rendered."""
    yielder = Yielder()
    if listing.by_free_vram:
        nodes = await _by_free_vram(nodes, yielder)
    begin = place(nodes)
    total = active = shown_count = 0
    last, more = "", False
    yield b'{"nodes":{'
    for start in range(0, len(nodes), CHUNK):
        renderer, documents = Renderer(node_map), []
        for position, node in enumerate(nodes[start : start + CHUNK], start):
            if not listing.wants(node):
                continue
            total += 1
            active += node.status is Status.ACTIVE
            if position < begin:
                continue
            if shown_count == listing.limit:
                more = True
                continue
            shown_count += 1
            last = node.name
            documents.append(b'"%b":%b' % (last.encode(), renderer.document(node)))
        if documents:
            yield (b"" if shown_count == len(documents) else b",") + b",".join(documents)
        await yielder.maybe_yield()
    following = b',"next":' + encode(last) if more else b""
    now = timestamp(node_map.clock.wall_ns()).encode()
    yield b'},"total":%d,"active":%d%b,"timestamp":"%b"}' % (total, active, following, now)


async def _by_free_vram(nodes: list[Node], yielder: Yielder) -> list[Node]:
    # Sorted in runs and merged, since one sort of 100,000 would hold the loop up for tens of milliseconds; and as whole
    # numbers, the position in the lower bits, since so many tuples would call the garbage collector.
    runs = []
    for start in range(0, len(nodes), RUN):
        chunk = enumerate(nodes[start : start + RUN], start)
        runs.append(sorted((-node.free_vram_bytes << POSITION_BITS) + position for position, node in chunk))
        await yielder.maybe_yield()
    merged = heapq.merge(*runs)
    ordered: list[Node] = []
    while chunk_keys := list(islice(merged, CHUNK)):
        ordered += [nodes[key % (1 << POSITION_BITS)] for key in chunk_keys]
        await yielder.maybe_yield()
    return ordered


def _rank(node: Node) -> tuple[int, int]:
    return (-node.free_vram_bytes, node.order)


def _sort(text: str) -> bool:
    if text != FREE_VRAM:
        raise ValueError(f"expected {FREE_VRAM}, got {shown(text)}")
    return True
