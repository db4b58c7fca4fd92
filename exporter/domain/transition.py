"""A change of status, recorded as a fact of its own."""

from __future__ import annotations

import msgspec

from exporter.domain.status import Status


class Transition(msgspec.Struct, frozen=True, gc=False):
    """One node went from one status to another; `at_ns` is when its threshold passed, on the wall clock."""

    node: str
    from_: Status = msgspec.field(name="from")
    to: Status
    at_ns: int
