from __future__ import annotations

import pytest

from exporter.api import overview as overview_module
from exporter.domain.config import Topology
from exporter.domain.topology import EdgeRule

TWO_GPUS = {"gpu": True, "gpu_count": 2}


def test_the_seeds_topology(client, register):
    """Nodes as a graph library takes them, and the default rules' connections."""
    register("aurora", role="lead", vpn_ip="10.0.0.1")
    register("runpod-tx", vpn_ip="10.0.0.3", capabilities=TWO_GPUS)

    answer = client.get("/topology")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "nodes": [
            {
                "id": "aurora",
                "label": "aurora",
                "role": "lead",
                "status": "active",
                "vpn_ip": "10.0.0.1",
                "capabilities": {},
            },
            {
                "id": "runpod-tx",
                "label": "runpod-tx",
                "role": "compute",
                "status": "active",
                "vpn_ip": "10.0.0.3",
                "capabilities": TWO_GPUS,
            },
        ],
        "connections": [
            {"source": "aurora", "target": "runpod-tx", "type": "vpn_mesh"},
            {"source": "aurora", "target": "runpod-tx", "type": "db_replication"},
            {"source": "runpod-tx", "target": "aurora", "type": "gpu_mesh"},
        ],
        "timestamp": "2025-10-06T12:00:00Z",
    }


def test_an_empty_mesh(client):
    """Empty lists."""
    assert client.get("/topology").json() == {"nodes": [], "connections": [], "timestamp": "2025-10-06T12:00:00Z"}


def test_links_and_other_rules(client, register, service):
    """A reload's rules count at once, a node's own links stand beside them, and an unknown address is left out."""
    service.set_config(topology=Topology(rules=(EdgeRule("all"),)))
    register("n1", links=[{"target": "n2", "type": "cable"}, {"target": "n9", "type": "cable"}])
    register("n2")
    answer = client.get("/topology").json()

    assert answer["connections"] == [
        {"source": "n1", "target": "n2", "type": "all"},
        {"source": "n2", "target": "n1", "type": "all"},
        {"source": "n1", "target": "n2", "type": "cable"},
    ]
    assert "vpn_ip" not in answer["nodes"][0]


def test_many_nodes_come_in_pieces(client, register, service):
    """They are one document together."""
    service.set_config(topology=Topology(rules=(EdgeRule("all"),)))
    for number in range(150):
        register(f"n{number}")
    answer = client.get("/topology")

    assert (len(answer.json()["nodes"]), len(answer.json()["connections"])) == (150, 150 * 149)
    assert answer.pieces > 100


def test_a_topology_is_walked_again_when_it_changed(client, register):
    """A node that came is in the next answer."""
    register("lead", role="lead")
    assert client.get("/topology").json()["connections"] == []
    register("n1")
    assert [each["target"] for each in client.get("/topology").json()["connections"]] == ["n1", "n1"]


def test_connections_beyond_the_cap_are_counted(client, register, service, monkeypatch):
    """A page that draws the graph can say that it is not whole."""
    monkeypatch.setattr(overview_module, "MAX_CONNECTIONS", 4)
    service.set_config(topology=Topology(rules=(EdgeRule("all"),)))
    for number in range(3):
        register(f"n{number}")
    answer = client.get("/topology").json()

    assert (len(answer["connections"]), answer["connections_omitted"]) == (4, 2)


def test_the_seeds_stats(client, register, service):
    """Nodes, GPUs and VRAM, in all and of the active ones; offline means offline."""
    register("gone", capabilities={"gpu": True, "gpu_memory": 0.5})
    service.pass_time(200)
    register("idle", capabilities={"gpu_count": 2, "gpu_memory": 48})
    service.pass_time(150)
    register("aurora", role="lead")
    register("vengeance", capabilities={"gpu": True, "gpu_memory": 24})
    answer = client.get("/stats")

    assert answer.json() == {
        "total_nodes": 4,
        "active_nodes": 2,
        "warning_nodes": 1,
        "offline_nodes": 1,
        "nodes_by_role": {"compute": 3, "lead": 1},
        "total_gpus": 4,
        "total_vram_gb": 72.5,
        "active_gpus": 1,
        "active_vram_gb": 24,
        "timestamp": "2025-10-06T12:05:50Z",
    }
    assert b'"active_vram_gb":24,' in answer.body


@pytest.mark.parametrize("path", ["/topology", "/stats", "/sd/prometheus", "/health", "/", "/metrics", "/-/healthy"])
def test_only_the_head(client, path):
    """HEAD works wherever GET does."""
    answer = client.call("HEAD", path)

    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("path", ["/nodes", "/topology", "/events"])
def test_a_head_states_no_length_that_it_does_not_know(client, register, path):
    """A large answer is not rendered for its head: zero would be said of the answer to GET."""
    register("n1")

    assert "content-length" not in client.call("HEAD", path).headers
