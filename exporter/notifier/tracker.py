"""The alerts that Alertmanager has from us, and what to send next: no queue, the node map has it all."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.alerting.parameters import RuleParameters
from exporter.domain.clock import SECOND
from exporter.domain.node import Node
from exporter.domain.status import Status
from exporter.nodemap.changes import Change
from exporter.nodemap.nodemap import NodeMap
from exporter.notifier.alerts import Alert, alert_of
from exporter.notifier.episodes import Episodes

RESEND_SCRAPES = 4
LIFETIME_SCRAPES = 16
"""An alert expires this long after it was last sent. Source: Prometheus, `rules.alert.resend-delay` and four of it."""


@dataclass(slots=True)
class _SentAlert:
    alert: Alert
    at_ns: int
    """When it was last sent (monotonic)."""


def lifetime_ns(setting: RuleParameters) -> int:
    """How long an alert lives after it was sent last."""
    return LIFETIME_SCRAPES * setting.scrape_interval


class AlertTracker:
    """Follows one node map. A node has at most one alert, that of its status while it is in service.

    A warning waits for a heartbeat interval: by then its site's disruption would have begun. A node that went missing
    together with its site or the mesh gets no alert, and neither does one that we do not receive; it keeps the one it
    has. With a shared store, others may receive what we do not: of nodes that we are blind to, we send nothing at all.

    An alert ends at once where the rules cannot have it. Where they may, we stop resending it and let it expire after
    `lifetime_ns`, as theirs goes on for `keep_firing_for`: the end is theirs.
    """

    def __init__(self, node_map: NodeMap, *, shared: bool, setting: RuleParameters) -> None:
        """`shared`: other registries may be on the same store. `setting`: what the rules wait for."""
        self._map = node_map
        self._shared = shared
        self._episodes = Episodes(setting)
        self._setting = setting
        self._resend_ns = RESEND_SCRAPES * setting.scrape_interval
        self._lifetime_ns = lifetime_ns(setting)
        self._sent: OrderedDict[str, _SentAlert] = OrderedDict()
        """By node, the one sent longest ago first."""
        self._changed = [node.name for node in node_map.nodes() if node.status is not Status.ACTIVE]
        self._inherited = set(self._changed)
        """Nodes that an earlier process may have sent an alert of."""
        self._waiting: set[str] = set()
        self._swept_ns = node_map.clock.monotonic_ns()
        node_map.listeners.append(self._note)

    def close(self) -> None:
        """Follow the map no longer. What was sent expires."""
        self._map.listeners.remove(self._note)

    def reconfigure(self, setting: RuleParameters) -> None:
        """Wait as these rules do from now on."""
        self._episodes.reconfigure(setting)
        self._setting = setting
        self._resend_ns = RESEND_SCRAPES * setting.scrape_interval
        self._lifetime_ns = lifetime_ns(setting)

    def resend(self) -> None:
        """Send every standing alert with the next look, for an Alertmanager that is new."""
        self._changed += self._sent
        for sent in self._sent.values():
            sent.at_ns -= self._resend_ns

    def look(self) -> list[Alert]:
        """What to send now: alerts that are new, that end, or that would expire. Call it after the map's tick."""
        now_ns = self._map.clock.monotonic_ns()
        names, self._changed = self._changed, []
        if now_ns - self._swept_ns >= min(SECOND, self._setting.thresholds.heartbeat_interval // 2):
            self._swept_ns = now_ns
            self._episodes.prune(now_ns)
            names += [*self._waiting, *self._expiring(now_ns)]
        return [alert for name in dict.fromkeys(names) for alert in self._look_at(name, now_ns)]

    def _expiring(self, now_ns: int) -> Iterator[str]:
        for name, sent in self._sent.items():
            if now_ns - sent.at_ns < self._resend_ns:
                return
            yield name

    def _look_at(self, name: str, now_ns: int) -> Iterator[Alert]:
        node, sent = self._map.find(name), self._sent.get(name)
        if node is not None and self._cannot_receive(node, now_ns):
            self._waiting.add(name)
            return
        alert = None if node is None else self._standing(node, sent, now_ns)
        if node is None or alert_of(self._map, node) is None:
            self._episodes.end(name, now_ns)
        if alert is None or sent is None or alert.labels != sent.alert.labels:
            self._inherited.discard(name)
            if sent is not None:
                del self._sent[name]
                yield from self._end(sent.alert, now_ns)
            sent = None
        if alert is not None and (sent is None or now_ns - sent.at_ns >= self._resend_ns):
            self._sent[name] = _SentAlert(alert, now_ns)
            self._sent.move_to_end(name)
            yield alert

    def _standing(self, node: Node, sent: _SentAlert | None, now_ns: int) -> Alert | None:
        alert = alert_of(self._map, node)
        if alert is not None:
            self._episodes.begin(node.name, alert.name, node.status_since_ns)
        if alert is None or not self._must_wait(node, now_ns):
            self._waiting.discard(node.name)
            return alert
        self._waiting.add(node.name)
        # What was sent too long ago expired meanwhile, as when this process was stopped: resending raises it again.
        return sent.alert if sent is not None and now_ns - sent.at_ns < self._lifetime_ns else None

    def _cannot_receive(self, node: Node, now_ns: int) -> bool:
        return self._shared and self._map.reception[node.transport].blind(now_ns)

    def _must_wait(self, node: Node, now_ns: int) -> bool:
        if node.disruptions or node.renamed_to:
            return True
        if (
            node.status is Status.WARNING
            and now_ns - node.status_since_ns < self._setting.thresholds.heartbeat_interval
        ):
            return True
        held_since_ns = self._map.held_since_ns(node, now_ns)
        if held_since_ns is None:
            return False
        # What an earlier process sent a moment ago still fires: we keep it from expiring meanwhile.
        return not (node.name in self._inherited and now_ns - held_since_ns < self._lifetime_ns - self._resend_ns)

    def _end(self, alert: Alert, now_ns: int) -> Iterator[Alert]:
        if not self._episodes.rules_may_hold(alert.node, alert.name, now_ns):
            yield alert.end(self._map.clock.wall_ns())

    def _note(self, change: Change, node: Node) -> None:
        if change is not Change.REPORT and (node.status is not Status.ACTIVE or node.name in self._sent):
            self._changed.append(node.name)
