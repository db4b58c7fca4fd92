"""The list of nodes that miss GPUs, which two dashboards show."""

from __future__ import annotations

from typing import Any

from grafana.source import ask, look, panels
from grafana.source.page import NODE_LINK
from grafana.source.promql import lost_gpus


def lost_gpus_listing() -> Any:
    """Nodes and how many GPUs they miss."""
    return panels.listing(
        "Lost GPUs",
        "Nodes whose latest heartbeat has fewer GPUs than they are registered with.",
        ask.rows(lost_gpus()),
        columns={"node": "Node", "Value": "Missing"},
        overrides={"Node": [look.links(NODE_LINK)], "Missing": [*look.unit("none", 0), look.width(90)]},
        sort="Missing",
        none="No GPU is missing",
    )
