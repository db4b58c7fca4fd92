"""Which nodes went missing together with their site or the mesh: one alert stands for all of them, and for no other."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from exporter.domain.lifecycle import Phase
from exporter.domain.node import Disruption, Node, Scope
from exporter.domain.status import Status, Thresholds
from exporter.nodemap.timelines import WallTime
from exporter.nodemap.totals import MESH, Totals

_ACTIVE, _OFFLINE, _IN_SERVICE = Status.ACTIVE, Status.OFFLINE, Phase.IN_SERVICE


@dataclass(slots=True)
class _Running:
    disruption: Disruption
    began_ns: int
    """On the monotonic clock, as are the other moments here."""
    latest_ns: int
    """When the latest of its nodes went missing."""
    nodes: dict[int, int]
    """Of nodes their `order`, here and below. The values are left over from where it was copied: to copy is cheap."""
    unmarked: array[int]
    """Those that it began with whose marks do not say so yet, and some that left it since."""
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

    def __init__(
        self,
        thresholds: Thresholds,
        totals: Totals,
        wall_time: WallTime,
        *,
        find: Callable[[str], Node | None],
        on_mark: Callable[[Node], None],
    ) -> None:
        """`find`: a node by its name. `on_mark` is called for each node whose marks changed."""
        self.thresholds = thresholds
        self._totals = totals
        self._wall_time = wall_time
        self._find = find
        self._on_mark = on_mark
        # Any of these may hold the whole mesh. They hold numbers and names, and no nodes, since the garbage collector
        # goes through whatever is new and holds what it looks after: for tens of milliseconds, while all others wait.
        self._names: dict[int, str] = {}
        """Of nodes in service that are missing."""
        self._missing: dict[str, dict[int, int]] = {}
        """By site, and of the whole mesh: since when each of them is missing that is not offline for long."""
        self._fresh: deque[int] = deque()
        self._changed: deque[tuple[str, _Running]] = deque()
        """Disruptions that began, or ended, which the marks of some nodes do not say yet."""
        self._running: dict[str, _Running] = {}

    def of(self, site: str) -> Disruption | None:
        """The disruption of the site, or with MESH that of the mesh; None where there is none."""
        running = self._running.get(site)
        return running.disruption if running else None

    def note(self, node: Node) -> None:
        """The node's status, lifecycle or facts may have changed, or it has been offline for long by now."""
        if not _missing(node):
            self.drop(node)
            return
        self._names[node.order] = node.name
        since_ns = None if node.long_offline else missing_since_ns(node, self.thresholds)
        for site in _sites(node):
            if since_ns is None:
                self._discard(site, node)
                continue
            since = self._missing.setdefault(site, {})
            if site == MESH and node.order not in since:
                self._fresh.append(node.order)
            since[node.order] = since_ns

    def drop(self, node: Node) -> None:
        """The node is there, or gone, or about to change its facts."""
        if self._names.pop(node.order, None) is None:
            return
        for site in _sites(node):
            self._discard(site, node)
            if (running := self._running.get(site)) is not None:
                running.nodes.pop(node.order, None)
        if node.disruptions:
            node.disruptions = ()
            self._on_mark(node)

    def judge(self, now_ns: int, left: int | None = None) -> int | None:
        """Extend, end and begin disruptions, and mark their nodes. Call it once a tick, after the transitions.

        `left`: so many nodes at most; how many more may be looked at (None: any number), 0 where it is not done.
        """
        left = self._extend(left)
        if left == 0:
            return 0
        for site, running in list(self._running.items()):
            if self._is_over(site, running, now_ns):
                self._end(site)
        rule = self._totals.site_rule
        for site, since in self._missing.items():
            if len(since) >= rule.min_nodes and site not in self._running and self._totals.disrupted(site):
                self._begin(site, since, now_ns)
                if site in self._running and left is not None:
                    left = max(0, left - len(since))
                    if not left:
                        return 0  # The next one begins in the next turn.
        return self._update_marks(left)

    def _extend(self, left: int | None) -> int | None:
        gone = self._missing.get(MESH, {})
        while self._fresh and left != 0:
            order = self._fresh.popleft()
            if self._running and order in gone and (node := self._node(order)):
                self._join(node, gone[order])
            left = None if left is None else left - 1
        return left

    def _join(self, node: Node, since_ns: int) -> None:
        marked = False
        for site in _sites(node):
            running = self._running.get(site)
            if running and self._joins(running, since_ns):
                running.latest_ns = max(running.latest_ns, since_ns)
                marked |= self._mark(running, node)
        if marked:
            self._on_mark(node)

    def _update_marks(self, left: int | None = None) -> int | None:
        while self._changed and left != 0:
            site, running = self._changed[0]
            begun = self._running.get(site) is running
            if not (running.unmarked if begun else running.nodes):
                self._changed.popleft()
                continue
            order = running.unmarked.pop() if begun else running.nodes.popitem()[0]
            node = None if begun and order not in running.nodes else self._node(order)
            if node and (self._mark if begun else self._unmark)(running, node):
                self._on_mark(node)
            left = None if left is None else left - 1
        return left

    def _node(self, order: int) -> Node | None:
        """The node, as long as it is missing."""
        name = self._names.get(order)
        return self._find(name) if name else None

    def restore(self, nodes: Iterable[Node], now_ns: int) -> None:
        """Start over, as if every node that is missing now had gone missing just now: the map was loaded."""
        for site in list(self._running):
            self._end(site)
        self._names.clear()
        self._missing.clear()
        missing: dict[str, list[tuple[int, Node]]] = {}
        for node in nodes:
            if _missing(node):
                self.note(node)
                for site in _sites(node):
                    missing.setdefault(site, []).append((missing_since_ns(node, self.thresholds), node))
        self._fresh.clear()
        for site, gone in missing.items():
            self._replay(site, sorted(gone, key=lambda each: each[0]))
            running = self._running.get(site)
            if running and (now_ns - running.began_ns > self._totals.site_rule.lasting or self._totals.recovered(site)):
                self._end(site)
        self._update_marks()

    def end_recovered(self) -> None:
        """The rule changed: what is no disruption by it ends, without waiting for a reboot."""
        for site in list(self._running):
            if self._totals.recovered(site):
                self._end(site)

    def _replay(self, site: str, gone: list[tuple[int, Node]]) -> None:
        rule, thresholds, in_service = self._totals.site_rule, self.thresholds, self._totals.in_service(site)
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
                if self._joins(running, since_ns):
                    running.latest_ns = since_ns
                    if self._mark(running, node):
                        self._on_mark(node)
            elif rule.disrupted(len(window), in_service - (count - len(window))):
                self._begin(site, {each.order: each_ns for each_ns, each in window}, since_ns)

    def _joins(self, running: _Running, since_ns: int) -> bool:
        return (
            since_ns - running.latest_ns <= self.thresholds.warning_after
            and since_ns - running.began_ns <= self._totals.site_rule.recent
        )

    def _begin(self, site: str, since: dict[int, int], now_ns: int) -> None:
        nodes = _together(since, self.thresholds.warning_after, now_ns)
        if nodes:
            disruption = Disruption(Scope.SITE if site else Scope.MESH, self._wall_time.at(now_ns))
            running = self._running[site] = _Running(disruption, now_ns, now_ns, nodes, array("q", [*nodes]))
            self._changed.append((site, running))

    def _mark(self, running: _Running, node: Node) -> bool:
        """Whether that is new."""
        running.nodes[node.order] = 0
        before = node.disruptions
        if running.disruption not in before:
            node.disruptions = (*before, running.disruption)
        return node.disruptions is not before

    def _unmark(self, running: _Running, node: Node) -> bool:
        """Whether it was marked."""
        before = node.disruptions
        if running.disruption in before:
            node.disruptions = tuple(each for each in before if each is not running.disruption)
        return node.disruptions is not before

    def _is_over(self, site: str, running: _Running, now_ns: int) -> bool:
        if not running.nodes or now_ns - running.began_ns > self._totals.site_rule.lasting:
            return True
        if not self._totals.recovered(site):
            running.recovered_ns = None
            return False
        if running.recovered_ns is None:
            running.recovered_ns = now_ns
        return now_ns - running.recovered_ns >= 2 * self.thresholds.offline_after

    def _end(self, site: str) -> None:
        self._changed.append((site, self._running.pop(site)))

    def _discard(self, site: str, node: Node) -> None:
        if (nodes := self._missing.get(site)) is not None:
            nodes.pop(node.order, None)
            if not nodes:
                del self._missing[site]


def _sites(node: Node) -> tuple[str, ...]:
    site = node.record.registration.site
    return (site, MESH) if site else (MESH,)


def _missing(node: Node) -> bool:
    return node.status is not _ACTIVE and node.record.lifecycle.phase is _IN_SERVICE


def _together(since: dict[int, int], gap_ns: int, now_ns: int) -> dict[int, int]:
    """Those that went missing just now, and before that each within `gap_ns` of the next."""
    if now_ns - min(since.values()) <= gap_ns:
        return since.copy()  # Of all ways the fastest, where it is the whole mesh.
    first_ns = now_ns
    for each_ns in sorted(since.values(), reverse=True):
        if first_ns - each_ns > gap_ns:
            break
        first_ns = each_ns
    return {order: each_ns for order, each_ns in since.items() if each_ns >= first_ns}


def missing_since_ns(node: Node, thresholds: Thresholds) -> int:
    """When it entered warning, going by its status."""
    if node.status is not _OFFLINE:
        return node.status_since_ns
    return node.status_since_ns - (thresholds.offline_after - thresholds.warning_after)
