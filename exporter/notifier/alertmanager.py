"""One Alertmanager: the alerts that wait for it, and how they are sent."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import msgspec

from exporter import __version__
from exporter.client.endpoint import parse_endpoint
from exporter.client.http import HttpService, NoAnswer
from exporter.domain.backoff import Backoff
from exporter.domain.clock import SECOND, Clock
from exporter.notifier.alerts import Alert
from exporter.telemetry.metrics import Telemetry
from exporter.telemetry.ratelimit import RateLimitedLogger
from exporter.telemetry.reasons import Notification

MAX_WAITING = 10_000
MAX_TOGETHER = 250
TIMEOUT_SECONDS = 5.0
RETRY_SECONDS = (0.5, 30.0)
MAX_BODY_BYTES = 65_536
MAX_ANSWER = 512
"""Bytes of a refusal that are read, for the log."""
HOPELESS = frozenset({400, 413, 422})
"""What Alertmanager, or a proxy before it, says of alerts that it will not take when they come again either."""
log = logging.getLogger("aurora.alertmanager")


class _AlertsRefused(Exception):
    """It answered that it did not take them."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"it answered {status}: {text}")
        self.status = status


class AlertmanagerClient:
    """Sends to one Alertmanager, by its v2 API. It holds up nobody: what was not sent yet waits, the latest of each."""

    def __init__(
        self,
        url: str,
        external_labels: dict[str, str],
        *,
        source: str,
        lifetime_ns: int,
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        """`url` may hold `user:password@` and a path. `source`: our own URL, for people to follow.

        `lifetime_ns`: a firing alert expires this long after it was last sent.
        """
        self._lifetime_ns = lifetime_ns
        # The next post may be a minute away: no connection is kept that somebody may have forgotten by then.
        self._http = HttpService(
            parse_endpoint(url),
            timeout_seconds=TIMEOUT_SECONDS,
            user_agent=f"aurora-registry/{__version__}",
            keep=0,
            max_body_bytes=MAX_BODY_BYTES,
        )
        self._external_labels = external_labels
        self._source = source
        self._telemetry = telemetry
        self._clock = clock
        self._warnings = RateLimitedLogger(log, clock)
        self._waiting: dict[tuple[str, ...], Alert] = {}
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many alerts wait to be sent."""
        return len(self._waiting)

    def put(self, alerts: Iterable[Alert]) -> None:
        """Send these as soon as possible; of each alert only the latest state waits. What is too much is dropped."""
        dropped = 0
        for alert in alerts:
            key = tuple(alert.labels.values())
            if key in self._waiting or len(self._waiting) < MAX_WAITING:
                self._waiting[key] = alert
            else:
                dropped += 1
        if dropped:
            self._drop(dropped, f"{MAX_WAITING} of them wait already")
        if self._waiting:
            self._wake.set()

    async def run(self) -> None:
        """Send what waits, until cancelled. Alerts that fire then go on firing until they expire."""
        # A thread of its own: an Alertmanager that hangs must not hold up what else needs one.
        thread = ThreadPoolExecutor(1, thread_name_prefix="aurora-alertmanager")
        backoff = Backoff(random.random, *RETRY_SECONDS)
        try:
            while True:
                await self._wake.wait()
                if await self._send_some(thread):
                    backoff.reset()
                else:
                    await asyncio.sleep(backoff.next())
        finally:
            thread.shutdown(wait=False, cancel_futures=True)

    async def _send_some(self, thread: ThreadPoolExecutor) -> bool:
        """Send some of what waits; whether it is not to be sent again."""
        keys = list(self._waiting)[:MAX_TOGETHER]
        sending = {key: self._waiting.pop(key) for key in keys}
        body = self._body(sending.values())
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._post, body)
        except (NoAnswer, _AlertsRefused) as error:
            if isinstance(error, _AlertsRefused) and error.status in HOPELESS:
                self._drop(len(sending), str(error))
            else:
                # Behind what came meanwhile, which is later; and nothing is retried that was overtaken.
                self._waiting = {**sending, **self._waiting}
                self._telemetry.notifications[Notification.FAILED] += len(sending)
                self._warn("alerts were not sent to an Alertmanager yet, and will be", str(error))
                return False
        else:
            self._telemetry.notifications[Notification.SENT] += len(sending)
        if not self._waiting:
            self._wake.clear()
        return True

    def _post(self, body: bytes) -> None:
        response = self._http.request("POST", "/api/v2/alerts", body)
        if not response.ok:
            raise _AlertsRefused(response.status, response.body[:MAX_ANSWER].decode(errors="replace").strip())

    def _body(self, alerts: Iterable[Alert]) -> bytes:
        now_ns = self._clock.wall_ns()
        return msgspec.json.encode([self._posted(alert, now_ns) for alert in alerts])

    def _posted(self, alert: Alert, now_ns: int) -> dict[str, Any]:
        ends_ns = now_ns + self._lifetime_ns if alert.ended_ns is None else alert.ended_ns
        return {
            # As Prometheus has it: an external label gives way to the alert's own.
            "labels": {**self._external_labels, **alert.labels},
            "annotations": alert.annotations,
            # A wall clock that was set back since must not make it end before it began.
            "startsAt": _time(min(alert.starts_ns, now_ns, ends_ns)),
            "endsAt": _time(ends_ns),
            "generatorURL": f"{self._source}/nodes/{quote(alert.node)}/why",
        }

    def _drop(self, count: int, why: str) -> None:
        self._telemetry.notifications[Notification.DROPPED] += count
        self._warn("alerts were dropped, and not sent to an Alertmanager", why)

    def _warn(self, message: str, fault: str) -> None:
        self._warnings.warn(message, self._http.endpoint.url, fault)


def _time(wall_ns: int) -> str:
    when = dt.datetime.fromtimestamp(wall_ns / SECOND, dt.UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
