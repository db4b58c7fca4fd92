"""Which nodes went missing together with their site or the mesh: one alert stands for all of them, and for no other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from exporter.domain.lifecycle import Phase
from exporter.domain.node import Disruption, Node, Scope
from exporter.domain.status import Status, Thresholds
from exporter.nodemap.totals import MESH, Totals
from exporter.nodemap.walltime import WallTime


@dataclass(slots=True)
class _Running:
    disruption: Disruption
    began_ns: int
    """On the monotonic clock, as are the other moments here."""
    latest_ns: int
    """When the latest of its nodes went missing."""
    nodes: dict[int, Node] = field(default_factory=dict)
    recovered_ns: int | None = None
    """Since when most nodes are there again."""


class Disruptions:
    """Begins, extends and ends disruptions, and marks their nodes (`Node.disruptions`).

    One begins when the site rule says so, with the nodes that went missing together until then: each within
    `warning_after` of the next. One that was missing before has an alert of its own, and keeps it. A node joins that
    goes missing within `warning_after` of the latest one, up to `recent` after the beginning. It ends when all its
    nodes are back, when most nodes have been back for twice `offline_after` (time for a reboot), or once it is old
    (`SiteRule.lasting`); what is still missing then is alerted on by name.
    """

    def __init__(self, totals: Totals, wall_time: WallTime, on_mark: Callable[[Node], None]) -> None:
        """`on_mark` is called for each node whose marks changed."""
        self._totals = totals
        self._wall_time = wall_time
        self._on_mark = on_mark
        self._missing: dict[str, dict[int, Node]] = {}
        """By site, and of the whole mesh: nodes in service that are missing, and not offline for long."""
        self._fresh: deque[Node] = deque()
        self._unmarked: deque[tuple[str, _Running, deque[Node]]] = deque()
        """Nodes whose marks do not say yet that the disruption began, or that it ended."""
        self._running: dict[str, _Running] = {}

    def of(self, site: str) -> Disruption | None:
        """The disruption of the site, or with MESH that of the mesh; None where there is none."""
        running = self._running.get(site)
        return running.disruption if running else None

    def note(self, node: Node) -> None:
        """The node's status, lifecycle or facts may have changed, or it has been offline for long by now."""
        counted = _missing(node) and not node.long_offline
        for site in _sites(node):
            if not counted:
                self._discard(site, node)
            elif node.order not in (nodes := self._missing.setdefault(site, {})):
                nodes[node.order] = node
                if site == MESH:
                    self._fresh.append(node)
        if not _missing(node):
            self._release(node)

    def drop(self, node: Node) -> None:
        """The node is gone, or is about to change its facts."""
        for site in _sites(node):
            self._discard(site, node)
        self._release(node)

    def judge(self, thresholds: Thresholds, now_ns: int, left: int | None = None) -> int | None:
        """Extend, end and begin disruptions, and mark their nodes. Call it once a tick, after the transitions.

        `left`: so many nodes at most; how many more may be looked at (None: any number), 0 where it is not done.
        """
        left = self._extend(thresholds, left)
        if left == 0:
            return 0
        for site, running in list(self._running.items()):
            if self._is_over(site, running, thresholds, now_ns):
                self._end(site)
        rule = self._totals.site_rule
        for site, nodes in self._missing.items():
            if len(nodes) >= rule.min_nodes and site not in self._running and self._totals.disrupted(site):
                self._begin(site, nodes.values(), thresholds, now_ns)
                if site in self._running and left is not None:
                    left = max(0, left - len(nodes))
                    if not left:
                        return 0  # The next one begins in the next turn.
        return self._update_marks(left)

    def _extend(self, thresholds: Thresholds, left: int | None) -> int | None:
        gone = self._missing.get(MESH, {})
        while self._fresh and left != 0:
            node = self._fresh.popleft()
            since_ns = missing_since_ns(node, thresholds)
            for site in _sites(node) if node.order in gone else ():
                running = self._running.get(site)
                if running and self._joins(running, since_ns, thresholds):
                    running.latest_ns = max(running.latest_ns, since_ns)
                    self._mark(running, node)
            left = None if left is None else left - 1
        return left

    def _update_marks(self, left: int | None = None) -> int | None:
        while self._unmarked and left != 0:
            site, running, nodes = self._unmarked[0]
            if not nodes:
                self._unmarked.popleft()
                continue
            node = nodes.popleft()
            if self._running.get(site) is not running:
                self._unmark(running, node)
            elif node.order in running.nodes:
                self._mark(running, node)
            left = None if left is None else left - 1
        return left

    def restore(self, nodes: Iterable[Node], thresholds: Thresholds, now_ns: int) -> None:
        """Start over, as if every node that is missing now had gone missing just now: the map was loaded."""
        for site in list(self._running):
            self._end(site)
        self._missing.clear()
        self._fresh.clear()
        missing: dict[str, list[tuple[int, Node]]] = {}
        for node in nodes:
            if _missing(node):
                self.note(node)
                for site in _sites(node):
                    missing.setdefault(site, []).append((missing_since_ns(node, thresholds), node))
        self._fresh.clear()
        for site, gone in missing.items():
            self._replay(site, sorted(gone, key=lambda each: each[0]), thresholds)
            running = self._running.get(site)
            if running and (now_ns - running.began_ns > self._totals.site_rule.lasting or self._totals.recovered(site)):
                self._end(site)
        self._update_marks()

    def end_recovered(self) -> None:
        """The rule changed: what is no disruption by it ends, without waiting for a reboot."""
        for site in list(self._running):
            if self._totals.recovered(site):
                self._end(site)

    def _replay(self, site: str, gone: list[tuple[int, Node]], thresholds: Thresholds) -> None:
        rule, in_service = self._totals.site_rule, self._totals.in_service(site)
        recent_ns = rule.recent + thresholds.offline_after - thresholds.warning_after
        window: deque[tuple[int, Node]] = deque()
        for count, (since_ns, node) in enumerate(gone, start=1):
            window.append((since_ns, node))
            while since_ns - window[0][0] > recent_ns:
                window.popleft()
            running = self._running.get(site)
            if running and since_ns - running.began_ns > rule.lasting:
                self._end(site)
                running = None
            if running:
                if self._joins(running, since_ns, thresholds):
                    running.latest_ns = since_ns
                    self._mark(running, node)
            elif rule.disrupted(len(window), in_service - (count - len(window))):
                self._begin(site, [each for _, each in window], thresholds, since_ns)

    def _joins(self, running: _Running, since_ns: int, thresholds: Thresholds) -> bool:
        return (
            since_ns - running.latest_ns <= thresholds.warning_after
            and since_ns - running.began_ns <= self._totals.site_rule.recent
        )

    def _begin(self, site: str, missing: Iterable[Node], thresholds: Thresholds, now_ns: int) -> None:
        nodes = _together(missing, thresholds, now_ns)
        if not nodes:
            return
        disruption = Disruption(Scope.SITE if site else Scope.MESH, self._wall_time.at(now_ns))
        running = self._running[site] = _Running(disruption, now_ns, now_ns, {node.order: node for node in nodes})
        self._unmarked.append((site, running, deque(nodes)))

    def _mark(self, running: _Running, node: Node) -> None:
        running.nodes[node.order] = node
        if running.disruption not in node.disruptions:
            node.disruptions = (*node.disruptions, running.disruption)
            self._on_mark(node)

    def _unmark(self, running: _Running, node: Node) -> None:
        if running.disruption in node.disruptions:
            node.disruptions = tuple(each for each in node.disruptions if each is not running.disruption)
            self._on_mark(node)

    def _release(self, node: Node) -> None:
        for site in _sites(node) if self._running else ():
            if running := self._running.get(site):
                running.nodes.pop(node.order, None)
        if node.disruptions:
            node.disruptions = ()
            self._on_mark(node)

    def _is_over(self, site: str, running: _Running, thresholds: Thresholds, now_ns: int) -> bool:
        if not running.nodes or now_ns - running.began_ns > self._totals.site_rule.lasting:
            return True
        if not self._totals.recovered(site):
            running.recovered_ns = None
            return False
        if running.recovered_ns is None:
            running.recovered_ns = now_ns
        return now_ns - running.recovered_ns >= 2 * thresholds.offline_after

    def _end(self, site: str) -> None:
        running = self._running.pop(site)
        self._unmarked.append((site, running, deque(running.nodes.values())))

    def _discard(self, site: str, node: Node) -> None:
        if (nodes := self._missing.get(site)) is not None:
            nodes.pop(node.order, None)
            if not nodes:
                del self._missing[site]


def _sites(node: Node) -> tuple[str, ...]:
    site = node.facts.site
    return (site, MESH) if site else (MESH,)


def _missing(node: Node) -> bool:
    return node.status is not Status.ACTIVE and node.lifecycle.phase is Phase.IN_SERVICE


def _together(missing: Iterable[Node], thresholds: Thresholds, now_ns: int) -> list[Node]:
    """Those that went missing just now, and before that each within `warning_after` of the next; in any order."""
    nodes = list(missing)
    # As missing_since_ns has it, spelled out, since this may be the whole mesh.
    offline, earlier_ns = Status.OFFLINE, thresholds.offline_after - thresholds.warning_after
    since_ns = [node.status_since_ns - (earlier_ns if node.status is offline else 0) for node in nodes]
    if now_ns - min(since_ns, default=now_ns) <= thresholds.warning_after:
        return nodes
    first_ns = now_ns
    for each_ns in sorted(since_ns, reverse=True):
        if first_ns - each_ns > thresholds.warning_after:
            break
        first_ns = each_ns
    return [node for node, each_ns in zip(nodes, since_ns, strict=True) if each_ns >= first_ns]


def missing_since_ns(node: Node, thresholds: Thresholds) -> int:
    """When it entered warning, going by its status."""
    if node.status is not Status.OFFLINE:
        return node.status_since_ns
    return node.status_since_ns - (thresholds.offline_after - thresholds.warning_after)
