"""Every family about nodes, sites and the mesh: the table of contents of `/metrics`."""

from __future__ import annotations

from exporter.domain.lifecycle import Phase
from exporter.domain.status import Status
from exporter.exposition import meshfamilies, render
from exporter.exposition.family import Family, LiveFamily, MeshFamily, NodeFamily, Type
from exporter.exposition.healthfamilies import HEALTH
from exporter.nodemap.changes import Change

_STATUS = frozenset({Change.STATUS})
# A record that differs in anything but the registration is reported as a change of the lifecycle.
_RECORD = frozenset({Change.LIFECYCLE})
_REPORT = frozenset({Change.REPORT})
_SUPPRESSION = frozenset({Change.SUPPRESSION})
_READINGS = frozenset({Change.REPORT, Change.STATUS})
_HEALTH = frozenset({Change.HEALTH, Change.STATUS})

HELD = NodeFamily(
    name="aurora_node_status_held",
    help="1 while the node's status is frozen because the registry does not receive its heartbeats.",
    lines=render.each(lambda _: 0),
)
EDGE_INFO = Family(
    name="aurora_topology_edge_info",
    help="A connection between two registered nodes.",
    type=Type.INFO,
    labels=("source", "target", "type"),
)
EDGES_OMITTED = Family(
    name="aurora_topology_edges_omitted",
    help="Connections left out because there are more than the setting topology.max_edges.",
    labels=(),
)

FAMILIES: tuple[Family, ...] = (
    NodeFamily(
        name="aurora_node_info",
        help="Facts that the node was registered with; always 1.",
        type=Type.INFO,
        labels=("node", "role", "vpn_ip", "public_ip", "gpu_type", "os", "environment", "site"),
        lines=render.info,
    ),
    NodeFamily(
        name="aurora_node_status",
        help="The node's status, from its heartbeat age: 1 for the current one, 0 for the others.",
        labels=("node", "status"),
        lines=render.one_of(Status, lambda node: node.status),
        changed_by=_STATUS,
    ),
    HELD,
    NodeFamily(
        name="aurora_node_gpus",
        help="GPUs that the node is registered with.",
        lines=render.each(lambda node: node.facts.gpus),
    ),
    NodeFamily(
        name="aurora_node_gpu_memory_bytes",
        help="VRAM of all the node's GPUs together, as registered.",
        lines=render.each(lambda node: node.facts.gpu_memory_bytes),
    ),
    LiveFamily(
        name="aurora_node_last_seen_timestamp_seconds",
        help="Time of the node's last heartbeat, by the registry's clock.",
        seconds=render.last_seen,
    ),
    LiveFamily(
        name="aurora_node_last_seen_age_seconds",
        help="Time since the node's last heartbeat, measured by a monotonic clock.",
        seconds=render.ages,
    ),
    NodeFamily(
        name="aurora_node_registered_timestamp_seconds",
        help="When the node was first registered.",
        lines=render.each(lambda node: render.seconds(node.record.registered_at_ns)),
        changed_by=_RECORD,
    ),
    NodeFamily(
        name="aurora_node_status_transitions_total",
        help="How often the node entered the status, since the registry started.",
        type=Type.COUNTER,
        labels=("node", "status"),
        lines=render.entered,
        changed_by=_STATUS,
    ),
    NodeFamily(
        name="aurora_node_lifecycle",
        help="The node's lifecycle, set by people: 1 for the current one, 0 for the others.",
        labels=("node", "lifecycle"),
        lines=render.one_of(Phase, lambda node: node.lifecycle.phase),
        changed_by=_RECORD,
    ),
    NodeFamily(
        name="aurora_node_lifecycle_until_timestamp_seconds",
        help="When the node's draining or maintenance ends.",
        lines=render.each(
            lambda node: None if node.lifecycle.phase is Phase.IN_SERVICE else render.seconds(node.lifecycle.until_ns)
        ),
        changed_by=_RECORD,
    ),
    NodeFamily(
        name="aurora_node_disruption_start_timestamp_seconds",
        help="Start of the disruption of its site or of the mesh with which the node went missing; absent without one.",
        labels=("node", "scope"),
        lines=render.disruptions,
        changed_by=_SUPPRESSION,
    ),
    NodeFamily(
        name="aurora_node_renamed_info",
        help="1 for a name that is missing because the same machine registered under another one; absent otherwise.",
        type=Type.INFO,
        labels=("node", "to"),
        lines=render.renames,
        changed_by=_SUPPRESSION,
    ),
    NodeFamily(
        name="aurora_node_clock_offset_seconds",
        help="The node's clock minus the registry's, at its latest heartbeat.",
        lines=render.each(lambda node: None if node.clock_offset_ns is None else render.seconds(node.clock_offset_ns)),
        changed_by=_REPORT,
    ),
    NodeFamily(
        name="aurora_node_heartbeats_missed_total",
        help="Heartbeats that the node sent and that did not arrive, from gaps in their sequence numbers.",
        type=Type.COUNTER,
        lines=render.each(lambda node: node.missed),
        changed_by=_REPORT,
    ),
    NodeFamily(
        name="aurora_node_name_conflicts_total",
        help="Claims of the node's name by another machine: refused registrations, and turns that two agents take"
        " under it.",
        type=Type.COUNTER,
        lines=render.each(lambda node: node.conflicts),
        changed_by=_REPORT,
    ),
    NodeFamily(
        name="aurora_node_cost_usd_per_hour",
        help="What the node costs, as registered.",
        lines=render.each(
            lambda node: None if node.facts.cost_usd_per_hour is None else render.number(node.facts.cost_usd_per_hour)
        ),
    ),
    NodeFamily(
        name="aurora_node_agent_info",
        help="The agent that registered the node, and its version; always 1.",
        type=Type.INFO,
        labels=("node", "agent", "version"),
        lines=render.agents,
    ),
    NodeFamily(
        name="aurora_node_gpus_observed",
        help="GPUs that the node reports now; fewer than aurora_node_gpus: one is lost.",
        lines=render.each(lambda node: node.gpus_observed),
        changed_by=_REPORT,
    ),
    NodeFamily(
        name="aurora_node_gpu_utilization_ratio",
        help="How busy the GPU is, from 0 to 1.",
        labels=("node", "gpu", "uuid"),
        lines=render.per_gpu(lambda reading: reading.utilization),
        changed_by=_READINGS,
    ),
    NodeFamily(
        name="aurora_node_gpu_memory_used_bytes",
        help="VRAM in use on the GPU.",
        labels=("node", "gpu", "uuid"),
        lines=render.per_gpu(lambda reading: reading.memory_used_bytes),
        changed_by=_READINGS,
    ),
    NodeFamily(
        name="aurora_node_gpu_temperature_celsius",
        help="Temperature of the GPU.",
        labels=("node", "gpu", "uuid"),
        lines=render.per_gpu(lambda reading: reading.temperature_celsius),
        changed_by=_READINGS,
    ),
    NodeFamily(
        name="aurora_node_gpu_power_watts",
        help="Power that the GPU draws.",
        labels=("node", "gpu", "uuid"),
        lines=render.per_gpu(lambda reading: reading.power_watts),
        changed_by=_READINGS,
    ),
    *(
        NodeFamily(
            name=f"aurora_node_gpu_{name}",
            help=text,
            type=Type.COUNTER if name.endswith("_total") else Type.GAUGE,
            labels=("node", "gpu", "uuid", *more),
            lines=lines,
            changed_by=_HEALTH,
        )
        for name, more, lines, text in HEALTH
    ),
    MeshFamily(
        name="aurora_mesh_nodes",
        help="Registered nodes.",
        labels=("role", "status"),
        texts=meshfamilies.by_role,
    ),
    MeshFamily(
        name="aurora_mesh_gpus",
        help="GPUs of registered nodes.",
        labels=("status",),
        texts=meshfamilies.by_status(lambda totals: totals.gpus),
    ),
    MeshFamily(
        name="aurora_mesh_gpu_memory_bytes",
        help="VRAM of registered nodes.",
        labels=("status",),
        texts=meshfamilies.by_status(lambda totals: totals.gpu_memory_bytes),
    ),
    MeshFamily(
        name="aurora_site_nodes",
        help="Registered nodes that name a site.",
        labels=("site", "status"),
        texts=meshfamilies.by_site,
    ),
    MeshFamily(
        name="aurora_site_disrupted",
        help="1 while so many of the site's nodes are without heartbeats that it is one incident.",
        labels=("site",),
        texts=meshfamilies.disrupted,
    ),
    MeshFamily(
        name="aurora_site_disruption_start_timestamp_seconds",
        help="Start of the site's disruption, until most of its nodes are back or it is old; absent without one.",
        labels=("site",),
        texts=meshfamilies.site_disruptions,
    ),
    MeshFamily(
        name="aurora_mesh_disruption_start_timestamp_seconds",
        help="Start of the whole mesh's disruption, until most nodes are back or it is old; absent without one.",
        labels=(),
        texts=meshfamilies.mesh_disruption,
    ),
    EDGE_INFO,
    EDGES_OMITTED,
)
