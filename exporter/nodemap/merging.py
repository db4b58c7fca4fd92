"""The node map and a store that others write to: what it takes over from them, and what it writes to them again.

Nothing here compares wall clocks, and nothing here is a heartbeat: `last_seen` moves only to when somebody received one
(docs/design/ordering.md).

What may be as large as the mesh is done in steps, between which others have their turn: a generator that yields after
each. Whatever happens to the map in between is as if it had happened before or after.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable, Iterator
from functools import partial
from operator import attrgetter
from typing import TypeVar

import msgspec

from exporter.domain.clock import SECOND
from exporter.domain.command import Register
from exporter.domain.durable import Batch, LastHeartbeat, Mark, Snapshot, StoredNode
from exporter.domain.largelists import emptied, parts
from exporter.domain.node import Node, NodeRecord, Tombstone
from exporter.domain.registration import with_held_id
from exporter.domain.status import Status, Transport
from exporter.domain.transition import Transition
from exporter.nodemap.loading import put_stored
from exporter.nodemap.nodemap import NodeMap
from exporter.nodemap.paths import MAX_OUTAGES, Path
from exporter.nodemap.pending import PendingChanges
from exporter.nodemap.planning import PlannedWrite, is_heartbeat
from exporter.nodemap.tombstones import LATE_INTERVALS

Value = TypeVar("Value")

_SEQUENCE = attrgetter("sequence")
STEP = 200
"""Nodes, a few milliseconds of work."""
SAME_HEARTBEAT_NS = 1 * SECOND
"""Last heartbeats are written about once a second."""


def merge(node_map: NodeMap, snapshot: Snapshot) -> Iterator[None]:
    """Agree, in steps, with a store that was unavailable: the later record of each node stands, and ours goes to it.

    The snapshot's nodes are emptied.
    """
    node_map.mesh_time.advance(node_map.clock.monotonic_ns(), snapshot.mark.alive_ns if snapshot.mark else 0)
    for tombstones in _steps(snapshot.tombstones):
        for tombstone in tombstones:
            _adopt_tombstone(node_map, tombstone)
        yield
    recorded: dict[str, int] = {}
    for nodes in _steps(emptied(snapshot.nodes)):
        late: list[Node] = []
        for stored in nodes:
            recorded[stored.record.name] = stored.last_transition.sequence if stored.last_transition else 0
            _merge_node(node_map, stored, late)
        _queue(node_map, late)
        yield
    node_map.recent.complete(snapshot.recent)
    yield from _write_again_nodes(node_map, recorded, snapshot)
    yield from _write_again_history(node_map, recorded, snapshot)


def _merge_node(node_map: NodeMap, stored: StoredNode, late: list[Node]) -> None:
    if node_map.find(stored.record.name) is None and _is_late(node_map, stored.record):
        return
    node = _adopt_node(node_map, stored, late)
    if node.record.revision_ns > stored.record.revision_ns:
        node_map.pending.keep(node.record, rewrite=True)
    if node_map.mesh_time.at(node.last_heartbeat_ns) > stored.last_heartbeat.stamp_ns:
        node_map.pending.note_heartbeat(node)


def adopt(node_map: NodeMap, batch: Batch) -> Iterator[None]:
    """Take in, in steps, what another registry on the same store saved."""
    for tombstones in _steps([*batch.tombstones.values()]):
        for tombstone in tombstones:
            _adopt_tombstone(node_map, tombstone)
        yield
    for records in _steps([*batch.records.values()]):
        _queue(node_map, [node for record in records if (node := _adopt_new(node_map, record, batch)) is not None])
        yield
    for heartbeats in _steps([*batch.heartbeats.items()]):
        late: list[Node] = []
        for name, heartbeat in heartbeats:
            if (node := node_map.find(name)) is not None:
                _adopt_heartbeat(node_map, node, heartbeat, late)
        _queue(node_map, late)
        yield
    for transitions in _steps([*batch.history, *batch.transitions]):
        late = []
        for transition in transitions:
            _adopt_transition(node_map, transition, late)
        _queue(node_map, late)
        yield


def _queue(node_map: NodeMap, nodes: list[Node]) -> None:
    node_map.queues.arrange(nodes, node_map.clock.monotonic_ns() - node_map.thresholds.gap)


def _adopt_new(node_map: NodeMap, record: NodeRecord, batch: Batch) -> Node | None:
    """The node where we did not know it; the record of one that we know is taken over."""
    if node_map.find(record.name) is not None:
        _adopt_record(node_map, record)
    elif not _is_late(node_map, record):
        first = LastHeartbeat(record.registered_at_ns, Transport.HTTP, record.epoch)
        return put_stored(node_map, StoredNode(record, batch.heartbeats.get(record.name) or first))
    return None


def give_way(node_map: NodeMap, standing: NodeRecord | Tombstone) -> None:
    """Another registry wrote of the node before us, which ours was not worked out from: what stands is the node now.

    A command is worked out again from it. What a heartbeat or the time changes, the next one changes again.
    """
    node = node_map.find(standing.name)
    if isinstance(standing, NodeRecord):
        if node is None:
            first = LastHeartbeat(standing.registered_at_ns, Transport.HTTP, standing.epoch)
            _queue(node_map, [put_stored(node_map, StoredNode(standing, first))])
        elif standing.revision_ns != node.record.revision_ns:
            _take_record(node_map, node, standing)
    elif node is not None and _appeared_since(node_map, node, standing):
        node_map.pending.keep(node.record, standing.revision_ns)
    else:
        node_map.remove(standing)


def _appeared_since(node_map: NodeMap, node: Node, tombstone: Tombstone) -> bool:
    """Whether the node appeared by a heartbeat that is no late one of the node that left."""
    late_ns = LATE_INTERVALS * node_map.thresholds.heartbeat_interval
    return node.record.epoch > tombstone.revision_ns + late_ns


def mark_of(node_map: NodeMap) -> Mark:
    """The proof, for the next start, that this registry was receiving until the last tick; and when it was not."""
    at, ticked_ns = node_map.mesh_time.at, node_map.freshness.ticked_ns
    alive_ns = at(ticked_ns)
    outages = {}
    for transport, reception in node_map.reception.items():
        ended = [(at(outage.from_ns), at(outage.to_ns)) for outage in reception.outages[-MAX_OUTAGES:]]
        until_ns = at(reception.until_ns)
        # What waits to be read is lost if we end now.
        if reception.unproven(ticked_ns) and until_ns < alive_ns:
            ended.append((until_ns, alive_ns))
        outages[transport] = sorted(ended)
    return Mark(alive_ns, outages, node_map.wall_time.at(ticked_ns))


def take(node_map: NodeMap, at_most: int) -> PendingChanges:
    """The next of the pending changes, without what another registry recorded before us.

    A return goes with the heartbeat that it is by, so that a start finds both or neither.
    """
    pending = node_map.pending
    now_ns = node_map.clock.monotonic_ns()
    taken = pending.take(at_most, now_ns=now_ns, is_needless=partial(_is_recorded, node_map))
    for transition in taken.transitions:
        node = node_map.find(transition.node) if transition.to is Status.ACTIVE else None
        if node is not None and pending.has_heartbeat(node):
            pending.forget_heartbeat(node)
            taken.heartbeats.add(node)
    return taken


def batch_of(node_map: NodeMap, taken: PendingChanges) -> Batch:
    """What a store has to save of what was taken, with the mark."""
    heartbeats = {node.name: _last_heartbeat(node_map, node) for node in taken.heartbeats}
    mark = mark_of(node_map)
    return Batch(taken.records, taken.tombstones, taken.transitions, heartbeats, mark, taken.history, taken.bases)


def heartbeats_of(node_map: NodeMap, planned: list[PlannedWrite]) -> dict[str, LastHeartbeat]:
    """The heartbeats that registrations are: saved with them, so that others know at once who received them."""
    wall_ns, stamp_ns = node_map.clock.wall_ns(), node_map.mesh_time.at(node_map.clock.monotonic_ns())
    heartbeats = {}
    for plan in planned:
        if isinstance(plan.command, Register) and (plan.base is None or plan.command.heartbeat):
            node, transport = node_map.find(plan.command.name), plan.command.transport
            via = node_map.instance if transport is Transport.HTTP else ""
            last_seen_ns = max(wall_ns, node.last_seen_ns if node else 0)
            if node is None or is_heartbeat(plan.command, node):
                heartbeats[plan.command.name] = LastHeartbeat(last_seen_ns, transport, stamp_ns, via)
    return heartbeats


def _last_heartbeat(node_map: NodeMap, node: Node) -> LastHeartbeat:
    via = ""
    if node.transport is Transport.HTTP and isinstance(node.path, Path):
        via = node.path.via or node_map.instance
    stamp_ns = node_map.mesh_time.at(node.last_heartbeat_ns)
    return LastHeartbeat(node.last_seen_ns, node.transport, stamp_ns, via)


def _is_recorded(node_map: NodeMap, transition: Transition) -> bool:
    """Whether another registry recorded the same change before us. Of our own, the answer may have been lost."""
    node = node_map.find(transition.node)
    last = node.last_transition if node else None
    return last is not None and last.sequence == transition.sequence and last.by != transition.by


def _adopt_node(node_map: NodeMap, stored: StoredNode, late: list[Node]) -> Node:
    node = node_map.find(stored.record.name)
    if node is None:
        node = put_stored(node_map, stored)
        late.append(node)
        return node
    _adopt_record(node_map, stored.record)
    _adopt_heartbeat(node_map, node, stored.last_heartbeat, late)
    if stored.last_transition is not None:
        _adopt_transition(node_map, stored.last_transition, late)
    return node


def _is_late(node_map: NodeMap, record: NodeRecord) -> bool:
    """Whether the node is gone since."""
    tombstone = node_map.departed.get(record.name)
    return tombstone is not None and tombstone.revision_ns > record.revision_ns


def _adopt_record(node_map: NodeMap, record: NodeRecord) -> None:
    node = node_map.find(record.name)
    # One of ours that is not saved yet, and was not worked out from this one, will not be taken.
    latest_ns = node_map.pending.bases.get(record.name, node.record.revision_ns if node else 0)
    if node is not None and record.revision_ns > latest_ns:
        _take_record(node_map, node, record)


def _take_record(node_map: NodeMap, node: Node, record: NodeRecord) -> None:
    node_map.pending.forget_record(record.name)
    if node.facts.node_id and not record.registration.node_id:
        # Saved by a registry that did not know who holds the name: the store is corrected, under a later revision.
        facts = with_held_id(record.registration, node.facts.node_id)
        stored_ns = record.revision_ns
        record = msgspec.structs.replace(record, registration=facts, revision_ns=stored_ns + 1)
        node_map.pending.keep(record, stored_ns)
    node_map.put(record)


def _adopt_tombstone(node_map: NodeMap, tombstone: Tombstone) -> None:
    node, known = node_map.find(tombstone.name), node_map.departed.get(tombstone.name)
    if node is not None and node.record.revision_ns >= tombstone.revision_ns:
        return
    if known is None or known.revision_ns < tombstone.revision_ns:
        node_map.remove(tombstone)


def _adopt_heartbeat(node_map: NodeMap, node: Node, heartbeat: LastHeartbeat, late: list[Node]) -> None:
    now_ns = node_map.clock.monotonic_ns()
    heartbeat_ns = min(node_map.mesh_time.local(heartbeat.stamp_ns), now_ns)
    if heartbeat_ns <= node.last_heartbeat_ns:
        return
    path = node_map.path_via(heartbeat.via, heartbeat.transport)
    node_map.record_remote_heartbeat(node, heartbeat_ns, heartbeat.last_seen_ns, path)
    late.append(node)


def _adopt_transition(node_map: NodeMap, transition: Transition, late: list[Node]) -> None:
    """What was recorded stands; it changes a node of ours unless we know of a later heartbeat."""
    node_map.recent.note(transition)
    if (needless := node_map.pending.left.note_recorded(transition)) is not None:
        node_map.recent.drop(needless)
    node = node_map.find(transition.node)
    if node is None:
        return
    if transition.to is Status.ACTIVE and node.transport is Transport.BUS and node_map.pending.has_heartbeat(node):
        # One was saved with it, and all receive from the bus: ours is the same, or hardly later. The one that the node
        # is back by may have waited here for as long as a heartbeat on the bus may.
        node_map.pending.forget_heartbeat(node)
        is_first = node.last_heartbeat_ns == node.status_since_ns
        same_ns = max(SAME_HEARTBEAT_NS, node_map.thresholds.gap if is_first else 0)
        if node_map.mesh_time.at(node.last_heartbeat_ns) - transition.stamp_ns >= same_ns:
            node_map.pending.note_heartbeat(node)
    # What comes after one of ours that will not be recorded counts on from this one, as with other registries.
    latest = transition.sequence if node.last_transition is needless else node.sequence_now
    is_latest = transition.sequence > node.record.epoch and transition.sequence >= latest
    if is_latest and node_map.adopt_transition(node, transition):
        late.append(node)


def _write_again_nodes(node_map: NodeMap, recorded: Container[str], snapshot: Snapshot) -> Iterator[None]:
    """Write which nodes there are and which are gone, where the store has lost that or never knew."""
    pending = node_map.pending
    for ours in _steps([*node_map.nodes()]):
        for node in ours:
            if node.name not in recorded and node_map.find(node.name) is node:
                pending.keep(node.record, rewrite=True)
                pending.note_heartbeat(node)
        yield
    stored_tombstones = {tombstone.name: tombstone.revision_ns for tombstone in snapshot.tombstones}
    for gone in _steps([*node_map.departed.values()]):
        for tombstone in gone:
            missing = stored_tombstones.get(tombstone.name, 0) < tombstone.revision_ns
            if missing and node_map.departed.get(tombstone.name) is tombstone:
                pending.keep(tombstone, rewrite=True)
        yield


def _write_again_history(node_map: NodeMap, recorded: dict[str, int], snapshot: Snapshot) -> Iterator[None]:
    """Write what was recorded before and is not in the store: all that memory has, or what came after its last."""
    pending, everything = node_map.pending, snapshot.lost
    there = {(transition.node, transition.sequence) for transition in snapshot.recent}
    new = {id(transition) for transition in (*pending.transitions, *pending.left)}
    kept: dict[tuple[str, int], Transition] = {}
    lasts = [
        last
        for node in node_map.nodes()
        if (last := node.last_transition) is not None and not node_map.recent.was_dropped(last)
    ]
    for transitions in _steps([*node_map.recent, *lasts]):
        for transition in transitions:
            number = transition.node, transition.sequence
            missing = everything or (transition.sequence > recorded.get(transition.node, 0) and number not in there)
            if missing and id(transition) not in new:
                kept.setdefault(number, transition)
        yield
    sorted_parts: list[list[Transition]] = []
    for transitions in _steps(kept.values()):
        sorted_parts.append(sorted(transitions, key=_SEQUENCE))
        yield
    history: list[Transition] = []
    for transitions in _steps(heapq.merge(*sorted_parts, key=_SEQUENCE)):
        history += transitions
        yield
    pending.history[:] = history


def _steps(items: Iterable[Value]) -> Iterator[list[Value]]:
    return parts(items, STEP)
