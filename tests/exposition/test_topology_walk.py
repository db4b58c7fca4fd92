"""The walk gives the first edges of the domain's topology, and how many there are."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.domain.node import Live, Node, NodeRecord
from exporter.domain.registration import Link, Registration
from exporter.domain.status import Status, Transport
from exporter.domain.topology import EdgeRule, Selector
from exporter.exposition.topology import Walk
from exporter.exposition.yielder import Yielder
from tests.support.examples import examples
from tests.support.topology import count_edges, edges

ROLES = st.sampled_from(["lead", "compute", "edge"])
NAMES = [f"n{number}" for number in range(8)]
TYPES = ["vpn_mesh", "gpu_mesh", "nfs"]
SELECTORS = st.builds(
    Selector,
    roles=st.lists(ROLES, max_size=2, unique=True).map(tuple),
    gpu=st.sampled_from([None, True, False]),
)
RULES = st.lists(
    st.builds(EdgeRule, type=st.sampled_from(TYPES), source=SELECTORS, target=SELECTORS),
    max_size=3,
    unique_by=lambda rule: rule.type,
).map(tuple)
LINKS = st.lists(
    st.builds(Link, target=st.sampled_from(NAMES), type=st.sampled_from(TYPES)), max_size=4, unique=True
).map(tuple)
NODES = st.lists(
    st.builds(Registration, name=st.sampled_from(NAMES), role=ROLES, gpus=st.integers(0, 2), links=LINKS),
    max_size=8,
    unique_by=lambda facts: facts.name,
)


@settings(max_examples=examples(300), deadline=None)
@given(nodes=NODES, rules=RULES, limit=st.integers(0, 70))
def test_the_walk_is_the_beginning_of_the_topology(
    nodes: list[Registration], rules: tuple[EdgeRule, ...], limit: int
) -> None:
    """For any nodes, any rules, any limit."""
    live = Live(0, 0, Transport.HTTP, Status.ACTIVE, 0)
    walk = Walk("%s %s %s %s", rules, limit, Yielder())
    asyncio.run(walk.go([Node(NodeRecord(facts, 0, 0), order, live) for order, facts in enumerate(nodes)]))
    first = itertools.islice(edges(nodes, rules), limit)
    assert walk.lines == [f"{edge.source} {edge.target} {edge.type} 1" for edge in first]
    assert walk.total == count_edges(nodes, rules)
