"""Draws random incidents: what happens to which nodes and when, and, by the oracle, which messages must be sent."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.incidents.oracle import (
    FOR,
    GPU_FOR,
    GROUP_INTERVAL,
    KEEP_FIRING_FOR,
    OFFLINE,
    WARNING,
    Due,
    Slack,
    ambiguous,
    message_once,
    outage,
)
from tests.support.scenario_play import Scenario

SECONDS = 46.0
LATEST = 16.0
"""No incident begins later: its messages must be sent within the play."""


@dataclass
class Incident:
    """One incident of a play. `declare` puts its nodes and events on the stage."""

    number: int
    kind: str
    random: random.Random
    slack: Slack
    due: list[Due] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of its nodes and its site."""
        return f"{self.kind.replace('_', '-')}-{self.number}"

    def declare(self, play: Scenario) -> None:
        """As the scenarios do it."""
        KINDS[self.kind](self, play)

    def moment(self, first: float = 1.0, last: float = LATEST) -> float:
        """A random second."""
        return round(self.random.uniform(first, last), 2)

    def unambiguous(self, shortest: float, longest: float) -> float:
        """How long a node stays away, so that the messages do not depend on a race."""
        while True:
            lasted = round(self.random.uniform(shortest, longest), 2)
            if not ambiguous(lasted):
                return lasted


def _outage(incident: Incident, play: Scenario) -> None:
    """A node goes, by the bus or over HTTP, with a site or without; it comes back, or it does not."""
    testing = incident.random.random() < 0.2
    site = incident.random.choice(["", incident.name]) if not testing else incident.name
    facts = {"environment": "staging"} if testing else {}
    node = play.node(incident.name, site=site, http=incident.random.random() < 0.3, **facts)
    began, ended = incident.moment(), None
    if incident.random.random() < 0.7:
        # With time that does not count in between, only a short gap is sure to be none.
        longest = 0.9 if incident.slack.late else 14.0
        ended = began + incident.unambiguous(0.3, longest)
    play.at(began).do(node.stop)
    if ended is not None:
        play.at(ended).do(node.resume)
    incident.due += outage(node.name, began, ended, slack=incident.slack, testing=testing)


def _dies_twice(incident: Incident, play: Scenario) -> None:
    """Two incidents of one node, with the end of the first one sent between them."""
    if incident.slack.late:
        return _outage(incident, play)
    node = play.node(incident.name, site=incident.name)
    first = incident.moment(1, 2)
    back = first + incident.random.uniform(9.0, 10.0)
    second = back + KEEP_FIRING_FOR + GROUP_INTERVAL + 6 + incident.random.random()
    play.at(first).do(node.stop)
    play.at(back).do(node.resume)
    play.at(second).do(node.stop)
    incident.due += outage(node.name, first, back, slack=incident.slack)
    # Alertmanager before 0.32 looks for emptied groups every 30 seconds, which nothing scales: until then what is new
    # in such a group waits for its interval, and by then the alert of the offline node suppresses the warning.
    warning, offline = outage(node.name, second, None, slack=Slack(late=GROUP_INTERVAL))
    incident.due += [replace(warning, optional=True), offline]
    return None


def _site(incident: Incident, play: Scenario) -> None:
    """Most or all nodes of a site go at once; a survivor may die later, by itself."""
    count = incident.random.randint(3, 8)
    nodes = play.nodes_of(incident.name, count)
    survivors = play.nodes_of(f"{incident.name}-left", incident.random.randint(0, count // 2), site=incident.name)
    began, back = incident.moment(1, 10), incident.random.random() < 0.7 and not incident.slack.late
    ended = began + incident.random.uniform(6.0, 14.0) if back else None
    play.at(began).do(*(node.stop for node in nodes))
    if ended is not None:
        play.at(ended).do(*(node.resume for node in nodes))
    incident.due += message_once(
        "pager", f"AuroraSiteDisrupted {incident.name}", began + WARNING, ended, slack=incident.slack, grouped=False
    )
    if survivors and not back:
        later = began + 6.5 + incident.random.random()
        play.at(later).do(survivors[0].stop)
        for receiver, alert, after in (("chat", "Warning", WARNING), ("pager", "Offline", OFFLINE)):
            incident.due += message_once(
                receiver,
                f"AuroraNode{alert} {survivors[0].name}",
                later + after,
                None,
                slack=incident.slack,
                grouped=receiver == "pager",
                optional=incident.slack.may_seem_one(began, later),
            )


def _planned(incident: Incident, play: Scenario) -> None:
    """Work that was planned, a lid that was closed, a leave that was taken: no message."""
    node = play.node(incident.name, site=incident.name)
    began = incident.moment()
    what = incident.random.choice(["maintenance", "drain", "sleep", "depart"])
    if what in {"maintenance", "drain"}:
        play.at(0).do(lambda: node.maintain("2h", what))
        play.at(began).do(node.stop)
    else:
        play.at(began).do(node.sleep if what == "sleep" else node.depart)


def _renamed(incident: Incident, play: Scenario) -> None:
    """The same machine under a new name."""
    node = play.node(incident.name, site=incident.name, node_id=f"machine-{incident.number}")
    new = f"{incident.name}-new"
    play.nodes.add(new)
    play.at(incident.moment()).do(lambda: node.rename(new))


def _inventoried(incident: Incident, play: Scenario) -> None:
    """A dead node that somebody registers again and again."""
    node = play.node(incident.name, site=incident.name)
    began = incident.moment()
    play.at(began).do(node.stop)
    for step in range(1, 6):
        play.at(began + 3 * step).do(node.be_inventoried)
    incident.due += outage(node.name, began, None, slack=incident.slack)


def _gpu(incident: Incident, play: Scenario) -> None:
    """A GPU falls off a node that lives."""
    node = play.node(incident.name, site=incident.name, gpus=4)
    began = incident.moment()
    play.at(began).do(node.lose_gpu)
    # Its own `for` is a minute longer than those of nodes. A Prometheus that restarts begins it again: it restores only
    # those of ten minutes and more (--rules.alert.for-grace-period).
    late = replace(incident.slack, late=incident.slack.late + (1 if incident.slack.restarted is None else 2))
    alert = f"AuroraNodeGpuMissing {node.name}"
    incident.due += message_once("chat", alert, began + GPU_FOR - FOR, None, slack=late, grouped=False)


KINDS: dict[str, Callable[[Incident, Scenario], None]] = {
    "outage": _outage,
    "dies_twice": _dies_twice,
    "site": _site,
    "planned": _planned,
    "renamed": _renamed,
    "inventoried": _inventoried,
    "gpu": _gpu,
}
WEIGHTS = (8, 3, 5, 3, 1, 1, 1)


def draw(seed: str, count: int, slack: Slack) -> list[Incident]:
    """So many incidents; the same ones for the same seed."""
    source = random.Random(seed)
    kinds = source.choices(list(KINDS), WEIGHTS, k=count)
    return [
        Incident(number, kind, random.Random(f"{seed}-{number}"), slack) for number, kind in enumerate(kinds, start=1)
    ]
