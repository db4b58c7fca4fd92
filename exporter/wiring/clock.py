"""The clock of a running registry."""

from __future__ import annotations

import time

from exporter.domain.recordchecks import LATEST_NS

# CLOCK_BOOTTIME goes on while the host is suspended, CLOCK_MONOTONIC on Linux does not: a laptop asleep is blind.
_MONOTONIC = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The host's clocks; with a shared store, its wall clock stands for ours, so that replicas agree."""

    def __init__(self) -> None:
        self._offset_ns: int | None = None

    def monotonic_ns(self) -> int:
        """Nanoseconds since some moment, suspensions included."""
        return time.clock_gettime_ns(_MONOTONIC)

    def wall_ns(self) -> int:
        """Nanoseconds since the epoch."""
        wall_ns = time.time_ns() if self._offset_ns is None else self.monotonic_ns() + self._offset_ns
        return min(max(wall_ns, 0), LATEST_NS)

    def follow(self, wall_ns: int) -> None:
        """Continue from another wall clock, which said this just now."""
        self._offset_ns = wall_ns - self.monotonic_ns()
