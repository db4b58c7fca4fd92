"""What agents say of themselves, and what people accept."""

from __future__ import annotations

import asyncio

import pytest

from exporter import __version__
from exporter.api.join import agent_file

AGENT = {"name": "aurora-agent", "version": "0.1.0", "instance": "a1", "gpus": "observed"}
TWO = {"gpu": True, "gpu_count": 2}


def test_the_agent_stands_in_the_document(register):
    """Its name and version; its instance is nobody's business."""
    assert register("n1", agent=AGENT)["agent"] == {"name": "aurora-agent", "version": "0.1.0"}
    assert "agent" not in register("n2")


@pytest.mark.parametrize(
    ("agent", "field"),
    [
        ({}, "agent.name"),
        ({"name": ""}, "agent.name"),
        ({"name": "a\n"}, "agent.name"),
        ({"name": "a", "version": "\x00"}, "agent.version"),
        ({"name": "a", "gpus": "maybe"}, "agent.gpus"),
        ("aurora-agent", "agent"),
    ],
)
def test_an_agent_that_cannot_be_is_named(client, agent, field):
    answer = client.post("/nodes/register", {"name": "n1", "agent": agent})

    assert (answer.status, [error["field"] for error in answer.json()["errors"]]) == (400, [field])


def test_what_a_node_has_now_is_accepted(client, register):
    """The number of GPUs in its latest heartbeat, or one that is said."""
    register("n1", capabilities=TWO, agent=AGENT)
    client.post("/nodes/n1/heartbeat", {"gpus": [{"index": 0}]})
    register("n1", capabilities={"gpu": True, "gpu_count": 1}, agent=AGENT)
    assert client.get("/nodes/n1").json()["capabilities"] == TWO

    answer = client.post("/nodes/n1/accept")
    assert (answer.status, answer.json()["capabilities"]) == (200, {"gpu": True, "gpu_count": 1})
    answer = client.post("/nodes/n1/accept", {"gpus": 0})
    assert answer.json()["capabilities"] == {"gpu": False, "gpu_count": 0}


def test_gpus_are_accepted_of_a_node_that_leaves_their_memory_open(client, register):
    register(name="n1", capabilities={"gpu": True, "gpu_memory": None})

    answer = client.post("/nodes/n1/accept", {"gpus": 2})

    assert (answer.status, answer.json()["capabilities"]) == (200, {"gpu": True, "gpu_count": 2, "gpu_memory": None})


def test_nothing_is_accepted_of_a_node_that_reported_nothing(client, register):
    register("n1", capabilities=TWO)

    assert client.post("/nodes/n1/accept").status == 409
    assert client.post("/nodes/n2/accept", {"gpus": 1}).status == 404
    assert client.post("/nodes/n1/accept", {"gpus": -1}).json()["errors"][0]["field"] == "gpus"


def test_two_machines_that_take_turns_are_a_conflict(client, register, service):
    """Cloned disks: one name, one machine id, two agents. An agent that starts again is no clone."""
    register("n1", agent=AGENT)
    conflicts = []
    for instance in ("a1", "b2", "c3", "b2", "c3", "c3"):
        client.post("/nodes/n1/heartbeat", {"instance": instance})
        conflicts.append(service.node_map.get("n1").conflicts)
    assert conflicts == [0, 0, 0, 1, 2, 2]


def test_two_addresses_that_take_turns_are_a_conflict(register, service):
    """Where no agent names its instance; a machine that moves, and moves back a day later, is no clone."""
    for address, conflicts, passed in (
        ("10.0.0.4", 0, 30),
        ("10.0.0.5", 0, 30),
        ("10.0.0.4", 1, 301),
        ("10.0.0.5", 1, 0),
    ):
        register("n1", node_id="x", vpn_ip=address)
        assert service.node_map.get("n1").conflicts == conflicts
        service.pass_time(passed)


def test_a_registration_by_hand_is_no_second_machine(client, register, service):
    """A script registers once, and the agent goes on."""
    register("n1", agent=AGENT)
    for _ in range(3):
        client.post("/nodes/n1/heartbeat", {"instance": "a1"})
        register("n1", vpn_ip="10.0.0.4")
    assert service.node_map.get("n1").conflicts == 0


@pytest.mark.parametrize(
    ("agent", "reported"),
    [
        ({"name": "aurora-agent", "version": "0.0.9"}, True),
        ({"name": "aurora-agent", "version": "0.0.9rc1"}, True),
        ({"name": "aurora-agent", "version": __version__}, False),
        ({"name": "aurora-agent", "version": "999"}, False),
        ({"name": "aurora-agent", "version": "new"}, False),
        ({"name": "aurora-agent"}, False),
        ({"name": "another", "version": "0.0.1"}, False),
    ],
)
def test_an_older_agent_learns_of_the_newer(register, agent, reported):
    """Where to fetch it, and what it must be."""
    upgrade = register("n1", agent=agent).get("agent_upgrade")
    expected = {"version": __version__, "path": "/agent/aurora-agent.pyz", "sha256": asyncio.run(agent_file())[1]}
    assert upgrade == (expected if reported else None)
