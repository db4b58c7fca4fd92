from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.clock import SECOND
from exporter.programs.agent.schedule import Backoff, Schedule

MOMENTS = st.integers(0, 10**18)
INTERVALS = st.integers(100_000_000, 3600 * SECOND)


@given(MOMENTS, INTERVALS, MOMENTS)
def test_the_next_beat_is_the_first_of_the_grid_that_is_still_to_come(origin_ns, interval_ns, now_ns):
    """However late it is: one beat, and none of those that were missed."""
    due_ns = Schedule(origin_ns, interval_ns).next_after(now_ns)
    assert now_ns < due_ns <= now_ns + interval_ns
    assert (due_ns - origin_ns) % interval_ns == 0


def test_a_late_beat_does_not_move_those_after_it():
    """Woken 0.4 s late, it beats in time again."""
    schedule = Schedule(0, 30 * SECOND)
    assert schedule.next_after(round(30.4 * SECOND)) == 60 * SECOND


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8))
def test_pauses_grow_to_half_a_minute_and_no_further(numbers):
    """Each between half of its full length and all of it."""
    backoff = Backoff(iter(numbers).__next__)
    full = [1, 2, 4, 8, 16, 30, 30, 30]
    for number, seconds in zip(numbers, full, strict=True):
        pause = backoff.next_ns() / SECOND
        assert seconds / 2 <= pause <= seconds
        assert pause == pytest.approx(seconds * (1 - number / 2))


@given(st.floats(0, 1))
def test_a_wait_that_the_registry_asks_for_is_kept(number):
    """And spread: a mesh that is asked to come back in a minute does not come all at once."""
    pause = Backoff(lambda: number).next_ns(at_least_seconds=60) / SECOND
    assert pause == pytest.approx(60 + 30 * number)
