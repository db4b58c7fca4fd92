"""What is derived from many nodes, and kept in line with every change of one: totals, disruptions, renames."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from exporter.domain.node import Node, NodeRecord
from exporter.domain.site import SiteRule
from exporter.domain.status import Status, Thresholds
from exporter.nodemap.disruption import RecentlyOffline
from exporter.nodemap.renames import Renames
from exporter.nodemap.suppression import Disruptions
from exporter.nodemap.timelines import MeshTime, WallTime
from exporter.nodemap.totals import Totals

MARKS = 5
"""Nodes that are marked in the time of one transition."""


class Aggregates:
    """The node map calls it with each change of a node; readers take `totals` and `disruptions`."""

    def __init__(
        self,
        thresholds: Thresholds,
        site_rule: SiteRule,
        mesh_time: MeshTime,
        wall_time: WallTime,
        *,
        find: Callable[[str], Node | None],
        on_mark: Callable[[Node], None],
    ) -> None:
        """`find`: a node by its name. `on_mark` is called for each whose reason to be suppressed changed."""
        self.totals = Totals(site_rule)
        self.disruptions = Disruptions(thresholds, self.totals, wall_time, find=find, on_mark=on_mark)
        self._recently_offline = RecentlyOffline(self.totals, self.disruptions.note)
        self._renames = Renames(thresholds.heartbeat_interval, mesh_time, on_mark)

    def add(self, node: Node) -> None:
        """The node is new."""
        self.totals.add(node)
        if node.status is Status.OFFLINE:
            self._recently_offline.add(node)
        self._renames.add(node)

    def discard(self, node: Node) -> None:
        """The node is gone."""
        self._recently_offline.drop(node)
        self.totals.discard(node)
        self.disruptions.drop(node)
        self._renames.discard(node)

    def replace_record(self, node: Node, record: NodeRecord) -> None:
        """Give the node another record."""
        self.totals.discard(node)
        if record.registration.site != node.facts.site:
            self.disruptions.drop(node)
        self._renames.discard(node)
        node.record = record
        self._renames.add(node)
        self.totals.add(node)
        self.disruptions.note(node)

    def before_status(self, node: Node) -> None:
        """The node's status is about to change."""
        self._recently_offline.drop(node)

    def after_status(self, node: Node, before: Status) -> None:
        """The node's status was `before` and has changed."""
        self.totals.restate(node, before)
        if node.status is Status.OFFLINE:
            self._recently_offline.add(node)
        self.disruptions.note(node)
        self._renames.note(node)

    def restore(self, nodes: Iterable[Node], now_ns: int) -> None:
        """Judge all nodes of a map that was loaded."""
        self._recently_offline.judge_all(nodes, now_ns)
        self.disruptions.restore(nodes, now_ns)

    def tick(self, now_ns: int, left: int | None) -> int | None:
        """Judge what time changes, with `left` nodes at most; how many more may be looked at (None: any number)."""
        left = self._recently_offline.age(now_ns, left)
        left = self.disruptions.judge(now_ns, left and left * MARKS)
        return left and -(-left // MARKS)

    def reconfigure(self, thresholds: Thresholds, site_rule: SiteRule) -> None:
        """Other rules, from now on; then call `review` for each node that is missing, and `end_review`."""
        self.totals.site_rule = site_rule
        self.disruptions.thresholds = thresholds
        self._renames.tolerance_ns = thresholds.heartbeat_interval

    def review(self, node: Node, now_ns: int) -> None:
        """Judge by other rules since when the node is missing; call it for the latest heartbeat first."""
        self._recently_offline.review(node, now_ns)
        self.disruptions.note(node)

    def end_review(self) -> None:
        """Every node was reviewed."""
        self.disruptions.end_recovered()
