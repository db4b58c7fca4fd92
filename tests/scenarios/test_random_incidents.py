"""Ten drawn incidents, judged by the oracle; `make incidents` plays many more."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.incidents.oracle import Due, Slack, outage, verdict
from tests.incidents.play import Play
from tests.support.generations import DEFAULT
from tests.support.scenario_sink import AlertMessage, Notification


def reported(second: float, status: str, receiver: str = "pager") -> tuple[float, Notification]:
    alert = AlertMessage("AuroraNodeOffline", status, frozenset({("node", "a")}))
    return second, Notification(second, receiver, (alert,))


DUE = [
    Due("pager", "AuroraNodeOffline a", "firing", 5, 9),
    Due("pager", "AuroraNodeOffline a", "resolved", 20, 30),
]


@pytest.mark.parametrize(
    ("received", "right"),
    [
        ([reported(6, "firing"), reported(22, "resolved")], True),
        ([reported(6, "firing"), reported(11, "firing"), reported(22, "resolved"), reported(24, "resolved")], True),
        ([], False),
        ([reported(6, "firing")], False),
        ([reported(4, "firing"), reported(22, "resolved")], False),
        ([reported(6, "firing"), reported(31, "resolved")], False),
        ([reported(6, "firing"), reported(22, "resolved"), reported(23, "firing")], False),
        ([reported(6, "firing"), reported(22, "resolved"), reported(6, "firing", "chat")], False),
    ],
)
def test_the_oracle_finds_what_is_missing_doubled_late_or_nobodys(received, right):
    """A repetition says nothing new."""
    assert (verdict(DUE, received, 60) == []) is right


def test_an_optional_message_may_be_missing_and_may_not_be_late():
    optional = [dataclasses.replace(each, optional=True) for each in DUE]
    assert verdict(optional, [], 60) == []
    assert verdict(optional, [reported(6, "firing"), reported(22, "resolved")], 60) == []
    assert verdict(optional, [reported(12, "firing")], 60) != []


@pytest.mark.parametrize(
    ("restarted", "missable"), [(2.0, False), (8.0, True), (14.5, True), (16.0, False), (None, False)]
)
def test_a_restart_of_prometheus_excuses_only_warnings_during_it(restarted, missable):
    """In warning from the twelfth second to the fifteenth; the page is never excused."""
    due = outage("a", 10.0, 30.0, slack=Slack(late=5.0, restarted=restarted))
    assert {each.optional for each in due if each.alert.startswith("AuroraNodeWarning")} == {missable}
    assert not any(each.optional for each in due if each.alert.startswith("AuroraNodeOffline"))


@pytest.mark.parametrize(
    ("down", "seems_one"), [(3.0, False), (5.0, True), (12.0, True), (16.5, True), (17.0, False), (None, False)]
)
def test_a_node_may_seem_to_go_with_its_site_where_the_registry_was_down_in_between(down, seems_one):
    """The site goes at 10, the node at 16.5: without that, it has messages of its own."""
    assert Slack(down=down).may_seem_one(10.0, 16.5) is seems_one


def test_what_is_due_after_the_play_may_be_missing():
    assert verdict(DUE, [reported(6, "firing")], 25) == []


@pytest.mark.servers
@pytest.mark.timeout(300)
def test_ten_random_incidents_send_what_they_must(tmp_path: Path) -> None:
    """The same ones each time: `python -m tests.incidents --seed 224460 --count 10` plays them as well."""
    play = Play("224460-0", 10)
    faults = play.faults(tmp_path, DEFAULT)
    if faults and not play.attempts[-1].metronome.kept_time:
        pytest.skip("this machine stalled in both attempts: they say nothing about the servers")
    assert faults == []
