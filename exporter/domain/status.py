"""A node's status: what its counted age says, and nothing else."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from exporter.domain.clock import HOUR, MINUTE, SECOND


class Status(enum.StrEnum):
    """Derived from the counted age; never set by anybody.

    Modules through which a change of the whole mesh goes have a name of their own for a member of such a class: to find
    it in the class takes Python 3.11 as long as a call.
    """

    ACTIVE = "active"
    WARNING = "warning"
    OFFLINE = "offline"


class Transport(enum.StrEnum):
    """How a node's heartbeats reach us."""

    HTTP = "http"
    BUS = "bus"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Time without heartbeats before each status, in nanoseconds."""

    heartbeat_interval: int = 30 * SECOND
    warning_after: int = 2 * MINUTE
    offline_after: int = 5 * MINUTE
    forget_after: int = 72 * HOUR
    sleep_max: int = 72 * HOUR

    def status(self, counted_age_ns: int) -> Status:
        """At `warning_after` exactly a node is warning; at `offline_after` exactly it still is."""
        if counted_age_ns < self.warning_after:
            return Status.ACTIVE
        return Status.WARNING if counted_age_ns <= self.offline_after else Status.OFFLINE

    @property
    def tick(self) -> int:
        """How often thresholds are looked at: a transition must happen within 1 s, or a tenth of `warning_after`."""
        return min(SECOND // 4, self.warning_after // 40)

    @property
    def gap(self) -> int:
        """A longer time without a proof of reception makes the registry blind."""
        return min(5 * SECOND, self.warning_after // 10)

    @property
    def lease(self) -> int:
        """How long a registry that lost the shared store acknowledges heartbeats, and the others hold its nodes."""
        return self.warning_after

    @property
    def newcomers(self) -> int:
        """How long such a registry acknowledges nodes that the others do not know through it.

        Each comes to another one with its next heartbeat after that, before it counts as missing: the heartbeat that
        the others know may be an interval older than the loss of the store.
        """
        latest = self.warning_after - 2 * self.heartbeat_interval - self.gap
        return max(self.gap, min(self.grace, latest))

    @property
    def grace(self) -> int:
        """The time that a node has after an outage to send again, before its age counts on."""
        return self.warning_after // 2
