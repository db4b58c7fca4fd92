"""Points in time that belong to single nodes: the end of a maintenance, a registration's own `ttl`."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from exporter.domain.lifecycle import Phase
from exporter.domain.node import Node

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


class NodeDeadlines:
    """The deadlines that a node's record states."""

    def __init__(self) -> None:
        self.ttls = Deadlines()
        """Of the monotonic clock: when a `ttl` may have passed; a later heartbeat or an outage puts it off."""
        self.lifecycle_ends = Deadlines()
        """Of the wall clock: the `until` of a maintenance or drain."""

    def set(self, node: Node) -> None:
        """Take the deadlines of the node's record in place of those it had."""
        if node.lifecycle.phase is Phase.IN_SERVICE:
            self.lifecycle_ends.drop(node.name)
        else:
            self.lifecycle_ends.set(node.name, node.lifecycle.until_ns)
        if node.facts.ttl_ns:
            self.ttls.set(node.name, node.last_heartbeat_ns + node.facts.ttl_ns)
        else:
            self.ttls.drop(node.name)

    def drop(self, name: str) -> None:
        """The node is gone."""
        self.ttls.drop(name)
        self.lifecycle_ends.drop(name)
