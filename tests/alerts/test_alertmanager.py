"""The shipped Alertmanager configuration: valid, and each alert goes to whoever should hear of it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.servers import Generation

ALERTS = Path(__file__).resolve().parents[2] / "alerts"
FILE = ALERTS / "alertmanager.yml"
CONFIGURATION: dict[str, Any] = yaml.safe_load(FILE.read_text())


def amtool(*arguments: str | Path, of: Generation) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [of.program("amtool"), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )


def test_alertmanager_takes_its_configuration(generation):
    checked = amtool("check-config", FILE, of=generation)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=AuroraNodeOffline", "severity=critical", "environment=production", "site=attic"), "pager"),
        (("alertname=AuroraNodeOffline", "severity=critical"), "pager"),
        (("alertname=AuroraNodeOffline", "severity=critical", "environment=devops"), "pager"),
        (("alertname=AuroraNodeOffline", "severity=info", "environment=staging"), "quiet"),
        (("alertname=Another", "severity=critical", "environment=test"), "quiet"),
        (("alertname=AuroraNodeWarning", "severity=warning", "environment=production"), "chat"),
        (("alertname=AuroraSiteDisrupted", "severity=critical", "site=attic"), "pager"),
        (("alertname=AuroraMeshSuspect", "severity=critical"), "pager"),
        (("alertname=AuroraRegistryDown", "severity=critical", "job=node-registry"), "pager"),
        (("alertname=AuroraGpuIdle", "severity=info", "environment=production"), "quiet"),
        (("alertname=AuroraWatchdog", "severity=info"), "watchdog"),
        (("alertname=Another",), "chat"),
    ],
)
def test_an_alert_goes_to_one_receiver(labels, receiver, generation):
    tested = amtool(
        "config", "routes", "test", f"--config.file={FILE}", f"--verify.receivers={receiver}", *labels, of=generation
    )
    assert (tested.returncode, tested.stdout.strip()) == (0, receiver), tested.stderr


def test_receivers_show_every_way_and_each_is_used():
    """A webhook, Slack, e-mail and PagerDuty, each working once its address is filled in."""
    ways = {way for receiver in CONFIGURATION["receivers"] for way in receiver if way != "name"}
    assert ways == {"webhook_configs", "slack_configs", "email_configs", "pagerduty_configs"}
    routes = [CONFIGURATION["route"], *CONFIGURATION["route"]["routes"]]
    assert {route["receiver"] for route in routes} == {receiver["name"] for receiver in CONFIGURATION["receivers"]}


def test_messages_are_grouped_by_site_and_wait_for_the_alert_that_stands_for_many():
    """Only the watchdog, which stands for nothing, goes out at once."""
    route = CONFIGURATION["route"]
    assert (route["group_by"], route["group_wait"]) == (["site"], "30s")
    waits = {child["receiver"] for child in route["routes"] if {"group_by", "group_wait"} & child.keys()}
    assert waits == {"watchdog"}


def test_inhibition_names_alerts_that_exist():
    """A misspelt name would mute nothing, or for ever."""
    names = [
        rule["alert"]
        for file in ALERTS.glob("*.rules.yml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    for matcher in inhibition_matchers("alertname"):
        pattern = matcher.split("=", 1)[1].lstrip("~").strip('"')
        assert any(re.fullmatch(pattern, name) for name in names), matcher
        for alternative in re.sub(r"\(.*?\)", "", pattern).split("|"):
            assert alternative, matcher


def test_a_site_that_is_missing_on_both_sides_mutes_nothing():
    """Alertmanager takes labels that are missing on both sides for equal."""
    [site] = [rule for rule in CONFIGURATION["inhibit_rules"] if rule.get("equal") == ["site"]]
    assert 'site=~".+"' in site["source_matchers"]
    assert 'site=~".+"' in site["target_matchers"]


def inhibition_matchers(label: str) -> list[str]:
    return [
        matcher
        for rule in CONFIGURATION["inhibit_rules"]
        for matcher in (*rule["source_matchers"], *rule["target_matchers"])
        if matcher.startswith(label)
    ]
