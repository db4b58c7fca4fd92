from __future__ import annotations

import pytest

from exporter.domain.clock import SECOND
from exporter.domain.command import Depart, Register
from exporter.domain.durable import Recent
from exporter.domain.registration import Registration
from exporter.domain.status import Status, Thresholds, Transport
from exporter.domain.transition import Transition
from exporter.nodemap.nodemap import NodeMap
from exporter.wiring.unsaved import merge_unsaved
from tests.support.clock import ManualClock


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def node_map(clock):
    """A node that warned two minutes after its registration, and one that left."""
    made = NodeMap(clock, Thresholds())
    made.tick()
    for name in ("a", "gone"):
        made.commit(made.plan(Register(Registration(name), Transport.HTTP)))
    made.commit(made.plan(Depart("gone")))
    for _ in range(480):
        clock.advance(0.25)
        made.tick()
    return made


def test_what_the_store_has_not_yet_is_listed_from_memory(node_map):
    """Of a store that is down, all of it; of one that has it, nothing twice."""
    in_memory = merge_unsaved(Recent(), node_map, 0, 10)

    assert [(each.node, each.to) for each in in_memory.transitions] == [("a", Status.WARNING)]
    assert [tombstone.name for tombstone in in_memory.tombstones] == ["gone"]
    assert merge_unsaved(in_memory, node_map, 0, 10) == in_memory


def test_another_registrys_word_of_the_same_change_stands(node_map):
    """It wrote to the store a moment before us; ours will not be recorded."""
    [ours] = node_map.recent
    theirs = Transition("a", Status.ACTIVE, Status.WARNING, ours.at_ns - SECOND // 10)

    assert merge_unsaved(Recent([theirs]), node_map, 0, 10).transitions == [theirs]


def test_the_newest_are_kept_and_the_old_left_out(node_map):
    [ours] = node_map.recent
    older = Transition("b", Status.ACTIVE, Status.WARNING, ours.at_ns - SECOND)

    assert merge_unsaved(Recent([older]), node_map, 0, 1).transitions == [ours]
    assert merge_unsaved(Recent(), node_map, ours.at_ns + 1, 10) == Recent()


def test_a_node_that_registered_again_is_not_gone(node_map):
    stored = merge_unsaved(Recent(), node_map, 0, 10)
    node_map.commit(node_map.plan(Register(Registration("gone"), Transport.HTTP)))

    assert merge_unsaved(stored, node_map, 0, 10).tombstones == []


def test_of_one_node_the_number_decides_and_not_the_stamp(node_map):
    """Registries count ages a little differently: what came second may bear the earlier stamp."""
    first = Transition("c", Status.ACTIVE, Status.WARNING, 5, sequence=1, stamp_ns=9)
    second = Transition("c", Status.WARNING, Status.OFFLINE, 5, sequence=2, stamp_ns=7)
    other = Transition("d", Status.ACTIVE, Status.WARNING, 8, sequence=1, stamp_ns=8)
    node_map.recent.note(second)
    [_, *listed] = merge_unsaved(Recent([first, other, second]), node_map, 0, 10).transitions
    assert listed == [second, other, first]
