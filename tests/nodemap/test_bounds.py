"""What callers may do again and again keeps nothing for each time."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from exporter.domain.clock import HOUR
from exporter.domain.command import Depart, Register
from exporter.domain.durable import Batch, LastHeartbeat, Snapshot, StoredNode
from exporter.domain.registration import Registration
from exporter.domain.status import Thresholds, Transport
from exporter.nodemap import merging, nodemap, state
from exporter.nodemap.changes import Change
from exporter.nodemap.deadlines import Deadlines
from exporter.nodemap.nodemap import NodeMap
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


def test_ever_new_names_that_leave_are_remembered_to_a_limit(monkeypatch):
    monkeypatch.setattr(state, "MAX_DEPARTED", 10)
    monkeypatch.setattr(nodemap, "MAX_DEPARTED", 10)
    clock = ManualClock()
    node_map = NodeMap(clock, Thresholds())
    for number in range(100):
        name = f"n{number}"
        node_map.commit(node_map.plan(Register(Registration(name))))
        node_map.commit(node_map.plan(Depart(name)))
    clock.advance(1)
    node_map.tick()

    assert list(node_map.departed) == [f"n{number}" for number in range(90, 100)]
    assert len(node_map._late_until_ns) == 10


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
    assert max(sum(turn.values()) for turn in turns) == 10
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


def test_what_another_registry_recorded_before_us_is_not_told_again():
    """The store would say that it is known: with three registries, two thirds of the work."""
    clock = ManualClock()
    node_map = NodeMap(clock, Thresholds(), by="us")
    node_map.commit(node_map.plan(Register(Registration("a"))))
    for _ in range(121):
        clock.advance(1)
        node_map.tick()
    [ours] = node_map.pending.transitions
    complete(merging.adopt(node_map, Batch(transitions=[replace(ours, by="them")])))

    assert merging.batch_of(node_map, node_map.pending.take(10)).transitions == []
