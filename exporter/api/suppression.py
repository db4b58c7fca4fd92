"""What suppresses the alert of a node's status: one judgement for documents, `why` and the health of the mesh."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.domain.clock import SECOND
from exporter.domain.lifecycle import Phase
from exporter.domain.node import Node, Scope
from exporter.domain.status import Status
from exporter.domain.timestamp import format_timestamp
from exporter.nodemap.nodemap import NodeMap
from exporter.nodemap.suppression import missing_since_ns

LEAD = "lead"


@dataclass(frozen=True, slots=True)
class Suppressor:
    """`by`: the alert that stands for the node's own, or what the node became; empty for what documents say anyway."""

    by: str
    text: str


class Suppression:
    """As the rules have it at one moment: make a new one after every pause.

    An alert that began before what would suppress it goes on. The rules make one begin a heartbeat interval and two
    scrapes after the status; twice the heartbeat interval is that, as shipped.
    """

    def __init__(self, node_map: NodeMap) -> None:
        self._node_map = node_map
        self._now_ns, self._wall_ns = node_map.clock.monotonic_ns(), node_map.clock.wall_ns()
        self._wait_ns = 2 * node_map.thresholds.heartbeat_interval
        self._no_lead_since_ns: int | None = None

    def of(self, node: Node) -> Iterator[Suppressor]:
        """What keeps the alert of the node's status (of an active node: any new one) from being sent; none: it is."""
        if node.lifecycle.phase is not Phase.IN_SERVICE:
            yield self._planned(node)
        held_since_ns = self._node_map.held_since_ns(node, self._now_ns)
        if held_since_ns is not None and not self._began_before(node, held_since_ns):
            yield Suppressor(
                "", "its status is frozen: no registry receives its heartbeats, or not for long enough yet"
            )
        yield from self.standing_for(node)

    def standing_for(self, node: Node) -> Iterator[Suppressor]:
        """What stands for the node's alert while it is in service."""
        if node.status is Status.ACTIVE or node.lifecycle.phase is not Phase.IN_SERVICE:
            return
        node_map, offline_ns = self._node_map, node.status_since_ns
        scopes = {
            each.scope
            for each in node.disruptions
            if not self._began_before(node, offline_ns + each.began_ns - node_map.wall_time.at(offline_ns))
        }
        if Scope.MESH in scopes:
            yield Suppressor(
                "AuroraMeshSuspect", "it went missing together with most of the mesh: AuroraMeshSuspect stands for it"
            )
        if Scope.SITE in scopes:
            yield Suppressor(
                "AuroraSiteDisrupted",
                f"it went missing together with its site {node.facts.site}: AuroraSiteDisrupted stands for it",
            )
        if node.renamed_to:
            name = node.renamed_to
            yield Suppressor(f"renamed to {name}", f"the same machine registered as {name} after its last heartbeat")
        if not scopes and self._without_lead(node):
            yield Suppressor("AuroraMeshNoLead", "no lead of the mesh is active: AuroraMeshNoLead stands for it")

    def _planned(self, node: Node) -> Suppressor:
        lifecycle = node.lifecycle
        if lifecycle.overdue(self._wall_ns):
            text = f"it is in {lifecycle.phase} beyond its end: AuroraMaintenanceOverdue stands for it"
        else:
            text = f"it is in {lifecycle.phase} until {format_timestamp(lifecycle.until_ns // SECOND * SECOND)}"
        return Suppressor("", text)

    def _began_before(self, node: Node, moment_ns: int) -> bool:
        return node.status is not Status.ACTIVE and moment_ns - node.status_since_ns >= self._wait_ns

    def _without_lead(self, node: Node) -> bool:
        """Whether the node is a lead whose AuroraNodeOffline AuroraMeshNoLead came before."""
        node_map = self._node_map
        if node.facts.role != LEAD or node.status is not Status.OFFLINE or node_map.totals.of_role(LEAD)[Status.ACTIVE]:
            return False
        if self._no_lead_since_ns is None:
            thresholds = node_map.thresholds
            leads = (each for each in node_map.nodes() if each.facts.role == LEAD)
            latest_ns = max(missing_since_ns(each, thresholds) for each in leads)
            offline_ns = latest_ns + thresholds.offline_after - thresholds.warning_after
            # Its own wait is a scrape: half a heartbeat interval, as shipped.
            self._no_lead_since_ns = offline_ns + thresholds.heartbeat_interval // 2
        return not self._began_before(node, self._no_lead_since_ns)
