"""Alertmanager's part of the way: it gets alerts, and a test alert's route leads to a receiver."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from exporter.domain.clock import MINUTE, SECOND
from exporter.domain.duration import format_duration
from exporter.domain.timestamp import format_timestamp
from exporter.programs.cli.findings import Finding
from exporter.programs.cli.httpendpoint import HttpEndpoint, NoAnswer
from exporter.programs.cli.humanize import listed

TEST, WATCHDOG = "AuroraDoctorTest", "AuroraWatchdog"
ANNOTATIONS = {
    "summary": "A test of aurora-cli doctor",
    "description": "Nothing is wrong: somebody tests the way that alerts take.",
}
LOOKS, PAUSE_SECONDS = 20, 0.25
"""How often, and how far apart, the test alert is looked for."""


def check_alertmanager(alertmanager: HttpEndpoint, severity: str, hold_ns: int) -> Iterator[Finding]:
    """Whether it runs and has the watchdog; then a test alert is sent, looked for, held and resolved."""
    try:
        version = alertmanager.get("/api/v2/status").document()["versionInfo"]["version"]
        yield Finding("ok", "Alertmanager", f"{alertmanager.where} is version {version}")
        yield _watchdog(alertmanager)
        yield from _test(alertmanager, severity, hold_ns)
    except NoAnswer as error:
        told = f"{alertmanager.where}: {error}"
        yield Finding("wrong", "Alertmanager", told, "Check that it runs, and --alertmanager.")
    except (KeyError, TypeError, AttributeError):
        told = f"what answers at {alertmanager.where} is no Alertmanager"
        yield Finding("wrong", "Alertmanager", told, "Check --alertmanager.")


def _watchdog(alertmanager: HttpEndpoint) -> Finding:
    alerts = _alerts(alertmanager, WATCHDOG)
    if not alerts:
        next_step = "See that Prometheus has the rules, and this Alertmanager under alerting."
        return Finding("wrong", "watchdog", f"no {WATCHDOG}: alerts of Prometheus do not arrive", next_step)
    return Finding("ok", "watchdog", f"{WATCHDOG} arrives, and goes to {_receivers(alerts)}")


def _test(alertmanager: HttpEndpoint, severity: str, hold_ns: int) -> Iterator[Finding]:
    # Times are of whole seconds, and an alert without any duration would not be merged with its beginning.
    began_ns = time.time_ns() - SECOND
    labels = {"alertname": TEST, "severity": severity}
    # Should we be ended before it is resolved, it ends by itself.
    _post(alertmanager, labels, began_ns, began_ns + hold_ns + 5 * MINUTE)
    try:
        yield _route(alertmanager, labels)
        if hold_ns:
            time.sleep(hold_ns / SECOND)
            yield Finding("ok", "test alert", f"held for {format_duration(hold_ns)}: look whether its message came")
    finally:
        # An end that lies ahead would be taken for a timeout, and the longer one stands.
        _post(alertmanager, labels, began_ns, time.time_ns())
    if _found(alertmanager, labels, until=lambda alerts: not alerts):
        yield Finding("wrong", "test alert", "it does not resolve", "It ends by itself in five minutes.")
    else:
        yield Finding("ok", "test alert", "resolved again")


def _route(alertmanager: HttpEndpoint, labels: dict[str, str]) -> Finding:
    # Until its group is made, an alert is there without a state.
    found = _found(alertmanager, labels, until=lambda alerts: alerts and alerts[0]["status"]["state"] != "unprocessed")
    if not found:
        return Finding("wrong", "test alert", f"{TEST} was taken but does not appear", "Look at Alertmanager's log.")
    told = f"{TEST} with severity {labels['severity']} goes to {_receivers(found)}"
    status = found[0]["status"]
    if status["silencedBy"] or status["inhibitedBy"]:
        kept = "a silence" if status["silencedBy"] else "an inhibition"
        return Finding("warning", "test alert", f"{told}, but {kept} keeps it quiet", "See whether it is meant so.")
    return Finding("ok", "test alert", told)


def _found(alertmanager: HttpEndpoint, labels: dict[str, str], *, until: Callable[[list[Any]], object]) -> list[Any]:
    """The test alert, once it is as it shall be or after a few seconds."""
    for _ in range(LOOKS):
        found = [alert for alert in _alerts(alertmanager, TEST) if alert["labels"] == labels]
        if until(found):
            break
        time.sleep(PAUSE_SECONDS)
    return found


def _alerts(alertmanager: HttpEndpoint, name: str) -> list[Any]:
    found: list[Any] = alertmanager.get("/api/v2/alerts", {"filter": f'alertname="{name}"'}).document()
    return found


def _receivers(alerts: list[Any]) -> str:
    return listed(dict.fromkeys(receiver["name"] for alert in alerts for receiver in alert["receivers"]))


def _post(alertmanager: HttpEndpoint, labels: dict[str, str], starts_ns: int, ends_ns: int) -> None:
    # Whole seconds are rounded down, and an end may not lie before its start.
    times = {"startsAt": format_timestamp(starts_ns), "endsAt": format_timestamp(ends_ns)}
    reply = alertmanager.post("/api/v2/alerts", [{"labels": labels, "annotations": ANNOTATIONS, **times}])
    if not reply.good:
        raise NoAnswer(f"it refused the test alert with {reply.status}")
