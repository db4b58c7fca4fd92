"""Plays drawn incidents on a whole stack, with a disturbance of what stands around the nodes."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from demo.servers import Generation
from tests.incidents.draw import SECONDS, Incident, draw
from tests.incidents.metronome import Metronome
from tests.incidents.oracle import DOWN, Due, Slack, verdict
from tests.support.scenario_play import Scenario, Stage

BYSTANDERS = 70
ATTEMPTS = 2


@dataclass(frozen=True)
class Disturbance:
    """Something that happens to a server at a second; `late`: by how much messages may come later for it."""

    name: str
    late: float = 0.0


DISTURBANCES = (
    Disturbance("none"),
    Disturbance("registry restarts", late=3.5),
    Disturbance("registry is down", late=10.0),
    Disturbance("redis restarts", late=4.0),
    Disturbance("prometheus restarts", late=5.0),
    Disturbance("alertmanager restarts", late=3.0),
)


@dataclass(frozen=True)
class Attempt:
    """One performance of a play."""

    faults: list[str]
    metronome: Metronome


@dataclass(frozen=True)
class Play:
    """One play: its incidents and what disturbs them follow from its seed."""

    seed: str
    count: int
    attempts: list[Attempt] = field(default_factory=list, compare=False)
    """As they were given."""

    @property
    def drawn(self) -> tuple[Disturbance, int, bool, float]:
        """The disturbance, how many registries there are, whether they notify themselves, and the second."""
        source = random.Random(f"{self.seed}-stage")
        return source.choice(DISTURBANCES), source.randint(1, 3), source.random() < 0.5, source.uniform(4.0, 20.0)

    def __str__(self) -> str:
        disturbance, registries, instant, second = self.drawn
        how = "instant" if instant else "by the rules"
        what = disturbance.name if disturbance.name == "none" else f"{disturbance.name} at {second:.1f}"
        return f"seed {self.seed}: {self.count} incidents, {registries} registries, {how}, disturbance: {what}"

    def faults(self, directory: Path, generation: Generation) -> list[str]:
        """Messages that were wrong; where this machine did not keep time, the play is given once more."""
        for number in range(ATTEMPTS):
            with Metronome() as metronome:
                found = self._once(directory / f"attempt-{number}", generation)
            self.attempts.append(Attempt(found, metronome))
            if not found or metronome.kept_time:
                break
        return self.attempts[-1].faults

    def _once(self, directory: Path, generation: Generation) -> list[str]:
        disturbance, registries, instant, second = self.drawn
        restarted = second if disturbance.name == "prometheus restarts" else None
        down = second if disturbance.name == "registry is down" and registries == 1 else None
        incidents = draw(self.seed, self.count, Slack(disturbance.late, restarted, down))
        due: list[Due] = []
        stage = Stage(SECONDS, bystanders=BYSTANDERS, replicas=registries, instant=instant)
        for incident in incidents:
            stage.scenario(Declared(incident))

        def disturb(play: Scenario) -> None:
            due.extend(_disturb(disturbance, play, second, registries))

        stage.scenario(disturb)
        received = stage.play(directory, generation).received
        due += [each for incident in incidents for each in incident.due]
        return verdict(due, received, SECONDS)


class Declared:
    """An incident as the stage takes it."""

    def __init__(self, incident: Incident) -> None:
        self._incident = incident
        self.__name__ = incident.name

    def __call__(self, play: Scenario) -> None:
        self._incident.declare(play)


def _disturb(disturbance: Disturbance, play: Scenario, second: float, registries: int) -> list[Due]:
    """Put it on the stage; the messages that are due."""
    stack = play.stack
    if disturbance.name in {"registry restarts", "registry is down"}:
        down = 0.2 if disturbance.name == "registry restarts" else DOWN
        play.at(second).do(stack.registries[-1].kill)
        play.at(second + down).do(_beside(stack.registries[-1].start))
        if down > 1 and registries == 1:
            return [
                Due("pager", "AuroraRegistryDown", "firing", second + 2, second + 5),
                Due("pager", "AuroraRegistryDown", "resolved", second + down, second + down + 8),
            ]
    elif disturbance.name == "redis restarts":
        play.at(second).do(_beside(stack.redis.restart))
    elif disturbance.name == "prometheus restarts":
        play.at(second).do(_beside(stack.prometheus.stop, stack.prometheus.start))
    elif disturbance.name == "alertmanager restarts":
        play.at(second).do(_beside(stack.alertmanager.stop, stack.alertmanager.start))
    return []


def _beside(*actions: Callable[[], object]) -> Callable[[], None]:
    """In a thread of its own: the rest of the play does not wait for a server's start."""

    def run() -> None:
        for action in actions:
            action()

    return threading.Thread(target=run, daemon=True).start
