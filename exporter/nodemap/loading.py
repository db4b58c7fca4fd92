"""What a registry starts from: the nodes and tombstones that the store has, and the outages until now."""

from __future__ import annotations

from collections import deque
from itertools import chain

from exporter.domain.durable import Mark, Snapshot, StoredNode
from exporter.domain.largelists import emptied, sorted_in_parts
from exporter.domain.node import Live, Node
from exporter.domain.status import Transport
from exporter.nodemap.nodemap import NodeMap
from exporter.nodemap.paths import Path


def load(node_map: NodeMap, snapshot: Snapshot) -> None:
    """Fill an empty map. The time since the snapshot's mark, when nobody received, is an outage.

    Over HTTP nobody received in our place: for the nodes that used us last, the outage began at our own mark.

    Mesh time goes on from the mark, by as much as the wall clock says that passed since; never from before anything
    that the store has. The snapshot's nodes are emptied.
    """
    now_ns, wall_ns = node_map.clock.monotonic_ns(), node_map.clock.wall_ns()
    latest_ns = max((stored.last_heartbeat.stamp_ns for stored in snapshot.nodes), default=wall_ns)
    mark = snapshot.mark or Mark(latest_ns)
    node_map.mesh_time.restart(now_ns, mark.alive_ns + max(0, wall_ns - mark.wall_ns))
    node_map.mesh_time.advance(now_ns, max(_stamps(snapshot), default=0))
    local = node_map.mesh_time.local
    marks = snapshot.marks
    others = {name: min(local(each.alive_ns), now_ns) for name, each in marks.items() if name != node_map.instance}
    node_map.peers.recall(others)
    for stored in emptied(snapshot.nodes):
        put_stored(node_map, stored)
    node_map.recent.complete(snapshot.recent)
    # By the wall clock, which may be wrong: it counts for nothing.
    down_ns = max(0, now_ns - local(mark.alive_ns))
    for tombstone in sorted(snapshot.tombstones, key=lambda tombstone: tombstone.revision_ns):
        node_map.tombstones.add(tombstone, now_ns, node_map.thresholds, down_ns=down_ns)
    waiting = sorted_in_parts(node_map.nodes(), lambda node: node.last_heartbeat_ns)
    for path in node_map.paths:
        # The bus brings the same to all; of what came over HTTP, the registry that received it knows what it missed.
        last = mark if path.transport is Transport.BUS else marks.get(path.via or node_map.instance, mark)
        alive_ns = min(local(last.alive_ns), now_ns)
        outages = [(local(from_ns), local(to_ns)) for from_ns, to_ns in last.outages.get(path.transport, [])]
        outages = [outage for outage in outages if outage[1] <= alive_ns]
        # Another registry may have received all the time, or be cut off: its next write, or its lease's end, shows.
        until_ns = others.get(path.via)
        if waiting and until_ns is None:
            # Until now, after the nodes were put: what came meanwhile was not received.
            outages.append((alive_ns, node_map.clock.monotonic_ns()))
        _begin(node_map, path, outages, [node for node in waiting if node.path is path])
        path.reception.until_ns = node_map.clock.monotonic_ns() if until_ns is None else until_ns
    node_map.aggregates.restore(node_map.nodes(), node_map.clock.monotonic_ns())
    node_map.tick()


def put_stored(node_map: NodeMap, stored: StoredNode) -> Node:
    """Put a node that is new here, as it stands in the store."""
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


def _begin(node_map: NodeMap, path: Path, outages: list[tuple[int, int]], nodes: list[Node]) -> None:
    """Take over the outages of an earlier process, and queue its nodes among them, highest heartbeat age first."""
    queues, waiting = node_map.queues, deque(nodes)
    for from_ns, to_ns in outages:
        while waiting and waiting[0].last_heartbeat_ns < to_ns:
            queues.current[path].enqueue(waiting.popleft())
        path.reception.add_outage(from_ns, to_ns)
        queues.new_generation(path)
    for node in waiting:
        queues.current[path].enqueue(node)


def _stamps(snapshot: Snapshot) -> chain[int]:
    return chain(
        (stored.last_heartbeat.stamp_ns for stored in snapshot.nodes),
        (stored.record.revision_ns for stored in snapshot.nodes),
        (tombstone.revision_ns for tombstone in snapshot.tombstones),
    )
