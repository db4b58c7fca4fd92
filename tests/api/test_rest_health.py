from __future__ import annotations

from dataclasses import replace

import pytest

from exporter import __version__
from exporter.domain.errors import Invalid


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, {"status": "ok", "store": "up", "event_bus": "none", "nodes": 1}),
        ({"event_bus_up": True}, {"status": "ok", "store": "up", "event_bus": "up", "nodes": 1}),
        ({"event_bus_up": False}, {"status": "degraded", "store": "up", "event_bus": "down", "nodes": 1}),
        ({"store_up": False}, {"status": "degraded", "store": "down", "event_bus": "none", "nodes": 1}),
        ({"loaded": False}, {"status": "degraded", "store": "up", "event_bus": "none", "nodes": 0}),
    ],
    ids=str,
)
def test_health(client, register, service, state, expected):
    """200 whatever is down beside us."""
    register("n1")
    for name, value in state.items():
        setattr(service, name, value)
    answer = client.get("/health")

    assert answer.status == 200
    assert answer.json() == {**expected, "version": __version__, "uptime_seconds": 12.5}


def test_healthy_as_long_as_we_serve(client, service):
    """Also while we are not ready."""
    service.loaded = service.ready = False

    assert client.get("/-/healthy").status == 200


def test_ready_once_the_map_is_loaded(client, service):
    """A store that is down does not make us unready; loading and stopping do."""
    service.store_up = False
    assert client.get("/-/ready").status == 200
    service.ready = False
    assert client.get("/-/ready").status == 503


def test_a_reload_must_be_enabled(client, service):
    """403 with a sentence, as with Prometheus."""
    answer = client.post("/-/reload")

    assert (answer.status, service.reloads) == (403, 0)
    assert answer.json()["detail"] == (
        "the lifecycle API is not enabled: start with --web.enable-lifecycle, or send SIGHUP"
    )


def test_a_reload(client, service):
    """200 once the new configuration is in force."""
    service.set_config(web=replace(service.config.web, enable_lifecycle=True))

    assert (client.post("/-/reload").status, service.reloads) == (200, 1)


def test_a_refused_reload_names_what_is_wrong(client, service):
    """500 as with Prometheus: the request was right, the file is not."""
    service.set_config(web=replace(service.config.web, enable_lifecycle=True))
    service.reload_error = Invalid.of("log.level", "expected debug, info, warning or error, got 'loud'")
    answer = client.post("/-/reload")

    assert answer.status == 500
    assert answer.json()["title"] == "The new configuration was refused, the old one stays in force"
    assert answer.json()["errors"] == [
        {"field": "log.level", "message": "expected debug, info, warning or error, got 'loud'"}
    ]
