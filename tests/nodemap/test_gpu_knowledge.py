"""What a node had stands until a person says otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.domain.command import Depart, Register, SetGpuCount
from exporter.domain.registration import GIB, parse_registration
from exporter.domain.status import Thresholds
from exporter.nodemap.nodemap import NodeMap
from tests.support.clock import ManualClock

TWO = {"gpu": True, "gpu_count": 2, "gpu_type": "RTX 4090", "gpu_memory": 48, "fan": "loud"}
ONE = {"gpu": True, "gpu_count": 1, "gpu_type": "RTX 4090", "gpu_memory": 24}


@pytest.fixture
def node_map() -> NodeMap:
    """Empty."""
    return NodeMap(ManualClock(), Thresholds())


def register(node_map: NodeMap, capabilities: dict[str, Any], knowledge: str | None) -> dict[str, Any]:
    """What stands in the map after that registration."""
    body: dict[str, Any] = {"name": "a", "capabilities": capabilities}
    if knowledge:
        body["agent"] = {"name": "aurora-agent", "gpus": knowledge}
    node = node_map.commit(node_map.plan(Register(parse_registration(body))))
    assert node is not None
    shown: dict[str, Any] = json.loads(bytes(node.facts.capabilities))
    assert node.facts.gpus == shown.get("gpu_count", int(shown.get("gpu", False)))
    assert node.facts.gpu_memory_bytes == shown.get("gpu_memory", 0) * GIB
    assert node.facts.gpu_type == shown.get("gpu_type", "")
    return shown


@pytest.mark.parametrize(
    ("claim", "knowledge", "stands"),
    [
        ({}, "unknown", TWO | {"fan": None}),
        (ONE, "unknown", TWO | {"fan": None}),
        (ONE, "observed", TWO | {"fan": None}),
        ({"gpu": False}, "observed", TWO | {"fan": None}),
        ({"gpu": False, "cores": 8}, "observed", TWO | {"fan": None, "cores": 8}),
        ({"gpu": True, "gpu_count": 2}, "observed", TWO | {"fan": None}),
        (
            TWO | {"gpu_type": "RTX 5090", "gpu_memory": 64},
            "observed",
            TWO | {"gpu_type": "RTX 5090", "gpu_memory": 64},
        ),
        (TWO | {"gpu_count": 4, "gpu_memory": 96}, "observed", TWO | {"gpu_count": 4, "gpu_memory": 96}),
        (ONE, "stated", ONE),
        ({"gpu": False}, "stated", {"gpu": False}),
        (ONE, None, ONE),
        ({}, None, {}),
    ],
)
def test_only_a_statement_lowers_the_number_of_gpus(node_map, claim, knowledge, stands):
    """An agent that found fewer, or could not look, keeps what is registered; all that is no GPU is as it says."""
    register(node_map, TWO, "observed")
    assert register(node_map, claim, knowledge) == {key: value for key, value in stands.items() if value is not None}


def test_a_node_that_is_new_has_what_its_agent_remembers(node_map):
    """A registry that lost everything learns again what there should be."""
    assert register(node_map, TWO, "unknown") == TWO


def test_a_node_that_left_begins_again(node_map):
    register(node_map, TWO, "observed")
    node_map.commit(node_map.plan(Depart("a")))
    assert register(node_map, ONE, "observed") == ONE


def test_people_accept_what_there_is(node_map):
    """No heartbeat; the memory follows in proportion, and the agent's later words do not undo it."""
    register(node_map, TWO, "observed")
    node_map.clock.advance(60)
    node = node_map.commit(node_map.plan(SetGpuCount("a", 1)))
    assert node.last_heartbeat_ns < node_map.clock.monotonic_ns()
    assert (node.facts.gpus, node.facts.gpu_memory_bytes) == (1, 24 * GIB)
    assert register(node_map, ONE, "observed") == ONE
    assert register(node_map, TWO, "unknown") == ONE | {"fan": "loud"}


def test_a_known_gpu_without_memory_stays_without(node_map):
    """Unified memory is not known; zero would be a statement."""
    assert register(node_map, {"gpu": True, "gpu_count": 1}, "observed") == {"gpu": True, "gpu_count": 1}
    node_map.commit(node_map.plan(SetGpuCount("a", 2)))
    assert node_map.get("a").facts.gpu_memory_bytes == 0
