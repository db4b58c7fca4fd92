"""Records, tombstones and the like, as short as a test wants to write them."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from exporter.domain.durable import LastHeartbeat, StoredNode
from exporter.domain.node import NodeRecord, Removal, Tombstone
from exporter.domain.registration import Registration
from exporter.domain.status import Status, Transport
from exporter.domain.transition import Transition

NOW = time.time_ns()
"""All times below count from here: a store drops what is a week old."""


def record(name: str = "a", revision: int = 0, registered: int = 0, **facts: Any) -> NodeRecord:
    """A record; `revision` and `registered` are nanoseconds from NOW."""
    facts.setdefault("capabilities", msgspec.Raw(b'{"gpu": true}'))
    return NodeRecord(Registration(name, **facts), NOW + registered, NOW + revision)


def tombstone(name: str = "a", at: int = 0, registered: int = 0, removal: Removal = Removal.DEPARTED) -> Tombstone:
    """A tombstone."""
    return Tombstone(name, NOW + at, removal, NOW + registered)


def transition(name: str = "a", at: int = 0, to: str = "warning", from_: str = "active") -> Transition:
    """A transition."""
    return Transition(name, Status(from_), Status(to), NOW + at)


def heartbeats(at: int = 0, transport: str = "http") -> LastHeartbeat:
    """A heartbeat."""
    return LastHeartbeat(NOW + at, Transport(transport))


def stored(
    record: NodeRecord, last_seen: int = 0, transport: str = "http", last: Transition | None = None
) -> StoredNode:
    """A node as it is loaded."""
    return StoredNode(record, heartbeats(last_seen, transport), last)
