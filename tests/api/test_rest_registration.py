from __future__ import annotations

from dataclasses import replace

import pytest

from tests.api.conftest import VENGEANCE

DOCUMENT = {
    "name": "vengeance",
    "role": "compute",
    "vpn_ip": "10.0.0.4",
    "status": "active",
    "last_seen": "2025-10-06T12:00:00Z",
    "capabilities": {"gpu": True, "gpu_count": 1, "gpu_type": "RTX 4090", "gpu_memory": 24},
    "registered_at": "2025-10-06T12:00:00Z",
    "metadata": {"os": "ubuntu", "docker_version": "24.0.7"},
    "lifecycle": "in_service",
    "transport": "http",
}


def test_a_new_node_is_created_and_answered_with_its_document(client):
    """The seed's registration: 201, the document in the seed's order, and how often to beat."""
    answer = client.post("/nodes/register", VENGEANCE)

    assert answer.status == 201
    assert answer.headers["location"] == "/nodes/vengeance"
    assert answer.json() == {**DOCUMENT, "heartbeat_interval_seconds": 30}
    assert list(answer.json()) == [*DOCUMENT, "heartbeat_interval_seconds"]


def test_a_known_node_is_updated(client, register):
    """200, and what it says now stands."""
    register(role="lead", public_ip="45.32.194.172")
    answer = client.post("/nodes/register", {"name": "vengeance"})

    assert answer.status == 200
    assert "location" not in answer.headers
    assert (answer.json()["role"], "public_ip" in answer.json()) == ("compute", False)


def test_a_name_alone_is_enough(client):
    """Everything else has a default or is left out."""
    assert client.post("/nodes/register", {"name": "n1"}).json() == {
        "name": "n1",
        "role": "compute",
        "status": "active",
        "last_seen": "2025-10-06T12:00:00Z",
        "capabilities": {},
        "registered_at": "2025-10-06T12:00:00Z",
        "metadata": {},
        "lifecycle": "in_service",
        "transport": "http",
        "heartbeat_interval_seconds": 30,
    }


def test_capabilities_and_metadata_come_back_verbatim(client):
    """Whatever they hold, in its order, huge integers included."""
    capabilities = {"z": 1, "a": [None, {"deep": "\u2603"}], "big": 10**30, "text": 'a "quote" \\ \n'}
    client.post("/nodes/register", {"name": "n1", "capabilities": capabilities, "metadata": capabilities})

    document = client.get("/nodes/n1").json()

    assert (document["capabilities"], document["metadata"]) == (capabilities, capabilities)
    assert list(document["capabilities"]) == list(capabilities)


def test_a_living_nodes_name_is_not_given_to_another_machine(client, register, service):
    """409, the owner unchanged, and the claim is counted."""
    register(node_id="machine-1", vpn_ip="10.0.0.4")
    answer = client.post("/nodes/register", {"name": "vengeance", "node_id": "machine-2", "vpn_ip": "10.0.0.66"})

    assert answer.status == 409
    assert answer.json()["type"] == "urn:aurora:problem:name-conflict"
    assert "machine-1" not in answer.body.decode()
    assert client.get("/nodes/vengeance").json()["vpn_ip"] == "10.0.0.4"
    assert service.node_map.get("vengeance").conflicts == 1


def test_an_update_without_a_node_id_keeps_the_held_one(client, register, service):
    """Else anybody could make the name free for another machine."""
    register(node_id="machine-1")
    register(role="lead")
    answer = client.post("/nodes/register", {"name": "vengeance", "node_id": "machine-2"})

    assert (answer.status, "machine-1" in answer.body.decode()) == (409, False)
    assert service.node_map.get("vengeance").facts.node_id == "machine-1"
    assert register(node_id="machine-1")["role"] == "compute"


def test_a_full_map_asks_to_come_back_later(client, register, service):
    """429 with Retry-After for a new node; a known one is not affected."""
    service.node_map.room.max_nodes = 1
    register("n1")
    answer = client.post("/nodes/register", {"name": "n2"})

    assert (answer.status, answer.headers["retry-after"]) == (429, "60")
    assert client.post("/nodes/register", {"name": "n1"}).status == 200


def test_nodes_that_state_as_much_as_there_may_be_ask_to_come_back_later(client, register, service):
    """429 with Retry-After for who would state more; a known node that does not is not affected."""
    register("n1", metadata={"note": "x" * 1_000})
    service.node_map.room.max_state = service.node_map.room.state_bytes
    answer = client.post("/nodes/register", {"name": "n2"})

    assert (answer.status, answer.headers["retry-after"]) == (429, "60")
    assert answer.json()["type"] == "urn:aurora:problem:state-limit"
    assert client.post("/nodes/n1/heartbeat", {"gpus": [{"index": 0}]}).json()["ignored"][0]["field"] == "gpus"
    assert client.post("/nodes/register", {"name": "n1"}).status == 200


def test_a_registration_that_the_store_did_not_take_is_safe_to_repeat(client, service):
    """503 that says so, without the store's own words, and nothing is applied."""
    service.store_up = False
    answer = client.post("/nodes/register", {"name": "n1"})

    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["detail"].endswith("the request is not acknowledged and safe to repeat")
    assert b"secret" not in answer.body
    assert client.get("/nodes/n1").status == 404


def test_the_interval_in_the_answer_is_the_configured_one(client, service):
    """Fractions of a second are given as they are."""
    service.set_config(thresholds=replace(service.config.thresholds, heartbeat_interval=1_500_000_000))

    assert client.post("/nodes/register", {"name": "n1"}).json()["heartbeat_interval_seconds"] == 1.5


@pytest.mark.parametrize(
    ("body", "field", "expected"),
    [
        ({}, "name", "required"),
        ({"name": "-n"}, "name", "expected 1 to 63 letters"),
        ({"name": "n1", "colour": "red"}, "colour", "not a known field here"),
        ({"name": "n1", "vpn_ip": "10.0.0.256"}, "vpn_ip", "expected an IP address"),
        ({"name": "n1", "capabilities": {"gpu_count": -1}}, "capabilities.gpu_count", "got -1"),
        ({"name": "n1", "metadata": {"site": "a\nb"}}, "metadata.site", "no control"),
        ({"name": "n1", "ttl": "soon"}, "ttl", "expected a duration"),
        ([], "", "expected a registration as a JSON object"),
        (b"", "", "got no body"),
        (b"{", "", "not JSON"),
        (b"\xff", "", "not UTF-8"),
        (b'{"name": "n1", "name": "n2"}', "name", "more than once"),
        (b"[" * 100_000, "", "nested deeper"),
        (b'{"name": "n1", "metadata": {"x": 1e999}}', "metadata.x", "finite"),
        (b'{"name": "n1", "metadata": {"x": "\\ud800"}}', "metadata.x", "surrogates"),
    ],
)
def test_what_is_wrong_is_named(client, body, field, expected):
    """400 with the field and what was expected; nothing is registered."""
    answer = client.post("/nodes/register", body)

    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
    [error] = answer.json()["errors"]
    assert error["field"] == field
    assert expected in error["message"]
    assert client.get("/stats").json()["total_nodes"] == 0


def test_every_fault_is_named_at_once(client):
    """One round is enough to put a registration right."""
    answer = client.post("/nodes/register", {"name": "n1", "vpn_ip": "x", "public_ip": "y"})

    assert [error["field"] for error in answer.json()["errors"]] == ["vpn_ip", "public_ip"]


def test_a_planned_leave_removes_the_node(client, register):
    """204, and 204 again for the caller that lost the answer; never registered is 404."""
    register("n1")

    assert [client.delete("/nodes/n1").status for _ in range(2)] == [204, 204]
    assert client.get("/nodes/n1").status == 404
    assert client.delete("/nodes/n2").status == 404


def test_a_departed_node_comes_back_by_registering(client, register):
    """At once, and as a new one."""
    register("n1")
    client.delete("/nodes/n1")

    assert client.post("/nodes/n1/heartbeat").status == 410
    assert client.post("/nodes/register", {"name": "n1"}).status == 201
    assert client.post("/nodes/n1/heartbeat").status == 204


def test_leaving_needs_the_store(client, register, service):
    """503, and the node stays."""
    register("n1")
    service.store_up = False

    assert client.delete("/nodes/n1").status == 503
    assert client.get("/nodes/n1").status == 200
