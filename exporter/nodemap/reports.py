"""What a heartbeat brings beside being one: readings, the sender's clock, a sequence number."""

from __future__ import annotations

from exporter.domain.clock import MILLISECOND
from exporter.domain.heartbeat import Heartbeat, sent_at_ns
from exporter.domain.lifecycle import STATED
from exporter.domain.node import Node

LATE_ARRIVALS = 16
"""A sequence number that is lower by at most this came late; one lower still is an agent that began anew."""
FASTEST_INTERVAL = 100 * MILLISECOND


def take_report(node: Node, beat: Heartbeat, *, wall_ns: int, heartbeat_age_ns: int, received_all: bool) -> bool:
    """Note what the heartbeat says; True where a document or a gauge of the node changes by it.

    `heartbeat_age_ns`: the time since the heartbeat before. `received_all`: we were not blind to the node meanwhile, so
    that a gap in the sequence is the node's or the network's and not ours.
    """
    changed = False
    if beat.sequence is not None:
        changed = _take_sequence(node, beat.sequence, heartbeat_age_ns=heartbeat_age_ns, received_all=received_all)
    if beat.timestamp is not None:
        sent_ns = sent_at_ns(beat)
        node.clock_offset_ns = None if sent_ns is None else sent_ns - wall_ns
        changed = True
    if beat.gpus is not None:
        node.readings = beat.gpus
        node.gpus_observed = len(beat.gpus)
        changed = True
    if beat.status is not None:
        shown = None if beat.status in STATED else beat.status
        if shown != node.reported_status:
            node.reported_status = shown
            changed = True
    return changed


def _take_sequence(node: Node, sequence: int, *, heartbeat_age_ns: int, received_all: bool) -> bool:
    last = node.sequence
    if last is not None and 0 <= last - sequence <= LATE_ARRIVALS:
        return False
    node.sequence = sequence
    missed = 0 if last is None else sequence - last - 1
    # A jump by more than any agent could have sent meanwhile is an agent that began anew.
    if missed <= 0 or not received_all or missed > heartbeat_age_ns // FASTEST_INTERVAL:
        return False
    node.missed += missed
    return True
