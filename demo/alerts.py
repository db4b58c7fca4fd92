"""Alerts as people read them: many nodes of one site are one line, and an end is printed once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from demo.receiver import Notification

Key = tuple[tuple[str, str], ...]
States = Mapping[Key, str]
"""The state (`pending` or `firing`) of each alert, by its labels."""
WATCHDOG = "AuroraWatchdog"
_NAMED = 3
"""So many nodes, and so many alerts of one message, are named."""


def states(alerts: Iterable[Mapping[str, Any]]) -> dict[Key, str]:
    """Of Prometheus' list of alerts: without the watchdog, which always fires, and without `info` that only may."""
    return {
        tuple(sorted(alert["labels"].items())): alert["state"]
        for alert in alerts
        if alert["labels"]["alertname"] != WATCHDOG
        and (alert["labels"].get("severity"), alert["state"]) != ("info", "pending")
    }


def changes(before: States, after: States) -> list[str]:
    """A line for each alert, state and site that changed."""
    groups: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    for key in sorted({**before, **after}):
        was, now = before.get(key), after.get(key)
        if was != now:
            labels = dict(key)
            became = now or ("resolved" if was == "firing" else "no longer pending")
            groups[labels["alertname"], became, labels.get("site", "")].append(labels)
    return [f"{name} {became}{_about(labels)}" for (name, became, _), labels in groups.items()]


def _about(alerts: list[dict[str, str]]) -> str:
    site = alerts[0].get("site", "")
    nodes = sorted({alert["node"] for alert in alerts if "node" in alert})
    if not nodes:
        return f": site {site}" if site else ""
    named = ", ".join(nodes) if len(nodes) <= _NAMED else f"{len(nodes)} nodes"
    return f": {named}" + (f" of {site}" if site else "")


SUPPRESSED = (
    "count by (site) (node:aurora_node_disruption_start_timestamp_seconds:max"
    " * on (node) group_left (site) node:aurora_node_info:topk)"
)
"""Nodes without an alert of their own, as that of their site or of the mesh stands for them."""


def suppressed(samples: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many nodes those are, by site: from Prometheus' answer to SUPPRESSED."""
    return {sample["metric"].get("site", ""): int(sample["value"][1]) for sample in samples}


class Messages:
    """What is new to its receiver in each notification.

    Prometheus repeats for 15 minutes, which nothing can shorten, that an alert is over, and Alertmanager sends it
    again with every other message of the same group.
    """

    def __init__(self) -> None:
        self._over: set[tuple[str, Key]] = set()
        self._watched = False

    def lines(self, notification: Notification) -> list[str]:
        """As somebody would read it: one line for what fires, one for what is over; of the watchdog the first only."""
        firing, over = [], []
        for alert in notification.alerts:
            known = (notification.receiver, tuple(sorted(alert.labels.items())))
            summary = alert.annotations["summary"]
            if alert.labels["alertname"] == WATCHDOG:
                if not self._watched:
                    firing.append(summary)
                self._watched = True
            elif alert.status == "firing":
                self._over.discard(known)
                firing.append(summary)
            elif known not in self._over:
                self._over.add(known)
                over.append(summary)
        said = (("", firing), ("over: ", over))
        return [f"{notification.receiver}: {word}{_shortened(texts)}" for word, texts in said if texts]


def _shortened(texts: list[str]) -> str:
    more = len(texts) - _NAMED
    return "; ".join(texts[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
