"""Looking at the GPUs beside the heartbeats: a driver that is slow, hangs or fails delays none of them for long."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from exporter.agent.gpus import Inventory, Look, Sight
from exporter.agent.logs import AgentLog
from exporter.agent.worker import Call, Worker

WAIT = 1.5
"""Seconds that a heartbeat waits for the driver."""
PATIENCE = 120.0
"""After so many seconds in which nobody could look, the GPUs count as lost; until then, as not looked at."""
SLOW, RARELY = 0.5, 10
"""Where a look takes so many seconds, only one of so many is followed by a look at the GPUs' health."""
FRESH = 1.0
"""A reading of this age, in seconds, was taken for this heartbeat."""


Health = dict[int, dict[str, Any]]
"""What is known of each GPU's health, by its index; with its `uuid`, where that is known."""


class GpuWatch:
    """What is known of the GPUs, and how old that is. `look` and `close` are called in a thread of their own."""

    def __init__(
        self,
        look: Callable[[], Look],
        close: Callable[[], None],
        log: AgentLog,
        *,
        every: float | None,
        health: Callable[[], Health] = dict,
        stopping: Callable[[], bool] = bool,
    ) -> None:
        """`every`: minimum seconds between two looks; None: look only once. Nobody waits for
        the driver once we are `stopping`.
        """  # noqa: D205 - one sentence
        self._look = look
        self._close = close
        self._log = log
        self._every = every
        self._ask_health = health
        self._stopping = stopping
        self._health: Health = {}
        self._health_call: Call | None = None
        self._looks = 0
        self._worker = Worker("aurora-gpus")
        self._call: Call | None = None
        self._began = 0.0
        self._seen: Look | None = None
        self._seen_at = 0.0
        self._sight: Sight | None = None
        self._rest: list[dict[str, Any]] = []
        """Readings of the GPUs that answer while another driver cannot be asked."""
        self._unsure_since: float | None = None
        self._reported = ""

    def update(self, wait: float = WAIT) -> None:
        """Look, if it is time to; what comes later than that is taken up by a later call."""
        now = time.monotonic()
        if self._health_call is not None and self._health_call.done:
            self._health, self._health_call = self._health_call.value_or(self._health), None
        if self._call is None:
            # A failed look does not count: the next heartbeat repeats it.
            looked = self._sight in {Sight.SEEN, Sight.ABSENT}
            if looked and (self._every is None or now - self._began < self._every):
                return
            self._began = now
            self._call = self._worker.start(self._look_once)
        if self._call.ended(wait, self._stopping):
            call, self._call = self._call, None
            self._take(*call.value)
            self._begin_health()
        else:
            # One that is only slow answers until the next heartbeat, and is no news.
            slow_before = self._unsure_since is not None
            self._rest = []
            self._note_unsure(f"the driver takes longer than {wait:g} s", news=slow_before)

    def inventory(self) -> Inventory | None:
        """What the node has, by the latest look; None where there was none that knew."""
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
            if self._rest:
                return self._with_health([dict(reading) for reading in self._rest])
            return [] if expected else None
        if self._seen is None or self._sight is not Sight.SEEN or not (self._seen.number or expected):
            return None
        age = now - self._seen_at
        readings = self._seen.readings
        if age > FRESH:
            readings = [{**reading, "age_seconds": round(age, 1)} for reading in readings]
        return self._with_health(readings)

    def _with_health(self, readings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The readings with what is known of their GPUs' health; a lost GPU is named if it said why."""
        observed = {reading["index"] for reading in readings}
        lost: list[dict[str, Any]] = []
        for reading in readings:
            health = dict(self._health.get(reading["index"], {}))
            # The order of GPUs changes when one falls off: what is known of one is not said of another.
            if health and health.pop("uuid", "") in {"", reading.get("uuid", "")}:
                reading["health"] = health
        uuids = {reading.get("uuid", "") for reading in readings} - {""}
        for index, known in sorted(self._health.items()):
            uuid = known.get("uuid", "")
            if index not in observed and uuid not in uuids and known.get("xid_errors"):
                named = {"uuid": uuid} if uuid else {}
                lost.append({"index": index, **named, "lost": True, "health": {"xid_errors": known["xid_errors"]}})
        return readings + lost

    def _begin_health(self) -> None:
        """Ask how the GPUs are, after what they do: rarely, where the driver is slow."""
        self._looks += 1
        slow = time.monotonic() - self._began > SLOW
        if self._every == 0 and self._health_call is None and (not slow or self._looks % RARELY == 1):
            self._health_call = self._worker.start(self._ask_health)

    def _look_once(self) -> tuple[Look, float]:
        began = time.monotonic()
        try:
            look = self._look()
            if self._every is None or self._every > 0:
                self._close()
        except Exception as error:  # noqa: BLE001 - whatever a driver does, the node lives
            look = Look(Sight.UNSURE, reason=f"{type(error).__name__}: {error}")
        return look, began

    def _take(self, look: Look, began: float) -> None:
        if look.sight is Sight.SEEN:
            self._seen_at = began
        self._sight = look.sight
        self._rest = look.readings if look.sight is Sight.UNSURE else []
        if look.sight is Sight.SEEN:
            self._seen = look
        if look.sight is Sight.UNSURE:
            self._note_unsure(look.reason)
            return
        self._unsure_since = None
        self._log_reason(look.reason, look.sight)

    def _note_unsure(self, reason: str, *, news: bool = True) -> None:
        if self._unsure_since is None:
            self._unsure_since = time.monotonic()
        if not news:
            return
        self._log_reason(reason, Sight.UNSURE)

    def _log_reason(self, reason: str, sight: Sight) -> None:
        if reason == self._reported:
            return
        if not reason:
            self._log.info("the GPUs can be read again")
        elif sight is Sight.ABSENT:
            self._log.info("no GPU driver is installed", reason=reason)
        else:
            self._log.warning("the GPUs cannot be read", reason=reason)
        self._reported = reason
