"""What a heartbeat brings beside being one: readings, the sender's clock, a sequence number."""

from __future__ import annotations

import msgspec

from exporter.domain.clock import MILLISECOND, SECOND
from exporter.domain.heartbeat import GpuReading, Heartbeat, Ignored, Reason, sent_at_ns, with_readings
from exporter.domain.lifecycle import STATED
from exporter.domain.node import Node
from exporter.domain.registration import ADDRESS

LATE_ARRIVALS = 16
"""A sequence number that is lower by at most this came late; one lower still is an agent that restarted."""
TOLERANCE = 1.1
"""Registered memory is often rounded, or stated by people."""
PLAUSIBLE_GAP = 1_000
"""So many heartbeats may be lost of those that a network held back and brought at once."""
FASTEST_INTERVAL = 100 * MILLISECOND


def take_report(
    node: Node,
    beat: Heartbeat,
    *,
    now_ns: int,
    wall_ns: int,
    heartbeat_age_ns: int,
    received_all: bool,
    stale_after_ns: int,
) -> bool:
    """Note what the heartbeat says; True where a document or a gauge of the node changes by it.

    `heartbeat_age_ns`: the time since the heartbeat before. `received_all`: we were not blind to the node meanwhile, so
    that a gap in the sequence is the node's or the network's and not ours. `stale_after_ns`: an older reading ends.
    """
    changed = False
    if beat.sequence is not None:
        changed = _take_sequence(node, beat.sequence, heartbeat_age_ns=heartbeat_age_ns, received_all=received_all)
    if beat.timestamp is not None:
        sent_ns = sent_at_ns(beat)
        node.clock_offset_ns = None if sent_ns is None else sent_ns - wall_ns
        changed = True
    if beat.gpus is not None:
        # List comprehensions, here and below: a generator for each heartbeat costs more than its one or two readings.
        node.readings = tuple([_current(reading, stale_after_ns) for reading in beat.gpus])
        node.readings_ns = now_ns
        node.gpus_observed = len([reading for reading in beat.gpus if not reading.lost])
        changed = True
    elif node.readings and now_ns - node.readings_ns > stale_after_ns:
        # These are too old to show anything about now.
        node.readings = ()
        node.gpus_observed = None
        changed = True
    if beat.status is not None:
        shown = None if beat.status in STATED else beat.status
        if shown != node.reported_status:
            node.reported_status = shown
            changed = True
    return changed


def by_somebody_else(node: Node, identity: str) -> bool:
    """Whether a registration of this identity is a script's or a person's, of a node that has an agent of its own.

    It says nothing of which machine the agent runs on, nor that it runs.
    """
    by_hand = identity.startswith(ADDRESS) or not identity
    return by_hand and bool(node.identity) and not node.identity.startswith(ADDRESS)


def is_clone(node: Node, identity: str, now_ns: int, within_ns: int) -> bool:
    """Whether two machines alternate in sending for the node: one that was replaced a while ago is back.

    A machine that starts again, or moves, is another identity each time; only two machines alternate.
    """
    if identity == node.identity or by_somebody_else(node, identity):
        return False
    back = identity == node.identity_before and now_ns - node.identity_since_ns < within_ns
    node.identity_before, node.identity, node.identity_since_ns = node.identity, identity, now_ns
    return back


def without_impossible(beat: Heartbeat, total_bytes: int) -> Heartbeat:
    """The heartbeat without readings of more memory in use than all of the node's GPUs have together."""
    if not beat.gpus or not total_bytes:
        return beat
    limit = total_bytes * TOLERANCE
    if max([reading.memory_used_bytes or 0 for reading in beat.gpus]) <= limit:
        return beat
    ignored, gpus = [], []
    for position, reading in enumerate(beat.gpus):
        used = reading.memory_used_bytes
        if used is not None and used > limit:
            message = f"expected at most the {total_bytes} bytes that the node is registered with, got {used}"
            ignored.append(Ignored(f"gpus[{position}].memory_used_bytes", message, Reason.IMPOSSIBLE))
            reading = msgspec.structs.replace(reading, memory_used_bytes=None)  # noqa: PLW2901 - the same, corrected
        gpus.append(reading)
    return with_readings(beat, tuple(gpus), ignored, Reason.IMPOSSIBLE, len(ignored))


def note_health(node: Node) -> bool:
    """Take over what the node's readings say of its GPUs' health; whether that is news."""
    health = tuple([(each.index, each.uuid, each.health) for each in node.readings if each.health is not None])
    if health == node.gpu_health:
        return False
    node.gpu_health = health
    return True


def _current(reading: GpuReading, stale_after_ns: int) -> GpuReading:
    """The reading; one that was already old when it was sent only shows that the GPU is there."""
    if reading.age_seconds is None or reading.age_seconds * SECOND <= stale_after_ns:
        return reading
    return GpuReading(reading.index, reading.uuid, age_seconds=reading.age_seconds, lost=reading.lost)


def _take_sequence(node: Node, sequence: int, *, heartbeat_age_ns: int, received_all: bool) -> bool:
    last = node.sequence
    if last is not None and 0 <= last - sequence <= LATE_ARRIVALS:
        return False
    node.sequence = sequence
    missed = 0 if last is None else sequence - last - 1
    # A jump by more than that, and than any agent could have sent meanwhile, is an agent that restarted.
    if missed <= 0 or not received_all or missed > max(PLAUSIBLE_GAP, heartbeat_age_ns // FASTEST_INTERVAL):
        return False
    node.missed += missed
    return True
