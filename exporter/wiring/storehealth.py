"""Whether the store takes writes, why it does not, and when it is asked again."""

from __future__ import annotations

import asyncio
import logging
import random

from exporter.domain.backoff import Backoff
from exporter.domain.errors import StoreRefused, StoreUnavailable
from exporter.telemetry.metrics import Telemetry

RETRY_SECONDS = (0.5, 2.0)
"""A store that is down is asked again after so long; see `Backoff`."""
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

    @property
    def down(self) -> bool:
        """It was asked, and did not take a write since it failed."""
        return not self.up and bool(self.reason)

    def mark_up(self) -> None:
        """It took a write."""
        if not self.up:
            self.up = True
            log.info("the store is up")
            self._logged.clear()
        self.reason = ""
        self._backoff.reset()

    def mark_down(self, error: StoreUnavailable | StoreRefused) -> None:
        """It failed."""
        self._telemetry.store_writes_failed += 1
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
