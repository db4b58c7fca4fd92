"""Which alerts inhibit which, by a real Alertmanager with the shipped configuration."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.alertmanager_server import AlertmanagerServer

FILE = Path(__file__).resolve().parents[2] / "alerts" / "alertmanager.yml"
SITE = {"alertname": "AuroraSiteDisrupted", "site": "attic"}
LEAD = {"alertname": "AuroraNodeOffline", "node": "boss", "role": "lead"}

pytestmark = pytest.mark.servers


def node(alert: str, name: str = "x", **labels: str) -> dict[str, str]:
    return {"alertname": alert, "node": name, "role": "compute", **labels}


def registry(trouble, instance="one:9999"):
    """What one registry lacks."""
    return {"alertname": f"AuroraRegistry{trouble}", "instance": instance}


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory, generation):
    """No message is sent: group_wait is longer than the tests."""
    server = AlertmanagerServer(tmp_path_factory.mktemp("alertmanager"), generation)
    try:
        yield server.start(FILE)
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("source", "target", "muted"),
    [
        (node("AuroraNodeOffline"), node("AuroraNodeWarning"), True),
        (node("AuroraNodeOffline"), node("AuroraNodeWarning", "y"), False),
        # These stand for others too, but by the rules: what Alertmanager has is shown.
        (SITE, node("AuroraNodeOffline", site="attic"), False),
        ({"alertname": "AuroraMeshSuspect"}, SITE, False),
        ({"alertname": "AuroraMeshNoLead"}, LEAD, False),
        ({"alertname": "AuroraRegistryDown"}, node("AuroraNodeOffline"), False),
        (registry("EventBusDown"), registry("StoreDown"), False),
    ],
)
def test_one_alert_stands_for_many(alertmanager, source, target, muted):
    """The alerts fire together; the canary, posted last, shows that Alertmanager has looked at what came before it."""
    canary = [node("AuroraNodeOffline", "canary"), node("AuroraNodeWarning", "canary")]
    labels = [source, target, *canary]
    alertmanager.post([{"labels": each} for each in (source, target)])
    alertmanager.post([{"labels": each} for each in canary])
    expected = {source["alertname"]: False, target["alertname"]: muted}
    assert wait_for(alertmanager, expected) == expected
    ended = {"startsAt": "2025-10-06T12:00:00Z", "endsAt": "2025-10-06T12:00:05Z"}
    alertmanager.post([{"labels": each, **ended} for each in labels])


def wait_for(alertmanager: AlertmanagerServer, expected: dict[str, bool]) -> dict[str, bool]:
    """Whether each alert but the canary is inhibited: as expected, or as it still stands after ten seconds."""
    deadline = time.monotonic() + 10
    while True:
        alerts = alertmanager.alerts()
        muted = {
            (alert["labels"]["alertname"], alert["labels"].get("node")): bool(alert["status"]["inhibitedBy"])
            for alert in alerts
        }
        states = {name: inhibited for (name, about), inhibited in muted.items() if about != "canary"}
        looked = muted.get(("AuroraNodeWarning", "canary"), False)
        if (looked and states == expected) or time.monotonic() > deadline:
            return states
        time.sleep(0.05)
