from __future__ import annotations

from exporter.domain.command import Register
from exporter.domain.registration import parse_registration
from exporter.domain.status import Transport


def why(client, name="n1"):
    answer = client.get(f"/nodes/{name}/why")
    assert answer.status == 200, answer.body
    return answer.json()


def test_an_active_node(client, register, service):
    """All that its status is derived from, and what comes next."""
    register("n1")
    service.pass_time(50)

    assert why(client) == {
        "node": "n1",
        "status": "active",
        "status_since": "2025-10-06T12:00:00Z",
        "last_heartbeat": {"at": "2025-10-06T12:00:00Z", "transport": "http", "age_seconds": 50},
        "counted_age_seconds": 50,
        "not_counted_seconds": 0,
        "not_counted": [],
        "held": False,
        "next": {"status": "warning", "in_seconds": 70},
        "lifecycle": {"phase": "in_service"},
        "ignored": [],
        "suppressed": [],
        "pages": True,
        "thresholds": {
            "heartbeat_interval_seconds": 30,
            "warning_after_seconds": 120,
            "offline_after_seconds": 300,
            "forget_after_seconds": 259200,
        },
        "timestamp": "2025-10-06T12:00:50Z",
    }


def test_each_status_has_its_next(client, register, service):
    """Warning goes offline; offline is forgotten, after the node's own ttl where it has one."""
    register("n1")
    service.pass_time(200)
    assert (why(client)["status"], why(client)["status_since"]) == ("warning", "2025-10-06T12:02:00Z")
    assert why(client)["next"] == {"status": "offline", "in_seconds": 100}
    service.pass_time(200)
    assert why(client)["next"] == {"status": "forgotten", "in_seconds": 259200 - 400}
    register("n2", ttl="1m")
    assert why(client, "n2")["next"] == {"status": "forgotten", "in_seconds": 60}


def test_an_outage_is_shown(client, register, service):
    """What of it does not count, and that the status waits through the grace that follows."""
    register("n1")
    service.pass_time(60)
    service.clock.advance(600)
    blind = why(client)
    service.node_map.tick()
    service.pass_time(10)
    waiting = why(client)

    assert (blind["held"], blind["next"]) == (True, {"status": "warning", "in_seconds": None})
    assert blind["not_counted"] == [{"from": "2025-10-06T12:01:00Z"}]
    assert (blind["counted_age_seconds"], blind["not_counted_seconds"]) == (60, 600)
    assert (waiting["held"], waiting["held_since"]) == (True, "2025-10-06T12:01:00Z")
    assert waiting["not_counted"] == [
        {"from": "2025-10-06T12:01:00Z", "to": "2025-10-06T12:11:00Z", "grace_until": "2025-10-06T12:12:00Z"}
    ]
    assert (waiting["counted_age_seconds"], waiting["not_counted_seconds"]) == (60, 610)
    assert waiting["next"] == {"status": "warning", "in_seconds": 50 + 60}
    assert waiting["suppressed"] == [
        "its status is frozen: no registry receives its heartbeats, or not for long enough yet"
    ]
    service.pass_time(waiting["next"]["in_seconds"])
    assert why(client)["status"] == "warning"


def test_what_suppresses_the_alerts_of_a_node(client, register, service):
    """Its lifecycle, its environment, and incidents larger than it."""
    register("n1", metadata={"environment": "staging", "site": "home"})
    for name in ("n2", "n3"):
        register(name, metadata={"site": "home"})
    client.put("/nodes/n1/maintenance", {"reason": "new PSU", "until": "10m"})
    service.pass_time(130)

    assert why(client, "n1")["lifecycle"] == {
        "phase": "maintenance",
        "reason": "new PSU",
        "until": "2025-10-06T12:10:00Z",
        "set_by": "people",
        "overdue": False,
    }
    assert why(client, "n1")["suppressed"] == ["it is in maintenance until 2025-10-06T12:10:00Z"]
    assert (why(client, "n1")["pages"], why(client, "n2")["pages"]) == (False, True)
    client.delete("/nodes/n1/maintenance")
    service.pass_time(1)
    assert why(client, "n2")["suppressed"] == [
        "it went missing together with most of the mesh: AuroraMeshSuspect stands for it",
        "it went missing together with its site home: AuroraSiteDisrupted stands for it",
    ]


def test_an_overdue_maintenance_suppresses_no_longer_by_itself(client, register, service):
    """It has an alert of its own."""
    register("n1")
    client.put("/nodes/n1/maintenance", {"until": "10m"})
    service.pass_time(601)

    assert why(client)["lifecycle"]["overdue"] is True
    assert why(client)["suppressed"] == ["it is in maintenance beyond its end: AuroraMaintenanceOverdue stands for it"]


def test_a_node_of_the_bus(client, service):
    """The transport of the last heartbeat is the one whose outages count."""
    service.node_map.commit(service.node_map.plan(Register(parse_registration({"name": "n1"}), Transport.BUS)))

    assert why(client)["last_heartbeat"]["transport"] == "bus"


def test_why_is_asked_of_a_node(client):
    """404 for a name never registered."""
    assert client.get("/nodes/n1/why").status == 404
