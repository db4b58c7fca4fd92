"""When to send: heartbeats at even distances, and attempts at growing ones. Times are monotonic seconds."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


def random() -> float:
    """From 0 to 1. Not by the module random, which brings much along."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


class Schedule(NamedTuple):
    """Moments `interval` apart, one of them at `origin`."""

    origin: float
    interval: float

    def next_after(self, now: float) -> float:
        """The first moment later than now: those that were missed are gone, and never made up by a burst."""
        return self.origin + ((now - self.origin) // self.interval + 1) * self.interval


class Backoff:
    """Pauses between attempts: twice as long each time, and random, so that a mesh does not fall in step."""

    def __init__(self, random: Callable[[], float]) -> None:
        """`random` gives numbers from 0 to 1."""
        self._random = random
        self._pause = FIRST_PAUSE

    def next(self, at_least: float | None = None) -> float:
        """How long to wait now; not less than the registry asked for, if it did."""
        number = self._random()
        pause = self._pause * (1 - number / 2)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        asked = at_least or 0.0
        # A whole mesh is asked alike: agents that wait exactly so long all come together.
        return max(pause, asked * (1 + number / 2))
