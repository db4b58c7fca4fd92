"""What other thresholds would have made of the past."""

from __future__ import annotations

import json

import pytest

from exporter.client.documents import Departure, Node, Recent, RecentTransition
from exporter.domain.clock import MINUTE, SECOND
from exporter.domain.timestamp import format_timestamp, parse_timestamp
from exporter.programs.cli.rehearse import ReplayParameters, gaps_of, messages_of

START = parse_timestamp("2025-10-06T12:00:00Z")
SEED = ReplayParameters(2 * MINUTE, 5 * MINUTE, MINUTE)
LATER = ReplayParameters(3 * MINUTE, 10 * MINUTE, MINUTE)


def at(minutes):
    return format_timestamp(START + round(minutes * MINUTE))


def missing(name, start, end):
    """The transitions of a node without heartbeats from one minute to another."""
    found = []
    if end - start >= 2:
        found.append(RecentTransition(name, "active", "warning", at(start + 2)))
    if end - start > 5:
        found.append(RecentTransition(name, "warning", "offline", at(start + 5)))
    if found:
        found.append(RecentTransition(name, found[-1].to, "active", at(end)))
    return found


def recorded(*transitions, departures=(), now=600):
    """As the registry answers: newest first."""
    ordered = sorted((each for group in transitions for each in group), key=lambda each: each.at, reverse=True)
    return Recent(at(0), ordered, list(departures), at(now))


def mesh(*names, site=""):
    metadata = {"site": site} if site else {}
    return {name: Node(name, "compute", "active", at(0), at(0), metadata=metadata) for name in names}


def reported(recent, nodes, setting):
    messages = messages_of(gaps_of(recent, SEED), nodes, setting)
    return [(round((each.at_ns - START) / MINUTE, 2), each.alert, each.about) for each in messages]


def test_a_gap_is_one_message_by_each_threshold_that_it_passes():
    """A minute after the threshold, and not if the node is back by then."""
    recent = recorded(missing("a", 10, 12.5), missing("b", 20, 24), missing("c", 30, 50))
    nodes = mesh("a", "b", "c")
    assert reported(recent, nodes, SEED) == [
        (23, "AuroraNodeWarning", "b"),
        (33, "AuroraNodeWarning", "c"),
        (36, "AuroraNodeOffline", "c"),
    ]
    assert reported(recent, nodes, LATER) == [(34, "AuroraNodeWarning", "c"), (41, "AuroraNodeOffline", "c")]


def test_gaps_that_lie_close_together_are_one_message():
    """As the rules keep an alert firing."""
    recent = recorded(missing("a", 0, 4), missing("a", 4, 8), missing("a", 100, 104))
    assert reported(recent, mesh("a"), SEED) == [(3, "AuroraNodeWarning", "a"), (103, "AuroraNodeWarning", "a")]


def test_a_site_that_fails_is_one_message():
    names = [f"n{number}" for number in range(4)]
    recent = recorded(*(missing(name, 10, 60) for name in names))
    assert reported(recent, mesh(*names, site="home"), SEED) == [(13, "AuroraSiteDisrupted", "home")]


def test_a_node_that_is_still_away_or_left_ends_its_gap():
    away = [RecentTransition("a", "active", "warning", at(12)), RecentTransition("a", "warning", "offline", at(15))]
    [gap] = gaps_of(recorded(away), SEED)
    assert (gap.from_ns, gap.to_ns) == (START + 10 * MINUTE, START + 600 * MINUTE)
    [gap] = gaps_of(recorded(away, departures=[Departure("a", "departed", at(20))]), SEED)
    assert gap.to_ns == START + 20 * MINUTE


def test_a_gap_that_began_before_the_record():
    """Its warning is not there, its end may be all that is."""
    offline = [RecentTransition("a", "warning", "offline", at(1)), RecentTransition("a", "offline", "active", at(9))]
    [gap] = gaps_of(recorded(offline, [RecentTransition("b", "warning", "active", at(3))]), SEED)
    assert (gap.node, gap.from_ns) == ("a", START - 4 * MINUTE)


@pytest.fixture
def rehearsal(registry, seed):
    """The seed's mesh, whose registry recorded a node that came and went."""
    limits = {"heartbeat_interval": 30, "forget_after": 259200}
    limits |= {"warning_after": 120, "offline_after": 300}
    why = {
        "node": "aurora",
        "status": "active",
        "status_since": at(0),
        "counted_age_seconds": 1,
        "held": False,
        "last_heartbeat": {"at": at(0), "transport": "http", "age_seconds": 1},
        "not_counted_seconds": 0,
        "not_counted": [],
        "next": {"status": "warning", "in_seconds": 9},
        "lifecycle": {"phase": "in_service"},
        "suppressed": [],
        "suppressed_by": [],
        "timestamp": at(0),
        "thresholds": {f"{name}_seconds": seconds for name, seconds in limits.items()},
    }
    transitions = [
        {"node": "vengeance", "from": each.from_, "to": each.to, "at": each.at}
        for number in range(9)
        for each in reversed(missing("vengeance", 60 * (9 - number), 60 * (9 - number) + 5))
    ]
    recent = {"since": at(0), "transitions": transitions, "departures": [], "complete": True, "timestamp": at(600)}
    registry.answer("/nodes", seed)
    registry.answer("/nodes/aurora/why", why)
    registry.answer("/transitions?since=7d&limit=10000", recent)


@pytest.mark.usefixtures("rehearsal")
def test_the_sum_comes_first(shows):
    out = shows("rehearse", "--warning-after=5m", "--offline-after=10m")
    assert out.startswith(f"Since {at(0)}, with 5m and 10m: 0 messages instead of 9 (with 2m")
    assert "AuroraNodeWarning  vengeance" in shows("rehearse", "--warning-after=3m")


@pytest.mark.usefixtures("rehearsal")
def test_json(shows):
    found = json.loads(shows("rehearse", "--json", "--warning-after=5m", "--offline-after=10m"))
    assert (len(found["messages_now"]), found["messages_then"]) == (9, [])
    assert found["messages_now"][0]["lasted_ns"] == 120 * SECOND


@pytest.mark.usefixtures("rehearsal")
def test_thresholds_in_the_wrong_order_are_wrong_usage(cli):
    status, _, err = cli("rehearse", "--warning-after=10m", "--offline-after=5m")
    assert (status, "--warning-after: expected less than --offline-after" in err) == (2, True)
