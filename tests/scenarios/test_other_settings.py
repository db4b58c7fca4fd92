"""Other thresholds and another site rule than the shipped ones: the rules and the registry's own waits follow them."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.servers import Generation
from exporter.domain.clock import MINUTE, SECOND
from exporter.domain.config import Config
from exporter.domain.site import SiteRule
from exporter.domain.status import Thresholds
from tests.support.scenario_play import Scenario, Stage, surprises

SHORT = Thresholds(heartbeat_interval=10 * SECOND, warning_after=30 * SECOND, offline_after=MINUTE)
A_MINUTE = 4.0
"""Seconds of the play with short thresholds."""
QUICK = Stage(
    seconds=15 * A_MINUTE,
    bystanders=20,
    replicas=2,
    instant=True,
    config=Config(thresholds=SHORT),
    factor=60 / A_MINUTE,
)
LASTING = Stage(seconds=42, bystanders=20, config=Config(site=SiteRule(recent=90 * SECOND)))
"""A disruption lasts for 16 times `recent`: 24 seconds of the play, as four hours of a day."""


for number in range(1, 6):

    @QUICK.scenario
    def a_node_flaps_past_short_thresholds(play: Scenario, number: int = number) -> None:
        """It is offline, back for less than the rules keep an alert, and offline again: one incident.

        In warning it is for half a minute, which is shorter than the rules wait: that is no message.
        """
        name = f"flap-{number}"
        node = play.node(name, site=name)
        for minute, what in ((0.5, node.stop), (5.2, node.resume), (6.0, node.stop), (8.2, node.resume)):
            play.at((minute + 0.05 * number) * A_MINUTE).do(what)
        play.between(1.5 * A_MINUTE, 3 * A_MINUTE).expect("pager", f"AuroraNodeOffline {name} firing")
        play.between(10.5 * A_MINUTE, 15 * A_MINUTE).expect("pager", f"AuroraNodeOffline {name} resolved")


@LASTING.scenario
def laptops_that_went_home_are_named_once_the_disruption_is_old(play: Scenario) -> None:
    """The site's alert ends by itself; what is left of it is one message, by name."""
    laptops = play.nodes_of("laptop", 6, site="office")
    play.nodes_of("desk", 3, site="office")
    play.at(1).do(*(laptop.stop for laptop in laptops))
    named = [f"AuroraNodeOffline {laptop.name} firing" for laptop in laptops]
    play.between(3, 7).expect("pager", "AuroraSiteDisrupted office firing")
    play.between(28, 36).expect("pager", *named, "AuroraSiteDisrupted office firing")
    play.between(31, 41).expect("pager", *named, "AuroraSiteDisrupted office resolved")


@pytest.mark.servers
@pytest.mark.timeout(300)
@pytest.mark.parametrize("stage", [QUICK, LASTING], ids=["thresholds of 30s and 1m", "the end of a disruption"])
def test_one_incident_is_one_message_under_other_settings(tmp_path: Path, generation: Generation, stage: Stage) -> None:
    """Every message, its receiver, its content and its time are as each scenario says."""
    found = surprises(stage, tmp_path, generation)
    assert not found, found
