"""From HTTP responses, or their absence, to replies with a reason for people."""

from __future__ import annotations

from exporter.client.http import Cause, NoAnswer
from exporter.client.problems import problem_of, retry_after_seconds
from exporter.domain.requestoutcome import Outcome, Reply, Response, outcome_of
from exporter.domain.text import shown

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
    reason = problem.reason or f"{endpoint} answers {status}"
    return Reply(outcome_of(status, problem.type), reason, retry_after_seconds(response))


def unreachable(error: NoAnswer, endpoint: str) -> Reply:
    """Why no answer came."""
    return Reply(Outcome.UNREACHABLE, f"{endpoint}: {error}{_NEXT_STEP.get(error.cause, '')}")
