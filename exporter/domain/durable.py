"""What outlives the process: what the node map hands to a store, and what it starts from."""

from __future__ import annotations

from dataclasses import dataclass, field

from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.status import Status, Transport
from exporter.domain.transition import Transition


@dataclass(frozen=True, slots=True)
class LastHeartbeat:
    """A node's last heartbeat: when (wall clock) and over which transport."""

    last_seen_ns: int
    transport: Transport


@dataclass(frozen=True, slots=True)
class Mark:
    """The proof that a registry was hearing, and the blind outages before it. Wall clock, nanoseconds."""

    alive_ns: int
    outages: dict[Transport, list[tuple[int, int]]] = field(default_factory=dict)
    """For each transport the outages that may still matter, oldest first: blind from, hearing again at."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What changed since the last batch. A name stands in `records` or in `tombstones`, never in both."""

    records: dict[str, NodeRecord] = field(default_factory=dict)
    tombstones: dict[str, Tombstone] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)
    """In the order in which they happened."""
    heartbeats: dict[str, LastHeartbeat] = field(default_factory=dict)
    """May name a node that the batch or another registry removed: then it is dropped."""
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class StoredNode:
    """One node as the store has it."""

    record: NodeRecord
    last_heartbeat: LastHeartbeat
    status: Status
    status_since_ns: int
    """When the last recorded transition happened; the registration's time where there is none."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a registry starts from."""

    nodes: list[StoredNode] = field(default_factory=list)
    """In order of registration."""
    tombstones: list[Tombstone] = field(default_factory=list)
    mark: Mark | None = None
    """The freshest mark of any registry on this store."""


@dataclass(frozen=True, slots=True)
class Recent:
    """What happened lately in the whole mesh, newest first; at one time, by name backwards."""

    transitions: list[Transition] = field(default_factory=list)
    tombstones: list[Tombstone] = field(default_factory=list)
    """Of the nodes that are gone still: one that registered again has none."""
