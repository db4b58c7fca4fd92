"""The node map and a store: starting again, and agreeing after a separation."""

from __future__ import annotations

import pytest

from exporter.domain.clock import SECOND
from exporter.domain.command import Depart, Register
from exporter.domain.durable import Batch, LastHeartbeat, Mark, Snapshot, StoredNode
from exporter.domain.errors import DepartedNode
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.node import NodeRecord
from exporter.domain.registration import Registration
from exporter.domain.status import Status, Thresholds, Transport
from exporter.domain.transition import Transition
from exporter.nodemap import merging
from exporter.nodemap.loading import load
from exporter.nodemap.nodemap import NodeMap
from tests.support.clock import ManualClock
from tests.support.steps import complete

ALL = 1_000
"""More changes than there are."""


def stored(name: str, clock: ManualClock, *, ago: float, status: Status = Status.ACTIVE) -> StoredNode:
    """A node registered a day ago, with its last heartbeat some seconds ago."""
    registered_ns = clock.wall_ns() - 86_400 * SECOND
    heartbeat_ns = clock.wall_ns() - round(ago * SECOND)
    record = NodeRecord(Registration(name), registered_ns, registered_ns)
    last = None if status is Status.ACTIVE else Transition(name, Status.ACTIVE, status, heartbeat_ns, registered_ns + 2)
    return StoredNode(record, LastHeartbeat(heartbeat_ns, Transport.HTTP), last)


def loaded(clock: ManualClock, snapshot: Snapshot) -> NodeMap:
    node_map = NodeMap(clock, Thresholds())
    load(node_map, snapshot)
    return node_map


def pass_time(node_map: NodeMap, clock: ManualClock, seconds: int) -> None:
    for _ in range(seconds):
        clock.advance(1)
        node_map.tick()


def test_the_time_in_which_nobody_ran_is_blind_time_and_the_age_from_before_is_kept() -> None:
    """A node with an age of 100 s when the registry stopped for two hours has 20 s left after its grace."""
    clock = ManualClock()
    snapshot = Snapshot([stored("a", clock, ago=7300)], mark=Mark(clock.wall_ns() - 7200 * SECOND))
    node_map = loaded(clock, snapshot)
    node = node_map.get("a")
    assert node_map.counted_age_ns(node) == 100 * SECOND
    assert node_map.held_since_ns(node, clock.monotonic_ns()) is not None
    pass_time(node_map, clock, 79)
    assert node_map.get("a").status is Status.ACTIVE
    pass_time(node_map, clock, 1)
    assert node_map.get("a").status is Status.WARNING


@pytest.mark.parametrize("down", [0, 5, 3600, 365 * 86_400])
def test_a_stop_is_no_time_in_which_late_heartbeats_could_have_come(down: int) -> None:
    """However long it was, or a wrong wall clock says: a minute is counted from the departure."""
    clock = ManualClock()
    first = NodeMap(clock, Thresholds())
    first.commit(first.plan(Register(Registration("a"), Transport.HTTP)))
    clock.advance(1)
    first.commit(first.plan(Depart("a")))
    clock.advance(10)
    first.tick()
    snapshot = Snapshot(tombstones=[first.departed["a"]], mark=merging.mark_of(first))
    clock.advance(down)
    node_map = loaded(clock, snapshot)
    pass_time(node_map, clock, 49)
    with pytest.raises(DepartedNode):
        node_map.heartbeat(Heartbeat(node="a"), Transport.BUS, appear=True)
    pass_time(node_map, clock, 1)
    assert node_map.heartbeat(Heartbeat(node="a"), Transport.BUS, appear=True).status is Status.ACTIVE


def test_a_crash_loop_does_not_hide_a_death_for_ever() -> None:
    """Each start grants a grace, and the outages of earlier lives are remembered with what they granted."""
    clock = ManualClock()
    snapshot = Snapshot([stored("a", clock, ago=1)], mark=Mark(clock.wall_ns()))
    for _ in range(40):
        clock.advance(1)
        [before] = snapshot.nodes
        node_map = loaded(clock, snapshot)
        pass_time(node_map, clock, 30)
        node = node_map.get("a")
        status = StoredNode(before.record, before.last_heartbeat, node.last_transition)
        snapshot = Snapshot([status], mark=merging.mark_of(node_map))
    assert node_map.get("a").status is Status.OFFLINE


def test_a_recorded_status_is_taken_up_and_is_no_new_transition() -> None:
    """Who was offline is offline, and no message is sent again."""
    clock = ManualClock()
    snapshot = Snapshot([stored("a", clock, ago=900, status=Status.OFFLINE)], mark=Mark(clock.wall_ns()))
    node_map = loaded(clock, snapshot)
    assert node_map.get("a").status is Status.OFFLINE
    assert not node_map.pending.transitions
    assert node_map.get("a").entered_offline == 0


def test_a_wall_clock_set_back_while_nobody_ran_keeps_the_age_of_before() -> None:
    """The mark then lies in the future, and all times are shifted with it."""
    clock = ManualClock()
    snapshot = Snapshot([stored("a", clock, ago=50)], mark=Mark(clock.wall_ns()))
    clock.jump_wall(-3600)
    node_map = loaded(clock, snapshot)
    assert node_map.counted_age_ns(node_map.get("a")) == 50 * SECOND


def test_an_emptied_store_is_written_again_and_the_departed_stay_gone() -> None:
    """Records, last heartbeats, transitions and tombstones: whatever memory has."""
    clock = ManualClock()
    node_map = loaded(clock, Snapshot())
    for name in ("kept", "gone"):
        node_map.commit(node_map.plan(Register(Registration(name))))
    node_map.commit(node_map.plan(Depart("gone")))
    pass_time(node_map, clock, 120)
    node_map.pending.take(ALL)
    complete(merging.merge(node_map, Snapshot()))
    batch = merging.batch_of(node_map, node_map.pending.take(ALL))
    assert set(batch.records) == {"kept"}
    assert set(batch.tombstones) == {"gone"}
    assert set(batch.heartbeats) == {"kept"}
    assert [transition.to for transition in batch.history] == [Status.WARNING]
    assert batch.transitions == []


def test_the_later_word_on_a_node_stands_on_both_sides() -> None:
    """What the store has later is taken up, what memory has later is written."""
    clock = ManualClock()
    node_map = loaded(clock, Snapshot([stored("a", clock, ago=1), stored("b", clock, ago=1)]))
    clock.advance(1)
    node_map.commit(node_map.plan(Register(Registration("a", role="ours"))))
    node_map.pending.take(ALL)
    theirs = NodeRecord(Registration("b", role="theirs"), 0, clock.wall_ns())
    heartbeats = LastHeartbeat(clock.wall_ns(), Transport.HTTP)
    other = Snapshot([stored("a", clock, ago=1), StoredNode(theirs, heartbeats)])
    complete(merging.merge(node_map, other))
    assert (node_map.get("a").facts.role, node_map.get("b").facts.role) == ("ours", "theirs")
    assert set(node_map.pending.records) == {"a"}


def test_another_registrys_record_is_adopted_once_and_not_written_back() -> None:
    """Its heartbeats keep nodes alive here, and its transitions count unless the node sent us a heartbeat since."""
    clock = ManualClock()
    node_map = loaded(clock, Snapshot([stored("a", clock, ago=0), stored("b", clock, ago=0)]))
    node_map.pending.take(ALL)
    pass_time(node_map, clock, 100)
    node_map.heartbeat(Heartbeat(node="b"), Transport.HTTP)
    node_map.pending.take(ALL)
    heartbeat = LastHeartbeat(clock.wall_ns() - 10 * SECOND, Transport.HTTP)
    complete(merging.adopt(node_map, Batch(heartbeats={"a": heartbeat})))
    assert node_map.counted_age_ns(node_map.get("a")) == 10 * SECOND
    offline = [Transition(name, Status.WARNING, Status.OFFLINE, clock.wall_ns() - SECOND) for name in ("a", "b")]
    complete(merging.adopt(node_map, Batch(transitions=offline)))
    assert (node_map.get("a").status, node_map.get("b").status) == (Status.OFFLINE, Status.ACTIVE)
    assert [(reported.node, reported.from_, reported.to) for reported in node_map.pending.transitions] == [
        ("b", "offline", "active")
    ]
    assert {node.name for node in node_map.pending.heartbeats_over_http} == {"b"}


def test_a_held_node_id_outlives_a_record_of_a_registry_that_did_not_know_it() -> None:
    """The later record stands, with the id; the store gets it, and all registries agree."""
    clock = ManualClock()
    record = NodeRecord(Registration("v", node_id="machine-1"), clock.wall_ns(), clock.wall_ns())
    node_map = loaded(clock, Snapshot())
    complete(merging.adopt(node_map, Batch(records={"v": record})))
    later = NodeRecord(Registration("v", role="lead"), clock.wall_ns(), clock.wall_ns() + 5)
    complete(merging.adopt(node_map, Batch(records={"v": later})))

    node = node_map.get("v")
    assert (node.facts.node_id, node.facts.role) == ("machine-1", "lead")
    assert node.record.revision_ns == later.revision_ns + 1
    assert node_map.pending.records["v"] == node.record


def test_the_stamp_that_another_registry_gave_a_heartbeat_is_no_return() -> None:
    """Each receives the bus itself, a few milliseconds apart: a dead node stays dead when one writes it again."""
    clock = ManualClock()
    node_map = loaded(clock, Snapshot())
    node_map.heartbeat(Heartbeat("n"), Transport.BUS, appear=True)
    stamp_ns = node_map.mesh_time.at(clock.monotonic_ns()) + SECOND // 100
    for status in (Status.WARNING, Status.OFFLINE):
        pass_time(node_map, clock, 200)
        assert node_map.get("n").status is status
        node_map.pending.take(ALL)
        reported = LastHeartbeat(clock.wall_ns() - 100 * SECOND, Transport.BUS, stamp_ns)
        complete(merging.adopt(node_map, Batch({}, {}, [], {"n": reported})))
        pass_time(node_map, clock, 1)
        assert (node_map.get("n").status, node_map.pending.transitions) == (status, [])
        stamp_ns += SECOND // 100


def test_a_heartbeat_that_another_registry_received_since_is_a_return() -> None:
    """Also where we learn of it late."""
    clock = ManualClock()
    node_map = loaded(clock, Snapshot())
    node_map.heartbeat(Heartbeat("n"), Transport.BUS, appear=True)
    pass_time(node_map, clock, 400)
    node_map.pending.take(ALL)
    stamp_ns = node_map.mesh_time.at(clock.monotonic_ns()) - 10 * SECOND
    complete(merging.adopt(node_map, Batch({}, {}, [], {"n": LastHeartbeat(clock.wall_ns(), Transport.BUS, stamp_ns)})))
    assert [(each.from_, each.to) for each in node_map.pending.transitions] == [(Status.OFFLINE, Status.ACTIVE)]


def test_a_heartbeat_of_before_the_recorded_status_is_no_return() -> None:
    """A registry that was blind for a while learns both from the others: by its own reckoning the node is young."""
    clock = ManualClock()
    node_map = loaded(clock, Snapshot())
    node_map.heartbeat(Heartbeat("n"), Transport.BUS, appear=True)
    node, at = node_map.get("n"), node_map.mesh_time.at
    clock.advance(400)
    stamp_ns, wall_ns = at(clock.monotonic_ns()), clock.wall_ns()
    warning = Transition("n", Status.ACTIVE, Status.WARNING, wall_ns, node.sequence_now + 1, stamp_ns - 200 * SECOND)
    offline = Transition("n", Status.WARNING, Status.OFFLINE, wall_ns, node.sequence_now + 2, stamp_ns - 20 * SECOND)
    complete(merging.adopt(node_map, Batch({}, {}, [warning, offline])))
    heartbeat = LastHeartbeat(wall_ns, Transport.BUS, stamp_ns - 320 * SECOND)
    complete(merging.adopt(node_map, Batch({}, {}, [], {"n": heartbeat})))
    pass_time(node_map, clock, 5)
    assert (node.status, node_map.pending.transitions) == (Status.OFFLINE, [])
    assert at(node.last_heartbeat_ns) == heartbeat.stamp_ns


def test_stamps_are_in_the_order_of_transitions() -> None:
    """Also where another registry, which counts the age a little differently, made the one before."""
    clock = ManualClock()
    node_map = loaded(clock, Snapshot())
    node_map.heartbeat(Heartbeat("n"), Transport.BUS, appear=True)
    node = node_map.get("n")
    pass_time(node_map, clock, 299)
    node_map.pending.take(ALL)
    late_ns = node_map.mesh_time.at(clock.monotonic_ns()) + 5 * SECOND
    other = Transition("n", Status.ACTIVE, Status.WARNING, clock.wall_ns(), node.sequence_now, late_ns)
    complete(merging.adopt(node_map, Batch({}, {}, [other])))
    pass_time(node_map, clock, 2)
    [offline] = node_map.pending.transitions
    assert (offline.to, offline.stamp_ns > late_ns) == (Status.OFFLINE, True)


def test_what_was_not_recorded_is_not_written_to_a_store_that_lost_what_it_had() -> None:
    """Another registry was first: of the two transitions of one moment, its one is in the history."""
    clock = ManualClock()
    node_map = loaded(clock, Snapshot([stored("a", clock, ago=0)]))
    pass_time(node_map, clock, 130)
    (ours,) = node_map.pending.transitions
    node_map.pending.transitions.clear()
    theirs = Transition("a", Status.ACTIVE, Status.WARNING, ours.at_ns, ours.sequence - 1, ours.stamp_ns - 1, "them")
    node_map.recent.drop(ours)
    complete(merging.merge(node_map, Snapshot([stored("a", clock, ago=130)], lost=True, recent=[theirs])))
    assert node_map.pending.history == [theirs]


def test_a_start_has_the_latest_transitions_in_memory() -> None:
    """Those of one node in their order, whatever their stamps; they are written to a store that loses them."""
    clock = ManualClock()
    node = stored("a", clock, ago=0)
    first, second, third = (
        Transition("a", *change, at_ns=number, sequence=node.record.epoch + number, stamp_ns=stamp)
        for number, stamp, change in [
            (1, 10, (Status.ACTIVE, Status.WARNING)),
            (2, 30, (Status.WARNING, Status.OFFLINE)),
            (3, 20, (Status.OFFLINE, Status.ACTIVE)),
        ]
    )
    node_map = loaded(clock, Snapshot([node], recent=[third, first]))
    node_map.recent.complete([second, third])
    assert [*node_map.recent] == [first, second, third]
    complete(merging.merge(node_map, Snapshot(lost=True)))
    assert node_map.pending.history == [first, second, third]
