"""When the rules may hold an alert of a node beside us: then only they may end it."""

from __future__ import annotations

from exporter.alerting.parameters import RuleParameters

LAG_SCRAPES = 2
"""The rules see a return late by so much at most: the age of a scrape, and of an evaluation."""


class Episodes:
    """How long each node has been in a status that is an alert, by the names of the alerts. Moments are monotonic.

    An alert that ends by us while the rules go on with it (`keep_firing_for`) would be sent again by them: two messages
    for one incident.
    """

    def __init__(self, setting: RuleParameters) -> None:
        self._running: dict[str, dict[str, int]] = {}
        self._kept: dict[tuple[str, str], int] = {}
        self.reconfigure(setting)

    def reconfigure(self, setting: RuleParameters) -> None:
        """The rules wait like this."""
        # They wait for longer than this, and believe in an end a scrape later: half of it is safe.
        self._may_fire_after_ns = setting.node_wait_ns // 2
        self._keep_ns = setting.keep_ns + LAG_SCRAPES * setting.scrape_interval

    def begin(self, node: str, name: str, since_ns: int) -> None:
        """The node is in the alert's status; that of an earlier status continues, as in the rules."""
        running = self._running.setdefault(node, {})
        if running.get(name, since_ns) != since_ns:
            # It was back for a moment in between.
            self.end(node, since_ns)
            running = self._running.setdefault(node, {})
        running[name] = since_ns

    def end(self, node: str, now_ns: int) -> None:
        """The node is back, out of service, or gone."""
        for name, since_ns in self._running.pop(node, {}).items():
            if self._held(node, name, since_ns, now_ns):
                self._kept[node, name] = now_ns + self._keep_ns

    def rules_may_hold(self, node: str, name: str, now_ns: int) -> bool:
        """Whether the rules may have made the alert, and may not have ended it yet."""
        since_ns = self._running.get(node, {}).get(name)
        if since_ns is not None:
            return self._held(node, name, since_ns, now_ns)
        return now_ns < self._kept.get((node, name), now_ns)

    def prune(self, now_ns: int) -> None:
        """Drop what the rules have ended by now."""
        self._kept = {key: until_ns for key, until_ns in self._kept.items() if until_ns > now_ns}

    def _held(self, node: str, name: str, since_ns: int, now_ns: int) -> bool:
        return now_ns - since_ns >= self._may_fire_after_ns or since_ns < self._kept.get((node, name), since_ns)
