from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from exporter.api import alerts
from exporter.api.alerts import MAX_ALERTS
from exporter.api.ui import ROOT
from exporter.domain.config import Alerting
from tests.support.http_stub import HttpStub, Response

FILES = sorted(path.name for path in ROOT.iterdir())


def problems(client):
    return [
        (each["alert"], each.get("node") or each.get("site", "")) for each in client.get("/mesh").json()["problems"]
    ]


@pytest.mark.parametrize("path", ["/", "/ui/nodes/vengeance", *(f"/ui/{name}" for name in FILES)])
def test_the_page_comes_with_a_strict_policy_and_an_etag(client, register, path):
    register()
    answer = client.get(path)

    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert client.get(path, if_none_match=answer.headers["etag"]).status == 304


def test_a_node_that_is_none_has_the_page_and_a_404(client):
    answer = client.get("/ui/nodes/nope")

    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert answer.body == client.get("/").body


def test_the_page_asks_nobody_but_us():
    """No address of others but those of links that somebody follows."""
    for name in FILES:
        text = (ROOT / name).read_text(encoding="utf-8")
        for known in ("http://www.w3.org/2000/svg", "https://github.com/aurora-mesh/"):
            text = text.replace(known, "")
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text
        assert " style=" not in text


def test_a_file_that_is_not_there_is_no_way_out(client):
    assert [client.get(path).status for path in ("/ui/nothing.js", "/ui/..%2fapi%2fui.py")] == [404, 404]


def test_the_session_says_whether_a_write_would_be_taken(client, service):
    trusted = client.get("/ui/session").json()
    client.peer = "8.8.8.8"
    stranger = client.get("/ui/session").json()

    assert (trusted["may_write"], stranger["may_write"]) == (True, False)
    assert "8.8.8.8" in stranger["refusal"]
    service.set_config(alerting=Alerting("http://user:secret@prometheus:9090/"))
    assert client.get("/ui/session").json()["prometheus_url"] == "http://prometheus:9090"


def test_the_verdict_follows_the_mesh(client, service, register):
    assert client.get("/mesh").json()["state"] == "empty"
    register("lead", role="lead", metadata={"site": "home"})
    register("one", metadata={"site": "home"})
    assert client.get("/mesh").json()["state"] == "healthy"
    service.pass_time(121)
    client.post("/nodes/lead/heartbeat")
    assert (client.get("/mesh").json()["state"], problems(client)) == ("warning", [("AuroraNodeWarning", "one")])
    client.put("/nodes/one/maintenance", {"until": "1h"})
    assert (client.get("/mesh").json()["state"], client.get("/mesh").json()["planned"]) == ("healthy", 1)
    for _ in range(40):
        service.pass_time(100)
        client.post("/nodes/lead/heartbeat")
    assert problems(client) == [("AuroraMaintenanceOverdue", "one")]
    service.pass_time(299)
    assert problems(client) == [("AuroraNodeWarning", "lead"), ("AuroraMaintenanceOverdue", "one")]
    service.pass_time(2)
    assert set(problems(client)) == {
        ("AuroraMeshNoLead", ""),
        ("AuroraMeshNoLead", "lead"),
        ("AuroraMaintenanceOverdue", "one"),
    }


def test_nodes_that_go_missing_together_are_one_problem_first(client, service, register):
    for number in range(4):
        register(f"node-{number}", metadata={"site": "attic"})
    service.pass_time(121)

    verdict = client.get("/mesh").json()

    assert verdict["state"] == "mesh_suspect"
    assert [each["alert"] for each in verdict["problems"]][:2] == ["AuroraMeshSuspect", "AuroraSiteDisrupted"]
    assert {(each["alert"], each["severity"]) for each in verdict["problems"] if "node" in each} == {
        ("AuroraMeshSuspect", "info")
    }
    assert all(each["runbook"].endswith(f"{each['alert']}.md") for each in verdict["problems"])


def test_a_store_that_is_down_is_a_problem(client, service, register):
    register()
    service.store_up = False

    assert problems(client) == [("AuroraRegistryStoreDown", "")]


def badge(client, path):
    answer = client.get(path)
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert "no-cache" in answer.headers["cache-control"]
    return answer.status, ET.fromstring(answer.body).get("aria-label")


def test_badges_say_how_nodes_and_mesh_are(client, service, register):
    assert badge(client, "/badge/mesh.svg") == (200, "mesh: no nodes")
    register()
    assert badge(client, "/badge/mesh.svg") == (200, "mesh: healthy 1/1")
    assert badge(client, "/badge/vengeance.svg") == (200, "vengeance: active")
    service.pass_time(121)
    assert badge(client, "/badge/vengeance.svg") == (200, "vengeance: warning")
    client.put("/nodes/vengeance/drain", {})
    assert badge(client, "/badge/vengeance.svg") == (200, "vengeance: warning, draining")
    assert badge(client, "/badge/nobody.svg") == (404, "nobody: unknown")
    service.loaded = False
    assert badge(client, "/badge/mesh.svg") == (200, "mesh: loading")


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><g onload="x"', "a" * 500, "%00%01", "&amp;"])
def test_a_badge_of_any_name_is_harmless(client, name):
    status, label = badge(client, f"/badge/{name.replace('/', '')}.svg")

    assert status == 404
    assert label.endswith(": unknown")
    assert len(label) < 60


def test_without_a_prometheus_there_are_no_alerts(client):
    assert client.get("/alerts").json() == {"configured": False, "error": "", "alerts": [], "omitted": 0}


def test_a_prometheus_that_does_not_answer_is_said(client, service):
    service.set_config(alerting=Alerting("http://127.0.0.1:1"))

    answer = client.get("/alerts").json()

    assert (answer["configured"], answer["alerts"]) == (True, [])
    assert "could not be asked" in answer["error"]


def firing(client, service, body):
    """What `/alerts` answers while Prometheus answers with this body."""
    with HttpStub(lambda _: Response(200, {"Content-Type": "application/json"}, body)) as prometheus:
        service.set_config(alerting=Alerting(prometheus.url))
        return client.get("/alerts").json()


def prometheus_answer(*alerts):
    return b'{"status": "success", "data": {"alerts": [%b]}}' % b",".join(alerts)


def test_of_many_alerts_the_first_are_shown_and_the_others_counted(client, service):
    alert = b'{"labels": {"alertname": "AuroraNodeOffline", "node": "n1"}, "annotations": {}, "state": "firing"}'
    pending = alert.replace(b"firing", b"pending")

    answer = firing(client, service, prometheus_answer(*[alert] * 250, pending))

    assert (len(answer["alerts"]), answer["omitted"], answer["error"]) == (MAX_ALERTS, 50, "")
    assert answer["alerts"][0]["node"] == "n1"


@pytest.mark.parametrize("alert", [b"1", b'{"labels": 1}', b'{"state": "firing", "labels": {"alertname": null}}'])
def test_an_alert_that_is_none_is_said(client, service, alert):
    answer = firing(client, service, prometheus_answer(alert))

    assert answer["alerts"] == []
    assert "could not be asked" in answer["error"]


def test_an_answer_of_prometheus_that_is_too_large_is_not_kept(client, service, monkeypatch):
    """It would be held, and decoded, beside everything else."""
    monkeypatch.setattr(alerts, "MAX_BODY_BYTES", 1000)

    answer = firing(client, service, prometheus_answer(b'{"state": "%b"}' % (b"a" * 1000)))

    assert answer["alerts"] == []
    assert "could not be asked" in answer["error"]
