"""Whether this machine kept time: a play whose servers got no processor for long says nothing about them."""

from __future__ import annotations

import time

from tests.support.periodic import Periodic

BEAT_SECONDS = 0.05
MAX_STALL_SECONDS = 0.3
"""A longer stall alone can fail a scrape, whose timeout is half a second, or make a registry blind."""


class Metronome(Periodic):
    """Wakes up often, and remembers by how much it was late at most. Use it as a context."""

    def __init__(self) -> None:
        super().__init__(self._beat, BEAT_SECONDS)
        self.stall_seconds = 0.0
        self._before = time.monotonic()

    @property
    def kept_time(self) -> bool:
        """Whether no stall was long enough to matter."""
        return self.stall_seconds <= MAX_STALL_SECONDS

    def start(self) -> None:
        """Time counts from here."""
        self._before = time.monotonic()
        super().start()

    def _beat(self) -> None:
        now = time.monotonic()
        self.stall_seconds = max(self.stall_seconds, now - self._before - BEAT_SECONDS)
        self._before = now
