"""What the store does not know yet."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from exporter.domain.node import Node, NodeRecord, Tombstone
from exporter.domain.transition import Transition

Value = TypeVar("Value")
MAX_TRANSITIONS = 10_000
"""So many transitions wait at most, and TRANSITIONS_A_NODE for each node: the oldest beyond are dropped."""
TRANSITIONS_A_NODE = 4
"""That an outage of the whole mesh and its return always have room."""
SPARE = 1_000
"""So many beyond are dropped together, since each time the others move up."""
_log = logging.getLogger("aurora.nodemap")


@dataclass(slots=True)
class PendingChanges:
    """Changes since the last time that they were taken; the newest of each node is enough."""

    records: dict[str, NodeRecord] = field(default_factory=dict)
    tombstones: dict[str, Tombstone] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)
    heartbeats: set[Node] = field(default_factory=set)
    history: list[Transition] = field(default_factory=list)
    """Recorded before, and lost by the store."""
    bases: dict[str, int] = field(default_factory=dict)
    """Of records, the revision that the store had before them; of those that it may have lost, nothing."""
    retold: set[str] = field(default_factory=set)
    """Nodes whose record or tombstone the store had before, and lost: nobody else needs to know of it."""
    dropped: int = 0
    """Transitions that waited for the store too long, and will never be recorded."""

    def __bool__(self) -> bool:
        return bool(self.count or self.heartbeats)

    @property
    def count(self) -> int:
        """How many there are; heartbeats, of which the next will do as well, are not counted."""
        return len(self.records) + len(self.tombstones) + len(self.transitions) + len(self.history)

    def keep(self, result: NodeRecord | Tombstone, base_ns: int | None = None, *, retold: bool = False) -> None:
        """A node's record is new or changed, or the node is gone; `retold`: that is no news.

        `base_ns`: the revision that the store has, unless a change of the record waits already.
        """
        name = result.name
        if base_ns is not None and name not in self.records:
            self.bases[name] = base_ns
        if not retold:
            self.retold.discard(name)
        elif name not in self.records and name not in self.tombstones:
            self.retold.add(name)
        if isinstance(result, Tombstone):
            self.forget_record(name)
            self.tombstones[name] = result
        else:
            self.tombstones.pop(name, None)
            self.records[name] = result

    def forget_record(self, name: str) -> None:
        """The record need not be written, or another one in its place."""
        self.records.pop(name, None)
        self.bases.pop(name, None)

    def take(self, at_most: int) -> PendingChanges:
        """So many of each kind at most; what happens to these nodes from now on is the next taking's.

        A node's transitions and heartbeat are not taken before its record.
        """
        taken = PendingChanges(_take(self.records, at_most), _take(self.tombstones, at_most))
        taken.retold = self.retold & (taken.records.keys() | taken.tombstones.keys())
        self.retold -= taken.retold
        taken.bases = {name: self.bases.pop(name) for name in taken.records if name in self.bases}
        if not self.records and not self.tombstones:
            taken.transitions, self.transitions = self.transitions[:at_most], self.transitions[at_most:]
            taken.history, self.history = self.history[:at_most], self.history[at_most:]
            taken.heartbeats = set(islice(self.heartbeats, at_most))
            self.heartbeats -= taken.heartbeats
        return taken

    def note_transition(self, transition: Transition, nodes: int) -> None:
        """It waits for the store; of `nodes` nodes so many may."""
        self.transitions.append(transition)
        excess = len(self.transitions) - MAX_TRANSITIONS - TRANSITIONS_A_NODE * nodes
        if excess > SPARE:
            if not self.dropped:
                _log.error(
                    "the oldest transitions are dropped, since too many wait for the store",
                    extra={"waiting": len(self.transitions)},
                )
            del self.transitions[:excess]
            self.dropped += excess

    def give_back(self, taken: PendingChanges) -> None:
        """The store did not take it: put it back behind what came since, which is newer."""
        changed = self.records.keys() | self.tombstones.keys()
        for name in taken.records.keys() - self.tombstones.keys():
            # What came since stands on what was not taken, and so on the same base.
            if name in taken.bases:
                self.bases[name] = taken.bases[name]
            else:
                self.bases.pop(name, None)
        self.records.update((name, record) for name, record in taken.records.items() if name not in changed)
        self.tombstones.update((name, gone) for name, gone in taken.tombstones.items() if name not in changed)
        self.retold |= taken.retold - changed
        self.transitions[:0] = taken.transitions
        self.heartbeats |= taken.heartbeats
        self.history[:0] = taken.history


def _take(kept: dict[str, Value], at_most: int) -> dict[str, Value]:
    taken = dict(islice(kept.items(), at_most))
    for name in taken:
        del kept[name]
    return taken
