"""A walk over the topology that builds no more edges than are shown, and that does not hold up the event loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.domain.node import Node
from exporter.domain.registration import Registration
from exporter.domain.topology import EdgeRule, Selector
from exporter.exposition.families import EDGE_INFO, EDGES_OMITTED
from exporter.exposition.gzipping import Piece, deflate
from exporter.exposition.yielder import Yielder
from exporter.nodemap.nodemap import NodeMap

CHUNK = 500


class Walk:
    """The lines of the first edges, those of the rules in their order, then nodes' own links; and their number.

    Rules look at nothing but a node's role and whether it has GPUs. Nodes that are alike in these are of one kind, and
    one of them stands for all; kinds are numbers, since so many tuples would call the garbage collector.
    """

    def __init__(self, template: str, rules: tuple[EdgeRule, ...], limit: int, yielder: Yielder) -> None:
        self.lines: list[str] = []
        self.total = 0
        self._template = template
        self._rules = rules
        self._limit = limit
        self._yielder = yielder
        self._names: list[str] = []
        self._kinds: list[int] = []
        self._counts: Counter[int] = Counter()
        self._examples: list[Registration] = []
        self._linking: list[Registration] = []

    async def go(self, nodes: Sequence[Node]) -> None:
        """Walk, once. Each node's registration is read once, so that no edge appears twice."""
        numbers: dict[tuple[str, bool], int] = {}
        for start in range(0, len(nodes), CHUNK):
            for node in nodes[start : start + CHUNK]:
                facts = node.facts
                number = numbers.setdefault((facts.role, facts.gpus > 0), len(numbers))
                if number == len(self._examples):
                    self._examples.append(facts)
                if facts.links:
                    self._linking.append(facts)
                self._names.append(facts.name)
                self._kinds.append(number)
            self._counts.update(self._kinds[start:])
            await self._yielder.maybe_yield()
        for rule in self._rules:
            await self._add_rule(rule)
        if self._linking:
            await self._add_links()

    async def _add_rule(self, rule: EdgeRule) -> None:
        sources, targets = self._matching(rule.source), self._matching(rule.target)
        products = sum(self._counts[kind] for kind in sources) * sum(self._counts[kind] for kind in targets)
        self.total += products - sum(self._counts[kind] for kind in sources & targets)
        # One node more than the edges still wanted is enough: each gives an edge, save one with itself.
        enough = self._limit - len(self.lines) + 1
        target_names = await self._first(targets, enough)
        for source in await self._first(sources, enough):
            for target in target_names:
                if len(self.lines) >= self._limit:
                    return
                if source != target:
                    self.lines.append(self._template % (source, target, rule.type, 1))
                await self._yielder.maybe_yield()

    def _matching(self, selector: Selector) -> set[int]:
        return {kind for kind, facts in enumerate(self._examples) if selector.matches(facts)}

    async def _first(self, kinds: set[int], enough: int) -> list[str]:
        found: list[str] = []
        for start in range(0, len(self._kinds), CHUNK):
            if len(found) >= enough:
                break
            chunk = self._kinds[start : start + CHUNK]
            found += [self._names[position] for position, kind in enumerate(chunk, start) if kind in kinds]
            await self._yielder.maybe_yield()
        return found

    async def _add_links(self) -> None:
        known: dict[str, int] = {}
        for start in range(0, len(self._names), CHUNK):
            known.update(zip(self._names[start : start + CHUNK], self._kinds[start : start + CHUNK], strict=True))
            await self._yielder.maybe_yield()
        by_type = {rule.type: rule for rule in self._rules}
        for facts in self._linking:
            for link in facts.links:
                kind, rule = known.get(link.target), by_type.get(link.type)
                if kind is None or link.target == facts.name:
                    continue
                if rule is None or not (rule.source.matches(facts) and rule.target.matches(self._examples[kind])):
                    self.total += 1
                    if len(self.lines) < self._limit:
                        self.lines.append(self._template % (facts.name, link.target, link.type, 1))
            await self._yielder.maybe_yield()


@dataclass(frozen=True, slots=True)
class EdgeLines:
    """The lines of the topology's two families: they stay valid until a node appears, leaves or registers again."""

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
