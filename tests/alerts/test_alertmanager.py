"""The shipped Alertmanager configuration: valid, and each alert goes to its receiver."""

from __future__ import annotations

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


def test_messages_are_grouped_by_site():
    """Only the watchdog, which belongs to nothing, goes out at once."""
    route = CONFIGURATION["route"]
    assert (route["group_by"], route["group_wait"]) == (["site"], "30s")
    waits = {child["receiver"] for child in route["routes"] if {"group_by", "group_wait"} & child.keys()}
    assert waits == {"watchdog"}


def test_what_has_no_site_is_kept_apart():
    """Nodes without a site, the mesh and the registry would share one group, and wait for each other's intervals."""
    apart = [{"matchers": ['site=""'], "group_by": ["alertname", "node"]}]
    routes = CONFIGURATION["route"]["routes"]
    assert [child.get("routes") for child in routes] == [None, *[apart] * 4]


def test_only_an_offline_node_inhibits_its_own_warning():
    """What was sent and is then inhibited ends without a message, so that the next incident has none either."""
    [rule] = CONFIGURATION["inhibit_rules"]
    assert rule == {
        "source_matchers": ['alertname="AuroraNodeOffline"'],
        "target_matchers": ['alertname="AuroraNodeWarning"'],
        "equal": ["node"],
    }
