"""`GET /alerts`: what fires in Prometheus now, asked on behalf of the status page, which asks nobody but us."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from exporter.api.responses import Handler, document_response
from exporter.api.service import Service
from exporter.client.http import NoAnswer, fetch
from exporter.client.workers import Workers
from exporter.domain.errors import Invalid

TIMEOUT_SECONDS = 2.0
LONGEST_SECONDS = 5.0
"""Looking up its name, which has no limit of its own, included."""
FRESH_SECONDS = 5.0
MAX_ALERTS = 200
MAX_BODY_BYTES = 32 * 2**20
"""Of Prometheus' answer: some 40,000 alerts of ours, as when half of a large mesh is missing."""
PATH = "/api/v1/alerts"
OK = 200


class FiringAlert(msgspec.Struct):
    """One alert that fires."""

    name: str
    severity: str
    summary: str
    node: str
    site: str
    since: str
    runbook: str


class Alerts(msgspec.Struct):
    """The answer of `GET /alerts`. `error` says why Prometheus could not be asked; `configured`: whether it is."""

    configured: bool
    error: str = ""
    alerts: list[FiringAlert] = []
    omitted: int = 0


class _Alert(msgspec.Struct):
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    state: str = ""
    activeAt: str = ""  # noqa: N815 - Prometheus' own key


class _Data(msgspec.Struct):
    alerts: list[msgspec.Raw] = []
    """Each is decoded by itself: one call for all of them would hold up every heartbeat meanwhile."""


class _Answer(msgspec.Struct):
    data: _Data


_decode_alert = msgspec.json.Decoder(_Alert).decode


def show_alerts(service: Service) -> Handler:
    """The alerts of this project that fire, the watchdog left out; Prometheus is asked once in five seconds at most."""
    latest: tuple[float, str, asyncio.Task[Alerts]] | None = None
    workers = Workers(1, "prometheus")

    async def ask(url: str) -> Alerts:
        try:
            return await workers.call(partial(_ask, url), within=LONGEST_SECONDS)
        except TimeoutError:
            return Alerts(configured=True, error=f"Prometheus could not be asked within {LONGEST_SECONDS:g} s")

    async def handle(_: Request) -> Response:
        nonlocal latest
        url = service.config.alerting.prometheus_url.rstrip("/")
        if not url:
            return document_response(Alerts(configured=False))
        now = time.monotonic()
        if latest is None or latest[1] != url or (now - latest[0] > FRESH_SECONDS and latest[2].done()):
            latest = now, url, asyncio.create_task(ask(url))
        return document_response(await asyncio.shield(latest[2]))

    return handle


def _ask(url: str) -> Alerts:
    try:
        response = fetch(url + PATH, timeout_seconds=TIMEOUT_SECONDS, max_body_bytes=MAX_BODY_BYTES)
        if response.status != OK:
            return Alerts(configured=True, error=f"Prometheus answered {response.status}")
        answer = msgspec.json.decode(response.body, type=_Answer)
        alerts = [_decode_alert(alert) for alert in answer.data.alerts]
    except (NoAnswer, Invalid, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Alerts(configured=True, error=f"Prometheus could not be asked: {error}"[:256])
    firing = [alert for alert in alerts if _is_ours(alert)]
    shown = [_shown(alert) for alert in firing[:MAX_ALERTS]]
    return Alerts(configured=True, alerts=shown, omitted=len(firing) - len(shown))


def _is_ours(alert: _Alert) -> bool:
    name = alert.labels.get("alertname", "")
    return alert.state == "firing" and name.startswith("Aurora") and name != "AuroraWatchdog"


def _shown(alert: _Alert) -> FiringAlert:
    labels, annotations = alert.labels, alert.annotations
    runbook: Any = annotations.get("runbook_url", "")
    return FiringAlert(
        labels["alertname"],
        labels.get("severity", ""),
        annotations.get("summary", ""),
        labels.get("node", ""),
        labels.get("site", ""),
        alert.activeAt,
        runbook if runbook.startswith(("http://", "https://")) else "",
    )
