"""Which nodes a disruption stands for: those that went missing with it, and no other."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from exporter.domain.command import Command, Depart, Register, SetLifecycle
from exporter.domain.durable import LastHeartbeat, Mark, Snapshot, StoredNode
from exporter.domain.lifecycle import Lifecycle, Phase
from exporter.domain.parsing import heartbeat_of
from exporter.domain.registration import parse_registration
from exporter.domain.status import Thresholds, Transport
from exporter.nodemap.loading import load
from exporter.nodemap.nodemap import NodeMap
from exporter.nodemap.totals import MESH
from tests.support.clock import ManualClock

MINUTE = 60


class Office:
    """Laptops and servers at one site, and twenty nodes elsewhere; everybody alive sends every ten seconds."""

    def __init__(self, *, laptops: int = 10, servers: int = 3, elsewhere: int = 20) -> None:
        self.clock = ManualClock()
        self.node_map = NodeMap(self.clock, Thresholds())
        self.laptops = [f"laptop-{number}" for number in range(laptops)]
        self.servers = [f"server-{number}" for number in range(servers)]
        self.alive: set[str] = set()
        for name in (*self.laptops, *self.servers):
            self.register(name, site="office")
        for number in range(elsewhere):
            self.register(f"other-{number}", site=f"site-{number % 7}")

    def register(self, name: str, *, site: str) -> None:
        registration = parse_registration({"name": name, "metadata": {"site": site}})
        self.node_map.commit(self.node_map.plan(Register(registration)))
        self.alive.add(name)

    def lose(self, *names: str) -> None:
        self.alive.difference_update(names)

    def pass_time(self, minutes: float) -> None:
        for _ in range(round(minutes * 6)):
            self.clock.advance(10)
            for name in sorted(self.alive):
                self.node_map.heartbeat(heartbeat_of({"node": name, "status": "active"}), Transport.HTTP)
            self.node_map.tick()

    def marked(self, scope: str = "site") -> set[str]:
        return {
            node.name
            for node in self.node_map.nodes()
            if any(disruption.scope == scope for disruption in node.disruptions)
        }

    @property
    def disrupted(self) -> bool:
        return self.node_map.disruptions.of("office") is not None


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Office:
    # Steps of ten seconds are no stall of the process here.
    monkeypatch.setattr(Thresholds, "gap", property(lambda _: MINUTE * 10**9))
    return Office()


def test_those_that_went_missing_together_are_marked(office: Office) -> None:
    """All ten, once the rule says so; nobody else."""
    office.lose(*office.laptops)
    office.pass_time(1.5)
    assert office.marked() == set()
    office.pass_time(1)
    assert office.marked() == set(office.laptops)
    assert office.marked("mesh") == set()


def test_what_is_kept_of_a_whole_mesh_that_is_missing_is_nothing_for_the_garbage_collector(office: Office) -> None:
    """What is new, as with each disruption, it goes through at once, nodes and all, and everything else waits."""
    office.lose(*list(office.alive))
    office.pass_time(3)
    disruptions = office.node_map.disruptions
    kept: list[dict[int, Any]] = [disruptions._names]
    kept += [*disruptions._missing.values(), *(each.nodes for each in disruptions._running.values())]

    assert disruptions.of(MESH)
    assert all(len(each) > 1 for each in kept)
    # From Python 3.14 on a dictionary itself always is.
    assert not any(gc.is_tracked(part) for each in kept for pair in each.items() for part in pair)


def test_a_straggler_joins_and_one_that_dies_later_does_not(office: Office) -> None:
    """Power fails over minutes; a server that dies in the evening is an incident of its own."""
    office.lose(*office.laptops)
    office.pass_time(1.5)
    office.lose("server-0")
    office.pass_time(3)
    assert office.marked() == {*office.laptops, "server-0"}
    office.pass_time(120)
    office.lose("server-1")
    office.pass_time(10)
    assert office.marked() == {*office.laptops, "server-0"}


def test_one_that_was_missing_before_is_an_incident_of_its_own(office: Office) -> None:
    """It was alerted on by name ten minutes ago, and goes on; the site's alert stands for those that went together."""
    office.lose("server-0")
    office.pass_time(12)
    office.lose(*office.laptops)
    office.pass_time(4)
    assert office.marked() == set(office.laptops)


def test_nodes_that_follow_each_other_go_together(office: Office) -> None:
    """One a minute, as batteries run empty: each within `warning_after` of the next."""
    for laptop in office.laptops:
        office.lose(laptop)
        office.pass_time(1)
    office.pass_time(2)
    assert office.marked() == set(office.laptops)


def test_a_site_that_is_mostly_missing_by_now_has_no_disruption_without_nodes_that_went_just_now(
    office: Office,
) -> None:
    """The last to be there are drained: those that were missing already have their own alerts."""
    office.lose(*office.laptops[:4])
    office.pass_time(10)
    until_ns = office.clock.wall_ns() + 10**14
    for name in (*office.laptops[4:], "server-0"):
        lifecycle = Lifecycle(Phase.MAINTENANCE, until_ns=until_ns)
        office.node_map.commit(office.node_map.plan(SetLifecycle(name, lifecycle)))
    office.pass_time(1)
    assert office.node_map.totals.disrupted("office")
    assert not office.disrupted
    assert office.marked() == set()


def test_a_disruption_outlasts_recent_and_ends_once_it_is_old(office: Office) -> None:
    """Four hours by default; what is left is nobody's victim then, and no new disruption begins."""
    office.lose(*office.laptops)
    office.pass_time(60)
    assert not office.node_map.totals.disrupted("office")
    assert office.disrupted
    office.pass_time(185)
    assert not office.disrupted
    assert office.marked() == set()


def test_it_ends_at_once_when_all_are_back(office: Office) -> None:
    office.lose(*office.laptops)
    office.pass_time(20)
    office.alive.update(office.laptops)
    office.pass_time(0.5)
    assert not office.disrupted


def test_those_that_stay_away_are_let_go_after_a_reboot(office: Office) -> None:
    """Most are back: the others have ten minutes more."""
    office.lose(*office.laptops)
    office.pass_time(20)
    office.alive.update(office.laptops[2:])
    office.pass_time(5)
    assert office.marked() == set(office.laptops[:2])
    office.pass_time(6)
    assert not office.disrupted
    assert office.marked() == set()


def test_a_node_that_returns_and_dies_again_is_on_its_own(office: Office) -> None:
    office.lose(*office.laptops)
    office.pass_time(30)
    office.alive.add("laptop-0")
    office.pass_time(1)
    office.lose("laptop-0")
    office.pass_time(10)
    assert office.marked() == set(office.laptops[1:])


@pytest.mark.parametrize("leave", ["depart", "maintain", "move"])
def test_who_leaves_the_site_or_the_service_is_let_go(office: Office, leave: str) -> None:
    office.lose(*office.laptops)
    office.pass_time(5)
    commands: dict[str, Command] = {
        "depart": Depart("laptop-0"),
        "maintain": SetLifecycle("laptop-0", Lifecycle(Phase.MAINTENANCE, until_ns=office.clock.wall_ns() + 10**14)),
        "move": Register(parse_registration({"name": "laptop-0", "metadata": {"site": "home"}})),
    }
    office.node_map.commit(office.node_map.plan(commands[leave]))
    office.pass_time(0.5)
    assert office.marked() == set(office.laptops[1:])


def test_the_mesh_marks_nodes_of_every_site(office: Office) -> None:
    """Sites that are dark as a whole are marked as such too: their own disruption may outlast the mesh's."""
    names = {node.name for node in office.node_map.nodes()} - {"other-0", "other-1"}
    office.lose(*names)
    office.pass_time(4)
    assert office.marked("mesh") == names
    assert office.marked() >= set(office.laptops)
    office.alive.update(names - set(office.laptops))
    office.pass_time(11)
    assert office.node_map.disruptions.of(MESH) is None
    assert office.marked() == set(office.laptops)


@pytest.mark.parametrize("minutes", [5, 60])
def test_a_restart_finds_the_same_nodes(office: Office, minutes: int) -> None:
    """The marks follow from when each node went missing, which the store knows."""
    office.lose(*office.laptops)
    office.pass_time(minutes)
    office.lose("server-1")
    office.pass_time(10)
    before = office.marked()
    stored = [
        StoredNode(
            node.record,
            LastHeartbeat(node.last_seen_ns, node.transport),
            node.last_transition,
        )
        for node in office.node_map.nodes()
    ]
    again = NodeMap(office.clock, Thresholds())
    load(again, Snapshot(stored, [], Mark(office.clock.wall_ns())))
    assert before == set(office.laptops)
    assert {node.name for node in again.nodes() if node.disruptions} == before
