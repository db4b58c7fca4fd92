"""What can befall the mesh, and when."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from exporter.domain.clock import MINUTE


class Kind(enum.StrEnum):
    """What happens; the value is the word of the script."""

    SITE_FAILS = "site_fails"
    """All nodes of a site fall silent."""
    NODE_DIES = "node_dies"
    NODE_FLAPS = "node_flaps"
    """Silent for half a period, heard for the other half."""
    NODE_SLEEPS = "node_sleeps"
    """A lid is closed: the node says so, and is quiet."""
    NODE_LEAVES = "node_leaves"
    """Deregistered, and registered again at the end."""
    GPU_LOST = "gpu_lost"
    """A GPU fell off: its readings are missing."""
    GPU_HOT = "gpu_hot"
    HEARTBEATS_LOST = "heartbeats_lost"
    CLOCK_SKEW = "clock_skew"
    MAINTENANCE = "maintenance"
    DRAIN = "drain"
    NAME_CONFLICT = "name_conflict"
    """Another machine claims the name, once a heartbeat interval."""
    GARBAGE_ON_BUS = "garbage_on_bus"
    """Events that nobody can read."""


SILENT = frozenset({Kind.SITE_FAILS, Kind.NODE_DIES, Kind.NODE_SLEEPS, Kind.NODE_LEAVES})
"""Kinds during which nothing is heard of their nodes."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One entry of a script. Times are nanoseconds since the start, before any pace."""

    kind: Kind
    at_ns: int
    for_ns: int | None = None
    """How long; None is for good."""
    every_ns: int | None = None
    """How long from one beginning to the next; None is once."""
    nodes: tuple[str, ...] = ()
    """Names or patterns such as `desk-*`; with them nothing else chooses."""
    site: str = ""
    role: str = ""
    count: int = 1
    share: float | None = None
    """A part of all that site and role leave; it stands instead of `count`."""
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
    """An incident that is going on, as the nodes that it befell know it."""

    incident: Incident
    began_ns: int


@dataclass(frozen=True, slots=True)
class Condition:
    """How a node is at a moment, by all that has affected it."""

    silent: bool = False
    loss: float = 0.0
    offset_ns: int = 0
    lost_gpus: frozenset[int] = frozenset()
    hot_gpus: tuple[tuple[int, float], ...] = ()
    """Index and degrees Celsius."""


HEALTHY = Condition()


def condition(afflictions: list[ActiveFault], now_ns: int) -> Condition:
    """What the afflictions come to together."""
    if not afflictions:
        return HEALTHY
    incidents = [affliction.incident for affliction in afflictions]
    return Condition(
        silent=any(_silent(affliction, now_ns) for affliction in afflictions),
        loss=max((each.loss for each in incidents if each.kind is Kind.HEARTBEATS_LOST), default=0.0),
        offset_ns=sum(each.offset_ns for each in incidents if each.kind is Kind.CLOCK_SKEW),
        lost_gpus=frozenset(each.gpu for each in incidents if each.kind is Kind.GPU_LOST),
        hot_gpus=tuple((each.gpu, each.celsius) for each in incidents if each.kind is Kind.GPU_HOT),
    )


def _silent(affliction: ActiveFault, now_ns: int) -> bool:
    incident = affliction.incident
    if incident.kind is Kind.NODE_FLAPS:
        return (now_ns - affliction.began_ns) % incident.period_ns < incident.period_ns // 2
    return incident.kind in SILENT
