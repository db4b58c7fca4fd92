from __future__ import annotations

import pytest


@pytest.fixture
def mesh(register, service):
    register("away", vpn_ip="10.0.0.9")
    service.pass_time(301)
    register(
        "vengeance",
        vpn_ip="10.0.0.4",
        capabilities={"gpu": True, "gpu_type": 'RTX "4090" ☃'},
        metadata={"environment": "staging", "site": "home"},
    )
    register("six", vpn_ip="fd00::5")
    register("nowhere")


def targets(answer):
    assert answer.status == 200, answer.body
    return [target for group in answer.json() for target in group["targets"]]


@pytest.mark.usefixtures("mesh")
def test_every_node_with_an_address_is_a_target(client):
    """Offline ones too, IPv6 in brackets; the labels are all there, and all texts."""
    answer = client.get("/sd/prometheus?port=9400")

    assert answer.headers["content-type"] == "application/json"
    assert targets(answer) == ["10.0.0.9:9400", "10.0.0.4:9400", "[fd00::5]:9400"]
    assert answer.json()[1]["labels"] == {
        "__meta_aurora_name": "vengeance",
        "__meta_aurora_role": "compute",
        "__meta_aurora_status": "active",
        "__meta_aurora_environment": "staging",
        "__meta_aurora_site": "home",
        "__meta_aurora_gpu_type": 'RTX "4090" ☃',
        "__meta_aurora_gpus": "1",
    }
    assert answer.json()[0]["labels"]["__meta_aurora_status"] == "offline"


@pytest.mark.usefixtures("mesh")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["10.0.0.9:9100", "10.0.0.4:9100", "[fd00::5]:9100"]),
        ("?gpu=true", ["10.0.0.4:9100"]),
        ("?status=offline&port=1", ["10.0.0.9:1"]),
        ("?site=mars", []),
    ],
)
def test_filters_are_those_of_the_list(client, query, expected):
    """The port is node_exporter's unless another is asked for."""
    assert targets(client.get(f"/sd/prometheus{query}")) == expected


@pytest.mark.parametrize("query", ["port=0", "port=65536", "port=http", "limit=5", "after=n1", "sort=free_vram"])
def test_what_a_query_must_not_say_is_named(client, query):
    """400: a list cut short would make Prometheus forget targets."""
    answer = client.get(f"/sd/prometheus?{query}")

    assert (answer.status, [error["field"] for error in answer.json()["errors"]]) == (400, [query.partition("=")[0]])


def test_no_node_is_no_target(client):
    """An empty list is a list."""
    assert client.get("/sd/prometheus").json() == []


def test_many_targets_come_in_pieces(client, register):
    """They are one list together."""
    for number in range(250):
        register(f"n{number}", vpn_ip=f"10.0.0.{number}")
    answer = client.get("/sd/prometheus")

    assert targets(answer) == [f"10.0.0.{number}:9100" for number in range(250)]
    assert answer.pieces > 2
