"""Which alert a node has: the same ones, word for word, that `alerts/nodes.rules.yml` gives it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from exporter.alerting.parameters import NON_PRODUCTION, RUNBOOKS
from exporter.domain.lifecycle import Phase
from exporter.domain.node import Node
from exporter.domain.status import Status
from exporter.nodemap.nodemap import NodeMap


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert about one node. Alertmanager knows it by its labels; none of them is empty."""

    node: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_ns: int
    """When the node entered the status (wall clock)."""
    ended_ns: int | None = None
    """When the alert ended (wall clock); None while it fires."""

    @property
    def name(self) -> str:
        """The rule's name for it."""
        return self.labels["alertname"]

    def end(self, wall_ns: int) -> Self:
        """The same alert, over."""
        return replace(self, ended_ns=wall_ns)


def alert_of(node_map: NodeMap, node: Node) -> Alert | None:
    """The alert that the node's status calls for, if nobody took it out of service; None where it calls for none."""
    if node.status is Status.ACTIVE or node.lifecycle.phase is not Phase.IN_SERVICE:
        return None
    facts = node.facts
    missing = f"No heartbeat of {node.name} ({facts.role}, {facts.environment}) came for longer than"
    if node.status is Status.OFFLINE:
        name, severity, summary = "AuroraNodeOffline", "critical", f"Node {node.name} is offline"
        description = (
            f"{missing} thresholds.offline_after. Its GPUs count as lost until its heartbeats are received again."
        )
    else:
        name, severity, summary = "AuroraNodeWarning", "warning", f"Node {node.name} is missing heartbeats"
        description = f"{missing} thresholds.warning_after. If none comes, it will be offline."
    labels = {
        "alertname": name,
        "severity": "info" if facts.environment in NON_PRODUCTION else severity,
        "node": node.name,
        "role": facts.role,
        "environment": facts.environment,
        # Prometheus drops an empty label; kept here, it would make another alert.
        **({"site": facts.site} if facts.site else {}),
    }
    annotations = {"summary": summary, "description": description, "runbook_url": f"{RUNBOOKS}{name}.md"}
    return Alert(node.name, labels, annotations, node_map.wall_time.at(node.status_since_ns))
