"""Scenarios as timelines: what happens at which second, and which messages people get between which seconds.

Several scenarios play on one stage at once, as incidents do. Each has nodes and sites of its own, by which its messages
are distinguished from the others'.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from demo.servers import Generation
from exporter.domain.config import Config
from tests.support.scenario_mesh import SimulatedNode
from tests.support.scenario_sink import AlertMessage, Notification
from tests.support.scenario_stack import FACTOR, Stack, stack

ATTEMPTS = 3
IGNORED = frozenset({"AuroraWatchdog"})
"""It always fires, and belongs to no scenario."""


@dataclass(frozen=True)
class Expected:
    """One message, and the seconds between which it must arrive."""

    first: float
    last: float
    message: str


@dataclass(frozen=True)
class Moment:
    """A second at which something happens."""

    second: float
    _actions: list[tuple[float, Callable[[], object]]]

    def do(self, *actions: Callable[[], object]) -> None:
        """These happen, in this order."""
        self._actions.extend((self.second, action) for action in actions)


@dataclass(frozen=True)
class Window:
    """Seconds between which a message is expected."""

    first: float
    last: float
    _expected: list[Expected]

    def expect(self, receiver: str, *alerts: str) -> None:
        """One message to the receiver, with these alerts: each `name subject firing` or `... resolved`."""
        self._expected.append(Expected(self.first, self.last, _message(receiver, alerts)))


@dataclass
class Scenario:
    """What one incident declares: its nodes, its events, and the messages about it in their order; no others."""

    stack: Stack
    nodes: set[str] = field(default_factory=set)
    sites: set[str] = field(default_factory=set)
    alerts: set[str] = field(default_factory=set)
    """Names of alerts about the mesh or the registry that are this scenario's."""
    actions: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)

    def node(self, name: str, *, site: str, **facts: Any) -> SimulatedNode:
        """A node of this scenario, as SimulatedNode takes it; `site` may be empty."""
        self.nodes.add(name)
        if site:
            self.sites.add(site)
        return self.stack.mesh.node(name, site=site, **facts)

    def nodes_of(self, name: str, count: int, *, site: str = "", **facts: Any) -> list[SimulatedNode]:
        """So many nodes, `name-1`, `name-2`, ..., at the site; at one of their own name unless it is said."""
        return [self.node(f"{name}-{number}", site=site or name, **facts) for number in range(1, count + 1)]

    def concerns(self, *alerts: str) -> None:
        """Alerts of these names are about this scenario, whatever their labels."""
        self.alerts.update(alerts)

    def at(self, second: float) -> Moment:
        """At this second ..."""
        return Moment(second, self.actions)

    def between(self, first: float, last: float) -> Window:
        """Between these seconds ..."""
        return Window(first, last, self.expected)

    def owns(self, reported: AlertMessage) -> bool:
        """Whether the alert is about this scenario."""
        return (
            reported.name in self.alerts or reported.label("node") in self.nodes or reported.label("site") in self.sites
        )

    def surprise(self, received: list[tuple[float, Notification]]) -> str | None:
        """How the messages differ from what was expected; None where it does not."""
        messages = [
            (second, _message(notification.receiver, own))
            for second, notification in received
            if (own := [str(reported) for reported in notification.alerts if self.owns(reported)])
        ]
        # To each receiver in its order: which of two receivers is first is nobody's promise.
        got = sorted(messages, key=lambda message: _receiver(message[1]))
        wanted = sorted(self.expected, key=lambda expected: _receiver(expected.message))
        if [message for _, message in got] == [expected.message for expected in wanted] and all(
            expected.first <= second <= expected.last for (second, _), expected in zip(got, wanted, strict=True)
        ):
            return None
        expected = [f"  {window.first:g}-{window.last:g}: {window.message}" for window in self.expected]
        return "\n".join(
            ["expected", *expected, "got", *(f"  {second:.1f}: {message}" for second, message in messages)]
        )


Declare = Callable[[Scenario], None]


@dataclass
class Performance:
    """What a stage's play came to."""

    scenarios: dict[str, Scenario]
    received: list[tuple[float, Notification]]
    """Every message, by the second of the play."""
    blind_seconds: float
    """For how long the first registry could not receive, whether that was planned or this machine gave it no time."""

    def surprises(self) -> str:
        """How the messages differ from those that each scenario expects, and which are about none; empty if neither."""
        found = [
            f"{name}: {surprise}"
            for name, scenario in self.scenarios.items()
            if (surprise := scenario.surprise(self.received)) is not None
        ]
        nobodys = [
            f"{second:.1f}: {_message(notification.receiver, map(str, notification.alerts))}"
            for second, notification in self.received
            for reported in notification.alerts
            if reported.name not in IGNORED and not any(scenario.owns(reported) for scenario in self.scenarios.values())
        ]
        return "\n".join([*found, *(f"of no scenario: {message}" for message in nobodys)])


@dataclass
class Stage:
    """Scenarios that play at the same time on one stack, for so many seconds."""

    seconds: float
    bystanders: int = 0
    """Nodes to which nothing happens: without them, a few incidents at once would be the whole mesh's."""
    replicas: int = 1
    instant: bool = False
    config: Config | None = None
    """Other thresholds or another site rule than the defaults."""
    factor: float = FACTOR
    declared: list[Declare] = field(default_factory=list)

    def scenario(self, declare: Declare) -> Declare:
        """Decorates a function that declares one scenario."""
        self.declared.append(declare)
        return declare

    def play(self, directory: Path, generation: Generation) -> Performance:
        """Play it all once."""
        with stack(
            directory,
            replicas=self.replicas,
            instant=self.instant,
            generation=generation,
            config=self.config,
            factor=self.factor,
        ) as servers:
            for number in range(self.bystanders):
                servers.mesh.node(f"backbone-{number}", site="backbone", gpus=1)
            scenarios = {}
            for number, declare in enumerate(self.declared, start=1):
                scenarios[f"{number}. {declare.__name__}"] = scenario = Scenario(servers)
                declare(scenario)
            servers.open_curtain()
            began, blind_before = time.monotonic(), _blind_seconds(servers)
            actions = [action for scenario in scenarios.values() for action in scenario.actions]
            for second, action in [*sorted(actions, key=lambda action: action[0]), (self.seconds, lambda: None)]:
                time.sleep(max(0.0, began + second - time.monotonic()))
                action()
            received = [
                (notification.at - began, notification)
                for notification in news(servers.sink.notifications)
                if notification.at >= began
            ]
            return Performance(scenarios, received, _blind_seconds(servers) - blind_before)


def surprises(stage: Stage, directory: Path, generation: Generation) -> str:
    """Play the stage; what was not as expected, or nothing.

    A registry that this machine stops for a tenth of `warning_after` holds the statuses, as it should, and the timeline
    no longer applies: such a play is given again, a few times at most.
    """
    for attempt in range(ATTEMPTS):
        performance = stage.play(directory / f"attempt-{attempt}", generation)
        found = performance.surprises()
        if not found or not performance.blind_seconds:
            break
    return found


def surprises_side_by_side(stages: Mapping[str, Stage], directory: Path, generation: Generation) -> str:
    """Play all stages at the same time; what was not as expected, or nothing.

    Tests that do so wait for each other: two of them at once leave two cores no time for the servers, whose minutes
    are seconds.
    """
    with (
        (Path(tempfile.gettempdir()) / f"aurora-stages-{os.getuid()}.lock").open("w") as lock,
        ThreadPoolExecutor() as performers,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        played = performers.map(lambda name: surprises(stages[name], directory / name, generation), stages)
        return "\n".join(filter(None, played))


def news(notifications: Iterable[Notification]) -> list[Notification]:
    """The notifications without what their receivers got before as resolved, and without those that leaves empty.

    Prometheus repeats for 15 minutes, which nothing can shorten, that an alert is over, and Alertmanager says it again
    with whatever else it has to say to the same group. Those minutes would be hours here.
    """
    over: set[tuple[str, AlertMessage]] = set()
    found = []
    for notification in notifications:
        fresh = tuple(reported for reported in notification.alerts if (notification.receiver, reported) not in over)
        over.update((notification.receiver, reported) for reported in fresh if reported.status == "resolved")
        over.difference_update(
            (notification.receiver, replace(reported, status="resolved"))
            for reported in fresh
            if reported.status == "firing"
        )
        if fresh:
            found.append(replace(notification, alerts=fresh))
    return found


def _message(receiver: str, alerts: Any) -> str:
    return f"{receiver}: {', '.join(sorted(alerts))}"


def _receiver(message: str) -> str:
    return message.partition(":")[0]


def _blind_seconds(servers: Stack) -> float:
    return servers.registries[0].metric('aurora_registry_blind_seconds_total{transport="bus"}')
