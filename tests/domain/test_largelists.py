"""Lists as large as the mesh: in parts, and as if they had been handled at once."""

from __future__ import annotations

import weakref

from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.largelists import PART, emptied, parts, sorted_in_parts


class Value:
    """Something that can be watched."""


@given(st.lists(st.tuples(st.integers(0, 5), st.integers()), max_size=50), st.integers(1, 9))
def test_parts_are_the_whole(items, size):
    found = [*parts(items, size)]
    assert [item for part in found for item in part] == items
    assert all(len(part) == size for part in found[:-1])


def test_sorting_in_parts_is_sorting():
    """What has the same key stays in order."""
    items = [((7 * number) % 5, number) for number in range(3 * PART + 1)]
    assert sorted_in_parts(items, lambda item: item[0]) == sorted(items, key=lambda item: item[0])
    assert sorted_in_parts([], lambda item: item) == []


def test_what_was_given_out_is_freed():
    """One by one, and not all of it at the end."""
    values = [Value() for _ in range(3)]
    watched = [weakref.ref(value) for value in values]
    alive: list[int] = []
    for value in emptied(values):
        assert value is watched[len(alive)]()
        del value
        alive.append(sum(each() is not None for each in watched))
    assert alive == [2, 1, 0]
    assert values == []
