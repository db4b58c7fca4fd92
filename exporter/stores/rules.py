"""The rules of `base`, written down once for the stores that apply them in this process (Redis has them in Lua)."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest
from typing import NamedTuple, Protocol

from exporter.domain.clock import HOUR
from exporter.domain.durable import Batch, LastHeartbeat, StoredNode
from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.status import Status, Transport
from exporter.domain.transition import Transition
from exporter.stores.base import Recent, Saved

MAX_TRANSITIONS = 100
"""So many a node are kept, the newest."""
KEEP_TOMBSTONES = 7 * 24 * HOUR
MAX_TOMBSTONES = 50_000
"""So many are kept, the newest: ever new names that leave would else fill the store."""
LOOKED_AT = 10_000
"""So many of the newest are looked at for what is recent, where fewer are asked for."""
KEEP_MARKS = 72 * HOUR


class Version(NamedTuple):
    """What the rules must know of a record or a tombstone."""

    revision_ns: int
    epoch: int


class Rows(Protocol):
    """What a store holds, while a batch is applied. Putting replaces, removing what is not there does nothing."""

    def record(self, name: str) -> Version | None:
        """Of the node's record."""

    def tombstone(self, name: str) -> Version | None:
        """Of the node's tombstone."""

    def last_transition(self, name: str) -> Transition | None:
        """The node's last transition."""

    def transition(self, name: str, sequence: int) -> Transition | None:
        """The one of that number."""

    def put_record(self, record: NodeRecord) -> None:
        """In place of the record or tombstone that is there."""

    def put_tombstone(self, tombstone: Tombstone) -> None:
        """In place of the tombstone, or the record and last heartbeat, that is there."""

    def put_transition(self, transition: Transition) -> None:
        """Into the node's history, of which the newest MAX_TRANSITIONS are kept."""

    def limit_tombstones(self) -> None:
        """Drop the oldest above MAX_TOMBSTONES, with the history of their nodes."""

    def put_heartbeats(self, heartbeats: dict[str, LastHeartbeat]) -> None:
        """Each one whose node has a record, and whose time is later than that which is there."""


def apply(batch: Batch, rows: Rows) -> Saved:
    """Apply a batch by the rules, the mark excepted."""
    saved = Saved()
    for name, record in batch.records.items():
        before, gone = rows.record(name), rows.tombstone(name)
        latest = before or gone
        if latest is None or record.revision_ns >= latest.revision_ns:
            rows.put_record(record)
            if before is None:
                saved.records.add(name)
    for name, tombstone in batch.tombstones.items():
        before, gone = rows.record(name), rows.tombstone(name)
        latest = before or gone
        if latest is None or tombstone.revision_ns > latest.revision_ns:
            rows.put_tombstone(tombstone)
            if gone is None:
                saved.tombstones.add(name)
    if batch.tombstones:
        rows.limit_tombstones()
    _apply_transitions(batch, rows, saved)
    rows.put_heartbeats(batch.heartbeats)
    return saved


def _apply_transitions(batch: Batch, rows: Rows, saved: Saved) -> None:
    for transition in batch.transitions:
        owner = rows.record(transition.node) or rows.tombstone(transition.node)
        if owner is None:
            continue
        if _is_news(transition, rows.last_transition(transition.node), owner.epoch):
            rows.put_transition(transition)
            saved.transitions.append(transition)
        elif rows.transition(transition.node, transition.sequence) == transition:
            saved.transitions.append(transition)
    for transition in batch.history:
        owner = rows.record(transition.node) or rows.tombstone(transition.node)
        if owner is not None and rows.transition(transition.node, transition.sequence) is None:
            rows.put_transition(transition)


def _is_news(transition: Transition, last: Transition | None, epoch: int) -> bool:
    if last is None:
        return True
    status = last.to if last.sequence > epoch else Status.ACTIVE
    return transition.sequence > last.sequence and transition.to is not status


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
