"""Errors as problem documents, for people and programs alike. Source: RFC 9457."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException

from exporter.domain.errors import (
    AuroraError,
    DepartedNode,
    Fault,
    Invalid,
    LeaseExpired,
    NameConflict,
    NodeLimit,
    StateLimit,
    StillLoading,
    StoreUnavailable,
    UnknownNode,
)

MEDIA_TYPE = b"application/problem+json"
NOT_ACKNOWLEDGED = "the request is not acknowledged and safe to repeat"
LOADING_RETRY = "2"
"""Seconds after which it is worth trying again, as in the table below: a hiccup passes soon, a full map does not."""
_KNOWN: dict[type[AuroraError], tuple[int, str, str]] = {
    UnknownNode: (404, "unknown-node", ""),
    DepartedNode: (410, "departed-node", ""),
    NameConflict: (409, "name-conflict", ""),
    NodeLimit: (429, "node-limit", "60"),
    StateLimit: (429, "state-limit", "60"),
    LeaseExpired: (503, "cut-off", "5"),
    StoreUnavailable: (503, "store-unavailable", "5"),
    StillLoading: (503, "still-loading", LOADING_RETRY),
}


class Problem(AuroraError):
    """A request was refused; `detail` says why and what to do."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "",
        title: str = "",
        faults: list[Fault] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`kind`: how programs distinguish it from others of the same status."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.title = title or HTTPStatus(status).phrase
        self.faults = faults or []
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The document."""
        document: dict[str, Any] = {
            "type": f"urn:aurora:problem:{self.kind}" if self.kind else "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.faults:
            document["errors"] = [{"field": fault.field, "message": fault.message} for fault in self.faults]
        return msgspec.json.encode(document)


def problem_of(error: Exception) -> Problem:
    """The problem that an error is to the caller; what is not one of ours is a 500 without details of our inside."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Invalid):
        return Problem(400, str(error), kind="invalid", title="The request is invalid", faults=error.faults)
    if isinstance(error, HTTPException):
        return Problem(error.status_code, error.detail, headers=error.headers)
    for known, (status, kind, retry_after) in _KNOWN.items():
        if isinstance(error, known):
            detail = f"{error}: {NOT_ACKNOWLEDGED}" if known is StoreUnavailable else str(error)
            return Problem(status, detail, kind=kind, headers={"Retry-After": retry_after} if retry_after else {})
    detail = "an error of ours, not of the request: the log has it, under the X-Request-ID of this answer"
    return Problem(500, detail, kind="internal")
