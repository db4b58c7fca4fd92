"""Thresholds and site rules that change while nodes are there: judged in turns, and the same in the end."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from exporter.domain.clock import SECOND
from exporter.domain.command import Register
from exporter.domain.config import Limits
from exporter.domain.durable import Batch
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.registration import Registration
from exporter.domain.site import SiteRule
from exporter.domain.status import Status, Thresholds, Transport
from exporter.nodemap import merging
from exporter.nodemap.changes import Change
from exporter.nodemap.nodemap import NodeMap
from tests.support.clock import ManualClock
from tests.support.steps import complete

NODES = 120
TURN = 8


def thresholds(warning: int, offline: int) -> Thresholds:
    return Thresholds(warning_after=warning * SECOND, offline_after=offline * SECOND)


def grown(clock: ManualClock, seed: int) -> NodeMap:
    """Nodes on both transports, some with a `ttl`, whose last heartbeats are spread over half an hour and an outage."""
    node_map, seeded_random = NodeMap(clock, Thresholds()), random.Random(seed)
    for number in range(NODES):
        ttl_ns = 7200 * SECOND if number % 5 == 0 else 0
        node_map.commit(node_map.plan(Register(Registration(f"n{number}", site=f"s{number % 3}", ttl_ns=ttl_ns))))
    for second in range(1800):
        clock.advance(40 if second == 900 else 1)
        node_map.tick()
        if seeded_random.random() < 0.12:
            name = f"n{seeded_random.randrange(NODES)}"
            node_map.heartbeat(Heartbeat(name), seeded_random.choice([*Transport]))
    return node_map


def judged(node_map: NodeMap) -> bool:
    """Whether each node stands as its counted age says, and the totals with it."""
    assert node_map.totals.statuses == Counter(node.status for node in node_map.nodes())
    return all(node_map.thresholds.status(node_map.counted_age_ns(node)) is node.status for node in node_map.nodes())


@pytest.mark.parametrize("limits", [(60, 90), (400, 500), (1500, 3000), (60, 3000), (5000, 6000), (30, 150)])
@pytest.mark.parametrize("seed", [1, 2])
def test_new_thresholds_are_applied_in_turns(limits: tuple[int, int], seed: int) -> None:
    """No turn changes more nodes than it may, counts agree all the time, and later thresholds pass in time."""
    clock = ManualClock()
    node_map = grown(clock, seed)
    assert judged(node_map)
    assert len(node_map.totals.statuses) == 3
    changes: list[Change] = []
    node_map.listeners.append(lambda change, _: changes.append(change))
    node_map.reconfigure(thresholds(*limits), node_map.totals.site_rule, Limits())
    assert changes == []
    more = True
    while more:
        more = node_map.tick(TURN)
        assert changes.count(Change.STATUS) <= TURN
        changes.clear()
        judged(node_map)
    assert judged(node_map)
    for _ in range(1200):
        clock.advance(1)
        node_map.tick()
        assert judged(node_map)


def test_heartbeats_between_two_turns_count() -> None:
    """Nodes come back, leave and change their rules again while new rules are applied."""
    clock = ManualClock()
    node_map = grown(clock, 3)
    node_map.reconfigure(thresholds(1500, 3000), node_map.totals.site_rule, Limits())
    node_map.tick(TURN)
    for number in range(0, NODES, 2):
        node_map.heartbeat(Heartbeat(f"n{number}"), Transport.BUS)
    node_map.tick(TURN)
    node_map.reconfigure(thresholds(700, 900), node_map.totals.site_rule, Limits())
    while node_map.tick(TURN):
        judged(node_map)
    assert judged(node_map)


def test_no_transition_by_new_rules_is_dated_before_them() -> None:
    """And an active node is so as of its last heartbeat, which does not move."""
    clock = ManualClock()
    node_map = NodeMap(clock, Thresholds())
    for name in ("a", "b"):
        node_map.commit(node_map.plan(Register(Registration(name))))
    for _ in range(130):
        clock.advance(1)
        node_map.tick()
        node_map.heartbeat(Heartbeat("b"), Transport.HTTP)
    clock.advance(4)
    seen_ns = node_map.get("a").last_seen_ns
    node_map.reconfigure(thresholds(140, 300), node_map.totals.site_rule, Limits())
    node_map.tick()
    node = node_map.get("a")
    assert (node.status, node.last_seen_ns) == (Status.ACTIVE, seen_ns)
    changed_ns = clock.wall_ns()
    node_map.reconfigure(thresholds(2, 3), node_map.totals.site_rule, Limits())
    for _ in range(2):
        node_map.tick()
    assert [each.to for each in node_map.pending.transitions if each.at_ns >= changed_ns] == [
        *(Status.WARNING, Status.WARNING),
        *(Status.OFFLINE, Status.OFFLINE),
    ]


def test_nor_is_it_a_heartbeat_for_another_registry() -> None:
    """It takes over the status; that the node sent a heartbeat it knows as before."""
    clock = ManualClock()
    ours, theirs = (NodeMap(clock, Thresholds(), instance=name, by=name) for name in ("ours", "theirs"))
    node = ours.commit(ours.plan(Register(Registration("a"))))
    assert node is not None
    complete(merging.adopt(theirs, Batch(records={"a": node.record})))
    for _ in range(400):
        clock.advance(1)
        ours.tick()
        complete(merging.adopt(theirs, merging.batch_of(ours, ours.pending.take(10))))
        theirs.tick()
    there = theirs.get("a")
    seen_ns, heartbeat_ns = there.last_seen_ns, there.last_heartbeat_ns
    assert there.status is Status.OFFLINE
    for node_map in (ours, theirs):
        node_map.reconfigure(thresholds(500, 900), node_map.totals.site_rule, Limits())
    ours.tick()
    taken = ours.pending.take(10).transitions
    assert [each.to for each in taken] == [Status.ACTIVE]
    complete(merging.adopt(theirs, Batch(transitions=taken)))
    assert (there.status, there.last_seen_ns, there.last_heartbeat_ns) == (Status.ACTIVE, seen_ns, heartbeat_ns)
    seen = []
    for _ in range(100):
        clock.advance(1)
        theirs.tick()
        seen.append(there.status)
    assert seen == [Status.ACTIVE] * 99 + [Status.WARNING]


@pytest.mark.parametrize("recent", [60, 600, 900, 3600])
def test_a_new_site_rule_counts_those_that_went_recently(recent: int) -> None:
    """As if it had been so from the start."""
    clock = ManualClock()
    node_map = grown(clock, 4)
    node_map.reconfigure(node_map.thresholds, SiteRule(recent=recent * SECOND), Limits())
    for _ in range(120):
        while node_map.tick(TURN):
            pass
        now_ns = clock.monotonic_ns()
        for node in node_map.nodes():
            offline_ns = now_ns - node.status_since_ns if node.status is Status.OFFLINE else 0
            assert node.long_offline == (offline_ns > recent * SECOND)
        clock.advance(1)
