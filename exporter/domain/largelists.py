"""Lists as large as the mesh, handled so that other threads have their turn.

One call into C keeps the interpreter to itself: to sort 100,000 nodes, or to free them, takes it a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import islice
from typing import Any, TypeVar

Value = TypeVar("Value")
PART = 2_000


def parts(items: Iterable[Value], size: int = PART) -> Iterator[list[Value]]:
    """So many of them at a time, in order."""
    rest = iter(items)
    while part := [*islice(rest, size)]:
        yield part


def emptied(items: list[Value]) -> Iterator[Value]:
    """Each of them, in order. It is gone from the list then, so that they are freed one by one."""
    items.reverse()
    while items:
        yield items.pop()


def sorted_in_parts(items: Iterable[Value], key: Callable[[Value], Any]) -> list[Value]:
    """As `sorted`, in some more time."""
    return [*merge(*(sorted(part, key=key) for part in parts(items)), key=key)]
