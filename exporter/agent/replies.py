"""What comes of a request to the registry, classified by what the agent should do next."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, NamedTuple


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
    """The registry's answer, or what stands for one where there is none."""

    outcome: Outcome
    reason: str = ""
    """A sentence for people without its full stop: what is wrong and what to do."""
    retry_after_seconds: float | None = None
    document: Mapping[str, Any] = {}
    """What the registry answered, where that was a JSON object."""

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return self.outcome is Outcome.OK


OK = Reply(Outcome.OK)
