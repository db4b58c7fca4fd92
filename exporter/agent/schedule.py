"""When to send: heartbeats at even distances. Times are monotonic seconds."""

from __future__ import annotations

import os
from typing import NamedTuple


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
