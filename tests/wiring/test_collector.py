"""What the garbage collector goes through."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from exporter.wiring.collector import COLLECT_AFTER, FREEZE_EVERY, FREEZE_PAUSE, LongLived


@pytest.fixture
def long_lived() -> Iterator[LongLived]:
    """The collector as before afterwards."""
    before = gc.get_threshold()
    yield LongLived()
    gc.unfreeze()
    gc.set_threshold(*before)


def freezes(long_lived: LongLived, nodes: int, generations: int, now_ns: int) -> bool:
    """Whether what is there is frozen: a new object too then."""
    gc.unfreeze()
    long_lived.look(nodes, generations, now_ns)
    return gc.get_freeze_count() > 0


def test_what_came_is_frozen_once_it_is_much_and_not_again(long_lived: LongLived) -> None:
    """A few nodes are not worth it."""
    assert gc.get_threshold() == COLLECT_AFTER
    assert not freezes(long_lived, FREEZE_EVERY, 0, 0)
    assert freezes(long_lived, FREEZE_EVERY + 1, 0, 0)
    assert not freezes(long_lived, 2 * FREEZE_EVERY, 0, 10 * FREEZE_PAUSE)


def test_new_queues_are_frozen_but_not_each_time_where_outages_follow_one_another(long_lived: LongLived) -> None:
    """A cycle that is frozen stays."""
    assert freezes(long_lived, 10, 1, 2 * FREEZE_PAUSE)
    assert not freezes(long_lived, 10, 2, 3 * FREEZE_PAUSE)
    assert freezes(long_lived, 10, 2, 3 * FREEZE_PAUSE + 1)
    assert not freezes(long_lived, 10, 2, 9 * FREEZE_PAUSE)
