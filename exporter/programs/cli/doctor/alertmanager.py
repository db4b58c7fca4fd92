"""Alertmanager's part of the way: it gets alerts, and a test alert's route leads to a receiver."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from exporter.domain.clock import MINUTE, SECOND
from exporter.domain.duration import format_duration, parse_duration
from exporter.domain.timestamp import format_timestamp
from exporter.programs.cli.doctor.endpoint import Finding, HttpEndpoint, UnusableAnswer
from exporter.programs.cli.doctor.samples import parse_samples
from exporter.programs.cli.humanize import listed

TEST, WATCHDOG = "AuroraDoctorTest", "AuroraWatchdog"
ANNOTATIONS = {
    "summary": "A test of aurora-cli doctor",
    "description": "Nothing is wrong: somebody tests the way that alerts take.",
}
LOOKS, PAUSE_SECONDS = 20, 0.25
"""How often, and how far apart, the test alert is looked for."""
YOUNG_LOOKS = 360
"""The same for a watchdog that may only be young: a minute and a half."""
DEFAULT_GROUP_WAIT = 30 * SECOND
MARGIN, LONGEST_WAIT = 2 * SECOND, 15 * SECOND
"""How long after its group_wait a message is on its way, mostly and at most."""
_GROUP_WAIT = re.compile(r"group_wait:\s*([0-9a-z]+)")
TRIED, FAILED = "alertmanager_notification_requests_total", "alertmanager_notification_requests_failed_total"
"""Counted once each attempt is over; alertmanager_notifications_total counts before it is known how the first ends."""


@dataclass(frozen=True, slots=True)
class TestAlert:
    """An alert to send. With `send` it is held until its message is on its way; `hold_ns` holds it longer."""

    severity: str
    hold_ns: int = 0
    send: bool = False


def check_alertmanager(
    alertmanager: HttpEndpoint, test: TestAlert | None, *, watchdog_is_coming: bool
) -> Iterator[Finding]:
    """Whether it runs and has the watchdog; then a test alert is sent, looked for, held and resolved.

    `watchdog_is_coming`: Prometheus has the rule, so one that is missing is waited for where something is young.
    """
    status = alertmanager.document("/api/v2/status")
    version = status["versionInfo"]["version"]
    yield Finding("ok", "Alertmanager", f"{alertmanager.where} is version {version}")
    yield _watchdog(alertmanager, YOUNG_LOOKS if watchdog_is_coming else 1)
    if test is not None:
        config = str(status.get("config", {}).get("original", ""))
        yield from _test(alertmanager, test, _hold_ns(test, config))


def _watchdog(alertmanager: HttpEndpoint, looks: int) -> Finding:
    for look in range(looks):
        alerts = _alerts(alertmanager, WATCHDOG)
        if alerts:
            return Finding("ok", "watchdog", f"{WATCHDOG} arrives, and goes to {_receivers(alerts)}")
        if look + 1 < looks:
            time.sleep(PAUSE_SECONDS)
    next_step = "See that Prometheus has the rules, and this Alertmanager under alerting."
    return Finding("wrong", "watchdog", f"no {WATCHDOG}: alerts of Prometheus do not arrive", next_step)


def _hold_ns(test: TestAlert, config: str) -> int:
    """How long the test alert is held at least: beyond every group_wait where its message is to be sent."""
    if not test.send:
        return test.hold_ns
    if f'"{TEST}"' in config:  # a route of its own, which `aurora-cli alerting init` writes without a wait
        return max(test.hold_ns, MARGIN)
    waits = [DEFAULT_GROUP_WAIT]
    for text in _GROUP_WAIT.findall(config):
        try:
            waits.append(parse_duration(text))
        except ValueError:
            continue
    return max(test.hold_ns, *waits) + MARGIN


def _test(alertmanager: HttpEndpoint, test: TestAlert, hold_ns: int) -> Iterator[Finding]:
    # Times are of whole seconds, and an alert without any duration would not be merged with its beginning.
    began_ns = time.time_ns() - SECOND
    labels = {"alertname": TEST, "severity": test.severity}
    before = _notifications(alertmanager)
    # Should we be ended before it is resolved, it ends by itself.
    _post(alertmanager, labels, began_ns, began_ns + hold_ns + 5 * MINUTE)
    try:
        yield _route(alertmanager, labels)
        if hold_ns:
            time.sleep(hold_ns / SECOND)
            yield _held(_grown(alertmanager, before), hold_ns)
    finally:
        # An end that lies ahead would be taken for a timeout, and the longer one stands.
        _post(alertmanager, labels, began_ns, time.time_ns())
    if _found(alertmanager, labels, until=lambda alerts: not alerts):
        yield Finding("wrong", "test alert", "it does not resolve", "It ends by itself in five minutes.")
    else:
        yield Finding("ok", "test alert", "resolved again")


def _grown(alertmanager: HttpEndpoint, before: dict[tuple[str, str], float]) -> dict[tuple[str, str], int]:
    """By how much its counters of messages grew, once any did or after a while."""
    deadline = time.monotonic() + LONGEST_WAIT / SECOND
    while True:
        after = _notifications(alertmanager)
        grown = {key: int(value - before.get(key, 0)) for key, value in after.items() if value > before.get(key, 0)}
        if grown or time.monotonic() > deadline:
            return grown
        time.sleep(PAUSE_SECONDS)


def _held(grown: dict[tuple[str, str], int], hold_ns: int) -> Finding:
    """What Alertmanager did about it meanwhile."""
    held = f"held for {format_duration(hold_ns)}"
    failed = [f"{count} by {kind}" for (name, kind), count in grown.items() if name == FAILED]
    sent = [
        f"{count - failures} by {kind}"
        for (name, kind), count in grown.items()
        if name == TRIED and count > (failures := grown.get((FAILED, kind), 0))
    ]
    if failed and not sent:
        text = f"{held}: sending failed ({listed(failed)})"
        return Finding("wrong", "message", text, "Alertmanager's log says why.")
    if sent:
        return Finding("ok", "message", f"{held}, Alertmanager sent messages ({listed(sent)}): look whether it came")
    text = f"{held}, and Alertmanager sent nothing"
    return Finding("warning", "message", text, "Hold it longer: --hold 2m. Or its receiver has no way to send.")


def _notifications(alertmanager: HttpEndpoint) -> dict[tuple[str, str], float]:
    """Its counters of messages by integration; empty where it does not say."""
    try:
        reply = alertmanager.get("/metrics")
        samples = parse_samples(reply.body.decode()) if reply.ok else []
    except (UnusableAnswer, ValueError):
        return {}
    found: dict[tuple[str, str], float] = {}
    for sample in samples:
        if sample.name in {TRIED, FAILED}:
            key = sample.name, sample.labels.get("integration", "?")
            found[key] = found.get(key, 0) + sample.value
    return found


def _route(alertmanager: HttpEndpoint, labels: dict[str, str]) -> Finding:
    # Until its group is made, an alert is there without a state.
    found = _found(alertmanager, labels, until=lambda alerts: alerts and alerts[0]["status"]["state"] != "unprocessed")
    if not found:
        return Finding("wrong", "test alert", f"{TEST} was taken but does not appear", "Look at Alertmanager's log.")
    text = f"{TEST} with severity {labels['severity']} goes to {_receivers(found)}"
    status = found[0]["status"]
    if status["silencedBy"] or status["inhibitedBy"]:
        suppressed = "a silence" if status["silencedBy"] else "an inhibition"
        return Finding("warning", "test alert", f"{text}, but {suppressed} suppresses it", "See whether that is meant.")
    return Finding("ok", "test alert", text)


def _found(alertmanager: HttpEndpoint, labels: dict[str, str], *, until: Callable[[list[Any]], object]) -> list[Any]:
    """The test alert, once it is as it should be or after a few seconds."""
    for _ in range(LOOKS):
        found = [alert for alert in _alerts(alertmanager, TEST) if alert["labels"] == labels]
        if until(found):
            break
        time.sleep(PAUSE_SECONDS)
    return found


def _alerts(alertmanager: HttpEndpoint, name: str) -> list[Any]:
    found: list[Any] = alertmanager.document("/api/v2/alerts", {"filter": f'alertname="{name}"'})
    return found


def _receivers(alerts: list[Any]) -> str:
    return listed(dict.fromkeys(receiver["name"] for alert in alerts for receiver in alert["receivers"]))


def _post(alertmanager: HttpEndpoint, labels: dict[str, str], starts_ns: int, ends_ns: int) -> None:
    # Whole seconds are rounded down, and an end may not lie before its start.
    times = {"startsAt": format_timestamp(starts_ns), "endsAt": format_timestamp(ends_ns)}
    reply = alertmanager.post("/api/v2/alerts", [{"labels": labels, "annotations": ANNOTATIONS, **times}])
    if not reply.ok:
        raise UnusableAnswer(f"it refused the test alert with {reply.status}")
