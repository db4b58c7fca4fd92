"""Whether the store takes writes, why it does not, and when it is asked again."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from exporter.domain.backoff import Backoff
from exporter.domain.errors import StoreRefused, StoreUnavailable
from exporter.telemetry.metrics import Telemetry

RETRY_SECONDS = (0.5, 2.0)
"""The first and the longest wait before a store that is down is tried again; see `Backoff`."""
log = logging.getLogger("aurora.store")


class StoreHealth:
    """Up once a write succeeded, down once anything failed."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.up = False
        self.reason = ""
        """Why the store is down; empty while it is up, and before it was asked."""
        self._telemetry = telemetry
        self._logged: set[str] = set()
        """Why it was down since it was up; each is logged once."""
        self._backoff = Backoff(random.random, *RETRY_SECONDS)
        self._up_since = 0.0

    @property
    def down(self) -> bool:
        """It was asked, and did not take a write since it failed."""
        return not self.up and bool(self.reason)

    def mark_up(self) -> None:
        """It took a write."""
        if not self.up:
            self.up = True
            self._up_since = time.monotonic()
            log.info("the store is up")
            self._logged.clear()
        self.reason = ""

    def mark_down(self, error: StoreUnavailable | StoreRefused) -> None:
        """It failed."""
        self._telemetry.store_writes_failed += 1
        # One that takes a write now and then, and fails in between, is no better than one that takes none.
        if self.up and time.monotonic() - self._up_since > RETRY_SECONDS[1]:
            self._backoff.reset()
        self.up = False
        self.reason = str(error)
        if self.reason not in self._logged:
            self._logged.add(self.reason)
            log.warning("the store is down", extra={"reason": self.reason})

    def unavailable(self) -> StoreUnavailable:
        """Why no change is taken now."""
        reason = f" ({self.reason})" if self.reason else ""
        return StoreUnavailable(f"the store is down{reason}, and the registry answers from memory")

    async def pause(self) -> None:
        """Wait until it may be asked again."""
        await asyncio.sleep(self._backoff.next())
