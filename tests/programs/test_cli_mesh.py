from __future__ import annotations

import json

import pytest

STATS = {
    "total_nodes": 4,
    "active_nodes": 3,
    "warning_nodes": 1,
    "offline_nodes": 0,
    "nodes_by_role": {"lead": 1, "compute": 3},
    "total_gpus": 3,
    "total_vram_gb": 72,
    "active_gpus": 3,
    "active_vram_gb": 71.5,
    "timestamp": "2025-10-06T12:00:05Z",
}


@pytest.fixture
def topology(seed):
    """What the default rules make of the seed's mesh."""
    names = [name for name in seed["nodes"] if name != "aurora"]
    return {
        "nodes": [{"id": name, "label": name, **document} for name, document in seed["nodes"].items()],
        "connections": [
            *({"source": "aurora", "target": name, "type": "vpn_mesh"} for name in names),
            *({"source": "aurora", "target": name, "type": "db_replication"} for name in names),
            *({"source": name, "target": "aurora", "type": "gpu_mesh"} for name in ("runpod-tx", "vengeance")),
        ],
        "timestamp": "2025-10-06T12:00:05Z",
    }


def test_topology_groups_connections(registry, shows, topology):
    """By type; sources that reach the same targets together; what is not active is shown with its status."""
    registry.answer("/topology", topology)
    assert shows("topology") == (
        "4 nodes, 8 connections\n"
        "\n"
        "vpn_mesh\n"
        "  aurora -> runpod-tx, vengeance, robbiebook1 (warning)\n"
        "\n"
        "db_replication\n"
        "  aurora -> runpod-tx, vengeance, robbiebook1 (warning)\n"
        "\n"
        "gpu_mesh\n"
        "  runpod-tx, vengeance -> aurora\n"
    )


def test_topology_of_many_nodes_is_broken_into_lines(registry, shows, topology):
    """Names stay whole, and further lines stand further in."""
    names = [f"node-{number:02}" for number in range(12)]
    topology["nodes"] = topology["nodes"][:1]
    topology["connections"] = [{"source": "aurora", "target": name, "type": "vpn_mesh"} for name in names]
    registry.answer("/topology", {**topology, "connections_omitted": 7})
    assert shows("topology") == (
        "1 node, 12 connections\n"
        "\n"
        "vpn_mesh\n"
        "  aurora -> node-00, node-01, node-02, node-03, node-04, node-05, node-06,\n"
        "      node-07, node-08, node-09, node-10, node-11\n"
        "\n"
        "7 connections more left out\n"
    )


def test_stats_add_up(registry, shows):
    registry.answer("/stats", STATS)
    assert shows("stats") == (
        "nodes  4 (3 active, 1 warning, 0 offline)\n"
        "roles  1 lead, 3 compute\n"
        "GPUs   3 (3 on active nodes)\n"
        "VRAM   72 GB (71.5 GB on active nodes)\n"
    )


def test_mesh_commands_have_json_too(registry, shows, topology):
    registry.answer("/topology", topology)
    registry.answer("/stats", STATS)
    assert (json.loads(shows("topology", "--json")), json.loads(shows("stats", "--json"))) == (topology, STATS)
