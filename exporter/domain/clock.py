"""Time, as the rules use it: whole nanoseconds, so that a threshold is met exactly."""

from __future__ import annotations

from typing import Protocol

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


class Clock(Protocol):
    """Two readings of time. Durations use the first alone, so that a jump of the second harms nobody."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back and that pass while the host is suspended."""

    def wall_ns(self) -> int:
        """Nanoseconds since the epoch; replicas share one source of it."""
