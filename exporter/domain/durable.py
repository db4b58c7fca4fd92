"""What outlives the process: what the node map hands to a store, and what it starts from."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.status import Status, Transport
from exporter.domain.transition import Transition


class LastHeartbeat(msgspec.Struct, frozen=True, gc=False):
    """A node's last heartbeat: over which transport it came, when, and through which registry."""

    last_seen_ns: int
    """On the wall clock: for people."""
    transport: Transport
    stamp_ns: int = 0
    """In mesh time: of two heartbeats the later stamp stands. The first format has none: there the wall clock is it."""
    via: str = ""
    """The registry that received it over HTTP; empty for the bus, from which every registry receives."""

    def __post_init__(self) -> None:
        if not self.stamp_ns:
            msgspec.structs.force_setattr(self, "stamp_ns", self.last_seen_ns)


@dataclass(frozen=True, slots=True)
class Mark:
    """The proof that a registry received heartbeats, and the outages before it. Mesh time, nanoseconds."""

    alive_ns: int
    outages: dict[Transport, list[tuple[int, int]]] = field(default_factory=dict)
    """For each transport the outages that may still matter, oldest first: blind from, receiving again from."""
    wall_ns: int = 0
    """The wall clock then: the next start derives how long nothing ran. `alive_ns` in the first format."""

    def __post_init__(self) -> None:
        if not self.wall_ns:
            object.__setattr__(self, "wall_ns", self.alive_ns)


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
    history: list[Transition] = field(default_factory=list)
    """Transitions that were recorded before, written again to a store that lost them: nobody publishes them."""
    bases: dict[str, int] = field(default_factory=dict)
    """Of records and tombstones, the revision of what each was worked out from (0: nothing): not taken where a later
    one stands."""


@dataclass(frozen=True, slots=True)
class StoredNode:
    """One node as the store has it."""

    record: NodeRecord
    last_heartbeat: LastHeartbeat
    last_transition: Transition | None = None
    """The last one recorded, of this node or an earlier one of its name."""

    @property
    def status(self) -> Status:
        """Where the last transition led to; active where there was none since the registration."""
        last = self.last_transition
        return last.to if last is not None and last.sequence > self.record.epoch else Status.ACTIVE


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a registry starts from."""

    nodes: list[StoredNode] = field(default_factory=list)
    """In order of registration."""
    tombstones: list[Tombstone] = field(default_factory=list)
    mark: Mark | None = None
    """The freshest mark of any registry on this store."""
    marks: dict[str, Mark] = field(default_factory=dict, compare=False)
    """Of each registry on a shared store."""
    lost: bool = False
    """The store is not the one that was loaded before: it restarted, failed over or was emptied."""
    recent: list[Transition] = field(default_factory=list)
    """The latest transitions of all nodes, where they are known: what is written again to a store that lost them."""


@dataclass(frozen=True, slots=True)
class Recent:
    """What happened recently in the whole mesh, newest first in mesh time; at one time, by name backwards."""

    transitions: list[Transition] = field(default_factory=list)
    tombstones: list[Tombstone] = field(default_factory=list)
    """Of nodes that are still gone; a node that registered again has none."""
