"""What happened in the mesh recently: what the store has, and what so far only memory has."""

from __future__ import annotations

from itertools import islice

from exporter.domain.durable import Recent
from exporter.domain.transition import Transition, in_order
from exporter.nodemap.nodemap import NodeMap


def merge_unsaved(stored: Recent, node_map: NodeMap, since_ns: int, limit: int) -> Recent:
    """The store's, completed by those that it does not have yet; at most `limit` of each, newest first."""
    latest: dict[str, Transition] = {}
    for transition in stored.transitions:
        if transition.node not in latest or transition.sequence > latest[transition.node].sequence:
            latest[transition.node] = transition
    transitions = list(stored.transitions)
    # The latest stand last, in memory.
    for transition in reversed([*islice(reversed(node_map.recent), limit)]):
        known = latest.get(transition.node)
        # As a store takes it: another registry may have written the same change a moment apart.
        if transition.at_ns >= since_ns and (
            known is None or (transition.sequence > known.sequence and transition.to is not known.to)
        ):
            latest[transition.node] = transition
            transitions.append(transition)
    gone = {tombstone.name: tombstone for tombstone in stored.tombstones}
    latest_gone = islice(reversed(node_map.departed.values()), limit)
    gone.update((tombstone.name, tombstone) for tombstone in latest_gone if tombstone.at_ns >= since_ns)
    still_gone = [tombstone for tombstone in gone.values() if node_map.find(tombstone.name) is None]
    return Recent(
        in_order(transitions)[: -limit - 1 : -1],
        sorted(still_gone, key=lambda tombstone: (tombstone.revision_ns, tombstone.name), reverse=True)[:limit],
    )
