"""Topology: which nodes are connected, and the status of each."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.models.dashboard import Dashboard, DataTransformerConfig

from grafana.source import ask, look, panels
from grafana.source.page import NODE_LINK, Page
from grafana.source.promql import is_active, most, of

SITE = 'site=~"$site"'
TYPE = 'type=~"$type"'
IN_SITE = f"max by (node) ({of('aurora_node_info', SITE)})"


def page() -> Dashboard:
    """The dashboard."""
    return (
        Page("aurora-topology", "Aurora / Topology", "How nodes are connected, and the status of each.")
        .asked("type", "Connection", f"label_values({of('aurora_topology_edge_info')}, type)", every=True)
        .asked("site", "Site", f"label_values({of('aurora_node_info')}, site)", every=True)
        .row(4, *_first_look())
        .row(22, (_graph(), 24))
        .row(9, (_connections(), 16), (_busiest(), 8))
        .build()
    )


def _first_look() -> list[tuple[Any, int]]:
    return [
        (
            panels.number(
                "Nodes",
                "Nodes of the chosen sites.",
                ask.now(f"count({IN_SITE})"),
            ),
            6,
        ),
        (
            panels.number(
                "Connections",
                "Connections of the chosen kinds between nodes of the chosen sites.",
                ask.now(f"count({_edges()})"),
                colour=look.AMOUNT,
                none="0",
            ),
            6,
        ),
        (
            panels.number(
                "With an end that is not active",
                "Connections that lead to or from a node in warning or offline.",
                ask.now(f"count({_edges()} unless ({_ends_active()})) or vector(0)"),
                colour=look.steps(look.PLAIN, (1, look.SUSPICIOUS)),
            ),
            6,
        ),
        (
            panels.number(
                "Not shown",
                "Connections that the registry leaves out because there are more than topology.max_edges.",
                ask.now(f"max({of('aurora_topology_edges_omitted')})"),
                none="0",
            ),
            6,
        ),
    ]


def _edges() -> str:
    """The chosen connections whose both ends are shown: the graph refuses an edge that leads nowhere."""
    return (
        f"{most('aurora_topology_edge_info', 'source', 'target', 'type', where=(TYPE,))}"
        f" and on (source) {_as('source', IN_SITE)} and on (target) {_as('target', IN_SITE)}"
    )


def _ends_active() -> str:
    active = is_active()
    return f"{_edges()} and on (source) {_as('source', active)} and on (target) {_as('target', active)}"


def _as(label: str, expr: str) -> str:
    return f'label_replace({expr}, "{label}", "$1", "node", "(.*)")'


def _share(status: str) -> str:
    """1 for the nodes in this status; registries that disagree share the ring."""
    in_status = of("aurora_node_status", f'status="{status}"')
    return f"avg by (node) ({in_status})"


def _graph() -> Any:
    named = _as("id", _share("active"))
    facts = (
        f"{named}\n* on (node) group_left (role, site, gpu_type)\n"
        f"topk by (node) (1, max by (node, role, site, gpu_type) ({of('aurora_node_info', SITE)}))\n"
        "* on (node) group_left (status)\n"
        f"topk by (node) (1, {most('aurora_node_status', 'node', 'status')} == 1)"
    )
    titled = f'label_replace({facts}, "title", "$1", "node", "(.*)")'
    placed = f'label_join({titled}, "subtitle", " · ", "role", "site")'
    nodes = (
        f'label_replace(label_replace({placed}, "mainstat", "$1", "status", "(.*)"),'
        ' "secondarystat", "$1", "gpu_type", "(.*)")'
    )
    identified = f'label_join({_edges()}, "id", " → ", "source", "target", "type")'
    edges = f'label_replace({identified}, "mainstat", "$1", "type", "(.*)")'
    return panels.graph(
        "Nodes and connections",
        "A node's ring has the colour of its status; under it stand its role and site. Drag, zoom, and click a node"
        " for its own dashboard. Grafana shows 200 nodes at a time and unfolds the others.",
        ask.rows(nodes, ref="nodes"),
        ask.rows(_as("id", f"{_share('warning')} and on (node) {IN_SITE}"), ref="warning"),
        ask.rows(_as("id", f"{_share('offline')} and on (node) {IN_SITE}"), ref="offline"),
        ask.rows(edges, ref="edges"),
        transformations=[
            DataTransformerConfig(
                id_val="joinByField",
                filter_val=NOT_EDGES,
                options={"byField": "id", "mode": "outer"},
            ),
            *(_arc(f"arc__{status}", f"Value #{ref}") for status, ref in ARCS.items()),
        ],
        arcs={f"arc__{status}": look.STATUS_COLOURS[status] for status in ARCS},
        overrides={"id": [look.links(NODE_LINK)]},
    )


NOT_EDGES = look.matcher("byRefId", "/^(?!edges$)/")
"""The frames that describe nodes. Unless transformations are kept to one of them, they join all by time."""
ARCS = {"active": "nodes", "warning": "warning", "offline": "offline"}
"""The query that gives each status its part of the ring."""


def _arc(alias: str, field: str) -> DataTransformerConfig:
    """A field under a name that the graph looks for: a copy, since renaming would change the shown name only."""
    return DataTransformerConfig(
        id_val="calculateField",
        filter_val=NOT_EDGES,
        options={"mode": "reduceRow", "reduce": {"include": [field], "reducer": "sum"}, "alias": alias},
    )


def _connections() -> Any:
    def status_of(end: str) -> str:
        statuses = f"topk by (node) (1, {most('aurora_node_status', 'node', 'status')} == 1)"
        renamed = f'label_replace({_as(end, statuses)}, "{end}_status", "$1", "status", "(.*)")'
        return f"\n* on ({end}) group_left ({end}_status)\n{renamed}"

    return panels.listing(
        "Connections",
        "By the rules under topology in the configuration, and as nodes state them in links.",
        ask.rows(f"({_edges()}){status_of('source')}{status_of('target')}"),
        columns={
            "source": "From",
            "source_status": "From is",
            "type": "Kind",
            "target": "To",
            "target_status": "To is",
        },
        overrides={"From is": look.mapped(look.STATUS_TEXTS), "To is": look.mapped(look.STATUS_TEXTS)},
        none="No connections",
    )


def _busiest() -> Any:
    return panels.ranking(
        "Connections by kind",
        "How many there are of each kind.",
        ask.now(f"sort_desc(count by (type) ({_edges()}))", "{{type}}"),
        unit="none",
    )
