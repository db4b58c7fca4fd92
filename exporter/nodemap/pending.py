"""What the store does not know yet."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from exporter.domain.node import Node, NodeRecord, Tombstone
from exporter.domain.status import Transport
from exporter.domain.transition import Transition
from exporter.nodemap.shares import LeftToOthers, Share

Value = TypeVar("Value")
MAX_TRANSITIONS = 10_000
"""So many transitions wait at most, and TRANSITIONS_A_NODE for each node: the oldest beyond are dropped."""
TRANSITIONS_A_NODE = 4
"""That an outage of the whole mesh and its return always have room."""
SPARE = 1_000
"""So many beyond are dropped together, since each time the others move up."""
MAX_LOOKS = 4
"""Transitions that are looked at for one that is taken, since many may have been recorded by others."""
_log = logging.getLogger("aurora.nodemap")


@dataclass(slots=True)
class PendingChanges:
    """Changes since the last time that they were taken; the newest of each node is enough."""

    records: dict[str, NodeRecord] = field(default_factory=dict)
    tombstones: dict[str, Tombstone] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)
    left: LeftToOthers = field(default_factory=LeftToOthers)
    """Those of a node are all among these, or all among `transitions`, which go first."""
    heartbeats: set[Node] = field(default_factory=set)
    heartbeats_over_http: set[Node] = field(default_factory=set)
    """They go first: other registries know of them through us alone."""
    history: list[Transition] = field(default_factory=list)
    """Recorded before, and lost by the store."""
    bases: dict[str, int] = field(default_factory=dict)
    """Of records, the revision that the store had before them; of those that it may have lost, nothing."""
    rewrites: set[str] = field(default_factory=set)
    """Nodes whose record or tombstone the store had before, and lost: nobody else needs to know of it."""
    dropped: int = 0
    """Transitions that waited for the store too long, and will never be recorded."""

    def __bool__(self) -> bool:
        return bool(self.count or self.heartbeats or self.heartbeats_over_http)

    @property
    def count(self) -> int:
        """How many there are; heartbeats, of which the next will do as well, are not counted."""
        return len(self.records) + len(self.tombstones) + self.waiting_transitions + len(self.history)

    @property
    def in_haste(self) -> bool:
        """Whether there is something to take at once, and not only what may be left to others for a moment."""
        ours = self.records or self.tombstones or self.transitions or self.history or self.heartbeats_over_http
        return bool(ours or self.heartbeats or (self.left and not self.left.progress))

    @property
    def waiting_transitions(self) -> int:
        """How many there are."""
        return len(self.transitions) + len(self.left)

    def keep(self, result: NodeRecord | Tombstone, base_ns: int | None = None, *, rewrite: bool = False) -> None:
        """A node's record is new or changed, or the node is gone. `rewrite`: the store lost it; nobody is notified.

        `base_ns`: the revision that the store has, unless a change of the record waits already.
        """
        name = result.name
        if base_ns is not None and name not in self.records:
            self.bases[name] = base_ns
        if not rewrite:
            self.rewrites.discard(name)
        elif name not in self.records and name not in self.tombstones:
            self.rewrites.add(name)
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

    def note_heartbeat(self, node: Node) -> None:
        """The store does not know the node's last heartbeat."""
        (self.heartbeats if node.transport is Transport.BUS else self.heartbeats_over_http).add(node)

    def forget_heartbeat(self, node: Node) -> None:
        """It need not be written."""
        self.heartbeats.discard(node)
        self.heartbeats_over_http.discard(node)
        self.left.heartbeats.discard(node)

    def has_heartbeat(self, node: Node) -> bool:
        """Whether the store does not know the node's last heartbeat."""
        return node in self.heartbeats or node in self.heartbeats_over_http or node in self.left.heartbeats

    def take(
        self, at_most: int, *, now_ns: int = 0, is_needless: Callable[[Transition], bool] = lambda _: False
    ) -> PendingChanges:
        """So many of each kind at most; what happens to these nodes from now on is the next taking's.

        A node's transitions and heartbeat are not taken before its record. `now_ns`: of the monotonic clock, where
        transitions may be left to others. `is_needless`: a transition that need not be recorded any more.
        """
        taken = PendingChanges(_take(self.records, at_most), _take(self.tombstones, at_most))
        taken.rewrites = self.rewrites & (taken.records.keys() | taken.tombstones.keys())
        self.rewrites -= taken.rewrites
        taken.bases = {name: self.bases.pop(name) for name in taken.records if name in self.bases}
        if not self.records and not self.tombstones:
            taken.transitions = self._take_transitions(at_most, now_ns, is_needless)
            taken.history = self.history[:at_most]
            del self.history[:at_most]
            over_http = set(islice(self.heartbeats_over_http, at_most))
            self.heartbeats_over_http -= over_http
            taken.heartbeats = set(islice(self.heartbeats, at_most - len(over_http)))
            self.heartbeats -= taken.heartbeats
            taken.heartbeats |= over_http
        return taken

    def _take_transitions(
        self, at_most: int, now_ns: int, is_needless: Callable[[Transition], bool]
    ) -> list[Transition]:
        looked_at = self.transitions[: MAX_LOOKS * at_most]
        taken: list[Transition] = []
        for number, transition in enumerate(looked_at, 1):
            if not is_needless(transition):
                taken.append(transition)
                if len(taken) == at_most:
                    looked_at = looked_at[:number]
                    break
        del self.transitions[: len(looked_at)]
        self.left.look(now_ns)
        if not self.transitions and not self.left.progress:
            taken += self.left.take(at_most - len(taken))
        return taken

    def note_transition(self, transition: Transition, nodes: int, now_ns: int = 0, *, back: Node | None = None) -> None:
        """It waits for the store; of `nodes` nodes so many may.

        `now_ns`: of the monotonic clock. `back`: the node, where it is back by a heartbeat.
        """
        if not self.left.keep(transition, now_ns):
            self.transitions.append(transition)
        elif back in self.heartbeats:
            self.heartbeats.discard(back)
            self.left.heartbeats.add(back)
        excess = self.waiting_transitions - MAX_TRANSITIONS - TRANSITIONS_A_NODE * nodes
        if excess > SPARE:
            if not self.dropped:
                _log.error(
                    "the oldest transitions are dropped, since too many wait for the store",
                    extra={"waiting": self.waiting_transitions},
                )
            self.divide(Share())
            del self.transitions[:excess]
            self.dropped += excess

    def divide(self, share: Share) -> None:
        """Others write as well, from now on, or do not any more."""
        if share.instances != self.left.share.instances:
            self.left.share = share
            # A node's transitions stay in order, whichever registry it fell to and falls to.
            self.transitions += self.left.take(len(self.left))
            self.heartbeats |= self.left.heartbeats
            self.left.heartbeats.clear()

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
        self.rewrites |= taken.rewrites - changed
        self.transitions[:0] = taken.transitions
        for node in taken.heartbeats:
            self.note_heartbeat(node)
        self.history[:0] = taken.history


def _take(kept: dict[str, Value], at_most: int) -> dict[str, Value]:
    taken = dict(islice(kept.items(), at_most))
    for name in taken:
        del kept[name]
    return taken
