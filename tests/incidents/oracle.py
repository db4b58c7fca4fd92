"""The definition of *one incident, one message*: which messages an incident causes, to whom and when, and no others.

A second is a minute. docs/alerting.md says the same in words; keep both in step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.support.scenario_sink import Notification

WARNING, OFFLINE = 2.0, 5.0
"""thresholds.warning_after and offline_after."""
FOR = 1.0
GPU_FOR = 2.0
KEEP_FIRING_FOR = 3.0
GROUP_WAIT = 0.5
GROUP_INTERVAL = 5.0
LAG = 1.75
"""A heartbeat, a scrape, an evaluation, and what a busy machine takes for them."""
DOWN = 6.0
"""How long a registry is down where it does not start again at once."""
CERTAIN = FOR + LAG
"""A status that lasts for so long causes a message; one that lasts for less than FOR does not."""


@dataclass(frozen=True)
class Due:
    """One message of which an alert is part: to whom, with which state, between which seconds."""

    receiver: str
    alert: str
    """`NAME SUBJECT`."""
    status: str
    first: float
    last: float
    optional: bool = False
    """It may be missing: a warning that Prometheus, restarting, may not have seen, or what its site's alert covers."""


@dataclass(frozen=True)
class Slack:
    """What disturbances of a play add: `late` seconds to every end of a window, and a restart of Prometheus."""

    late: float = 0.0
    restarted: float | None = None
    """The second at which Prometheus restarts; None: it does not."""
    down: float | None = None
    """The second at which the only registry goes down for DOWN seconds; None: it does not."""

    def may_seem_one(self, first: float, last: float) -> bool:
        """Whether two outages that begin at these seconds may be one to a registry that was down in between.

        What happened while it was down began, as far as it knows, when it went down.
        """
        return self.down is not None and self.down <= last and first <= self.down + DOWN

    def may_miss(self, first: float, last: float) -> bool:
        """Whether Prometheus may not have seen for long enough what lasts between these seconds."""
        return self.restarted is not None and self.restarted <= last and first <= self.restarted + self.late


def message_once(
    receiver: str,
    alert: str,
    began: float,
    ended: float | None,
    *,
    slack: Slack,
    grouped: bool,
    optional: bool = False,
) -> list[Due]:
    """An alert whose condition holds between two seconds (None: forever): firing once, and resolved once.

    `grouped`: others of its site may have fired before, so that it may wait for the group's interval. `optional`: it
    may be missing.
    """
    wait = GROUP_INTERVAL if grouped else GROUP_WAIT
    until = began + OFFLINE - WARNING if ended is None else min(ended, began + OFFLINE - WARNING)
    missable = optional or (alert.startswith("AuroraNodeWarning") and slack.may_miss(began, until))
    due = [Due(receiver, alert, "firing", began, began + CERTAIN + wait + slack.late, missable)]
    if ended is not None:
        last = ended + KEEP_FIRING_FOR + LAG + GROUP_INTERVAL + GROUP_WAIT + slack.late
        first = ended + (KEEP_FIRING_FOR - 0.5 if slack.restarted is None else 0)
        due.append(Due(receiver, alert, "resolved", first, last, missable))
    return due


def outage(node: str, began: float, ended: float | None, *, slack: Slack, testing: bool = False) -> list[Due]:
    """A node without heartbeats for a while, by itself: in warning from two minutes, offline past five."""
    due: list[Due] = []
    chat, pager = ("quiet", "quiet") if testing else ("chat", "pager")
    lasted = float("inf") if ended is None else ended - began
    if lasted >= WARNING + CERTAIN:
        due += message_once(chat, f"AuroraNodeWarning {node}", began + WARNING, ended, slack=slack, grouped=testing)
    if lasted >= OFFLINE + CERTAIN:
        due += message_once(pager, f"AuroraNodeOffline {node}", began + OFFLINE, ended, slack=slack, grouped=testing)
    return due


def ambiguous(lasted: float) -> bool:
    """Whether an outage of so long may or may not fire, as its end and the alert's beginning race."""
    return any(limit - 1.0 <= lasted < limit + CERTAIN + 0.5 for limit in (WARNING, OFFLINE))


def events(notifications: Iterable[tuple[float, Notification]]) -> dict[tuple[str, str], list[tuple[float, str]]]:
    """Each change of an alert that a receiver got, in its order: a repetition says nothing new."""
    found: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for second, notification in notifications:
        for reported in notification.alerts:
            if reported.name == "AuroraWatchdog":
                continue
            history = found.setdefault((notification.receiver, f"{reported.name} {reported.subject}".strip()), [])
            if (history[-1][1] if history else "resolved") != reported.status:
                history.append((second, reported.status))
    return found


def verdict(due: Iterable[Due], notifications: Iterable[tuple[float, Notification]], seconds: float) -> list[str]:
    """What is missing, doubled, early, late or nobody's; nothing where all is as it must be.

    A message whose window reaches beyond the play may be missing.
    """
    reported, found = events(notifications), []
    wanted: dict[tuple[str, str], list[Due]] = {}
    for each in due:
        wanted.setdefault((each.receiver, each.alert), []).append(each)
    for key in sorted(wanted.keys() | reported.keys()):
        expected, got = sorted(wanted.get(key, []), key=lambda each: each.first), reported.get(key, [])
        certain = [each for each in expected if each.last < seconds and not each.optional]
        pairs = list(zip(expected, got, strict=False))
        fits = len(certain) <= len(got) <= len(expected) and all(
            each.status == status and each.first <= second <= each.last for each, (second, status) in pairs
        )
        if not fits:
            windows = ", ".join(f"{each.status} {each.first:.1f}-{each.last:.1f}" for each in expected) or "nothing"
            moments = ", ".join(f"{status} {second:.1f}" for second, status in got) or "nothing"
            found.append(f"{key[0]}: {key[1]}: must be {windows}; was {moments}")
    return found
