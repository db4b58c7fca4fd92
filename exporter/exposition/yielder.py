"""Long work on the event loop, in short stretches."""

from __future__ import annotations

import asyncio
import time

STRETCH_NS = 1_000_000


class Yielder:
    """Lets others have the event loop whenever a millisecond has been spent since they last had it."""

    def __init__(self) -> None:
        self._since_ns = time.perf_counter_ns()

    async def maybe_yield(self) -> None:
        """Call it between small steps; whatever may have changed in between must be read again."""
        if time.perf_counter_ns() - self._since_ns > STRETCH_NS:
            await asyncio.sleep(0)
            self._since_ns = time.perf_counter_ns()
