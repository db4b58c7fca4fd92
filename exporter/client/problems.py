"""Problem documents: how a registry says no. Source: RFC 9457, with our `errors`."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from exporter.domain.errors import Fault
from exporter.domain.requestoutcome import Response

PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemDocument:
    """What a problem document says; `errors` name the fields at fault."""

    type: str = ""
    title: str = ""
    detail: str = ""
    errors: tuple[Fault, ...] = ()

    @property
    def reason(self) -> str:
        """The problem in one line; empty where the document says nothing."""
        return "; ".join(map(str, self.errors)) or self.detail or self.title


class _FaultShape(msgspec.Struct):
    message: str
    field: str = ""


class _Shape(msgspec.Struct):
    type: str = ""
    title: str = ""
    detail: str = ""
    errors: list[_FaultShape] = []


def problem_of(response: Response) -> ProblemDocument | None:
    """The problem that the response is; None where it is no problem document, or one that cannot be read."""
    if not response.headers.get("content-type", "").startswith(PROBLEM):
        return None
    try:
        shape = msgspec.json.decode(response.body, type=_Shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ProblemDocument()
    faults = tuple(Fault(fault.field, fault.message) for fault in shape.errors if fault.message)
    return ProblemDocument(shape.type, shape.title, shape.detail, faults)


def retry_after_seconds(response: Response) -> float | None:
    """When it is worth trying again, if the service said so; a date is allowed as well, but no registry sends one."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdecimal() and len(text) <= 6 else None  # noqa: PLR2004 - 11 days
