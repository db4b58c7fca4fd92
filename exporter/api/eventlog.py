"""The latest events of this process, encoded once and numbered, so that every reader of the stream shares them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from exporter.api.queries import Test
from exporter.domain.node import Node
from exporter.domain.registration import Registration
from exporter.domain.status import Status

MAX_EVENTS = 10_000
MAX_BYTES = 16 * 2**20
KEPT_SHARE = 0.9
"""What stays of either once there is too much."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What filters see of an event's node: how it stands, or stood before."""

    facts: Registration
    status: Status
    free_vram_bytes: int

    def passes(self, tests: Sequence[Test]) -> bool:
        """Whether the node passes all filters."""
        # The filters of /nodes look at nothing else of a node.
        return all(test(cast("Node", self)) for test in tests)


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event. `frame` is its text in the stream, with its id; no subjects: it is about no node."""

    frame: bytes
    at_ns: int
    subjects: tuple[Subject, ...] = ()

    def wanted(self, tests: Sequence[Test]) -> bool:
        """Whether it passes the filters: as the node stands after it, or as it stood before."""
        return not tests or any(subject.passes(tests) for subject in self.subjects)


class EventLog:
    """A bounded log: readers hold a position in it, and nothing of their own."""

    def __init__(self, wall_ns: Callable[[], int]) -> None:
        self._process = secrets.token_hex(6)
        self._wall_ns = wall_ns
        self._events: list[LoggedEvent] = []
        self._size = 0
        self.first = 0
        """The position of the oldest event that is kept."""
        self.lost = -1
        """The position up to which events were dropped unread."""

    @property
    def end(self) -> int:
        """The position behind the newest event."""
        return self.first + len(self._events)

    def append(self, text: bytes, subjects: tuple[Subject, ...]) -> None:
        """Add an event, which gets its id; the oldest go once there are too many."""
        at_ns = self._wall_ns()
        event = LoggedEvent(b"id: %b\n%b" % (self._id(at_ns, self.end + 1), text), at_ns, subjects)
        self._events.append(event)
        self._size += len(event.frame)
        if len(self._events) > MAX_EVENTS or self._size > MAX_BYTES:
            self._trim()

    def _trim(self) -> None:
        """A tenth goes at a time, since each time costs a move of all that stays."""
        gone = 0
        while len(self._events) - gone > MAX_EVENTS * KEPT_SHARE or self._size > MAX_BYTES * KEPT_SHARE:
            self._size -= len(self._events[gone].frame)
            gone += 1
        del self._events[:gone]
        self.first += gone

    def skip(self) -> None:
        """Drop everything: events were lost, and all readers have to reload."""
        self.lost = self.end
        self.first = self.end + 1
        self._events.clear()
        self._size = 0

    def read(self, position: int, limit: int) -> list[LoggedEvent]:
        """At most so many events from this position on, which must be kept still."""
        start = position - self.first
        return self._events[start : start + limit]

    def event_id(self, position: int) -> bytes:
        """The id that resumes at this position: the time for other processes, the position for this one."""
        nearest = self.read(max(position - 1, self.first), 1)
        return self._id(nearest[0].at_ns if nearest else self._wall_ns(), position)

    def position_of(self, event_id: str) -> tuple[int, int | None] | None:
        """Time and position that an id names; no position where another process gave it, None for what is no id."""
        at, _, rest = event_id.partition("-")
        process, _, position = rest.partition("-")
        if not (_is_number(at) and _is_number(position) and process):
            return None
        ours = process == self._process and self.first <= int(position) <= self.end
        return int(at), int(position) if ours else None

    def _id(self, at_ns: int, position: int) -> bytes:
        return b"%d-%b-%d" % (at_ns, self._process.encode(), position)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(2**63))


def frame(event_type: str, data: bytes) -> bytes:
    """An event's text in the stream. `data`: JSON on one line."""
    return b"event: %b\ndata: %b\n\n" % (event_type.encode(), data)
