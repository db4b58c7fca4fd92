"""A clock that only tests move."""

from __future__ import annotations

from exporter.domain.clock import SECOND


class ManualClock:
    """Both readings of time, standing still until a test moves them."""

    def __init__(self, *, wall_seconds: float = 1_759_752_000) -> None:
        self._monotonic_ns = 1_000_000 * SECOND
        self._wall_ns = int(wall_seconds * SECOND)

    def monotonic_ns(self) -> int:
        """Durations are measured with it."""
        return self._monotonic_ns

    def wall_ns(self) -> int:
        """People read it."""
        return self._wall_ns

    def advance(self, seconds: float) -> None:
        """Time passes, on both."""
        self._monotonic_ns += round(seconds * SECOND)
        self._wall_ns += round(seconds * SECOND)

    def jump_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock; no time passes."""
        self._wall_ns += round(seconds * SECOND)
