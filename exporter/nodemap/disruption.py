"""Which offline nodes still count in a disruption: those that went recently, in order of when they went."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from exporter.domain.largelists import sorted_in_parts
from exporter.domain.node import Node
from exporter.domain.status import Status
from exporter.nodemap.totals import Totals


class RecentlyOffline:
    """Moves nodes out of both sides of the totals' fractions once they are offline for longer than `recent`."""

    def __init__(self, totals: Totals, on_change: Callable[[Node], None]) -> None:
        """`on_change` is called for each node that moved."""
        self._totals = totals
        self._on_change = on_change
        self._nodes: OrderedDict[int, Node] = OrderedDict()

    def add(self, node: Node) -> None:
        """The node went offline just now."""
        self._nodes[node.order] = node

    def drop(self, node: Node) -> None:
        """The node is back, or gone: it has not been offline for long any more."""
        self._nodes.pop(node.order, None)
        if node.long_offline:
            self._totals.discard(node)
            node.long_offline = False
            self._totals.add(node)

    def age(self, now_ns: int, left: int | None = None) -> int | None:
        """Let those go that have been offline for long, `left` at most; how many more may go (None: any number)."""
        while self._nodes and left != 0:
            node = next(iter(self._nodes.values()))
            if now_ns - node.status_since_ns <= self._totals.site_rule.recent:
                return left
            del self._nodes[node.order]
            self._set(node, long_offline=True)
            left = None if left is None else left - 1
        return left

    def review(self, node: Node, now_ns: int) -> None:
        """The rule changed: the node may be one that went recently. To be asked of the latest first."""
        if node.long_offline and now_ns - node.status_since_ns <= self._totals.site_rule.recent:
            self._set(node, long_offline=False)
            self._nodes[node.order] = node
            self._nodes.move_to_end(node.order, last=False)

    def judge_all(self, nodes: Iterable[Node], now_ns: int) -> None:
        """Judge every node: the map was loaded."""
        self._nodes.clear()
        for node in sorted_in_parts(nodes, lambda node: node.status_since_ns):
            self._set(node, long_offline=False)
            if node.status is Status.OFFLINE:
                self._nodes[node.order] = node
        self.age(now_ns)

    def _set(self, node: Node, *, long_offline: bool) -> None:
        self._totals.discard(node)
        node.long_offline = long_offline
        self._totals.add(node)
        self._on_change(node)
