"""Sources take turns, whatever each has put in."""

from __future__ import annotations

import pytest

from exporter.domain.roundrobin import RoundRobin


def filled(**sources: str) -> RoundRobin[str]:
    """Each letter is an item."""
    queue: RoundRobin[str] = RoundRobin()
    for source, items in sources.items():
        for item in items:
            queue.add(source, item)
    return queue


def drained(queue: RoundRobin[str]) -> str:
    found = ""
    while queue:
        found += queue.pop()
    return found


def test_a_source_with_many_holds_up_nobody():
    assert drained(filled(a="abcd", x="x", y="yz")) == "axybzcd"


def test_what_is_taken_out_has_no_turn():
    queue = filled(a="abc", x="x")
    for source, item in (("a", "a"), ("x", "x"), ("x", "x"), ("a", "z"), ("nobody", "a")):
        queue.discard(source, item)
    assert drained(queue) == "bc"


def test_whether_others_wait():
    queue = filled(a="a", x="x")
    assert [queue.has_others(source) for source in "axz"] == [True] * 3
    queue.pop()
    assert [queue.has_others(source) for source in "axz"] == [True, False, True]


def test_an_item_is_in_it_once():
    assert drained(filled(a="aa")) == "a"


def test_an_empty_one_has_nothing():
    with pytest.raises(KeyError):
        RoundRobin[str]().pop()
