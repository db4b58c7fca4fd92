"""Points in time that belong to single nodes: the end of a maintenance, a registration's own `ttl`."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

SPARE = 64


class Deadlines:
    """At most one deadline for each node, by name; times are nanoseconds of the caller's clock."""

    def __init__(self) -> None:
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def set(self, name: str, due_ns: int) -> None:
        """Set the node's deadline, in place of the one it had."""
        if self._due.get(name) != due_ns:
            self._due[name] = due_ns
            heapq.heappush(self._heap, (due_ns, name))
            if len(self._heap) > 2 * len(self._due) + SPARE:
                # Those that were replaced would stay until their time comes, however often somebody sets another.
                self._heap = [(due_ns, name) for name, due_ns in self._due.items()]
                heapq.heapify(self._heap)

    def drop(self, name: str) -> None:
        """The node has no deadline any more."""
        self._due.pop(name, None)
        if not self._due:
            self._heap.clear()

    def pop_due(self, now_ns: int) -> Iterator[str]:
        """The names whose time has come, earliest first; each is kept no longer."""
        while self._heap and self._heap[0][0] <= now_ns:
            due_ns, name = heapq.heappop(self._heap)
            if self._due.get(name) == due_ns:
                del self._due[name]
                yield name
