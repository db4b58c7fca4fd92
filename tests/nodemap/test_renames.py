"""A machine under a new name: the old one is no dead node."""

from __future__ import annotations

import pytest

from exporter.domain.command import Depart, Register
from exporter.domain.parsing import heartbeat_of
from exporter.domain.registration import parse_registration
from exporter.domain.status import Status, Thresholds, Transport
from exporter.nodemap.nodemap import NodeMap
from tests.support.clock import ManualClock


class Machines:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.node_map = NodeMap(self.clock, Thresholds())

    def register(self, name: str, *, heartbeat: bool = True, **facts: object) -> None:
        command = Register(parse_registration({"name": name, **facts}), heartbeat=heartbeat)
        self.node_map.commit(self.node_map.plan(command))

    def beat(self, name: str, **keys: object) -> None:
        self.node_map.heartbeat(heartbeat_of({"node": name, "status": "active", **keys}), Transport.HTTP)

    def pass_time(self, seconds: int, *alive: str) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            for name in alive:
                self.beat(name)
            self.node_map.tick()

    def renamed(self) -> dict[str, str]:
        return {node.name: node.renamed_to for node in self.node_map.nodes() if node.renamed_to}


@pytest.fixture
def machines() -> Machines:
    return Machines()


def test_the_old_name_of_a_machine_is_marked_once_it_is_missing(machines: Machines) -> None:
    machines.register("old", node_id="m1")
    machines.pass_time(60, "old")
    machines.register("new", node_id="m1")
    machines.pass_time(1, "old", "new")  # still on its way
    machines.pass_time(119, "new")
    assert machines.renamed() == {}
    machines.pass_time(1, "new")
    assert machines.renamed() == {"old": "new"}
    machines.pass_time(400, "new")
    assert machines.renamed() == {"old": "new"}


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_a_jump_of_the_wall_clock_changes_nothing(machines: Machines, jump: int) -> None:
    """Set back, the new name's registration bears an earlier time than the old one's."""
    machines.register("old", node_id="m1")
    machines.pass_time(60, "old")
    machines.clock.jump_wall(jump)
    machines.register("new", node_id="m1")
    machines.pass_time(130, "new")
    assert machines.renamed() == {"old": "new"}


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_clones_stay_clones_when_the_wall_clock_jumps(machines: Machines, jump: int) -> None:
    machines.register("one", node_id="image")
    machines.pass_time(60, "one")
    machines.register("two", node_id="image")
    machines.pass_time(60, "one", "two")
    machines.clock.jump_wall(jump)
    machines.pass_time(60, "one", "two")
    machines.pass_time(130, "two")
    assert machines.renamed() == {}


def test_clones_that_are_both_alive_are_no_rename(machines: Machines) -> None:
    """The one that dies sent a heartbeat after the other registered."""
    machines.register("one", node_id="image")
    machines.register("two", node_id="image")
    machines.pass_time(60, "one", "two")
    machines.pass_time(400, "two")
    assert machines.renamed() == {}


def test_the_mark_ends_with_a_heartbeat_and_with_the_other_name(machines: Machines) -> None:
    machines.register("old", node_id="m1")
    machines.pass_time(1)
    machines.register("new", node_id="m1")
    machines.pass_time(200, "new")
    machines.beat("old")
    assert machines.renamed() == {}
    machines.register("third", node_id="m2")
    machines.pass_time(1, "new")
    machines.register("fourth", node_id="m2")
    machines.pass_time(200, "new", "fourth")
    assert machines.renamed() == {"third": "fourth"}
    machines.node_map.commit(machines.node_map.plan(Depart("fourth")))
    assert machines.renamed() == {}


def test_a_registration_by_somebody_else_is_no_heartbeat(machines: Machines) -> None:
    """An inventory job may say so. What it says of the node is taken all the same."""
    machines.register("dead", role="compute")
    machines.pass_time(130)
    machines.register("dead", heartbeat=False, role="storage")
    node = machines.node_map.get("dead")
    assert (node.status, node.facts.role) == (Status.WARNING, "storage")
    machines.register("dead")
    assert node.status is Status.ACTIVE


def test_a_registration_without_an_agent_is_no_heartbeat_of_a_node_that_has_one(machines: Machines) -> None:
    agent = {"name": "aurora-agent", "version": "1", "instance": "boot-1"}
    machines.register("box", agent=agent)
    machines.pass_time(130)
    machines.register("box", vpn_ip="10.0.0.9")
    assert machines.node_map.get("box").status is Status.WARNING
    machines.register("box", agent={**agent, "instance": "boot-2"})
    assert machines.node_map.get("box").status is Status.ACTIVE


def test_a_new_node_counts_from_its_registration_no_matter_who_makes_it(machines: Machines) -> None:
    machines.register("shelf", heartbeat=False)
    assert machines.node_map.get("shelf").status is Status.ACTIVE
    machines.pass_time(301)
    assert machines.node_map.get("shelf").status is Status.OFFLINE
