"""What can happen to the mesh, and when."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from exporter.domain.clock import MINUTE


class IncidentKind(enum.StrEnum):
    """What happens; the value is the word of the script."""

    SITE_FAILS = "site_fails"
    """All nodes of a site stop sending heartbeats."""
    NODE_DIES = "node_dies"
    NODE_FLAPS = "node_flaps"
    """No heartbeats for half a period, heartbeats for the other half."""
    NODE_SLEEPS = "node_sleeps"
    """A lid is closed: the node reports `sleeping`, then sends nothing."""
    NODE_LEAVES = "node_leaves"
    """Deregistered, and registered again at the end."""
    GPU_LOST = "gpu_lost"
    """A GPU is lost: its readings are missing."""
    GPU_HOT = "gpu_hot"
    HEARTBEATS_LOST = "heartbeats_lost"
    CLOCK_SKEW = "clock_skew"
    MAINTENANCE = "maintenance"
    DRAIN = "drain"
    NAME_CONFLICT = "name_conflict"
    """Another machine claims the name, once a heartbeat interval."""
    GARBAGE_ON_BUS = "garbage_on_bus"
    """Events that cannot be read."""


NOT_SENDING = frozenset(
    {IncidentKind.SITE_FAILS, IncidentKind.NODE_DIES, IncidentKind.NODE_SLEEPS, IncidentKind.NODE_LEAVES}
)
"""Kinds during which the affected nodes send nothing."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One entry of a script. Times are nanoseconds since the start, before `speed`."""

    kind: IncidentKind
    at_ns: int
    for_ns: int | None = None
    """How long; None: without end."""
    every_ns: int | None = None
    """How long from one beginning to the next; None is once."""
    nodes: tuple[str, ...] = ()
    """Names or patterns such as `desk-*`; if given, nothing else selects."""
    site: str = ""
    role: str = ""
    count: int = 1
    share: float | None = None
    """A share of the nodes that site and role select, instead of `count`."""
    period_ns: int = 6 * MINUTE
    loss: float = 0.3
    offset_ns: int = 90_000_000_000
    gpu: int = 0
    celsius: float = 93.0
    reason: str = ""
    until_ns: int | None = None
    per_minute: int = 60


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """An incident in progress, as its nodes see it."""

    incident: Incident
    began_ns: int


@dataclass(frozen=True, slots=True)
class Condition:
    """The condition of a node at a moment, from all that affects it."""

    sending: bool = True
    loss: float = 0.0
    offset_ns: int = 0
    lost_gpus: frozenset[int] = frozenset()
    hot_gpus: tuple[tuple[int, float], ...] = ()
    """Index and degrees Celsius."""


HEALTHY = Condition()


def condition(faults: list[ActiveFault], now_ns: int) -> Condition:
    """The combined effect of the active faults."""
    if not faults:
        return HEALTHY
    incidents = [fault.incident for fault in faults]
    return Condition(
        sending=not any(_stops_sending(fault, now_ns) for fault in faults),
        loss=max((each.loss for each in incidents if each.kind is IncidentKind.HEARTBEATS_LOST), default=0.0),
        offset_ns=sum(each.offset_ns for each in incidents if each.kind is IncidentKind.CLOCK_SKEW),
        lost_gpus=frozenset(each.gpu for each in incidents if each.kind is IncidentKind.GPU_LOST),
        hot_gpus=tuple((each.gpu, each.celsius) for each in incidents if each.kind is IncidentKind.GPU_HOT),
    )


def _stops_sending(fault: ActiveFault, now_ns: int) -> bool:
    incident = fault.incident
    if incident.kind is IncidentKind.NODE_FLAPS:
        return (now_ns - fault.began_ns) % incident.period_ns < incident.period_ns // 2
    return incident.kind in NOT_SENDING
