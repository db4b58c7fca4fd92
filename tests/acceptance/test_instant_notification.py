"""A real Alertmanager gets a node's alert from the registry itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.servers import Generation
from tests.support.alertmanager_server import AlertmanagerServer
from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess
from tests.support.server_process import until

pytestmark = pytest.mark.servers
QUICK = {"heartbeat_interval": "300ms", "warning_after": "1s", "offline_after": "2s"}
SENT = 'aurora_registry_notifications_total{outcome="sent"}'
LABELS = {
    "alertname": "AuroraNodeOffline",
    "severity": "critical",
    "node": "ann",
    "role": "compute",
    "environment": "production",
    "site": "lab",
    "region": "eu",
}


@pytest.fixture
def alertmanager(tmp_path: Path, generation: Generation) -> Iterator[AlertmanagerServer]:
    with AlertmanagerServer(tmp_path, generation) as server:
        yield server


def settings(*urls: str) -> dict[str, object]:
    return {"thresholds": QUICK, "alertmanager": {"urls": list(urls), "external_labels": {"region": "eu"}}}


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def test_an_alert_is_there_at_the_threshold_and_ends_with_the_return(
    new_registry: Callable[..., RegistryProcess], alertmanager: AlertmanagerServer
) -> None:
    """It has the labels of the rule's alert, so that both stay one; it is there within a second."""
    registry = new_registry(settings=settings(alertmanager.url)).start()
    registry.register(name="ann", metadata={"site": "lab"})

    until(alertmanager.labels, [LABELS])
    [alert] = alertmanager.alerts()
    assert moment(alert["updatedAt"]) - moment(alert["startsAt"]) < dt.timedelta(seconds=1)

    times = {"startsAt": alert["updatedAt"], "endsAt": alert["endsAt"]}
    alertmanager.post([{"labels": LABELS, "annotations": {"summary": "by Prometheus"}, **times}])
    until(lambda: [held["annotations"].get("summary") for held in alertmanager.alerts()], ["by Prometheus"])
    assert [(held["fingerprint"], held["startsAt"]) for held in alertmanager.alerts()] == [
        (alert["fingerprint"], alert["startsAt"])
    ]

    assert registry.ask("POST", "/nodes/ann/heartbeat").status_code == 204
    until(alertmanager.labels, [])
    assert registry.metric('aurora_registry_notifications_total{outcome="failed"}') == 0


def test_a_reload_names_another_alertmanager(
    new_registry: Callable[..., RegistryProcess], alertmanager: AlertmanagerServer
) -> None:
    """It gets all that fires; an end of the registry ends no alert."""
    registry = new_registry("--web.enable-lifecycle", settings=settings()).start()
    registry.register(name="ann", metadata={"site": "lab"})
    until(registry.statuses, {"ann": "offline"})
    assert alertmanager.labels() == []

    registry.configure(settings("http://127.0.0.1:1", alertmanager.url))
    assert registry.ask("POST", "/-/reload").ok
    until(alertmanager.labels, [LABELS])

    assert registry.stop() == 0
    assert alertmanager.labels() == [LABELS]


def test_replicas_make_one_alert(
    new_registry: Callable[..., RegistryProcess], alertmanager: AlertmanagerServer, redis_server: RedisServer
) -> None:
    """Each sends it, and the one that receives the node's heartbeat ends it."""
    one, other = (new_registry(store=redis_server.url, settings=settings(alertmanager.url)).start() for _ in range(2))
    one.register(name="ann", metadata={"site": "lab"})
    until(alertmanager.labels, [LABELS])
    for registry in (one, other):
        until(lambda registry=registry: registry.metric(SENT) >= 2, expected=True)  # type: ignore[misc]

    assert other.ask("POST", "/nodes/ann/heartbeat").status_code == 204
    until(alertmanager.labels, [])
