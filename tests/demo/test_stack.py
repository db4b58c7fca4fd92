"""The stack, with nodes that send to it over HTTP, in a time in which minutes are seconds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import requests

from demo.alerts import SUPPRESSED, suppressed
from demo.process import ChildFailed
from demo.receiver import Notification
from demo.stack import Stack
from tests.support.periodic import Periodic

pytestmark = pytest.mark.servers

NODES = [f"{site}-{number}" for site in ("austin", "berlin") for number in range(4)]
SITE_ALERT = "AuroraSiteDisrupted"


def until(read, *, within=30.0):
    """The first truthy value read; AssertionError shows the last one."""
    deadline = time.monotonic() + within
    while not (value := read()):
        assert time.monotonic() < deadline, f"last read {value!r}"
        time.sleep(0.1)
    return value


def register(stack: Stack) -> None:
    for name in NODES:
        body = {"name": name, "metadata": {"site": name.partition("-")[0]}, "capabilities": {"gpu": True}}
        assert requests.post(f"{stack.registry_url}/nodes/register", json=body, timeout=30).status_code == 201


def test_a_site_that_fails_is_seen_from_the_metrics_to_the_message() -> None:
    """Metric, rule, suppression, message, and the history of the statuses."""
    received: list[Notification] = []
    with Stack(speed=60, on_notification=received.append) as stack:
        register(stack)
        alive = [{"node": name} for name in NODES if name.startswith("berlin")]
        beats = f"{stack.registry_url}/heartbeats"
        with Periodic(lambda: requests.post(beats, json=alive, timeout=30), every=0.3):
            until(lambda: len(stack.query("aurora_node_info")) == len(NODES))
            sample = b'aurora_site_disrupted{site="austin"} 1'
            until(lambda: sample in requests.get(f"{stack.registry_url}/metrics", timeout=30).content)
            until(lambda: stack.query(f'ALERTS{{alertname="{SITE_ALERT}",alertstate="firing",site="austin"}}'))
            alerts = f"{stack.alertmanager_url}/api/v2/alerts"
            until(
                lambda: (
                    {alert["labels"]["alertname"] for alert in requests.get(alerts, timeout=30).json()} >= {SITE_ALERT}
                )
            )
            reported = until(lambda: [a for n in received if n.receiver == "pager" for a in n.alerts])
            assert [(alert.labels["alertname"], alert.labels["site"]) for alert in reported] == [(SITE_ALERT, "austin")]
            until(lambda: len(stack.query('aurora_node_status{status="offline"} == 1')) == 4)
            assert until(lambda: suppressed(stack.query(SUPPRESSED))) == {"austin": 4}
            assert stack.query('ALERTS{site="austin", node!=""}') == []
            history = requests.get(
                f"{stack.prometheus_url}/api/v1/query_range",
                timeout=30,
                params={
                    "query": 'sum by (status) (aurora_node_status{node=~"austin.*"})',
                    "start": str(time.time() - 60),
                    "end": str(time.time()),
                    "step": "0.5",
                },
            ).json()["data"]["result"]
            most = {
                series["metric"]["status"]: max(float(value) for _, value in series["values"]) for series in history
            }
            assert most == {"active": 4, "warning": 4, "offline": 4}
            stack.check()
    assert not stack.directory.exists()


def test_a_directory_that_is_given_stays_with_its_logs(tmp_path: Path) -> None:
    """Only what we made ourselves is removed."""
    with Stack(speed=60, directory=tmp_path / "kept") as stack:
        pass
    logs = sorted(path.name for path in stack.directory.glob("*.log"))
    assert logs == ["alertmanager.log", "prometheus.log", "redis.log", "registry.log"]


def test_a_server_that_dies_is_reported_with_its_last_lines() -> None:
    """And the others end as always."""
    with Stack(speed=60) as stack:
        alertmanager = next(child for child in stack.children if child.name == "alertmanager")
        alertmanager._started().kill()
        until(lambda: alertmanager.ended is not None)
        with pytest.raises(ChildFailed) as failed:
            stack.check()
    assert failed.value.what == "alertmanager ended by signal SIGKILL"
    assert any("Listening on" in line for line in failed.value.last_lines)


def test_a_speed_below_production_is_refused() -> None:
    """The message says what is expected."""
    with pytest.raises(ValueError, match=r"^speed: expected 1 \(production's own time\) to 100, got 0\.5$"):
        Stack(speed=0.5)
