"""The rules of `base`, written down once for the stores that apply them in this process (Redis has them in Lua)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from heapq import nlargest
from typing import Protocol

import msgspec

from exporter.domain.clock import HOUR
from exporter.domain.durable import Batch, LastHeartbeat, StoredNode
from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.recordchecks import Time
from exporter.domain.status import Status, Transport
from exporter.domain.transition import Transition
from exporter.stores.base import Recent, Saved

MAX_TRANSITIONS = 100
"""So many a node are kept, the newest."""
KEEP_TOMBSTONES = 7 * 24 * HOUR
MAX_TOMBSTONES = 50_000
"""So many are kept, the newest: otherwise new names that come and leave would fill the store."""
LOOKED_AT = 10_000
"""So many of the newest are looked at for what is recent, where fewer are asked for."""
KEEP_MARKS = 72 * HOUR


class Version(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the rules must know of a record or a tombstone."""

    revision_ns: Time
    epoch: Time


class Last(msgspec.Struct, frozen=True, gc=False):
    """What the rules must know of a node's last transition."""

    sequence: int
    to: Status
    stamp_ns: int

    @classmethod
    def of(cls, transition: Transition) -> Last:
        """Where it is the last."""
        return cls(transition.sequence, transition.to, transition.stamp_ns)


Number = tuple[str, int]
"""Where a transition stands: its node, and its sequence."""


class Rows(Protocol):
    """What a store holds, while a batch is applied. Putting replaces, removing what is not there does nothing.

    What must be known of many nodes is asked for at once, and of those that have none nothing is answered.
    """

    def record_versions(self, names: Collection[str]) -> dict[str, Version]:
        """Of the nodes' records."""

    def tombstone_versions(self, names: Collection[str]) -> dict[str, Version]:
        """Of the nodes' tombstones."""

    def last_transitions(self, names: Collection[str]) -> dict[str, Last]:
        """Of the nodes."""

    def transitions_at(self, numbers: Collection[Number]) -> dict[Number, Transition]:
        """Those that are there."""

    def put_record(self, record: NodeRecord) -> None:
        """In place of the record or tombstone that is there."""

    def put_tombstone(self, tombstone: Tombstone) -> None:
        """In place of the tombstone, or the record and last heartbeat, that is there."""

    def put_transitions(self, transitions: list[Transition]) -> None:
        """Into the nodes' histories, of each of which the newest MAX_TRANSITIONS are kept."""

    def limit_tombstones(self) -> None:
        """Drop the oldest above MAX_TOMBSTONES, with the history of their nodes."""

    def put_heartbeats(self, heartbeats: dict[str, LastHeartbeat]) -> None:
        """Each one whose node has a record, and whose time is later than that which is there."""


def apply(batch: Batch, rows: Rows) -> Saved:
    """Apply a batch by the rules, the mark excepted."""
    saved = Saved()
    if batch.records or batch.tombstones:
        _apply_records(batch, rows, saved)
    if batch.transitions or batch.history:
        _apply_transitions(batch, rows, saved)
    if batch.heartbeats:
        rows.put_heartbeats(batch.heartbeats)
    return saved


def _apply_records(batch: Batch, rows: Rows, saved: Saved) -> None:
    # A name is never in both, so that what is written of one leaves true what was read of the others.
    names = batch.records.keys() | batch.tombstones.keys()
    here, gone = rows.record_versions(names), rows.tombstone_versions(names)
    for name, record in batch.records.items():
        latest = here.get(name) or gone.get(name)
        if latest is None or record.revision_ns >= latest.revision_ns:
            rows.put_record(record)
            if name not in here:
                saved.records.add(name)
    for name, tombstone in batch.tombstones.items():
        latest = here.get(name) or gone.get(name)
        if latest is None or tombstone.revision_ns > latest.revision_ns:
            rows.put_tombstone(tombstone)
            if name not in gone:
                saved.tombstones.add(name)
    if batch.tombstones:
        rows.limit_tombstones()


def _apply_transitions(batch: Batch, rows: Rows, saved: Saved) -> None:
    both = [*batch.transitions, *batch.history]
    names = {transition.node for transition in both}
    owners = rows.record_versions(names)
    owners |= rows.tombstone_versions(names - owners.keys())
    lasts = rows.last_transitions(owners)
    there = rows.transitions_at({_number(each) for each in both if not _is_later(each, lasts.get(each.node))})
    new: list[Transition] = []
    for transition in batch.transitions:
        node, owner = transition.node, owners.get(transition.node)
        if owner is None:
            continue
        if _is_news(transition, lasts.get(node), owner.epoch):
            new.append(transition)
            there[_number(transition)] = transition
            lasts[node] = Last.of(transition)
            saved.transitions.append(transition)
        elif there.get(_number(transition)) == transition:
            saved.transitions.append(transition)
    for transition in batch.history:
        if transition.node in owners and _number(transition) not in there:
            new.append(transition)
            there[_number(transition)] = transition
    if new:
        rows.put_transitions(new)


def _number(transition: Transition) -> Number:
    return transition.node, transition.sequence


def _is_later(transition: Transition, last: Last | None) -> bool:
    return last is None or transition.sequence > last.sequence


def _is_news(transition: Transition, last: Last | None, epoch: int) -> bool:
    if last is None:
        return True
    status = last.to if last.sequence > epoch else Status.ACTIVE
    if transition.sequence <= last.sequence or transition.to is status:
        return False
    # What does not follow on the last one, and happened before it, was made by a registry that did not know it.
    return transition.from_ is status or transition.stamp_ns > last.stamp_ns


def stored_node(record: NodeRecord, last_heartbeat: LastHeartbeat | None, last: Transition | None) -> StoredNode:
    """A node as it is loaded. Its registration was a heartbeat as well, though nobody may have saved that."""
    if last_heartbeat is None or last_heartbeat.stamp_ns < record.epoch:
        transport = last_heartbeat.transport if last_heartbeat else Transport.HTTP
        last_heartbeat = LastHeartbeat(record.registered_at_ns, transport, record.epoch)
    return StoredNode(record, last_heartbeat, last)


def registration_order(node: StoredNode) -> tuple[int, str]:
    """The sorting key of a snapshot's nodes."""
    return node.record.epoch, node.record.name


def newest_first(transitions: Iterable[Transition], tombstones: Iterable[Tombstone], limit: int) -> Recent:
    """The newest of each kind, in the order that `Recent` has."""
    return Recent(
        nlargest(limit, transitions, key=lambda transition: (transition.stamp_ns, transition.node)),
        nlargest(limit, tombstones, key=lambda tombstone: (tombstone.revision_ns, tombstone.name)),
    )
