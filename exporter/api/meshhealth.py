"""Is the mesh healthy, and if not, what is wrong? By the criteria of the alerts and the dashboards."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from time import perf_counter

import msgspec

from exporter.alerting.parameters import RUNBOOKS
from exporter.api.service import Service
from exporter.api.sharing import Shared
from exporter.api.suppression import LEAD, Suppression
from exporter.domain.lifecycle import Phase
from exporter.domain.node import Node
from exporter.domain.status import Status, Transport
from exporter.exposition.yielder import Yielder
from exporter.nodemap.totals import MESH

MAX_PROBLEMS = 200
CHUNK = 500
"""Nodes between two looks at the time."""
LARGE = 500
"""Nodes of a mesh whose health is kept: of a smaller one it is cheap, however busy the machine is."""
KEPT = 10
"""For so many times as long as it took."""


class MeshState(enum.StrEnum):
    """The worst of what holds, in rising order; `empty` says that nobody registered yet."""

    EMPTY = "empty"
    HEALTHY = "healthy"
    WARNING = "warning"
    OFFLINE = "offline"
    SITE_DISRUPTED = "site_disrupted"
    MESH_SUSPECT = "mesh_suspect"
    NOT_RECEIVING = "not_receiving"


_RANK = {state: rank for rank, state in enumerate(MeshState)}
SENTENCES = {
    MeshState.EMPTY: "No node is registered yet",
    MeshState.HEALTHY: "The mesh is healthy",
    MeshState.WARNING: "Nodes are missing heartbeats",
    MeshState.OFFLINE: "Nodes are offline",
    MeshState.SITE_DISRUPTED: "A site is disrupted",
    MeshState.MESH_SUSPECT: "Most of the mesh went missing at once: suspect our own network",
    MeshState.NOT_RECEIVING: "The registry receives no heartbeats: statuses are frozen",
}

MISSING = {
    Status.WARNING: (MeshState.WARNING, "Its heartbeats are missing", "warning", "AuroraNodeWarning"),
    Status.OFFLINE: (MeshState.OFFLINE, "It is offline", "critical", "AuroraNodeOffline"),
}


class MeshProblem(msgspec.Struct, omit_defaults=True):
    """One thing that is wrong. `alert` is the rule that reports it, `runbook` its page.

    Of a node whose own alert is suppressed, the severity is info.
    """

    state: MeshState
    severity: str
    text: str
    alert: str
    runbook: str
    node: str = ""
    site: str = ""


class MeshHealth(msgspec.Struct):
    """The answer of `GET /mesh`."""

    state: MeshState
    healthy: bool
    text: str
    problems: list[MeshProblem]
    problems_omitted: int
    planned: int
    """Nodes in maintenance or draining."""


class SharedMeshHealth:
    """The health of the mesh, worked out once for all who ask at the same time, and of a large mesh kept for a moment.

    Pages and pictures ask for it without limits, and it takes a look at every node.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._latest: Shared[MeshHealth] | None = None
        self._until = 0.0

    async def get(self) -> MeshHealth:
        """How the mesh stands; raises StillLoading."""
        latest = self._latest
        if latest is None or (latest.done() and perf_counter() >= self._until):
            latest = self._latest = Shared(self._work_out())
        return await latest.result()

    async def _work_out(self) -> MeshHealth:
        began = perf_counter()
        health = await mesh_health(self._service)
        cost = perf_counter() - began
        self._until = perf_counter() + cost * KEPT if len(self._service.node_map) >= LARGE else 0.0
        return health


async def mesh_health(service: Service) -> MeshHealth:
    """How the mesh stands now; raises StillLoading."""
    node_map, yielder = service.node_map, Yielder()
    problems = [*_registry(service), *_mesh(service)]
    suppression = Suppression(node_map)
    planned = total = 0
    for position, node in enumerate(list(node_map.nodes())):
        if position % CHUNK == 0:
            await yielder.maybe_yield()
        out_of_service = node.lifecycle.phase is not Phase.IN_SERVICE
        planned += out_of_service
        if (out_of_service and node.lifecycle.overdue(node_map.clock.wall_ns())) or node.status is not Status.ACTIVE:
            total += 1
            if total <= MAX_PROBLEMS:
                problems += _node(node, node_map.clock.wall_ns(), suppression)
    state = max((problem.state for problem in problems), key=_RANK.__getitem__, default=MeshState.HEALTHY)
    if not len(node_map) and state is MeshState.HEALTHY:
        state = MeshState.EMPTY
    problems.sort(key=lambda problem: -_RANK[problem.state])
    text = SENTENCES[state]
    return MeshHealth(
        state, state in (MeshState.HEALTHY, MeshState.EMPTY), text, problems, max(0, total - MAX_PROBLEMS), planned
    )


def _problem(state: MeshState, severity: str, text: str, alert: str, *, node: str = "", site: str = "") -> MeshProblem:
    return MeshProblem(state, severity, text, alert, f"{RUNBOOKS}{alert}.md", node, site)


def _registry(service: Service) -> Iterator[MeshProblem]:
    node_map = service.node_map
    now_ns = node_map.clock.monotonic_ns()
    if all(node_map.reception[transport].blind(now_ns) for transport in Transport):
        text = "The registry receives no heartbeats; every status waits until it does"
        yield _problem(MeshState.NOT_RECEIVING, "critical", text, "AuroraRegistryEventBusDown")
    elif service.event_bus_up is False:
        text = "The event bus is not received; nodes that report over it keep their status"
        yield _problem(MeshState.WARNING, "warning", text, "AuroraRegistryEventBusDown")
    if not service.store_up:
        text = "The store is down; the registry answers from memory and takes no changes"
        yield _problem(MeshState.WARNING, "warning", text, "AuroraRegistryStoreDown")


def _mesh(service: Service) -> Iterator[MeshProblem]:
    totals, disruptions = service.node_map.totals, service.node_map.disruptions
    if disruptions.of(MESH):
        text = "Most nodes of the mesh went missing together; the registry's own connection is the likeliest cause"
        yield _problem(MeshState.MESH_SUSPECT, "critical", text, "AuroraMeshSuspect")
    for site in totals.site_names():
        if disruptions.of(site):
            text = f"Most nodes of the site {site} went missing together"
            yield _problem(MeshState.SITE_DISRUPTED, "critical", text, "AuroraSiteDisrupted", site=site)
    leads = totals.of_role(LEAD)
    if leads[Status.OFFLINE] and leads.total() == leads[Status.OFFLINE] and _lead_in_service(service):
        yield _problem(MeshState.OFFLINE, "critical", "No lead of the mesh is active", "AuroraMeshNoLead")


def _lead_in_service(service: Service) -> bool:
    nodes = service.node_map.nodes()
    return any(node.facts.role == LEAD and node.lifecycle.phase is Phase.IN_SERVICE for node in nodes)


def _node(node: Node, wall_ns: int, suppression: Suppression) -> Iterator[MeshProblem]:
    lifecycle = node.lifecycle
    if lifecycle.phase is not Phase.IN_SERVICE:
        if lifecycle.overdue(wall_ns) and node.status is not Status.ACTIVE:
            text = f"It is in {lifecycle.phase} beyond its end and not active"
            yield _problem(MeshState.WARNING, "warning", text, "AuroraMaintenanceOverdue", node=node.name)
        return
    if node.renamed_to:
        return
    state, text, severity, alert = MISSING[node.status]
    suppressor = next(suppression.standing_for(node), None)
    if suppressor is None:
        yield _problem(state, severity, text, alert, node=node.name)
    else:
        yield _problem(state, "info", f"{text}; {suppressor.by} stands for it", suppressor.by, node=node.name)
