"""`GET /audit`: who changed what."""

from __future__ import annotations

import asyncio

from exporter.auth import audit
from exporter.auth.audit import Actor, AuditLog, Entry
from tests.support.clock import ManualClock


def reported(client, **query):
    path = "/audit?" + "&".join(f"{name}={value}" for name, value in query.items())
    return [(entry["action"], entry.get("node"), entry.get("detail")) for entry in client.get(path).json()["entries"]]


def test_every_change_is_recorded_newest_first(client, register, service):
    """A heartbeat, a repeated registration and a refused request are no changes."""
    register("v", role="compute", vpn_ip="10.0.0.4", node_id="one")
    register("v", role="compute", vpn_ip="10.0.0.4", node_id="one")
    register("v", role="lead", vpn_ip="10.0.0.5", node_id="one")
    client.post("/nodes/register", {"name": "v", "node_id": "two"})
    client.post("/nodes/v/heartbeat")
    client.put("/nodes/v/maintenance", {"reason": "new fan"})
    client.delete("/nodes/v/maintenance")
    client.delete("/nodes/v/maintenance")
    client.put("/nodes/v/drain")
    client.post("/nodes/v/accept", {"gpus": 2})
    client.put("/nodes/unknown/drain")
    client.delete("/nodes/v")
    client.delete("/nodes/v")

    assert reported(client) == [
        ("deregister", "v", None),
        ("accept", "v", "2 GPUs"),
        ("drain", "v", None),
        ("in_service", "v", None),
        ("maintenance", "v", "new fan"),
        ("claim_refused", "v", None),
        ("update", "v", "role: compute -> lead, vpn_ip: 10.0.0.4 -> 10.0.0.5"),
        ("register", "v", None),
    ]
    assert reported(client, limit=1) == reported(client)[:1]
    assert reported(client, node="w") == []
    service.pass_time(60)
    assert reported(client, since="30s") == []


def test_readers_of_all_of_it_share_one_answer(client, service, monkeypatch):
    """Of thousands of entries, that is megabytes; who asks after another change sees it."""
    for number in range(1_000):
        service.audit.record("update", Actor(), f"node-{number}")
    looks = []
    latest = service.audit.latest

    def look(*asked):
        looks.append(asked)
        return latest(*asked)

    monkeypatch.setattr(service.audit, "latest", look)

    async def read_together():
        return await asyncio.gather(*(client.request("GET", "/audit?limit=10000") for _ in range(20)))

    answers = client.runner.run(read_together())
    assert len(looks) == 1
    assert {len(answer.json()["entries"]) for answer in answers} == {1_000}
    service.audit.record("update", Actor(), "another")
    assert client.get("/audit?limit=10000").json()["entries"][0]["node"] == "another"


def test_an_entry_says_who_and_by_which_request(client, service, caplog):
    """As the log line does; listeners receive the same."""
    received: list[Entry] = []
    service.audit.listeners.append(received.append)
    with caplog.at_level("INFO", "aurora.audit"):
        client.post("/nodes/register", {"name": "v"}, x_request_id="abc")
    (entry,) = client.get("/audit").json()["entries"]

    assert entry == {
        "at": entry["at"],
        "action": "register",
        "node": "v",
        "by": "trusted network",
        "address": "127.0.0.1",
        "request_id": "abc",
    }
    assert received == [entry]
    (record,) = caplog.records
    assert (record.message, record.node, record.by, record.request_id) == ("register", "v", "trusted network", "abc")


def test_the_record_is_bounded_and_refusals_do_not_push_it_out(monkeypatch):
    monkeypatch.setattr(audit, "MAX_ENTRIES", 3)
    monkeypatch.setattr(audit, "MAX_REPEATED", 2)
    clock = ManualClock()
    log = AuditLog(clock)
    log.record("drain", Actor(), "v")
    for _ in range(10):
        log.record(audit.CLAIM_REFUSED, Actor(), "v")
    assert [entry["action"] for entry in log.latest(10)] == ["claim_refused", "drain"]
    clock.advance(61)
    log.record(audit.CLAIM_REFUSED, Actor(), "v")
    for name in "abc":
        log.record("drain", Actor(), name)
    assert [entry["node"] for entry in log.latest(10)] == ["c", "b", "a"]


def test_one_node_pushes_out_no_others(monkeypatch):
    """A stolen token may change its node as often as it likes: what else happened stays to be read."""
    monkeypatch.setattr(audit, "MAX_OF_ONE", 3)
    monkeypatch.setattr(audit, "MAX_ENTRIES", 6)
    log = AuditLog(ManualClock())
    log.record("drain", Actor(), "other")
    for number in range(50):
        log.record("update", Actor(), "busy", str(number))
    log.record("reload", Actor())
    found = [(entry["action"], entry.get("detail")) for entry in log.latest(10)]
    assert found == [("reload", None), *(("update", str(number)) for number in (49, 48, 47)), ("drain", None)]
    for number in range(50):
        log.record("register", Actor(), f"n{number}")
    assert [entry["node"] for entry in log.latest(10)] == [f"n{number}" for number in range(49, 43, -1)]
    assert log.latest(10, "busy") == []
    assert len(log._of_node) == 6
