from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.registration import Link, Registration
from exporter.domain.topology import DEFAULT_RULES, EdgeRule, Selector
from tests.support.topology import Edge, count_edges, edges

LEAD = Registration("aurora", role="lead")
RUNPOD = Registration("runpod-tx", gpus=2)
BOOK = Registration("robbiebook1")

TYPES = ["mesh", "nfs", "backup"]
ROLES = ["lead", "compute", "edge"]
SELECTORS = st.builds(
    Selector,
    roles=st.lists(st.sampled_from(ROLES), max_size=2, unique=True).map(tuple),
    gpu=st.sampled_from([None, True, False]),
)
RULES = st.lists(
    st.builds(EdgeRule, type=st.sampled_from(TYPES), source=SELECTORS, target=SELECTORS),
    unique_by=lambda rule: rule.type,
).map(tuple)
NAMES = [f"n{index}" for index in range(6)]
LINKS = st.lists(
    st.builds(Link, target=st.sampled_from([*NAMES, "unknown"]), type=st.sampled_from(TYPES)), max_size=3, unique=True
).map(tuple)
NODES = st.lists(
    st.builds(
        Registration,
        name=st.sampled_from(NAMES),
        role=st.sampled_from(ROLES),
        gpus=st.integers(0, 2),
        links=LINKS,
    ),
    unique_by=lambda facts: facts.name,
)


def test_the_default_rules_give_the_mesh_of_the_lead():
    """The lead reaches every other node twice over; nodes with GPUs reach the lead."""
    assert list(edges([LEAD, RUNPOD, BOOK], DEFAULT_RULES)) == [
        Edge("aurora", "runpod-tx", "vpn_mesh"),
        Edge("aurora", "robbiebook1", "vpn_mesh"),
        Edge("aurora", "runpod-tx", "db_replication"),
        Edge("aurora", "robbiebook1", "db_replication"),
        Edge("runpod-tx", "aurora", "gpu_mesh"),
    ]


def test_a_lead_with_gpus_does_not_reach_itself():
    assert list(edges([Registration("aurora", role="lead", gpus=1)], DEFAULT_RULES)) == []


def test_a_selector_names_roles_gpus_or_nothing():
    assert Selector().matches(BOOK)
    assert Selector(roles=("lead", "compute")).matches(BOOK)
    assert not Selector(roles=("lead",)).matches(BOOK)
    assert Selector(gpu=True).matches(RUNPOD)
    assert not Selector(gpu=True).matches(BOOK)
    assert Selector(gpu=False).matches(BOOK)
    assert not Selector(roles=("lead",), gpu=True).matches(RUNPOD)


def test_links_to_registered_nodes_are_edges():
    """A link to an unknown node or to itself is left out, and one that a rule makes too appears once."""
    links = (Link("aurora", "nfs"), Link("gone", "nfs"), Link("book", "nfs"), Link("aurora", "gpu_mesh"))
    book = Registration("book", gpus=1, links=links)

    assert list(edges([LEAD, book], DEFAULT_RULES)) == [
        Edge("aurora", "book", "vpn_mesh"),
        Edge("aurora", "book", "db_replication"),
        Edge("book", "aurora", "gpu_mesh"),
        Edge("book", "aurora", "nfs"),
    ]


@given(NODES, RULES)
def test_each_edge_stands_once_between_two_registered_nodes(nodes, rules):
    found = list(edges(nodes, rules))
    names = {facts.name for facts in nodes}

    assert len(set(found)) == len(found)
    assert all(edge.source != edge.target and {edge.source, edge.target} <= names for edge in found)


@given(NODES, RULES)
def test_edges_are_counted_without_walking_them(nodes, rules):
    assert count_edges(nodes, rules) == len(list(edges(nodes, rules)))
