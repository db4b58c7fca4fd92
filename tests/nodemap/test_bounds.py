"""What callers may do again and again keeps nothing for each time."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from exporter.domain.clock import HOUR
from exporter.domain.command import Depart, Register
from exporter.domain.config import Limits
from exporter.domain.durable import Batch, LastHeartbeat, Snapshot, StoredNode
from exporter.domain.errors import NodeLimit, StateLimit
from exporter.domain.heartbeat import GpuHealth, GpuReading, Heartbeat, Ignored, PartialHeartbeat, Reason
from exporter.domain.node import Node, NodeRecord
from exporter.domain.registration import Registration
from exporter.domain.status import Status, Thresholds, Transport
from exporter.nodemap import merging, pending, tombstones
from exporter.nodemap.aggregates import MARKS
from exporter.nodemap.changes import Change
from exporter.nodemap.deadlines import Deadlines
from exporter.nodemap.loading import load
from exporter.nodemap.nodemap import NodeMap
from exporter.nodemap.room import Growth, registration_bytes, report_bytes
from tests.support.clock import ManualClock
from tests.support.steps import complete


def test_a_deadline_set_again_and_again_is_kept_once():
    deadlines = Deadlines()
    for number in range(10_000):
        deadlines.set(f"n{number % 3}", HOUR - number)

    assert len(deadlines._heap) < 100
    assert list(deadlines.pop_due(HOUR)) == ["n0", "n2", "n1"]


def test_deadlines_that_were_dropped_leave_nothing():
    deadlines = Deadlines()
    for number in range(10_000):
        deadlines.set(f"n{number}", HOUR)
        deadlines.drop(f"n{number}")

    assert deadlines._heap == []


def test_new_names_that_come_and_leave_are_remembered_to_a_limit(monkeypatch):
    monkeypatch.setattr(tombstones, "MAX_DEPARTED", 10)
    clock = ManualClock()
    node_map = NodeMap(clock, Thresholds())
    for number in range(100):
        name = f"n{number}"
        node_map.commit(node_map.plan(Register(Registration(name))))
        node_map.commit(node_map.plan(Depart(name)))
    clock.advance(1)
    node_map.tick()

    assert list(node_map.departed) == [f"n{number}" for number in range(90, 100)]
    assert len(node_map.tombstones._late_until_ns) == 10


def registered(node_map: NodeMap, name: str, **facts: Any) -> Node:
    """The node of this name, registered."""
    node = node_map.commit(node_map.plan(Register(Registration(name, **facts))))
    assert node is not None
    return node


def metadata(size: int) -> msgspec.Raw:
    """An object that takes so many bytes as JSON."""
    return msgspec.Raw(b'{"a":"%b"}' % (b"x" * (size - 8)))


def reading(index: int, codes: int = 0) -> GpuReading:
    """One that reports so many kinds of errors."""
    return GpuReading(index, health=GpuHealth(xid_errors={f"{code}": 1 for code in range(codes)}))


def test_what_nodes_state_together_has_a_limit():
    """New nodes are refused above it, and known ones that would state more; the others go on as before."""
    node_map = NodeMap(ManualClock(), Thresholds(), limits=Limits(max_state=100_000))
    registered(node_map, "a", metadata=metadata(60_000))
    node = registered(node_map, "b", metadata=metadata(30_000))

    with pytest.raises(StateLimit, match=r"limits\.max_state = 100000"):
        registered(node_map, "c", metadata=metadata(10_000))
    with pytest.raises(StateLimit):
        registered(node_map, "b", metadata=metadata(40_000))
    assert node.facts.metadata == metadata(30_000)
    registered(node_map, "b", metadata=metadata(30_000))
    registered(node_map, "b", metadata=metadata(100))
    registered(node_map, "c", metadata=metadata(30_000))
    assert 90_000 < node_map.room.state_bytes < 100_000


def test_plans_that_are_not_applied_yet_count():
    """Else all that is written together could be above the limits."""
    node_map = NodeMap(ManualClock(), Thresholds(), limits=Limits(max_nodes=3, max_state=100_000))
    ahead = Growth()
    node_map.plan(Register(Registration("a", metadata=metadata(60_000))), ahead)
    with pytest.raises(StateLimit):
        node_map.plan(Register(Registration("b", metadata=metadata(60_000))), ahead)
    node_map.plan(Register(Registration("c")), ahead)
    node_map.plan(Register(Registration("d")), ahead)
    with pytest.raises(NodeLimit):
        node_map.plan(Register(Registration("e")), ahead)


def test_what_was_left_out_of_a_heartbeat_before_stays_named():
    """Where there is no room for its other readings either."""
    node_map = NodeMap(ManualClock(), Thresholds(), limits=Limits(max_state=10_000))
    node = registered(node_map, "a")
    unreadable = Ignored("gpus[0].index", "expected an integer", Reason.OUT_OF_RANGE)
    gpus = tuple(reading(index, codes=64) for index in range(64))
    beat = PartialHeartbeat("a", gpus=gpus, ignored=(unreadable,), counts={Reason.OUT_OF_RANGE: 1})
    node_map.heartbeat(beat, Transport.HTTP)

    assert [part.reason for part in node.ignored] == [Reason.OUT_OF_RANGE, Reason.NO_ROOM]
    assert node_map.readings_rejected[Reason.OUT_OF_RANGE] == 1
    assert node_map.readings_rejected[Reason.NO_ROOM] == 64


def test_readings_above_the_limit_are_left_out_and_the_heartbeat_counts():
    """With a reason that the sender gets; a node that leaves, or goes offline, makes room."""
    clock = ManualClock()
    node_map = NodeMap(clock, Thresholds(), limits=Limits(max_state=500_000))
    full, other = registered(node_map, "full"), registered(node_map, "other")
    beat = Heartbeat("full", gpus=tuple(reading(index, codes=64) for index in range(64)))
    clock.advance(10)
    node_map.heartbeat(beat, Transport.HTTP)
    node_map.heartbeat(replace(beat, node="other"), Transport.HTTP)

    assert (len(full.readings), len(other.readings)) == (64, 0)
    assert [(part.field, part.reason) for part in other.ignored] == [("gpus", Reason.NO_ROOM)]
    assert node_map.readings_rejected[Reason.NO_ROOM] == 64
    assert other.last_heartbeat_ns == clock.monotonic_ns()
    node_map.commit(node_map.plan(Depart("full")))
    node_map.heartbeat(replace(beat, node="other"), Transport.HTTP)
    assert (len(other.readings), other.ignored) == (64, ())
    pass_offline(node_map, clock)
    assert other.status is Status.OFFLINE
    assert node_map.room.state_bytes == registration_bytes(other.facts)


def pass_offline(node_map: NodeMap, clock: ManualClock) -> None:
    """Time passes until every node is offline."""
    for _ in range(400):
        clock.advance(1)
        node_map.tick()


def test_what_a_store_brings_is_served_whatever_it_states(caplog):
    """Nothing that was acknowledged is lost for a limit; the log says that there is more than the limit."""
    clock = ManualClock()
    node_map = NodeMap(clock, Thresholds(), limits=Limits(max_state=1_000))
    records = [NodeRecord(Registration(f"n{number}", metadata=metadata(900)), clock.wall_ns(), 1) for number in (1, 2)]
    nodes = [StoredNode(record, LastHeartbeat(clock.wall_ns(), Transport.HTTP, 1)) for record in records]
    load(node_map, Snapshot(nodes))
    node_map.room.warn_if_exceeded()

    assert [node.name for node in node_map.nodes()] == ["n1", "n2"]
    assert "limits.max_state" in caplog.text
    registered(node_map, "n1", metadata=metadata(900))
    with pytest.raises(StateLimit):
        registered(node_map, "n3")


def test_a_sum_of_bytes_is_that_of_what_is_there():
    """Whatever came, changed and went in between."""
    clock = ManualClock()
    node_map = NodeMap(clock, Thresholds())
    random = Random(7)
    for _ in range(2_000):
        name = f"n{random.randrange(20)}"
        match random.randrange(5):
            case 0:
                registered(node_map, name, metadata=metadata(random.randrange(10, 900)))
            case 1 if node_map.find(name):
                node_map.commit(node_map.plan(Depart(name)))
            case 2:
                clock.advance(random.randrange(60))
                node_map.tick()
            case _ if node_map.find(name):
                gpus = tuple(reading(index, random.randrange(9)) for index in range(random.randrange(9)))
                node_map.heartbeat(Heartbeat(name, gpus=gpus or None), Transport.HTTP)
    expected = sum(
        registration_bytes(node.facts) + report_bytes(node.readings, node.ignored) for node in node_map.nodes()
    )
    assert node_map.room.state_bytes == expected > 0


def test_a_change_of_the_whole_mesh_can_be_made_in_turns():
    """A few at a time, and the same transitions as at once."""
    clock = ManualClock()
    node_map = NodeMap(clock, Thresholds())
    for number in range(25):
        node_map.commit(node_map.plan(Register(Registration(f"n{number}"))))
    for _ in range(121):
        clock.advance(1)
        if clock.monotonic_ns() and _ < 119:
            node_map.tick()
    changes = []
    node_map.listeners.append(lambda change, _: changes.append(change))
    turns = []
    more = True
    while more:
        more = node_map.tick(10)
        turns.append(Counter(changes))
        changes.clear()

    totals = sum(turns, Counter())
    # Each node is of one disruption, that of the mesh.
    assert (totals[Change.STATUS], totals[Change.SUPPRESSION]) == (25, 25)
    assert max(turn[Change.STATUS] + turn[Change.SUPPRESSION] / MARKS for turn in turns) == 10
    assert len(node_map.pending.transitions) == 25
    taken = [len(node_map.pending.take(10).transitions) for _ in range(3)]
    assert taken == [10, 10, 5]


def test_a_merge_of_the_whole_mesh_is_made_in_steps():
    """Whether the store is ahead of us or behind: no step changes more nodes than a few milliseconds allow."""
    clock = ManualClock()
    ours, theirs = NodeMap(clock, Thresholds()), NodeMap(clock, Thresholds())
    for number in range(1_000):
        theirs.commit(theirs.plan(Register(Registration(f"n{number}"))))
        ours.commit(ours.plan(Register(Registration(f"m{number}"))))
    records = {node.name: node.record for node in theirs.nodes()}
    heartbeats = {node.name: LastHeartbeat(node.last_seen_ns, Transport.HTTP) for node in theirs.nodes()}
    snapshot = Snapshot([StoredNode(record, heartbeats[name]) for name, record in records.items()])

    for steps in (merging.merge(ours, snapshot), merging.adopt(NodeMap(clock, Thresholds()), Batch(records=records))):
        changed, per_step = len(ours) + len(ours.pending.records), []
        for _ in steps:
            per_step.append(len(ours) + len(ours.pending.records) - changed)
            changed += per_step[-1]
        assert max(per_step) <= merging.STEP
    assert (len(ours), len(ours.pending.records)) == (2_000, 1_000)


def test_what_another_registry_recorded_before_us_is_not_published_again():
    """The store would say that it is known: with three registries, two thirds of the work."""
    clock = ManualClock()
    node_map = NodeMap(clock, Thresholds(), by="us")
    node_map.commit(node_map.plan(Register(Registration("a"))))
    for _ in range(121):
        clock.advance(1)
        node_map.tick()
    [ours] = node_map.pending.transitions
    complete(merging.adopt(node_map, Batch(transitions=[replace(ours, by="them")])))

    assert merging.take(node_map, 10).transitions == []


def test_what_waits_for_a_store_that_is_down_has_a_limit(monkeypatch, caplog):
    """The newest stay, what is lost is counted, and the log says so once; the store gets what is left."""
    monkeypatch.setattr(pending, "MAX_TRANSITIONS", 20)
    monkeypatch.setattr(pending, "SPARE", 5)
    clock = ManualClock()
    node_map = NodeMap(clock, Thresholds())
    node_map.commit(node_map.plan(Register(Registration("a"))))
    made = []
    for _ in range(50):
        for _ in range(121):
            clock.advance(1)
            node_map.tick()
        node_map.heartbeat(Heartbeat("a"), Transport.HTTP)
        taken = node_map.pending.take(100)
        made += [each.sequence for each in taken.transitions if each.sequence not in made]
        node_map.pending.give_back(taken)
    assert len(made) == 100
    left = [each.sequence for each in node_map.pending.transitions]
    assert len(left) <= 20 + 4 + 5
    assert left == made[-len(left) :]
    assert node_map.pending.dropped == 100 - len(left)
    assert caplog.text.count("the oldest transitions are dropped") == 1


def test_nodes_that_others_register_one_by_one_wait_in_line():
    """A queue for each would be looked at four times a second: after 30,000 nodes, that took a fifth of the time."""
    clock = ManualClock()
    ours, theirs = (NodeMap(clock, Thresholds(), instance=name) for name in ("ours", "theirs"))
    for number in range(50):
        theirs.commit(theirs.plan(Register(Registration(f"n{number}"))))
        node = theirs.get(f"n{number}")
        at_ns = theirs.mesh_time.at(node.last_heartbeat_ns)
        heartbeats = {node.name: LastHeartbeat(node.last_seen_ns, Transport.HTTP, at_ns, "theirs")}
        clock.advance(0.1)
        ours.tick()
        complete(merging.adopt(ours, Batch(records={node.name: node.record}, heartbeats=heartbeats)))

    assert len(ours) == 50
    assert len(list(ours.queues)) == 1
