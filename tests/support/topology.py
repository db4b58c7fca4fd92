"""The topology by its definition, edge by edge: what the exposition's walk is compared with."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from exporter.domain.registration import Registration
from exporter.domain.topology import EdgeRule


@dataclass(frozen=True, slots=True)
class Edge:
    """One directed connection between two registered nodes."""

    source: str
    target: str
    type: str


def edges(nodes: Collection[Registration], rules: tuple[EdgeRule, ...]) -> Iterator[Edge]:
    """Every edge once: the rules' in their order, then the nodes' own links to nodes that are registered."""
    for rule in rules:
        targets = [facts.name for facts in nodes if rule.target.matches(facts)]
        for facts in nodes:
            if rule.source.matches(facts):
                for target in targets:
                    if target != facts.name:
                        yield Edge(facts.name, target, rule.type)
    yield from _links(nodes, rules)


def count_edges(nodes: Collection[Registration], rules: tuple[EdgeRule, ...]) -> int:
    """How many `edges` there are, without walking the rules' products."""
    count = 0
    for rule in rules:
        sources = {facts.name for facts in nodes if rule.source.matches(facts)}
        targets = {facts.name for facts in nodes if rule.target.matches(facts)}
        count += len(sources) * len(targets) - len(sources & targets)
    return count + sum(1 for _ in _links(nodes, rules))


def _links(nodes: Collection[Registration], rules: tuple[EdgeRule, ...]) -> Iterator[Edge]:
    linking = [facts for facts in nodes if facts.links]
    known = {facts.name: facts for facts in nodes} if linking else {}
    by_type = {rule.type: rule for rule in rules}
    for facts in linking:
        for link in facts.links:
            target, rule = known.get(link.target), by_type.get(link.type)
            if target is None or target is facts:
                continue
            if rule is None or not (rule.source.matches(facts) and rule.target.matches(target)):
                yield Edge(facts.name, link.target, link.type)
