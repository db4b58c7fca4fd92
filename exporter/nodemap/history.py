"""The latest transitions of all nodes, as memory has them: made here, or recorded by another registry."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from exporter.domain.transition import Transition

MAX_RECENT = 10_000


class RecentTransitions:
    """At most MAX_RECENT, each number of a node once: what was recorded takes the place of what we made of it."""

    def __init__(self) -> None:
        self._numbered: OrderedDict[tuple[str, int], Transition] = OrderedDict()

    def note(self, transition: Transition) -> None:
        """It was made, or recorded."""
        key = transition.node, transition.sequence
        if key in self._numbered:
            self._numbered[key] = transition
            return
        self._numbered[key] = transition
        if len(self._numbered) > MAX_RECENT:
            self._numbered.popitem(last=False)

    def drop(self, transition: Transition) -> None:
        """It was not recorded: another one has its place, or will have."""
        key = transition.node, transition.sequence
        if self._numbered.get(key) is transition:
            del self._numbered[key]

    def __len__(self) -> int:
        return len(self._numbered)

    def __iter__(self) -> Iterator[Transition]:
        """Oldest first."""
        return iter(self._numbered.values())

    def __reversed__(self) -> Iterator[Transition]:
        """Newest first."""
        return reversed(self._numbered.values())
