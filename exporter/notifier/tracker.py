"""The alerts that Alertmanager knows from us, and what it should be told next: no queue, the node map says it all."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.domain.clock import MINUTE, SECOND
from exporter.domain.node import Node
from exporter.domain.status import Status
from exporter.nodemap.changes import Change
from exporter.nodemap.nodemap import NodeMap
from exporter.notifier.alerts import Alert, alert_of

REPEAT = MINUTE
LIFETIME = 4 * REPEAT
"""An alert lives for so long after it was told last. Source: Prometheus, `rules.alert.resend-delay` and four of it."""
RULES_MAY_FIRE_AFTER = 30 * SECOND
"""`for` of the rules, less the age that a scrape may have: from here on Prometheus may have made the alert too."""
SWEEP_EVERY = SECOND


@dataclass(slots=True)
class _SentAlert:
    alert: Alert
    at_ns: int
    """When it was last told (monotonic)."""


class AlertTracker:
    """Follows one node map. A node has at most one alert, that of its status while it is in service.

    A node whose status waits, as we cannot hear it, and one of a disrupted site or a suspect mesh gets no new alert,
    and keeps the one it has. With a shared store, others may hear what we do not: of nodes that we are blind to, we
    say nothing at all.

    An alert ends at once while it is young. Once the rules may have made it too it is only told no more: it lapses
    after `LIFETIME`, as theirs goes on for `keep_firing_for`, so that neither contradicts the other.
    """

    def __init__(self, node_map: NodeMap, *, shared: bool) -> None:
        """`shared`: other registries may be on the same store."""
        self._map = node_map
        self._shared = shared
        self._told: OrderedDict[str, _SentAlert] = OrderedDict()
        """By node, the one told longest ago first."""
        self._changed = [node.name for node in node_map.nodes() if node.status is not Status.ACTIVE]
        self._inherited = set(self._changed)
        """Nodes that an earlier process may have told of."""
        self._waiting: set[str] = set()
        self._swept_ns = node_map.clock.monotonic_ns()
        node_map.listeners.append(self._note)

    def close(self) -> None:
        """Follow the map no longer. What was told lapses."""
        self._map.listeners.remove(self._note)

    def resend(self) -> None:
        """Somebody is new and was told nothing: tell every alert that stands, with the next look."""
        self._changed += self._told
        for told in self._told.values():
            told.at_ns -= REPEAT

    def look(self) -> list[Alert]:
        """What to tell now: alerts that are new, that end, or that would lapse. Call it after the map's tick."""
        now_ns = self._map.clock.monotonic_ns()
        names, self._changed = self._changed, []
        if now_ns - self._swept_ns >= SWEEP_EVERY:
            self._swept_ns = now_ns
            names += [*self._waiting, *self._lapsing(now_ns)]
        return [alert for name in dict.fromkeys(names) for alert in self._look_at(name, now_ns)]

    def _lapsing(self, now_ns: int) -> Iterator[str]:
        for name, told in self._told.items():
            if now_ns - told.at_ns < REPEAT:
                return
            yield name

    def _look_at(self, name: str, now_ns: int) -> Iterator[Alert]:
        node, told = self._map.find(name), self._told.get(name)
        if node is not None and self._speechless(node, now_ns):
            self._waiting.add(name)
            return
        alert = None if node is None else self._standing(node, told, now_ns)
        if alert is None or told is None or alert.labels != told.alert.labels:
            self._inherited.discard(name)
            if told is not None:
                del self._told[name]
                yield from self._end(told.alert)
            told = None
        if alert is not None and (told is None or now_ns - told.at_ns >= REPEAT):
            self._told[name] = _SentAlert(alert, now_ns)
            self._told.move_to_end(name)
            yield alert

    def _standing(self, node: Node, told: _SentAlert | None, now_ns: int) -> Alert | None:
        alert = alert_of(self._map, node)
        if alert is None or not self._must_wait(node, now_ns):
            self._waiting.discard(node.name)
            return alert
        self._waiting.add(node.name)
        # What was told too long ago lapsed meanwhile, as when this process was stopped; to tell it is to tell it anew.
        return told.alert if told is not None and now_ns - told.at_ns < LIFETIME else None

    def _speechless(self, node: Node, now_ns: int) -> bool:
        return self._shared and self._map.reception[node.transport].blind(now_ns)

    def _must_wait(self, node: Node, now_ns: int) -> bool:
        totals, site = self._map.totals, node.facts.site
        if totals.mesh_suspect or (site and totals.site_disrupted(site)):
            return True
        held_since_ns = self._map.held_since_ns(node, now_ns)
        if held_since_ns is None:
            return False
        # What an earlier process told a moment ago is still alive: it goes on, rather than to lapse meanwhile.
        return not (node.name in self._inherited and now_ns - held_since_ns < LIFETIME - REPEAT)

    def _end(self, alert: Alert) -> Iterator[Alert]:
        wall_ns = self._map.clock.wall_ns()
        if wall_ns - alert.starts_ns < RULES_MAY_FIRE_AFTER:
            yield alert.end(wall_ns)

    def _note(self, change: Change, node: Node) -> None:
        if change is not Change.REPORT and (node.status is not Status.ACTIVE or node.name in self._told):
            self._changed.append(node.name)
