"""A change of status, recorded as a fact of its own."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from exporter.domain.status import Status


class Transition(msgspec.Struct, frozen=True, gc=False):
    """One node went from one status to another. No clock orders a node's transitions: `sequence` alone does."""

    node: str
    from_: Status = msgspec.field(name="from")
    to: Status
    at_ns: int
    """When its threshold passed, on the wall clock: for people."""
    sequence: int = 0
    """Counts on by one from the node's epoch, so that registries that see the same change give it the same number.
    Records of the first format have none: there the time stands for it."""
    stamp_ns: int = 0
    """When its threshold passed, in mesh time."""
    by: str = ""
    """The process that made it, so that our own, whose acknowledgement was lost, differs from another registry's."""

    def __post_init__(self) -> None:
        if not self.sequence:
            msgspec.structs.force_setattr(self, "sequence", self.at_ns)
        if not self.stamp_ns:
            msgspec.structs.force_setattr(self, "stamp_ns", self.at_ns)


def in_order(transitions: Iterable[Transition]) -> list[Transition]:
    """By stamp, oldest first, and those of one node by their number.

    Each may be of another registry, which counted the node's age a little differently.
    """
    by_stamp = sorted(transitions, key=lambda each: (each.stamp_ns, each.node))
    of_node: dict[str, list[Transition]] = {}
    for each in sorted(by_stamp, key=lambda each: each.sequence, reverse=True):
        of_node.setdefault(each.node, []).append(each)
    return [of_node[each.node].pop() for each in by_stamp]
