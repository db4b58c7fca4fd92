"""When to speak: heartbeats at even distances, and attempts at growing ones. Times are monotonic nanoseconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exporter.domain.clock import SECOND

FIRST_PAUSE, LONGEST_PAUSE = 1 * SECOND, 30 * SECOND


@dataclass(frozen=True, slots=True)
class Schedule:
    """Moments `interval_ns` apart, one of them at `origin_ns`."""

    origin_ns: int
    interval_ns: int

    def next_after(self, now_ns: int) -> int:
        """The first moment later than now: those that were missed are gone, and never made up by a burst."""
        return self.origin_ns + ((now_ns - self.origin_ns) // self.interval_ns + 1) * self.interval_ns


class Backoff:
    """Pauses between attempts: twice as long each time, and random, so that a mesh does not fall in step."""

    def __init__(self, random: Callable[[], float]) -> None:
        """`random` gives numbers from 0 to 1."""
        self._random = random
        self._pause_ns = FIRST_PAUSE

    def next_ns(self, at_least_seconds: float | None = None) -> int:
        """How long to wait now; not less than the registry asked for, if it did."""
        number = self._random()
        pause_ns = self._pause_ns - round(number * self._pause_ns / 2)
        self._pause_ns = min(2 * self._pause_ns, LONGEST_PAUSE)
        asked_ns = round(at_least_seconds * SECOND) if at_least_seconds else 0
        # A whole mesh is asked alike: whoever waits exactly so long comes together with all others.
        return max(pause_ns, asked_ns + round(number * asked_ns / 2))
