"""The node map meets a store: what it starts from, what other registries tell it, and what it tells them again."""

from __future__ import annotations

import msgspec

from exporter.domain.durable import Batch, LastHeartbeat, Mark, Snapshot, StoredNode
from exporter.domain.node import Live, Node, NodeRecord, Tombstone
from exporter.domain.registration import with_held_id
from exporter.domain.status import Status, Transport
from exporter.nodemap.nodemap import NodeMap
from exporter.nodemap.pending import PendingChanges

MAX_OUTAGES = 64
"""Older outages are dropped from the mark: a silence through so many of them has had all the grace there is."""


def load(node_map: NodeMap, snapshot: Snapshot) -> None:
    """Fill an empty map. The time since the snapshot's mark, when nobody heard, is a blind spell of every transport.

    A wall clock that was set back meanwhile makes the mark lie in the future; then all times are shifted with it.
    """
    now_ns, wall_ns = node_map.clock.monotonic_ns(), node_map.clock.wall_ns()
    last_seen_ns = max((stored.last_heartbeat.last_seen_ns for stored in snapshot.nodes), default=wall_ns)
    mark = snapshot.mark or Mark(last_seen_ns)
    origin_ns = now_ns - max(wall_ns, mark.alive_ns)
    for stored in snapshot.nodes:
        _put(node_map, stored, origin_ns, latest_ns=now_ns)
    for tombstone in sorted(snapshot.tombstones, key=lambda tombstone: tombstone.at_ns):
        node_map.remove(tombstone)
    waiting = sorted(node_map.nodes(), key=lambda node: node.last_heartbeat_ns)
    for transport in Transport:
        outages = [(origin_ns + from_ns, origin_ns + to_ns) for from_ns, to_ns in mark.outages.get(transport, [])]
        if snapshot.nodes:
            outages.append((min(origin_ns + mark.alive_ns, now_ns), now_ns))
        node_map.begin(transport, outages, [node for node in waiting if node.transport is transport])
    node_map.tick()


def merge(node_map: NodeMap, snapshot: Snapshot) -> None:
    """Agree with a store that was out of reach: the later word on each node stands, and the store is told ours."""
    origin_ns = node_map.clock.monotonic_ns() - node_map.clock.wall_ns()
    stored_names = {stored.record.name for stored in snapshot.nodes}
    stored_tombstones = {tombstone.name for tombstone in snapshot.tombstones}
    for tombstone in snapshot.tombstones:
        _adopt_tombstone(node_map, tombstone)
    for stored in snapshot.nodes:
        _adopt_record(node_map, stored.record)
        node = node_map.find(stored.record.name)
        if node is not None:
            _adopt_heartbeat(node_map, node, stored.last_heartbeat, origin_ns)
            _adopt_status(node_map, node, stored.status, stored.status_since_ns, origin_ns)
            if node.record.revision_ns > stored.record.revision_ns:
                node_map.pending.keep(node.record)
            if node.last_seen_ns > stored.last_heartbeat.last_seen_ns:
                node_map.pending.heartbeats.add(node)
    for node in node_map.nodes():
        if node.name not in stored_names:
            node_map.pending.keep(node.record)
            node_map.pending.heartbeats.add(node)
    for name, tombstone in node_map.departed.items():
        if name not in stored_tombstones:
            node_map.pending.keep(tombstone)
    # All that memory has, in order; the store drops what it knows already.
    node_map.pending.transitions[:] = list(node_map.recent)


def adopt(node_map: NodeMap, batch: Batch) -> None:
    """Take in what another registry on the same store saved."""
    origin_ns = node_map.clock.monotonic_ns() - node_map.clock.wall_ns()
    for record in batch.records.values():
        _adopt_record(node_map, record)
    for tombstone in batch.tombstones.values():
        _adopt_tombstone(node_map, tombstone)
    for name, last_heartbeat in batch.heartbeats.items():
        if (node := node_map.find(name)) is not None:
            _adopt_heartbeat(node_map, node, last_heartbeat, origin_ns)
    for transition in batch.transitions:
        if (node := node_map.find(transition.node)) is not None:
            _adopt_status(node_map, node, transition.to, transition.at_ns, origin_ns)


def mark_of(node_map: NodeMap) -> Mark:
    """The proof, for the next start, that this registry was hearing until the last tick; and when it was not."""
    at = node_map.wall_time.at
    alive_ns = at(node_map.ticked_ns)
    outages = {}
    for transport, reception in node_map.reception.items():
        ended = [
            (node_map.wall_time.at(s.from_ns), node_map.wall_time.at(s.to_ns)) for s in reception.outages[-MAX_OUTAGES:]
        ]
        until_ns = node_map.wall_time.at(reception.until_ns)
        if reception.blind(node_map.ticked_ns) and until_ns < alive_ns:
            ended.append((until_ns, alive_ns))
        # Wall time that was skipped by setting the clock forward is no silence either.
        outages[transport] = sorted([*ended, *node_map.wall_time.skipped()])
    return Mark(alive_ns, outages)


def batch_of(taken: PendingChanges, mark: Mark) -> Batch:
    """What a store shall save of the journal."""
    heartbeats = {node.name: LastHeartbeat(node.last_seen_ns, node.transport) for node in taken.heartbeats}
    return Batch(taken.records, taken.tombstones, taken.transitions, heartbeats, mark)


def _put(node_map: NodeMap, stored: StoredNode, origin_ns: int, *, latest_ns: int) -> Node:
    last_heartbeat_ns = min(origin_ns + stored.last_heartbeat.last_seen_ns, latest_ns)
    since_ns = min(origin_ns + stored.status_since_ns, latest_ns)
    # A transition from before the registration is the history of an earlier node of this name.
    status = stored.status if stored.status_since_ns > stored.record.registered_at_ns else Status.ACTIVE
    live = Live(
        last_heartbeat_ns, stored.last_heartbeat.last_seen_ns, stored.last_heartbeat.transport, status, since_ns
    )
    return node_map.put(stored.record, live)


def _adopt_record(node_map: NodeMap, record: NodeRecord) -> None:
    node, tombstone = node_map.find(record.name), node_map.departed.get(record.name)
    if node is not None and node.record.revision_ns >= record.revision_ns:
        return
    if node is None and tombstone is not None and tombstone.at_ns > record.revision_ns:
        return
    if node is not None and node.facts.node_id and not record.registration.node_id:
        # Saved by a registry that had not learned who holds the name: the store is told, under a later revision.
        facts = with_held_id(record.registration, node.facts.node_id)
        record = msgspec.structs.replace(record, registration=facts, revision_ns=record.revision_ns + 1)
        node_map.pending.keep(record)
    node_map.put(record)


def _adopt_tombstone(node_map: NodeMap, tombstone: Tombstone) -> None:
    node, known = node_map.find(tombstone.name), node_map.departed.get(tombstone.name)
    if node is not None and node.record.revision_ns >= tombstone.at_ns:
        return
    if known is None or known.at_ns < tombstone.at_ns:
        node_map.remove(tombstone)


def _adopt_heartbeat(node_map: NodeMap, node: Node, last_heartbeat: LastHeartbeat, origin_ns: int) -> None:
    now_ns = node_map.clock.monotonic_ns()
    node_map.record_remote_heartbeat(
        node,
        min(origin_ns + last_heartbeat.last_seen_ns, now_ns),
        last_heartbeat.last_seen_ns,
        last_heartbeat.transport,
    )


def _adopt_status(node_map: NodeMap, node: Node, status: Status, since_ns: int, origin_ns: int) -> None:
    # Only a worse status, and only for a silence that we did not hear broken: active comes by hearing alone.
    worse = status is Status.OFFLINE or node.status is Status.ACTIVE
    if status is not Status.ACTIVE and status is not node.status and worse and since_ns > node.last_seen_ns:
        node_map.set_status(node, status, origin_ns + since_ns, told=False)
