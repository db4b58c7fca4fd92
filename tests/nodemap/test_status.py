"""Status from the counted age: exactly at its thresholds, and by nothing but received heartbeats."""

from __future__ import annotations

import pytest

from exporter.domain.clock import SECOND
from exporter.domain.command import Depart, Register, SetLifecycle
from exporter.domain.config import Limits
from exporter.domain.errors import DepartedNode, NameConflict, NodeLimit, UnknownNode
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.lifecycle import Lifecycle, Phase
from exporter.domain.node import Node
from exporter.domain.reception import Source
from exporter.domain.registration import Registration
from exporter.domain.status import Status, Thresholds, Transport
from exporter.domain.transition import Transition
from exporter.nodemap.nodemap import NodeMap
from tests.support.clock import ManualClock

ACTIVE, WARNING, OFFLINE = Status.ACTIVE, Status.WARNING, Status.OFFLINE


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def node_map(clock: ManualClock) -> NodeMap:
    return NodeMap(clock, Thresholds())


def register(node_map: NodeMap, name: str = "vengeance", **facts: object) -> Node:
    node = node_map.commit(node_map.plan(Register(Registration(name, **facts))))  # type: ignore[arg-type]
    assert node is not None
    return node


def pass_time(node_map: NodeMap, clock: ManualClock, seconds: float, *, bus: Source | None = None) -> None:
    """Time passes in steps that are no stall."""
    while seconds > 0:
        step = min(seconds, 1)
        clock.advance(step)
        if bus is not None:
            bus.mark_alive(clock.monotonic_ns())
        node_map.tick()
        seconds -= step


@pytest.mark.parametrize(
    ("age", "status"),
    [(0, ACTIVE), (119.999, ACTIVE), (120, WARNING), (300, WARNING), (300.001, OFFLINE)],
)
def test_status_changes_exactly_at_its_thresholds(
    node_map: NodeMap, clock: ManualClock, age: float, status: Status
) -> None:
    """Under two minutes active, up to and with five warning, above offline."""
    node = register(node_map)
    pass_time(node_map, clock, age)
    assert node.status is status


def test_a_transition_bears_the_time_of_its_threshold_and_not_of_its_discovery(
    node_map: NodeMap, clock: ManualClock
) -> None:
    """A tick that comes late does not move what is recorded."""
    born_ns = clock.wall_ns()
    epoch = register(node_map).record.epoch
    pass_time(node_map, clock, 119.75)
    pass_time(node_map, clock, 0.9)
    at_ns = born_ns + 120 * SECOND
    assert node_map.pending.transitions == [Transition("vengeance", ACTIVE, WARNING, at_ns, epoch + 1, at_ns)]


def test_a_heartbeat_brings_a_node_back_at_once(node_map: NodeMap, clock: ManualClock) -> None:
    """Whatever it was, it is active, and the return is a transition too."""
    node = register(node_map)
    pass_time(node_map, clock, 400)
    assert node.status is OFFLINE
    node_map.heartbeat(Heartbeat(node="vengeance"), Transport.HTTP)
    assert node.status is ACTIVE
    assert [(t.from_, t.to) for t in node_map.pending.transitions] == [
        (ACTIVE, WARNING),
        (WARNING, OFFLINE),
        (OFFLINE, ACTIVE),
    ]
    assert (node.entered_active, node.entered_warning, node.entered_offline) == (1, 1, 1)


@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_jump_of_the_wall_clock_changes_no_status_and_no_age(
    node_map: NodeMap, clock: ManualClock, jump: float
) -> None:
    """Durations are measured on the monotonic clock; last_seen never goes back."""
    node = register(node_map)
    seen_ns = node.last_seen_ns
    pass_time(node_map, clock, 60)
    clock.jump_wall(jump)
    pass_time(node_map, clock, 59)
    assert node.status is ACTIVE
    assert node_map.counted_age_ns(node) == 119 * SECOND
    node_map.heartbeat(Heartbeat(node="vengeance"), Transport.HTTP)
    assert node.last_seen_ns >= seen_ns
    pass_time(node_map, clock, 301)
    assert node.status is OFFLINE


def test_a_stalled_process_makes_nobody_look_dead(node_map: NodeMap, clock: ManualClock) -> None:
    """Ten minutes stopped are blind time, and half a warning more is a grace to send again."""
    node = register(node_map)
    pass_time(node_map, clock, 100)
    clock.advance(600)
    node_map.tick()
    assert node.status is ACTIVE
    assert node_map.held_since_ns(node, clock.monotonic_ns()) is not None
    pass_time(node_map, clock, 60)
    assert node_map.held_since_ns(node, clock.monotonic_ns()) is None
    assert node.status is ACTIVE
    pass_time(node_map, clock, 20)
    assert node.status is WARNING, "age from before the stall is kept"


def test_a_heartbeat_that_was_waiting_when_the_process_woke_counts_after_the_outage(
    node_map: NodeMap, clock: ManualClock
) -> None:
    """It comes before the first tick, and its node has no grace left to wait for."""
    node = register(node_map)
    clock.advance(600)
    node_map.heartbeat(Heartbeat(node="vengeance"), Transport.HTTP)
    assert node_map.held_since_ns(node, clock.monotonic_ns()) is None
    pass_time(node_map, clock, 120)
    assert node.status is WARNING


def test_a_node_alive_after_an_outage_does_not_wait_behind_one_that_was_not(
    node_map: NodeMap, clock: ManualClock
) -> None:
    """The missing one has a grace, so that it may change later although its heartbeat is older."""
    missing, heartbeats = register(node_map, "missing"), register(node_map, "alive")
    clock.advance(600)
    node_map.tick()
    node_map.heartbeat(Heartbeat(node="alive"), Transport.HTTP)
    pass_time(node_map, clock, 120)
    assert (missing.status, heartbeats.status) == (ACTIVE, WARNING)
    pass_time(node_map, clock, 60)
    assert missing.status is WARNING


def test_a_lost_bus_holds_its_own_nodes_and_no_others(clock: ManualClock) -> None:
    """The outage counts from the last proof of reception, though it is noticed later."""
    bus = Source("bus", clock.monotonic_ns())
    node_map = NodeMap(clock, Thresholds(), sources={Transport.BUS: (bus,)})
    over_http = register(node_map, "http")
    over_bus = node_map.heartbeat(Heartbeat(node="bus"), Transport.BUS, appear=True)
    pass_time(node_map, clock, 100, bus=bus)
    pass_time(node_map, clock, 300)
    bus.mark_down()
    assert (over_http.status, over_bus.status) == (OFFLINE, ACTIVE)
    assert node_map.held_since_ns(over_http, clock.monotonic_ns()) is None
    assert node_map.held_since_ns(over_bus, clock.monotonic_ns()) == clock.monotonic_ns() - 300 * SECOND
    pass_time(node_map, clock, 79, bus=bus)
    assert over_bus.status is ACTIVE
    pass_time(node_map, clock, 2, bus=bus)
    assert over_bus.status is WARNING


def test_short_lapses_of_reception_in_a_row_do_not_hide_a_death_for_ever(clock: ManualClock) -> None:
    """Each lapse grants a grace, but one age takes in so much of it and no more."""
    bus = Source("bus", clock.monotonic_ns())
    node_map = NodeMap(clock, Thresholds(), sources={Transport.BUS: (bus,)})
    node = node_map.heartbeat(Heartbeat(node="vengeance"), Transport.BUS, appear=True)
    for _ in range(30):
        bus.mark_down()
        clock.advance(1)
        bus.mark_alive(clock.monotonic_ns())
        node_map.tick()
        pass_time(node_map, clock, 30, bus=bus)
    assert node.status is OFFLINE


def test_late_heartbeats_of_a_departed_node_are_ignored_for_two_intervals(
    node_map: NodeMap, clock: ManualClock
) -> None:
    """Then it is as unknown as any other, and a registration brings it back at once."""
    register(node_map)
    node_map.commit(node_map.plan(Depart("vengeance")))
    clock.advance(59)
    with pytest.raises(DepartedNode):
        node_map.heartbeat(Heartbeat(node="vengeance"), Transport.BUS, appear=True)
    clock.advance(1)
    with pytest.raises(UnknownNode):
        node_map.heartbeat(Heartbeat(node="vengeance"), Transport.HTTP)
    register(node_map)
    assert node_map.heartbeat(Heartbeat(node="vengeance"), Transport.HTTP).status is ACTIVE


def test_a_name_of_a_living_node_is_not_taken_by_another_machine(node_map: NodeMap, clock: ManualClock) -> None:
    """A registration without node_id updates; a dead node's name is free."""
    register(node_map, node_id="machine-1")
    with pytest.raises(NameConflict):
        node_map.plan(Register(Registration("vengeance", node_id="machine-2")))
    register(node_map, node_id="machine-1", role="lead")
    pass_time(node_map, clock, 301)
    assert register(node_map, node_id="machine-2").facts.node_id == "machine-2"


def test_a_full_map_refuses_new_nodes_and_keeps_the_old(clock: ManualClock) -> None:
    """The limit is for strangers."""
    node_map = NodeMap(clock, Thresholds(), limits=Limits(max_nodes=1))
    register(node_map)
    with pytest.raises(NodeLimit):
        node_map.heartbeat(Heartbeat(node="stranger"), Transport.BUS, appear=True)
    assert register(node_map, role="lead").facts.role == "lead"


def test_maintenance_ends_in_time_for_an_active_node_and_stays_overdue_for_another(
    node_map: NodeMap, clock: ManualClock
) -> None:
    """The one that is late ends it with its heartbeat."""
    present, absent = register(node_map, "present"), register(node_map, "absent")
    for name in ("present", "absent"):
        lifecycle = Lifecycle(Phase.MAINTENANCE, clock.wall_ns() + 200 * SECOND, "a new fan")
        node_map.commit(node_map.plan(SetLifecycle(name, lifecycle)))
    pass_time(node_map, clock, 150)
    node_map.heartbeat(Heartbeat(node="present"), Transport.HTTP)
    pass_time(node_map, clock, 51)
    assert present.lifecycle.phase is Phase.IN_SERVICE
    assert absent.lifecycle.overdue(clock.wall_ns())
    node_map.heartbeat(Heartbeat(node="absent"), Transport.HTTP)
    assert absent.lifecycle.phase is Phase.IN_SERVICE


@pytest.mark.parametrize(
    ("sequences", "missed"),
    [
        ([1, 2, 3], 0),
        ([1, 4], 2),
        ([1, 3, 2, 4], 1),
        ([100, 1, 2], 0),
        ([5, 5, 5], 0),
        ([1, 1_000_000], 0),
    ],
)
def test_gaps_in_the_sequence_are_missed_heartbeats(
    node_map: NodeMap, clock: ManualClock, sequences: list[int], missed: int
) -> None:
    """Late ones, doubles and an agent that restarted are not."""
    node = register(node_map)
    for sequence in sequences:
        pass_time(node_map, clock, 30)
        node_map.heartbeat(Heartbeat(node="vengeance", sequence=sequence), Transport.HTTP)
    assert node.missed == missed


def test_heartbeats_that_are_lost_of_a_burst_are_missed(node_map: NodeMap) -> None:
    """A network that held them back brings the others at once: no time passes between them."""
    node = register(node_map)
    for sequence in (1, 4, 5, 105, 3_000_000):
        node_map.heartbeat(Heartbeat(node="vengeance", sequence=sequence), Transport.HTTP)
    assert node.missed == 2 + 99


def test_a_gap_in_the_sequence_that_we_were_blind_to_is_not_missed(node_map: NodeMap, clock: ManualClock) -> None:
    """Those heartbeats may have been sent."""
    node = register(node_map)
    node_map.heartbeat(Heartbeat(node="vengeance", sequence=1), Transport.HTTP)
    clock.advance(600)
    node_map.heartbeat(Heartbeat(node="vengeance", sequence=21), Transport.HTTP)
    assert node.missed == 0


def test_new_thresholds_judge_every_node(node_map: NodeMap, clock: ManualClock) -> None:
    """In both directions, and the transitions are on record."""
    node = register(node_map)
    pass_time(node_map, clock, 310)
    node_map.reconfigure(
        Thresholds(warning_after=400 * SECOND, offline_after=500 * SECOND),
        node_map.totals.site_rule,
        Limits(max_nodes=10),
    )
    node_map.tick()
    assert node.status is ACTIVE
    pass_time(node_map, clock, 90)
    assert node.status is WARNING
    pass_time(node_map, clock, 101)
    assert node.status is OFFLINE


def test_a_site_is_disrupted_until_its_dead_are_old(node_map: NodeMap, clock: ManualClock) -> None:
    """Nodes offline for longer than `recent` leave both sides, so that they suppress no alerts."""
    for name in ("a", "b", "c", "d"):
        register(node_map, name, site="lab")
    for _ in range(4):
        pass_time(node_map, clock, 30)
        node_map.heartbeat(Heartbeat(node="d"), Transport.HTTP)
    assert node_map.totals.disrupted("lab")
    assert node_map.totals.mesh_suspect
    for _ in range(38):
        pass_time(node_map, clock, 30)
        node_map.heartbeat(Heartbeat(node="d"), Transport.HTTP)
    assert not node_map.totals.disrupted("lab")
    assert +node_map.totals.statuses == {ACTIVE: 1, OFFLINE: 3}
