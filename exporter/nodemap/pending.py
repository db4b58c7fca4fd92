"""What the store does not know yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

from exporter.domain.node import Node, NodeRecord, Tombstone
from exporter.domain.transition import Transition


@dataclass(slots=True)
class PendingChanges:
    """Changes since the last time that they were taken; the newest of each node is enough."""

    records: dict[str, NodeRecord] = field(default_factory=dict)
    tombstones: dict[str, Tombstone] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)
    heartbeats: set[Node] = field(default_factory=set)
    history: list[Transition] = field(default_factory=list)
    """Recorded before, and lost by the store."""

    def __bool__(self) -> bool:
        return bool(self.records or self.tombstones or self.transitions or self.heartbeats or self.history)

    @property
    def names(self) -> frozenset[str]:
        """The nodes that came, changed or went."""
        return frozenset(self.records.keys() | self.tombstones.keys())

    def keep(self, result: NodeRecord | Tombstone) -> None:
        """A node's record is new or changed, or the node is gone."""
        if isinstance(result, Tombstone):
            self.records.pop(result.name, None)
            self.tombstones[result.name] = result
        else:
            self.tombstones.pop(result.name, None)
            self.records[result.name] = result

    def take(self) -> PendingChanges:
        """All of it; what is journalled from now on is the next taking's."""
        taken = PendingChanges(self.records, self.tombstones, self.transitions, self.heartbeats, self.history)
        self.records, self.tombstones, self.transitions, self.heartbeats, self.history = {}, {}, [], set(), []
        return taken

    def take_some(self, count: int) -> PendingChanges:
        """So many transitions and heartbeats at most, and all else, which they may belong to."""
        if len(self.transitions) <= count and len(self.heartbeats) <= count:
            return self.take()
        taken = self.take()
        self.transitions, taken.transitions = taken.transitions[count:], taken.transitions[:count]
        self.heartbeats, taken.heartbeats = taken.heartbeats, set(islice(taken.heartbeats, count))
        self.heartbeats -= taken.heartbeats
        return taken

    def give_back(self, taken: PendingChanges) -> None:
        """The store did not take it: put it back behind what came since, which is newer."""
        for name, record in taken.records.items():
            if name not in self.tombstones:
                self.records.setdefault(name, record)
        for name, tombstone in taken.tombstones.items():
            if name not in self.records:
                self.tombstones.setdefault(name, tombstone)
        self.transitions[:0] = taken.transitions
        self.heartbeats |= taken.heartbeats
        self.history[:0] = taken.history
