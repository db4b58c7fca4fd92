"""The lines of the topology's two families, as of one version of the facts."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.domain.topology import EdgeRule
from exporter.exposition.families import EDGE_INFO, EDGES_OMITTED
from exporter.exposition.gzipping import Piece, deflate
from exporter.exposition.topology import CHUNK, Walk
from exporter.exposition.yielder import Yielder
from exporter.nodemap.nodemap import NodeMap


@dataclass(frozen=True, slots=True)
class EdgeLines:
    """They stay valid until a node appears, leaves or registers again."""

    facts_version: int
    info: list[Piece]
    omitted: Piece


async def edge_lines(node_map: NodeMap, rules: tuple[EdgeRule, ...], max_edges: int, yielder: Yielder) -> EdgeLines:
    """Walk the topology as it is now; what changes meanwhile is the next version's."""
    facts_version = node_map.facts_version
    walk = Walk(EDGE_INFO.template, rules, max_edges, yielder)
    await walk.go(list(node_map.nodes()))
    info = []
    for start in range(0, len(walk.lines), CHUNK):
        info.append(deflate("".join(walk.lines[start : start + CHUNK]).encode()))
        await yielder.maybe_yield()
    omitted = EDGES_OMITTED.template % (walk.total - len(walk.lines))
    return EdgeLines(facts_version, info, deflate(omitted.encode()))
