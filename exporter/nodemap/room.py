"""How much the map may hold: so many nodes, and so many bytes of what they state."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import msgspec

from exporter.domain.errors import NodeLimit, StateLimit
from exporter.domain.heartbeat import GpuReading, Heartbeat, Ignored, Reason, with_readings
from exporter.domain.node import Node
from exporter.domain.registration import Registration

LINK_BYTES = 128
"""What a link takes in memory beyond its text."""
READING_BYTES = 512
"""One GPU's readings, with their health."""
CODE_BYTES = 96
"""One code of a GPU's errors."""
IGNORED_BYTES = 512
"""One reason why a part of a heartbeat was left out."""
_log = logging.getLogger("aurora.nodemap")
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Growth:
    """By how much writes that are planned, and not applied yet, let the map grow."""

    nodes: int = 0
    bytes: int = 0


class Room:
    """Counts what the map holds. What is there, and what comes from other registries or the store, is never refused:
    only what would add to it.
    """  # noqa: D205 - one sentence

    def __init__(self, max_nodes: int, max_state: int) -> None:
        self.max_nodes = max_nodes
        self.max_state = max_state
        self.state_bytes = 0
        """Of all registrations and readings: an estimate that is cheap, and not far below what they take."""

    def warn_if_exceeded(self) -> None:
        """Log a warning where there is more than allowed: a store had it, or the limit was lowered."""
        if self.state_bytes > self.max_state:
            _log.warning(
                "nodes state more than limits.max_state: all are served, and none may state more",
                extra={"bytes": self.state_bytes, "max_state": self.max_state},
            )

    def reserve(self, nodes: int, before: Registration | None, after: Registration, ahead: Growth) -> None:
        """Make sure that there is room for a registration, beside `nodes` and the growth `ahead`, and add it to that.

        Raises NodeLimit or StateLimit.
        """
        if before is None and nodes + ahead.nodes >= self.max_nodes:
            raise NodeLimit(self.max_nodes)
        grown = max(0, registration_bytes(after) - (registration_bytes(before) if before else 0))
        if grown and self.state_bytes + ahead.bytes + grown > self.max_state:
            raise StateLimit(self.max_state)
        ahead.nodes += before is None
        ahead.bytes += grown

    def exchange(self, before: Registration | None, after: Registration | None) -> None:
        """A registration replaced another; None: there was none before, or is none now."""
        if before is not after:
            self.state_bytes += registration_bytes(after) if after else 0
            self.state_bytes -= registration_bytes(before) if before else 0

    def note_report(self, node: Node) -> None:
        """The node's readings, or what was left out of them, changed."""
        size = report_bytes(node.readings, node.ignored)
        self.state_bytes += size - node.report_bytes
        node.report_bytes = size

    def fitting(self, node: Node, beat: Heartbeat) -> Heartbeat:
        """The heartbeat, without its readings where there is no room for more of them."""
        gpus = beat.gpus or ()
        grown = report_bytes(gpus, ()) - node.report_bytes
        if grown <= 0 or self.state_bytes + grown <= self.max_state:
            return beat
        message = f"the registry holds limits.max_state = {self.max_state} bytes: raise the limit or deregister nodes"
        return with_readings(beat, None, [Ignored("gpus", message, Reason.NO_ROOM)], Reason.NO_ROOM, len(gpus))


def registration_bytes(registration: Registration) -> int:
    """What a registration takes in memory, roughly."""
    return len(_encode(registration)) + LINK_BYTES * len(registration.links)


def report_bytes(readings: tuple[GpuReading, ...], ignored: tuple[Ignored, ...]) -> int:
    """What is kept of a heartbeat, roughly."""
    size = READING_BYTES * len(readings) + IGNORED_BYTES * len(ignored)
    for reading in readings:
        if reading.health is not None and reading.health.xid_errors:
            size += CODE_BYTES * len(reading.health.xid_errors)
    return size
