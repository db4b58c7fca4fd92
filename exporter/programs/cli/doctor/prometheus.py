"""Prometheus' part of the way: it scrapes the registry, and our rules are loaded and evaluated."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from exporter.alerting.files import rule_files
from exporter.alerting.parameters import RuleParameters
from exporter.domain.clock import MINUTE
from exporter.domain.config import Config
from exporter.domain.timestamp import parse_timestamp
from exporter.programs.cli.doctor.endpoint import Finding, HttpEndpoint
from exporter.programs.cli.humanize import count, listed

JOB = "node-registry"
WATCHDOG = "AuroraWatchdog"
SETTLE_LOOKS = 60
"""A second apart: two of Prometheus' own intervals."""
YOUNG = 5 * MINUTE
"""A Prometheus that started within this time may not have sent the watchdog yet."""
_ALERT = re.compile(r"^ *- alert: (\S+)$", re.MULTILINE)


@dataclass
class Sending:
    """What Prometheus sends, and where, as far as it says."""

    alertmanagers: list[str] = field(default_factory=list)
    """URLs."""
    watchdog_is_coming: bool = False
    """It has the rule, and started recently or has just evaluated it for the first time."""


def check_prometheus(prometheus: HttpEndpoint, sending: Sending) -> Iterator[Finding]:
    """Its targets, its rules, and its Alertmanagers; `sending` is filled in."""
    young = _is_young(prometheus)
    if young:
        yield from _settle(prometheus)
    targets = _data(prometheus, "targets?state=active")["activeTargets"]
    groups = _data(prometheus, "rules?type=alert")["groups"]
    yield from _scraping(prometheus, targets)
    yield _discovery(targets)
    yield from _rules([rule for group in groups for rule in group["rules"]])
    yield _sending(prometheus, sending)
    loaded = any(rule["name"] == WATCHDOG for group in groups for rule in group["rules"])
    sending.watchdog_is_coming = loaded and young


def shipped_alerts() -> list[str]:
    """The names of the alerts in our rule files, in their order."""
    texts = rule_files(RuleParameters.of(Config())).values()
    return list(dict.fromkeys(name for text in texts for name in _ALERT.findall(text)))


def _scraping(prometheus: HttpEndpoint, targets: list[Any]) -> Iterator[Finding]:
    ours = [target for target in targets if _is_ours(target)]
    if not ours:
        text = f"{prometheus.where} has no job {JOB}"
        yield Finding("wrong", "Prometheus", text, "Add the job of alerts/prometheus.yml, and reload it.")
    for target in ours:
        text = f"scrapes {target['scrapeUrl']}"
        if target["health"] == "up":
            yield Finding("ok", "Prometheus", text)
        elif target["health"] == "down":
            yield Finding("wrong", "Prometheus", f"{text}, and fails: {target['lastError']}", "Correct its target.")
        else:
            yield Finding("warning", "Prometheus", f"{text}, but has not yet", "Ask again after a scrape_interval.")


def _is_young(prometheus: HttpEndpoint) -> bool:
    try:
        started = parse_timestamp(str(_data(prometheus, "status/runtimeinfo")["startTime"]))
    except ValueError:
        return False
    return time.time_ns() - started < YOUNG


def _settle(prometheus: HttpEndpoint) -> Iterator[Finding]:
    """Wait until it scraped us and evaluated its rules for the first time, and knows an Alertmanager."""
    for look in range(SETTLE_LOOKS):
        if _is_settled(prometheus):
            return
        if not look:
            yield Finding("ok", "Prometheus", f"{prometheus.where} is young: waiting for its first scrape")
        time.sleep(1)


def _is_settled(prometheus: HttpEndpoint) -> bool:
    targets = [each for each in _data(prometheus, "targets?state=active")["activeTargets"] if _is_ours(each)]
    rules = [rule for group in _data(prometheus, "rules?type=alert")["groups"] for rule in group["rules"]]
    return (
        any(target["health"] != "unknown" for target in targets)
        and all(rule["health"] != "unknown" for rule in rules)
        and bool(_data(prometheus, "alertmanagers")["activeAlertmanagers"])
    )


def _is_ours(target: Any) -> bool:
    return bool(target["labels"].get("job") == JOB)


def _sending(prometheus: HttpEndpoint, sending: Sending) -> Finding:
    found = _data(prometheus, "alertmanagers")["activeAlertmanagers"]
    urls = [str(each["url"]).partition("/api/v")[0] for each in found]
    if not urls:
        next_step = "Name one under alerting in its configuration: until then no alert leaves it."
        return Finding("wrong", "alerting", f"{prometheus.where} has no Alertmanager", next_step)
    sending.alertmanagers += urls
    return Finding("ok", "alerting", f"sends to {listed(urls)}")


def _discovery(targets: list[Any]) -> Finding:
    names = {target["discoveredLabels"].get("__meta_aurora_name") for target in targets} - {None}
    if names:
        return Finding("ok", "discovery", f"{count(len(names), 'node')} by way of /sd/prometheus")
    return Finding("ok", "discovery", "no target comes from /sd/prometheus, which is optional")


def _rules(rules: list[Any]) -> Iterator[Finding]:
    loaded = {rule["name"] for rule in rules}
    shipped = shipped_alerts()
    missing = [name for name in shipped if name not in loaded]
    if missing:
        next_step = "Write them out with `aurora-cli rules`, and name them under rule_files."
        yield Finding("wrong", "rules", f"not loaded: {listed(missing)}", next_step)
    ours = [rule for rule in rules if rule["name"] in shipped]
    failing = [rule for rule in ours if rule["health"] == "err"]
    for rule in failing:
        text = f"{rule['name']} cannot be evaluated: {rule.get('lastError', 'no reason given')}"
        yield Finding("wrong", "rules", text, "Load the rule files of this version.")
    waiting = [rule["name"] for rule in ours if rule["health"] == "unknown"]
    if waiting:
        text = f"not evaluated yet: {listed(dict.fromkeys(waiting))}"
        yield Finding("warning", "rules", text, "Ask again after an evaluation_interval.")
    if not (missing or failing or waiting):
        yield Finding("ok", "rules", f"all {count(len(shipped), 'alert')} are loaded and evaluated")


def _data(prometheus: HttpEndpoint, path: str) -> Any:
    return prometheus.document(f"/api/v1/{path}")["data"]
