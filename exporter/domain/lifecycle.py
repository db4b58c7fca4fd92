"""Lifecycle: the second axis beside status, set by people or by the node about itself. It suppresses alerts."""

from __future__ import annotations

import enum

import msgspec

from exporter.domain.clock import HOUR

DEFAULT_LEAVE = 24 * HOUR
ACTIVE, DRAINING, SLEEPING = "active", "draining", "sleeping"
STATED = frozenset({ACTIVE, DRAINING, SLEEPING})
"""What a heartbeat's `status` may state and be understood; anything else is only shown."""


class Phase(enum.StrEnum):
    """Where a node stands in its working life."""

    IN_SERVICE = "in_service"
    DRAINING = "draining"
    MAINTENANCE = "maintenance"


class SetBy(enum.StrEnum):
    """Who set a lifecycle: only the one who set it ends it early."""

    PEOPLE = "people"
    NODE = "node"


class Lifecycle(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A phase with its reason and its end (`until_ns`, wall clock; 0 while in service, which has no end)."""

    phase: Phase = Phase.IN_SERVICE
    until_ns: int = 0
    reason: str = ""
    by: SetBy = SetBy.PEOPLE
    sleeping: bool = False

    def overdue(self, wall_ns: int) -> bool:
        """Past its end and still in force: its node did not come back in time."""
        return self.phase is not Phase.IN_SERVICE and wall_ns >= self.until_ns


IN_SERVICE = Lifecycle()


def after_heartbeat(lifecycle: Lifecycle, status: str | None, wall_ns: int, sleep_max_ns: int) -> Lifecycle:
    """The lifecycle once the node stated this status; the same object where nothing changes.

    A node may drain, sleep until its next heartbeat, or take either back; what people set it leaves alone.
    """
    if lifecycle.phase is not Phase.IN_SERVICE and lifecycle.by is SetBy.PEOPLE:
        return lifecycle
    if status == SLEEPING:
        return Lifecycle(Phase.MAINTENANCE, wall_ns + sleep_max_ns, "sleeping", SetBy.NODE, sleeping=True)
    if status == DRAINING:
        if lifecycle.phase is Phase.DRAINING and lifecycle.until_ns - wall_ns > DEFAULT_LEAVE // 2:
            return lifecycle
        return Lifecycle(Phase.DRAINING, wall_ns + DEFAULT_LEAVE, "draining, as the node says", SetBy.NODE)
    if lifecycle.sleeping or (status == ACTIVE and lifecycle.phase is not Phase.IN_SERVICE):
        return IN_SERVICE
    return lifecycle
