"""How the agent ends by itself: an exit status, and a sentence that says what to do."""

from __future__ import annotations

import enum

from exporter.domain.requestoutcome import Outcome, Reply


class Exit(enum.IntEnum):
    """What supervisors decide by. USAGE, CONFLICT and DEPARTED do not get better by a restart."""

    FINE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    CONFLICT = 4
    DEPARTED = 5


_BY_OUTCOME = {
    Outcome.OK: Exit.FINE,
    Outcome.UNKNOWN: Exit.REFUSED,
    Outcome.REFUSED: Exit.REFUSED,
    Outcome.CONFLICT: Exit.CONFLICT,
    Outcome.DEPARTED: Exit.DEPARTED,
    Outcome.UNAVAILABLE: Exit.UNREACHABLE,
    Outcome.UNREACHABLE: Exit.UNREACHABLE,
}
_ADVICE = {
    Outcome.DEPARTED: ". Somebody did so on purpose, so the agent ends; start it to bring the node back",
    Outcome.CONFLICT: ". The name is --node-name (AURORA_NODE_NAME)",
}


class AgentExit(Exception):
    """Nothing is left to do: the answer that made it so."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.reason + _ADVICE.get(reply.outcome, ""))
        self.status = _BY_OUTCOME[reply.outcome]


class UsageError(Exception):
    """A setting cannot be: which one, and what was expected."""


class Stopped(Exception):
    """A signal asked the agent to end."""
