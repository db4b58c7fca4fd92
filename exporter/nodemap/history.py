"""Transitions: how each is made, and the latest of all nodes, made here or recorded by another registry."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from exporter.domain.node import Node
from exporter.domain.status import Status
from exporter.domain.transition import Transition, in_order
from exporter.nodemap.timelines import MeshTime, WallTime

_ACTIVE = Status.ACTIVE
MAX_RECENT = 10_000


class TransitionRecorder:
    """Numbers and dates a transition, so that those of a node keep their order whatever the clocks do."""

    def __init__(self, mesh_time: MeshTime, wall_time: WallTime, by: str) -> None:
        """`by`: marks this process' transitions."""
        self._mesh_time = mesh_time
        self._wall_time = wall_time
        self._by = by

    def make(self, node: Node, before: Status, at_ns: int) -> Transition:
        """From `before` to the node's status, as of a moment of the monotonic clock."""
        record, last, status = node.record, node.last_transition, node.status
        # As `last_seen`, what people read never goes back, wherever the wall clock was set to.
        shown_ns = max(self._wall_time.at(at_ns), record.registered_at_ns)
        stamp_ns, sequence = self._mesh_time.at(at_ns), record.epoch
        if last is not None:
            # Another registry may have counted the age a little differently: stamps keep to the order all the same.
            shown_ns, stamp_ns = max(shown_ns, last.at_ns), max(stamp_ns, last.stamp_ns + 1)
            sequence = max(sequence, last.sequence)
        if status is not _ACTIVE:
            shown_ns = max(shown_ns, node.last_seen_ns)
        return Transition(record.registration.name, before, status, shown_ns, sequence + 1, stamp_ns, self._by)


class RecentTransitions:
    """At most MAX_RECENT, each number of a node once: what was recorded takes the place of what we made of it."""

    def __init__(self) -> None:
        self._numbered: OrderedDict[tuple[str, int], Transition] = OrderedDict()
        self._dropped: dict[str, Transition] = {}

    def note(self, transition: Transition) -> None:
        """It was made, or recorded."""
        key = transition.node, transition.sequence
        if key in self._numbered:
            self._numbered[key] = transition
            return
        self._numbered[key] = transition
        if len(self._numbered) > MAX_RECENT:
            self._numbered.popitem(last=False)

    def complete(self, recorded: list[Transition]) -> None:
        """Take in what others recorded, or an earlier process: each by its stamp among those that we know."""
        before = len(self._numbered)
        self._numbered.update(((each.node, each.sequence), each) for each in recorded)
        if len(self._numbered) == before:
            return
        self._numbered = OrderedDict(((each.node, each.sequence), each) for each in in_order(self)[-MAX_RECENT:])

    def drop(self, transition: Transition) -> None:
        """It was not recorded: another one has its place, or will have."""
        self._dropped.pop(transition.node, None)
        self._dropped[transition.node] = transition
        if len(self._dropped) > MAX_RECENT:
            del self._dropped[next(iter(self._dropped))]
        key = transition.node, transition.sequence
        if self._numbered.get(key) is transition:
            del self._numbered[key]

    def was_dropped(self, transition: Transition) -> bool:
        """Whether its node counts on from it, although it was not recorded."""
        return self._dropped.get(transition.node) is transition

    def __len__(self) -> int:
        return len(self._numbered)

    def __iter__(self) -> Iterator[Transition]:
        """Oldest first."""
        return iter(self._numbered.values())

    def __reversed__(self) -> Iterator[Transition]:
        """Newest first."""
        return reversed(self._numbered.values())
