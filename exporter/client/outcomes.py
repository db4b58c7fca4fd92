"""From HTTP responses, or their absence, to replies with a reason for people."""

from __future__ import annotations

from exporter.client.http import Cause, NoAnswer, Response
from exporter.client.problems import UNKNOWN_NODE, problem_of, retry_after_seconds
from exporter.client.protocol import Outcome, Reply
from exporter.domain.text import shown

LATER = frozenset({408, 425, 429})
"""Statuses below 500 that time may change."""
SERVER_ERRORS = 500
_BY_STATUS = {404: Outcome.UNKNOWN, 409: Outcome.CONFLICT, 410: Outcome.DEPARTED}
_NEXT_STEP = {
    Cause.HOST_NAME: ": check it, and the resolver",
    Cause.TLS: ": for a private authority, AURORA_CA_FILE names its certificate; http:// is for a registry without TLS",
}


def refusal(response: Response, endpoint: str) -> Reply:
    """What a response that is no success means.

    What no registry of ours says is UNAVAILABLE: a proxy whose registry is down, or the login page of a hotel's
    network, is gone in a while.
    """
    status, problem = response.status, problem_of(response)
    if problem is None:
        moved = response.headers.get("location")
        pointer = f" and points to {shown(moved)}" if moved else ""
        return Reply(
            Outcome.UNAVAILABLE, f"{endpoint} answers {status}{pointer}, which no registry says: check the address"
        )
    outcome = _BY_STATUS.get(status, Outcome.REFUSED)
    if status in LATER or status >= SERVER_ERRORS:
        outcome = Outcome.UNAVAILABLE
    if outcome is Outcome.UNKNOWN and problem.type != UNKNOWN_NODE:
        outcome = Outcome.REFUSED
    return Reply(outcome, problem.reason or f"{endpoint} answers {status}", retry_after_seconds(response))


def unreachable(error: NoAnswer, endpoint: str) -> Reply:
    """Why no answer came."""
    return Reply(Outcome.UNREACHABLE, f"{endpoint}: {error}{_NEXT_STEP.get(error.cause, '')}")
