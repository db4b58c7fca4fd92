"""The node map and a store: what it starts from, what other registries write, and what it writes to them again.

Nothing here compares wall clocks, and nothing here is a heartbeat: `last_seen` moves only to when somebody received one
(docs/design/ordering.md).
"""

from __future__ import annotations

from itertools import chain

import msgspec

from exporter.domain.command import Register
from exporter.domain.durable import Batch, LastHeartbeat, Mark, Snapshot, StoredNode
from exporter.domain.node import Live, Node, NodeRecord, Tombstone
from exporter.domain.registration import with_held_id
from exporter.domain.status import Status, Transport
from exporter.domain.transition import Transition
from exporter.nodemap.nodemap import NodeMap
from exporter.nodemap.paths import Path
from exporter.nodemap.pending import PendingChanges
from exporter.nodemap.planning import PlannedWrite, is_heartbeat

MAX_OUTAGES = 64
"""Older outages are dropped from the mark: an age through so many of them has had all the grace there is."""


def load(node_map: NodeMap, snapshot: Snapshot) -> None:
    """Fill an empty map. The time since the snapshot's mark, when nobody received, is an outage of every path.

    Mesh time goes on from the mark, by as much as the wall clock says that passed since; never from before anything
    that the store has.
    """
    now_ns, wall_ns = node_map.clock.monotonic_ns(), node_map.clock.wall_ns()
    latest_ns = max((stored.last_heartbeat.stamp_ns for stored in snapshot.nodes), default=wall_ns)
    mark = snapshot.mark or Mark(latest_ns)
    node_map.mesh_time.restart(now_ns, mark.alive_ns + max(0, wall_ns - mark.wall_ns))
    node_map.mesh_time.advance(now_ns, max(_stamps(snapshot), default=0))
    local = node_map.mesh_time.local
    for stored in snapshot.nodes:
        _put(node_map, stored)
    for tombstone in sorted(snapshot.tombstones, key=lambda tombstone: tombstone.revision_ns):
        node_map.remove(tombstone)
    waiting = sorted(node_map.nodes(), key=lambda node: node.last_heartbeat_ns)
    for path in node_map.paths:
        outages = [(local(from_ns), local(to_ns)) for from_ns, to_ns in mark.outages.get(path.transport, [])]
        if snapshot.nodes:
            outages.append((min(local(mark.alive_ns), now_ns), now_ns))
        node_map.begin(path, outages, [node for node in waiting if node.path is path])
    node_map.begun()


def merge(node_map: NodeMap, snapshot: Snapshot) -> None:
    """Agree with a store that was unavailable: the later record of each node stands, and ours goes to the store."""
    node_map.mesh_time.advance(node_map.clock.monotonic_ns(), snapshot.mark.alive_ns if snapshot.mark else 0)
    pending = {id(transition) for transition in node_map.pending.transitions}
    late: list[Node] = []
    recorded: dict[str, int] = {}
    for tombstone in snapshot.tombstones:
        _adopt_tombstone(node_map, tombstone)
    for stored in snapshot.nodes:
        name, last = stored.record.name, stored.last_transition
        recorded[name] = last.sequence if last else 0
        if node_map.find(name) is None and _is_late(node_map, stored.record):
            continue
        node = _adopt_node(node_map, stored, late)
        if node.record.revision_ns > stored.record.revision_ns:
            node_map.pending.keep(node.record)
        if node_map.mesh_time.at(node.last_heartbeat_ns) > stored.last_heartbeat.stamp_ns:
            node_map.pending.heartbeats.add(node)
    for node in node_map.nodes():
        if node.name not in recorded:
            node_map.pending.keep(node.record)
            node_map.pending.heartbeats.add(node)
    stored_tombstones = {tombstone.name: tombstone.revision_ns for tombstone in snapshot.tombstones}
    for name, tombstone in node_map.departed.items():
        if stored_tombstones.get(name, 0) < tombstone.revision_ns:
            node_map.pending.keep(tombstone)
    node_map.arrange(late)
    _retell_history(node_map, recorded, pending, everything=snapshot.lost)


def adopt(node_map: NodeMap, batch: Batch) -> None:
    """Take in what another registry on the same store saved."""
    late: list[Node] = []
    for tombstone in batch.tombstones.values():
        _adopt_tombstone(node_map, tombstone)
    for name, record in batch.records.items():
        if node_map.find(name) is not None:
            _adopt_record(node_map, record)
        elif not _is_late(node_map, record):
            heartbeat = batch.heartbeats.get(name) or LastHeartbeat(
                record.registered_at_ns, Transport.HTTP, record.epoch
            )
            late.append(_put(node_map, StoredNode(record, heartbeat)))
    for name, heartbeat in batch.heartbeats.items():
        if (node := node_map.find(name)) is not None:
            _adopt_heartbeat(node_map, node, heartbeat, late)
    node_map.arrange([node for node in late if node_map.find(node.name) is node])
    for transition in (*batch.history, *batch.transitions):
        _adopt_transition(node_map, transition)


def mark_of(node_map: NodeMap) -> Mark:
    """The proof, for the next start, that this registry was receiving until the last tick; and when it was not."""
    at = node_map.mesh_time.at
    alive_ns = at(node_map.ticked_ns)
    outages = {}
    for transport, reception in node_map.reception.items():
        ended = [(at(outage.from_ns), at(outage.to_ns)) for outage in reception.outages[-MAX_OUTAGES:]]
        until_ns = at(reception.until_ns)
        if reception.blind(node_map.ticked_ns) and until_ns < alive_ns:
            ended.append((until_ns, alive_ns))
        outages[transport] = sorted(ended)
    return Mark(alive_ns, outages, node_map.wall_time.at(node_map.ticked_ns))


def batch_of(node_map: NodeMap, taken: PendingChanges) -> Batch:
    """What a store has to save of the pending changes, with the mark."""
    heartbeats = {node.name: _last_heartbeat(node_map, node) for node in taken.heartbeats}
    return Batch(taken.records, taken.tombstones, taken.transitions, heartbeats, mark_of(node_map), taken.history)


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


def _stamps(snapshot: Snapshot) -> chain[int]:
    return chain(
        (stored.last_heartbeat.stamp_ns for stored in snapshot.nodes),
        (stored.record.revision_ns for stored in snapshot.nodes),
        (tombstone.revision_ns for tombstone in snapshot.tombstones),
    )


def _put(node_map: NodeMap, stored: StoredNode) -> Node:
    now_ns, local = node_map.clock.monotonic_ns(), node_map.mesh_time.local
    heartbeat, last = stored.last_heartbeat, stored.last_transition
    last_heartbeat_ns = min(local(heartbeat.stamp_ns), now_ns)
    # A transition up to the epoch is the history of an earlier node of this name.
    since_ns = last_heartbeat_ns
    if last is not None and last.sequence > stored.record.epoch:
        since_ns = min(local(last.stamp_ns), now_ns)
    live = Live(
        last_heartbeat_ns, heartbeat.last_seen_ns, heartbeat.transport, stored.status, since_ns, last, heartbeat.via
    )
    return node_map.put(stored.record, live)


def _adopt_node(node_map: NodeMap, stored: StoredNode, late: list[Node]) -> Node:
    node = node_map.find(stored.record.name)
    if node is None:
        node = _put(node_map, stored)
        late.append(node)
        return node
    _adopt_record(node_map, stored.record)
    _adopt_heartbeat(node_map, node, stored.last_heartbeat, late)
    if stored.last_transition is not None:
        _adopt_transition(node_map, stored.last_transition)
    return node


def _is_late(node_map: NodeMap, record: NodeRecord) -> bool:
    """Whether the node is gone since."""
    tombstone = node_map.departed.get(record.name)
    return tombstone is not None and tombstone.revision_ns > record.revision_ns


def _adopt_record(node_map: NodeMap, record: NodeRecord) -> None:
    node = node_map.find(record.name)
    if node is None or record.revision_ns <= node.record.revision_ns:
        return
    node_map.pending.records.pop(record.name, None)
    if node.facts.node_id and not record.registration.node_id:
        # Saved by a registry that did not know who holds the name: the store is corrected, under a later revision.
        facts = with_held_id(record.registration, node.facts.node_id)
        record = msgspec.structs.replace(record, registration=facts, revision_ns=record.revision_ns + 1)
        node_map.pending.keep(record)
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
    if node.status is not Status.ACTIVE and heartbeat_ns <= node.status_since_ns:
        # No return: the recording registry knew of it, or the status is right all the same. Each registry stamps a
        # heartbeat on the bus by itself.
        node.last_heartbeat_ns, node.path, node.transport = heartbeat_ns, path, path.transport
        node.last_seen_ns = max(node.last_seen_ns, heartbeat.last_seen_ns)
        node_map.version += 1
        late.append(node)
        return
    node_map.record_remote_heartbeat(node, heartbeat_ns, heartbeat.last_seen_ns, path)
    if now_ns - heartbeat_ns > node_map.thresholds.gap:
        late.append(node)


def _adopt_transition(node_map: NodeMap, transition: Transition) -> None:
    """What was recorded stands; it changes a node of ours unless we know of a later heartbeat."""
    node_map.recent.note(transition)
    node = node_map.find(transition.node)
    if node is None or transition.sequence <= node.record.epoch or transition.sequence < node.sequence_now:
        return
    node.last_transition = transition
    if transition.to is node.status:
        return
    at_ns = min(node_map.mesh_time.local(transition.stamp_ns), node_map.clock.monotonic_ns())
    if transition.to is Status.ACTIVE:
        # It was made by a heartbeat, which we may not have received.
        if at_ns > node.last_heartbeat_ns:
            node.last_seen_ns = max(node.last_seen_ns, transition.at_ns)
            node.last_heartbeat_ns = at_ns
            node_map.arrange([node])
        node_map.set_status(node, Status.ACTIVE, at_ns, recorded=False)
    elif at_ns > node.last_heartbeat_ns:
        node_map.set_status(node, transition.to, at_ns, recorded=False)
    else:
        node_map.assert_status(node)


def _retell_history(node_map: NodeMap, recorded: dict[str, int], pending: set[int], *, everything: bool) -> None:
    """Write what was recorded before and is not in the store: all that memory has, or what came after its last."""
    kept: dict[tuple[str, int], Transition] = {}
    lasts = (node.last_transition for node in node_map.nodes() if node.last_transition is not None)
    for transition in chain(node_map.recent, lasts):
        if id(transition) in pending:
            continue
        if everything or transition.sequence > recorded.get(transition.node, 0):
            kept.setdefault((transition.node, transition.sequence), transition)
    node_map.pending.history[:] = sorted(kept.values(), key=lambda transition: transition.sequence)
