"""The registry's answers as types. Keys that are not known here are passed over."""

from __future__ import annotations

from typing import Any

import msgspec


class GpuReading(msgspec.Struct, frozen=True):
    """One GPU as its node's last heartbeat described it; None is what the node could not read."""

    index: int
    uuid: str = ""
    utilization: float | None = None
    memory_used_bytes: int | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None


class Node(msgspec.Struct, frozen=True):
    """A document of `GET /nodes` and `GET /nodes/{name}`."""

    name: str
    role: str
    status: str
    last_seen: str
    registered_at: str
    vpn_ip: str = ""
    public_ip: str = ""
    capabilities: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    lifecycle: str = "in_service"
    transport: str = ""
    lifecycle_reason: str = ""
    lifecycle_until: str = ""
    held: bool = False
    held_since: str = ""
    suppressed_by: tuple[str, ...] = ()
    reported_status: str | None = None
    gpus: list[GpuReading] = []

    @property
    def gpu_count(self) -> int:
        """GPUs that it registered with; `gpu: true` without a count is one."""
        count = self.capabilities.get("gpu_count")
        if isinstance(count, int) and not isinstance(count, bool):
            return count
        return 1 if self.capabilities.get("gpu") is True else 0

    @property
    def vram_gb(self) -> float:
        """VRAM of all its GPUs together, as it registered it."""
        memory = self.capabilities.get("gpu_memory")
        return float(memory) if isinstance(memory, int | float) and not isinstance(memory, bool) else 0.0

    @property
    def gpu_label(self) -> str:
        """Its GPUs at a glance: `2x RTX 4090`, or `-`."""
        if self.gpu_count < 1:
            return "-"
        return f"{self.gpu_count}x {self.capabilities.get('gpu_type') or 'GPU'}"


class Registered(Node, frozen=True, kw_only=True):
    """The answer to a registration: the node's document, and how often the registry wants its heartbeats."""

    heartbeat_interval_seconds: float
    token: str = ""
    """The node's own, where tokens are asked for."""
    agent_upgrade: dict[str, str] | None = None
    """Where the agent is older than the registry: version, path and SHA-256 of the one that the registry serves."""


class NodePage(msgspec.Struct, frozen=True):
    """`GET /nodes`; `next` names the node after which the next page begins."""

    nodes: dict[str, Node]
    next: str = ""
    total: int = 0
    active: int = 0
    timestamp: str = ""


class LastHeartbeat(msgspec.Struct, frozen=True):
    """When, over what, and how long ago by the registry's monotonic clock."""

    at: str
    transport: str
    age_seconds: float


class Outage(msgspec.Struct, frozen=True):
    """Time in which the registry could not receive; without `to` it still cannot."""

    from_: str = msgspec.field(name="from")
    to: str = ""
    grace_until: str = ""


class NextStatus(msgspec.Struct, frozen=True):
    """What the next threshold brings; `in_seconds` is None while the registry is blind."""

    status: str
    in_seconds: float | None


class Lifecycle(msgspec.Struct, frozen=True):
    """Where people, or the node itself, put it."""

    phase: str
    reason: str = ""
    until: str = ""
    set_by: str = ""
    overdue: bool = False


class Thresholds(msgspec.Struct, frozen=True):
    """The settings that turn an age into a status."""

    heartbeat_interval_seconds: float
    warning_after_seconds: float
    offline_after_seconds: float
    forget_after_seconds: float


class Ignored(msgspec.Struct, frozen=True):
    """A part of the latest heartbeat that was left out."""

    field: str
    message: str


class Accepted(msgspec.Struct, frozen=True):
    """The answer to a heartbeat that was accepted without some of its readings."""

    ignored: list[Ignored] = []


class Rejected(msgspec.Struct, frozen=True):
    """A heartbeat of many that was refused; `index` is its place, from 0."""

    index: int
    error: str


class IgnoredOfMany(Ignored, frozen=True, kw_only=True):
    """A part of one of many heartbeats that was left out."""

    index: int


class HeartbeatsAccepted(msgspec.Struct, frozen=True):
    """The answer of `POST /heartbeats`."""

    accepted: int
    rejected: list[Rejected]
    ignored: list[IgnoredOfMany] = []


class Why(msgspec.Struct, frozen=True):
    """`GET /nodes/{name}/why`."""

    node: str
    status: str
    status_since: str
    last_heartbeat: LastHeartbeat
    counted_age_seconds: float
    not_counted_seconds: float
    not_counted: list[Outage]
    held: bool
    next: NextStatus
    lifecycle: Lifecycle
    suppressed: list[str]
    thresholds: Thresholds
    timestamp: str
    held_since: str = ""
    ignored: list[Ignored] = []
    pages: bool = True
    """False where the node's environment makes its alerts info."""


class Vertex(msgspec.Struct, frozen=True):
    """A node of `GET /topology`."""

    id: str
    status: str
    label: str = ""
    role: str = ""
    vpn_ip: str = ""
    capabilities: dict[str, Any] = {}


class Connection(msgspec.Struct, frozen=True):
    """One directed connection."""

    source: str
    target: str
    type: str


class Topology(msgspec.Struct, frozen=True):
    """`GET /topology`."""

    nodes: list[Vertex]
    connections: list[Connection]
    connections_omitted: int = 0
    timestamp: str = ""


class Stats(msgspec.Struct, frozen=True):
    """`GET /stats`; VRAM in GB of 2^30 bytes."""

    total_nodes: int
    active_nodes: int
    warning_nodes: int
    offline_nodes: int
    nodes_by_role: dict[str, int]
    total_gpus: int
    total_vram_gb: float
    active_gpus: int
    active_vram_gb: float
    timestamp: str = ""


class Transition(msgspec.Struct, frozen=True):
    """One change of status."""

    from_: str = msgspec.field(name="from")
    to: str
    at: str


class NodeTransitions(msgspec.Struct, frozen=True):
    """`GET /nodes/{name}/transitions`, newest first."""

    node: str
    transitions: list[Transition]


class RecentTransition(msgspec.Struct, frozen=True):
    """One change of one node's status."""

    node: str
    from_: str = msgspec.field(name="from")
    to: str
    at: str


class Departure(msgspec.Struct, frozen=True):
    """A node that is gone; `reason` is `departed` or `forgotten`."""

    node: str
    reason: str
    at: str


class AuditEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change that a person or a program made; `by` is the token's or user's name, or what let it in."""

    at: str
    action: str
    by: str
    node: str = ""
    address: str = ""
    request_id: str = ""
    detail: str = ""


class AuditLog(msgspec.Struct, frozen=True):
    """`GET /audit`, newest first."""

    entries: list[AuditEntry]


class Recent(msgspec.Struct, frozen=True):
    """`GET /transitions`, newest first."""

    since: str
    transitions: list[RecentTransition]
    departures: list[Departure]
    timestamp: str
    complete: bool = True


class TargetGroup(msgspec.Struct, frozen=True):
    """One of `GET /sd/prometheus`."""

    targets: list[str]
    labels: dict[str, str]


class Health(msgspec.Struct, frozen=True):
    """`GET /health`; `status` is `ok` or `degraded`."""

    status: str
    store: str
    event_bus: str
    nodes: int
    version: str
    uptime_seconds: float
    store_durable: bool = True


class Session(msgspec.Struct, frozen=True):
    """`GET /ui/session`: what the status page has to know of the registry and of its reader."""

    version: str
    may_write: bool
    refusal: str
    telemetry_path: str
    heartbeat_interval_seconds: float
    warning_after_seconds: float
    offline_after_seconds: float
    prometheus_url: str
