"""Looking at the GPUs beside the heartbeats: a driver that is slow, hangs or fails delays none of them for long."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from exporter.agent.gpus import Inventory, Look, Sight
from exporter.agent.logs import Log
from exporter.agent.worker import Call, Worker

WAIT = 1.5
"""Seconds that a heartbeat waits for the driver."""
PATIENCE = 120.0
"""After so many seconds in which nobody could look, the GPUs count as lost; until then, as not looked at."""
FRESH = 1.0
"""A reading of this age, in seconds, was taken for this heartbeat."""


class GpuWatch:
    """What is known of the GPUs, and how old that is. `look` and `close` are called in a thread of their own."""

    def __init__(self, look: Callable[[], Look], close: Callable[[], None], log: Log, *, every: float | None) -> None:
        """`every`: seconds between two looks at least; None means that there are none but the first."""
        self._look = look
        self._close = close
        self._log = log
        self._every = every
        self._worker = Worker("aurora-gpus")
        self._call: Call | None = None
        self._began = 0.0
        self._seen: Look | None = None
        self._seen_at = 0.0
        self._sight: Sight | None = None
        self._unsure_since: float | None = None
        self._told = ""

    def update(self, wait: float = WAIT) -> None:
        """Look, if it is time to; what comes later than that is taken up by a later call."""
        now = time.monotonic()
        if self._call is None:
            if self._sight is not None and (self._every is None or now - self._began < self._every):
                return
            self._began = now
            self._call = self._worker.start(self._look_once)
        if self._call.wait(wait):
            call, self._call = self._call, None
            self._take(call.value)
        else:
            self._note_unsure(f"the driver takes longer than {wait:g} s")

    def inventory(self) -> Inventory | None:
        """What the node has, by the latest look; None where there was none that told."""
        if self._sight is Sight.ABSENT and self._seen is None:
            return Inventory()
        return self._seen.inventory if self._seen is not None and self._sight is Sight.SEEN else None

    def readings(self, expected: int) -> list[dict[str, Any]] | None:
        """What a heartbeat says of the GPUs; None for nothing. `expected`: how many the node is known to have."""
        if self._every is None:
            return None
        now = time.monotonic()
        if self._sight in {Sight.ABSENT, Sight.BROKEN}:
            return [] if expected else None
        if self._unsure_since is not None and now - self._unsure_since > PATIENCE:
            return [] if expected else None
        if self._seen is None or self._sight is not Sight.SEEN or not (self._seen.number or expected):
            return None
        age = now - self._seen_at
        if age <= FRESH:
            return self._seen.readings
        return [{**reading, "age_seconds": round(age, 1)} for reading in self._seen.readings]

    def _look_once(self) -> tuple[Look, float]:
        began = time.monotonic()
        look = self._look()
        if self._every is None or self._every > 0:
            self._close()
        return look, began

    def _take(self, result: tuple[Look, float]) -> None:
        look, self._seen_at = result[0], result[1] if result[0].sight is Sight.SEEN else self._seen_at
        self._sight = look.sight
        if look.sight is Sight.SEEN:
            self._seen = look
        if look.sight is Sight.UNSURE:
            self._note_unsure(look.reason)
            return
        self._unsure_since = None
        self._tell(look.reason, look.sight)

    def _note_unsure(self, reason: str) -> None:
        if self._unsure_since is None:
            self._unsure_since = time.monotonic()
        self._tell(reason, Sight.UNSURE)

    def _tell(self, reason: str, sight: Sight) -> None:
        if reason == self._told:
            return
        if not reason:
            self._log.info("the GPUs can be read again")
        elif sight is Sight.ABSENT:
            self._log.info("no GPU driver is installed", reason=reason)
        else:
            self._log.warning("the GPUs cannot be read", reason=reason)
        self._told = reason
