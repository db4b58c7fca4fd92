from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from exporter.domain.heartbeat import EMPTY, Heartbeat
from exporter.domain.status import Transport

GPU = {
    "index": 0,
    "uuid": "GPU-1",
    "utilization": 0.5,
    "memory_used_bytes": 2**30,
    "temperature_celsius": 61.0,
    "power_watts": 300.0,
}


def test_a_heartbeat_without_a_body_is_enough(client, register, service):
    """204 without a body; the heartbeat is of now, and the shared empty heartbeat stays empty."""
    register("n1")
    service.pass_time(60)
    answer = client.post("/nodes/n1/heartbeat")

    assert (answer.status, answer.body) == (204, b"")
    assert client.get("/nodes/n1").json()["last_seen"] == "2025-10-06T12:01:00Z"
    assert Heartbeat() == EMPTY


def test_a_heartbeat_brings_readings(client, register):
    """They stand in the document under the heartbeat's own keys; what was not read is left out."""
    register("n1")
    answer = client.post("/nodes/n1/heartbeat", {"status": "busy", "sequence": 1, "gpus": [GPU, {"index": 1}]})

    assert answer.status == 204
    document = client.get("/nodes/n1").json()
    assert document["gpus"] == [GPU, {"index": 1}]
    assert document["reported_status"] == "busy"


def test_heartbeats_are_counted(client, register, service):
    """Those that were taken in, singly or together."""
    register("n1")
    client.post("/nodes/n1/heartbeat")
    client.post("/nodes/n2/heartbeat")
    client.post("/heartbeats", [{"node": "n1"}, {"node": "n1"}, {"node": "n2"}])

    assert service.telemetry.heartbeats == {Transport.HTTP: 3, Transport.BUS: 0}


def test_an_unknown_node_is_asked_to_register(client):
    """404: over HTTP nobody appears by a heartbeat."""
    answer = client.post("/nodes/n1/heartbeat")

    assert answer.status == 404
    assert answer.json()["detail"] == "no node is registered as 'n1': register it with POST /nodes/register"


def test_a_heartbeat_is_of_the_node_in_the_path(client, register):
    """A body may repeat the name, and must not state another."""
    register("n1")

    assert client.post("/nodes/n1/heartbeat", {"node": "n1"}).status == 204
    answer = client.post("/nodes/n1/heartbeat", {"node": "n2"})
    assert (answer.status, answer.json()["errors"]) == (
        400,
        [{"field": "node", "message": "expected 'n1' as in the path, or none, got 'n2'"}],
    )


def test_unknown_keys_of_a_heartbeat_are_ignored(client, register):
    """Old and new agents live together."""
    register("n1")

    assert client.post("/nodes/n1/heartbeat", {"mood": "good"}).status == 204


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"sequence": -1}', "sequence"),
        (b'{"gpus": [{"index": 0, "memory_used_bytes": 18446744073709551615}]}', "gpus[0].memory_used_bytes"),
        (b"nonsense", ""),
        (b"\xff\xfe", ""),
        (b"[" * 1000, ""),
        (b"null", ""),
        (b'{"node": 5}', "node"),
        (b'{"node": "a b"}', "node"),
        (rb'{"node": "\ud800"}', "node"),
    ],
)
def test_what_is_wrong_in_a_heartbeat_is_named_and_the_node_lives(client, register, service, body, field):
    """200 in place of 204; it is counted, `why` shows it, and a sound heartbeat ends that."""
    register("n1")
    service.pass_time(60)
    answer = client.post("/nodes/n1/heartbeat", body)

    assert (answer.status, [part["field"] for part in answer.json()["ignored"]]) == (200, [field])
    assert client.get("/nodes/n1").json()["last_seen"] == "2025-10-06T12:01:00Z"
    assert client.get("/nodes/n1/why").json()["ignored"] == answer.json()["ignored"]
    assert sum(service.node_map.readings_rejected.values()) == 1
    assert client.post("/nodes/n1/heartbeat", {}).status == 204
    assert client.get("/nodes/n1/why").json()["ignored"] == []


@pytest.mark.parametrize("body", [b'{"gpus": [' + b" " * 200 + b"]}", [b'{"gpus": [', b" " * 200, b"]}"]])
def test_a_heartbeat_that_is_too_large_counts_without_its_body(client, register, service, body):
    """Announced or chunked."""
    register("n1")
    service.set_config(limits=replace(service.config.limits, max_body=100))
    service.pass_time(60)
    answer = client.call("POST", "/nodes/n1/heartbeat", body, headers={"content-type": "application/json"})

    assert (answer.status, answer.json()["ignored"][0]["field"]) == (200, "")
    assert "limits.max_body" in answer.json()["ignored"][0]["message"]
    assert client.get("/nodes/n1").json()["last_seen"] == "2025-10-06T12:01:00Z"


def test_more_memory_in_use_than_there_is_cannot_be(client, register):
    """What the node is registered with is the limit; a little more is a rounded figure."""
    register("n1", capabilities={"gpu": True, "gpu_memory": 24})
    for used, status in ((25 * 2**30, 204), (30 * 2**30, 200)):
        gpus = [{"index": 0, "memory_used_bytes": used, "power_watts": 50.0}]
        assert client.post("/nodes/n1/heartbeat", {"gpus": gpus}).status == status

    assert client.get("/nodes/n1").json()["gpus"] == [{"index": 0, "power_watts": 50.0}]
    assert client.get("/nodes/n1/why").json()["ignored"][0]["field"] == "gpus[0].memory_used_bytes"


def test_readings_end_when_nobody_looks_any_more(client, register, service):
    """A heartbeat without `gpus` says nothing of them; after `warning_after` the old ones say nothing of now."""
    register("n1", capabilities={"gpu": True})
    client.post("/nodes/n1/heartbeat", {"gpus": [GPU]})
    for passed, shown in ((60, True), (60, True), (1, False)):
        service.pass_time(passed)
        client.post("/nodes/n1/heartbeat", {})
        assert ("gpus" in client.get("/nodes/n1").json()) is shown
    assert service.node_map.get("n1").gpus_observed is None


def test_a_reading_that_was_old_when_it_was_sent_shows_that_the_gpu_is_there(client, register, service):
    """And no figure that looks as if it were of now."""
    register("n1")
    client.post("/nodes/n1/heartbeat", {"gpus": [{**GPU, "age_seconds": 5.0}, {**GPU, "index": 1, "age_seconds": 121}]})

    assert client.get("/nodes/n1").json()["gpus"] == [
        {**GPU, "age_seconds": 5.0},
        {"index": 1, "uuid": "GPU-1", "age_seconds": 121.0},
    ]
    assert service.node_map.get("n1").gpus_observed == 2


def test_heartbeats_wait_for_the_map(client, service):
    """503 until it is loaded: a 404 would make agents register again."""
    service.loaded = False

    assert client.post("/nodes/n1/heartbeat").status == 503


def test_many_heartbeats_at_once(client, register, service):
    """Each is judged by itself; what is rejected is named by its position."""
    register("n1")
    register("n2")
    service.pass_time(60)
    client.delete("/nodes/n2")
    answer = client.post(
        "/heartbeats",
        [{"node": "n1", "sequence": 7}, {"node": "n3"}, {"node": "n2"}, {"sequence": 1}, {"node": "n1", "gpus": 1}, 5],
    )

    assert (answer.status, answer.json()["accepted"]) == (200, 2)
    assert answer.json()["ignored"] == [{"index": 4, "field": "gpus", "message": "expected array, got 1"}]
    assert [rejected["index"] for rejected in answer.json()["rejected"]] == [1, 2, 3, 5]
    errors = [rejected["error"] for rejected in answer.json()["rejected"]]
    assert errors[0] == "no node is registered as 'n3': register it with POST /nodes/register"
    assert errors[1] == "node 'n2' was deregistered: register it again to bring it back"
    assert errors[2] == "node: required"
    assert errors[3].startswith("expected a heartbeat as a JSON object")
    assert service.node_map.get("n1").sequence == 7


def test_what_is_no_name_is_not_repeated_at_length(client):
    """A rejection is short, whatever was sent."""
    [rejected] = client.post("/heartbeats", [{"node": "x" * 10_000}]).json()["rejected"]

    assert rejected["error"].startswith("node: expected 1 to 63 letters")
    assert len(rejected["error"]) < 250


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"\n\n"])
def test_many_heartbeats_as_lines(client, register, separator):
    """NDJSON, by its content type; empty lines are skipped."""
    register("n1")
    lines = [b'{"node": "n1"}', b'{"node": "n2"}', b"nonsense", b'{"node": "n1"}', b""]
    answer = client.post("/heartbeats", separator.join(lines), content_type="application/x-ndjson; charset=utf-8")

    assert (answer.status, answer.json()["accepted"]) == (200, 2)
    assert [rejected["index"] for rejected in answer.json()["rejected"]] == [1, 2]


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"node": "n1"}', b"[", b'[{"node": "n1"}', b"\xff"])
def test_what_is_no_list_of_heartbeats_is_refused_whole(client, register, body):
    """400 before any is taken in."""
    register("n1")
    answer = client.post("/heartbeats", body)

    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")


def test_a_list_with_numbers_that_json_does_not_have_is_still_read_one_by_one(client, register):
    """An agent's NaN timestamp spoils no other node's heartbeat, nor its own."""
    register("n1")
    answer = client.post("/heartbeats", b'[{"node": "n1", "timestamp": NaN}, {"node": "n1"}]')

    ignored = [{"index": 0, "field": "timestamp", "message": "expected a finite number, got nan"}]
    assert answer.json() == {"accepted": 2, "rejected": [], "ignored": ignored}


def test_a_list_may_be_only_so_long(client):
    """400: its rejections would fill an answer of tens of megabytes."""
    answer = client.post("/heartbeats", b"[" + b"1," * 20_000 + b"1]")

    assert (answer.status, answer.json()["detail"]) == (400, "expected at most 20000 heartbeats at once, got 20001")


def test_a_long_list_lets_others_have_the_loop(client, register):
    """Other requests are answered while it is taken in."""
    register("n1")
    body = json.dumps([{"node": "n1", "sequence": n} for n in range(20_000)]).encode()

    async def both():
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(
                client.request("POST", "/heartbeats", body, headers={"content_type": "application/json"})
            )
            await client.request("GET", "/health")
            answered_before = first.done()
        return answered_before, first.result().json()["accepted"]

    assert client.runner.run(both()) == (False, 20_000)
