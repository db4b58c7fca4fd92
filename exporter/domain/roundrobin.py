"""A queue in which every source has its turn, however much another one has put in."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Item = TypeVar("Item")


class RoundRobin(Generic[Item]):
    """Items by source: sources in turn, of one source first in, first out. Each call costs the same at any length."""

    def __init__(self) -> None:
        self._sources: OrderedDict[str, OrderedDict[Item, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._sources)

    def has_others(self, source: str) -> bool:
        """Whether another source waits than this one."""
        return len(self._sources) > (source in self._sources)

    def add(self, source: str, item: Item, *, first: bool = False) -> None:
        """Behind those of the same source, or before them; an item is in it once."""
        items = self._sources.setdefault(source, OrderedDict())
        items[item] = None
        if first:
            items.move_to_end(item, last=False)

    def discard(self, source: str, item: Item) -> None:
        """Take the item out, if it is there."""
        items = self._sources.get(source)
        if items is not None and item in items:
            del items[item]
            if not items:
                del self._sources[source]

    def pop(self) -> Item:
        """The first item of the source that waits longest for its turn. KeyError where nothing waits."""
        source, items = self._sources.popitem(last=False)
        item, _ = items.popitem(last=False)
        if items:
            self._sources[source] = items
        return item
