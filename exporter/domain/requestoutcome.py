"""A request's response, and what comes of it, classified by what its sender should do next.

The agent takes this with it, so it needs no more than Python 3.9.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, NamedTuple


class Response(NamedTuple):
    """A whole HTTP response, whatever its status; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    reason: str = ""
    """The phrase beside the status, where the reader keeps it."""

    @property
    def ok(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's successes


class Outcome(enum.Enum):
    """What came of it."""

    OK = "ok"
    UNKNOWN = "unknown"
    """No node of this name is registered: register, then go on."""
    DEPARTED = "departed"
    """Somebody deregistered the node a moment ago: only a registration brings it back."""
    CONFLICT = "conflict"
    """The name belongs to a living machine with another `node_id`."""
    REFUSED = "refused"
    """The same request will be refused again until somebody changes something."""
    UNAVAILABLE = "unavailable"
    """Not now: the same request is safe to repeat later."""
    UNREACHABLE = "unreachable"
    """No answer came, or none in time: it may have been received or not, and is safe to repeat."""


class Reply(NamedTuple):
    """The registry's answer, or what takes its place where none came."""

    outcome: Outcome
    reason: str = ""
    """A sentence for people without its full stop: what is wrong and what to do. Empty where it was received."""
    retry_after_seconds: float | None = None
    """When the registry thinks that it is worth trying again, if it said so."""
    document: Mapping[str, Any] = {}
    """What the registry answered, where its sender needs it."""

    @property
    def ok(self) -> bool:
        """Whether the registry took the request."""
        return self.outcome is Outcome.OK

    @property
    def heartbeat_interval_seconds(self) -> Any:
        """How often the registry expects heartbeats; only HTTP answers to a registration say so. None elsewhere."""
        return self.document.get("heartbeat_interval_seconds")


OK = Reply(Outcome.OK)
UNKNOWN_NODE = "urn:aurora:problem:unknown-node"
"""The type of the problem that UNKNOWN is."""
_BY_STATUS = {404: Outcome.UNKNOWN, 409: Outcome.CONFLICT, 410: Outcome.DEPARTED}
_LATER = frozenset({408, 425, 429})
"""Statuses below 500 that time may change."""


def outcome_of(status: int, problem_type: object) -> Outcome:
    """What a problem document of a registry says, by the status that it came with and its type."""
    if status in _LATER or status >= 500:  # noqa: PLR2004 - server errors
        return Outcome.UNAVAILABLE
    outcome = _BY_STATUS.get(status, Outcome.REFUSED)
    # A 404 of another type is a path that the registry does not have.
    return Outcome.REFUSED if outcome is Outcome.UNKNOWN and problem_type != UNKNOWN_NODE else outcome
