"""From HTTP responses, or their absence, to answers with a reason for people."""

from __future__ import annotations

import msgspec
import urllib3
from urllib3.exceptions import (
    NameResolutionError,
    NewConnectionError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as HttpTimeoutError

from exporter.client.protocol import Outcome, Reply
from exporter.domain.text import shown

PROBLEM = "application/problem+json"
LATER = frozenset({408, 425, 429})
"""Statuses below 500 that time may change."""
SERVER_ERRORS = 500
_BY_STATUS = {404: Outcome.UNKNOWN, 409: Outcome.CONFLICT, 410: Outcome.DEPARTED}
_UNKNOWN_NODE = "urn:aurora:problem:unknown-node"


class _Fault(msgspec.Struct):
    message: str
    field: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class _Problem(msgspec.Struct):
    """Source: RFC 9457, with our `errors`."""

    type: str = ""
    title: str = ""
    detail: str = ""
    errors: list[_Fault] = []


def answer_of(response: urllib3.BaseHTTPResponse, endpoint: str) -> Reply:
    """What a response that is no success means.

    What no registry of ours says is UNAVAILABLE: a proxy whose registry is down, or the login page of a hotel's
    network, is gone in a while.
    """
    status, problem = response.status, _problem(response)
    if problem is None:
        moved = response.headers.get("Location")
        pointer = f" and points to {shown(moved)}" if moved else ""
        return Reply(
            Outcome.UNAVAILABLE, f"{endpoint} answers {status}{pointer}, which no registry says: check the address"
        )
    outcome = _BY_STATUS.get(status, Outcome.REFUSED)
    if status in LATER or status >= SERVER_ERRORS:
        outcome = Outcome.UNAVAILABLE
    if outcome is Outcome.UNKNOWN and problem.type != _UNKNOWN_NODE:
        outcome = Outcome.REFUSED
    reason = "; ".join(map(str, problem.errors)) or problem.detail or problem.title or f"{endpoint} answers {status}"
    return Reply(outcome, reason, _seconds(response.headers.get("Retry-After", "")))


def unreachable(error: Exception, endpoint: str, timeout_seconds: float) -> Reply:
    """Why no answer came."""
    return Reply(Outcome.UNREACHABLE, f"{endpoint}: {_why(error, timeout_seconds)}")


def _why(error: Exception, timeout_seconds: float) -> str:
    if isinstance(error, NameResolutionError):
        return "its host name is not known: check it, and the resolver"
    if isinstance(error, SSLError):
        return (
            f"TLS failed ({error}): for a private authority, SSL_CERT_FILE names its certificate; "
            "http:// is for a registry without TLS"
        )
    # One of the timeouts as well, as urllib3 sees it; so it is looked at first.
    if isinstance(error, NewConnectionError):
        cause = error.__cause__ or error.__context__
        return (getattr(cause, "strerror", None) or str(error)).lower()
    if isinstance(error, HttpTimeoutError | TimeoutError):
        return f"no answer within {timeout_seconds:g} s"
    return str(error)


def _problem(response: urllib3.BaseHTTPResponse) -> _Problem | None:
    if not response.headers.get("Content-Type", "").startswith(PROBLEM):
        return None
    try:
        return msgspec.json.decode(response.data, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _seconds(text: str) -> float | None:
    # A date is allowed as well, but no registry of ours writes one.
    return float(text) if text.isascii() and text.isdecimal() and len(text) <= 6 else None  # noqa: PLR2004 - 11 days
