"""Whether this machine kept time: a play whose servers got no processor for long says nothing about them."""

from __future__ import annotations

import threading
import time
from typing import Self

BEAT_SECONDS = 0.05
MAX_STALL_SECONDS = 0.3
"""A longer stall alone can fail a scrape, whose timeout is half a second, or make a registry blind."""


class Metronome:
    """Wakes up often, and remembers by how much it was late at most. Use it as a context."""

    def __init__(self) -> None:
        self.stall_seconds = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    @property
    def kept_time(self) -> bool:
        """Whether no stall was long enough to matter."""
        return self.stall_seconds <= MAX_STALL_SECONDS

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _beat(self) -> None:
        before = time.monotonic()
        while not self._stopped.wait(BEAT_SECONDS):
            now = time.monotonic()
            self.stall_seconds = max(self.stall_seconds, now - before - BEAT_SECONDS)
            before = now
