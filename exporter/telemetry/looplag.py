"""How long the event loop kept everybody waiting, measured from inside."""

from __future__ import annotations

import asyncio
import time
from collections import deque

LOOK_EVERY = 0.05
"""Seconds: a stall is seen less what was left of this."""
PART_SECONDS, PARTS = 10.0, 6


class LoopLag:
    """The longest stall of the last minute, so that no scrape misses one."""

    def __init__(self) -> None:
        self._longest: deque[float] = deque([0.0], maxlen=PARTS)
        """Of each ten seconds, the latest last."""

    @property
    def seconds(self) -> float:
        """The longest stall."""
        return max(self._longest)

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        begun = time.monotonic()
        while True:
            before = time.monotonic()
            await asyncio.sleep(LOOK_EVERY)
            now = time.monotonic()
            self._longest[-1] = max(self._longest[-1], now - before - LOOK_EVERY)
            if now - begun > PART_SECONDS:
                begun = now
                self._longest.append(0.0)
