"""What callers may do again and again keeps nothing for each time."""

from __future__ import annotations

from exporter.domain.clock import HOUR
from exporter.domain.command import Depart, Register
from exporter.domain.registration import Registration
from exporter.domain.status import Thresholds
from exporter.nodemap import nodemap, state
from exporter.nodemap.deadlines import Deadlines
from exporter.nodemap.nodemap import NodeMap
from tests.support.clock import ManualClock


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
    turns = 1
    while node_map.tick(10):
        turns += 1

    assert turns == 3
    assert len(node_map.pending.transitions) == 25
    taken = [len(node_map.pending.take_some(10).transitions) for _ in range(3)]
    assert taken == [10, 10, 5]
