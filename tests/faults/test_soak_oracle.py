"""The oracle of `make soak` finds what is planted, and nothing in what is true."""

from __future__ import annotations

from typing import Any

import pytest

from tests.soak.disturbances import Disturbances
from tests.soak.oracle import Limits, Oracle

A, B = "registry A", "registry B"
LIMITS = Limits(warning_after=6, offline_after=9, interval=1.5)
DIED = [("active", "warning", "12:00:06"), ("warning", "offline", "12:00:09")]


def document(status: str = "active", last_seen: str = "12:00:00", **more: Any) -> dict[str, Any]:
    return {"status": status, "last_seen": last_seen, **more}


class Story:
    """A node that registers at second 0, and what two registries show of it."""

    def __init__(self) -> None:
        self.disturbances = Disturbances(settle=6)
        self.oracle = Oracle(LIMITS, self.disturbances)
        self.oracle.attempt("n", 0)
        self.oracle.write("n", "presence", "present", 0.1, acknowledged=True)

    def sends(self, first: float, last: float, *, received: bool = True) -> None:
        second = first
        while second <= last:
            self.oracle.attempt("n", second)
            if received:
                self.oracle.receive("n", second, second + 0.1)
            second += 1.5

    def shows(self, second: float, *, registry: str = A, **shown: Any) -> None:
        self.oracle.see(registry, second, second + 0.1, {"n": document(**shown)})

    def fault(self, began: float, ended: float, registry: str = "") -> None:
        self.disturbances.end(self.disturbances.begin("fault", registry, began), ended)

    @property
    def found(self) -> list[str]:
        return [*self.oracle.lost, *self.oracle.mismatches, *self.oracle.duplicates]


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_life_and_a_death_are_true(story):
    """And what is recorded and published of them."""
    story.sends(0, 20)
    for second in range(4, 20, 4):
        story.shows(second, last_seen=f"12:00:{second:02}")
    story.oracle.see_histories(A, 20, 20.1, {})
    story.shows(29, status="warning", last_seen="12:00:20")
    story.shows(40, status="offline", last_seen="12:00:20")
    for transition in DIED:
        story.oracle.take_event(event(transition), 35, "Redis")
    story.oracle.see_histories(A, 40, 40.1, {"n": DIED})
    story.oracle.see_histories(B, 40, 40.1, {"n": DIED})
    story.oracle.compare_events(60)
    assert story.found == []


@pytest.mark.parametrize("status", ["warning", "offline"])
def test_a_node_that_goes_on_sending_is_active(story, status):
    """Whatever is disturbed, and whether or not it is received: that is not the node's fault."""
    story.sends(0, 20)
    story.shows(10)
    story.fault(15, 40)
    story.sends(21.5, 30, received=False)
    story.shows(30, status=status)
    assert story.found == [f"{A}: n: it goes on sending since 30.0 s, and is {status}"]


def test_a_heartbeat_that_was_acknowledged_counts(story):
    """A node that is back is active, once the news had its time."""
    story.sends(0, 3)
    story.shows(20, status="offline")
    story.sends(30, 36)
    story.shows(31, status="offline")
    assert story.found == []
    story.shows(37, status="offline")
    assert story.found == [f"{A}: n: a heartbeat of 4.1 s ago was acknowledged, and it is offline"]


@pytest.mark.parametrize("status", ["active", "warning"])
def test_a_dead_node_is_offline_in_time(story, status):
    story.sends(0, 3)
    story.shows(19, status=status)
    assert story.found == [f"{A}: n: it sent nothing for 16.0 s, 16.0 of them calm, and is {status}"]


def test_time_that_was_disturbed_does_not_count(story):
    """A status may be late by it."""
    story.sends(0, 3)
    story.fault(4, 6)
    story.shows(19, status="warning")
    assert story.found == []


def test_nobody_turns_active_without_a_heartbeat(story):
    story.sends(0, 3)
    story.shows(20, status="offline")
    story.shows(21, status="active")
    assert f"{A}: n: it sent nothing for 18.0 s, and turned active" in story.found


def test_last_seen_does_not_go_back(story):
    """But at a registry that started again, which need not know the last second."""
    story.sends(0, 8)
    story.shows(5, last_seen="12:00:05")
    story.shows(6, last_seen="12:00:04")
    assert story.found == [f"{A}: n: last_seen went back from 12:00:05 to 12:00:04"]


def test_last_seen_may_be_older_after_a_restart(story):
    story.sends(0, 8)
    story.shows(5, last_seen="12:00:05")
    story.oracle.restarted(A)
    story.shows(6, last_seen="12:00:04")
    assert story.found == []


def test_an_acknowledged_registration_is_there(story):
    story.sends(0, 8)
    story.oracle.see(A, 2, 2.1, {})
    assert story.found == []
    story.oracle.see(A, 8, 8.1, {})
    assert story.found == [f"{A}: n: its registration was acknowledged 7.9 s ago, and it is not shown"]


def test_a_registration_that_nobody_acknowledged_may_be_lost(story):
    story.oracle.write("m", "presence", "present", 1, acknowledged=False)
    story.sends(0, 20)
    story.shows(20)
    assert story.found == []


def test_a_registry_that_does_not_know_a_registered_node_lost_it(story):
    story.oracle.refused(B, "n", 404, 8)
    assert story.found == [f"{B}: n: registered 7.9 s ago, and answered with 404"]


def test_what_departed_is_gone(story):
    story.sends(0, 8)
    story.oracle.write("n", "presence", "absent", 10, acknowledged=True)
    story.shows(11)
    assert story.found == []
    story.shows(20)
    assert story.found == [f"{A}: n: its departure was acknowledged 10.0 s ago, and it is shown"]


def test_lifecycle_that_was_acknowledged_is_shown(story):
    story.sends(0, 20)
    story.oracle.write("n", "lifecycle", "maintenance", 10, acknowledged=True)
    story.shows(20, lifecycle="maintenance")
    assert story.found == []
    story.shows(20, lifecycle="in_service")
    assert story.found == [f"{A}: n: {{'maintenance'}} was acknowledged 10.0 s ago, and it is in_service"]


def test_a_transition_stays_recorded(story):
    """It may take a moment to be everywhere."""
    story.oracle.see_histories(A, 10, 10.1, {"n": DIED[:1]})
    story.oracle.see_histories(A, 20, 20.1, {"n": DIED})
    story.oracle.see_histories(B, 21, 21.1, {"n": DIED[:1]})
    assert story.found == []
    story.oracle.see_histories(B, 30, 30.1, {"n": DIED[:1]})
    assert story.found == [f"{B}: n: the transitions {DIED[1:]} are recorded no more"]


def test_a_transition_is_the_same_everywhere(story):
    other = [("active", "warning", "12:00:07")]
    story.oracle.see_histories(A, 10, 10.1, {"n": DIED[:1]})
    story.oracle.see_histories(A, 15, 15.1, {"n": DIED[:1]})
    story.oracle.see_histories(B, 20, 20.1, {"n": other})
    assert story.found == [f"{B}: n: recorded were {DIED[:1]}, now {other}"]


@pytest.mark.parametrize(
    "history",
    [[DIED[0], DIED[0]], [DIED[0], ("offline", "active", "12:00:09")], [("active", "active", "12:00:09")]],
    ids=["twice", "one is missing", "no change"],
)
def test_a_transition_follows_from_the_one_before(story, history):
    story.oracle.see_histories(A, 10, 10.1, {"n": history})
    from_, to, at = history[-1]
    assert story.found == [f"{A}: n: a transition from {from_} to {to} at {at} follows on {history[:-1]}"]


BACK = ("warning", "active", DIED[0][2])


def event(transition: tuple[str, str, str]) -> dict[str, Any]:
    from_, to, at = transition
    return {"type": "node_status_changed", "data": {"node": "n", "from": from_, "to": to, "at": at}}


@pytest.mark.parametrize(
    ("history", "found"),
    [([DIED[0]], [f"n: {DIED[0]} was published 2 times and recorded 1 times"]), ([DIED[0], BACK, DIED[0]], [])],
    ids=["twice", "two alike"],
)
def test_a_transition_is_published_once(story, history, found):
    """A replica passes on what its master published: that is no second time; nor is another with the same time."""
    story.oracle.see_histories(A, 5, 5.1, {})
    story.oracle.see_histories(A, 6, 6.1, {"n": history})
    story.oracle.take_event(event(DIED[0]), 7, "Redis 1")
    story.oracle.take_event(event(DIED[0]), 7, "Redis 2")
    story.oracle.take_event(event(DIED[0]), 8, "Redis 1")
    if BACK in history:
        story.oracle.take_event(event(BACK), 8, "Redis 1")
    story.oracle.compare_events(20)
    assert story.found == found


def test_a_registration_is_published_once(story):
    registered = {"type": "node_registered", "data": {"node": "n", "at": "12:00:00"}}
    story.oracle.take_event(registered, 1, "Redis 1")
    story.oracle.take_event(registered, 1, "Redis 2")
    assert story.found == []
    story.oracle.take_event(registered, 8, "Redis 1")
    assert story.found == ["Redis 1: node_registered n 12:00:00 once more"]


def test_what_is_published_is_recorded(story):
    story.oracle.see_histories(A, 5, 5.1, {})
    story.oracle.take_event(event(DIED[0]), 7, "Redis 1")
    story.oracle.see_histories(A, 20, 20.1, {})
    story.oracle.compare_events(20)
    assert story.found == [f"the bus: n: {DIED[0]} was published and is not recorded"]


def test_what_is_recorded_in_calm_times_is_published(story):
    """Pub/Sub may lose what is published while something is disturbed."""
    story.oracle.see_histories(A, 5, 5.1, {})
    story.oracle.see_histories(A, 20, 20.1, {"n": DIED[:1]})
    story.oracle.compare_events(30)
    assert story.found == [f"the bus: n: {DIED[0]} is recorded and was not published"]


def test_gauges_agree_with_documents(story):
    story.oracle.see_gauges(A, {"n": "active"}, {"n": "warning"}, {"n": "warning"})
    assert story.found == []
    story.oracle.see_gauges(A, {"n": "active"}, {"n": "warning"}, {"n": "active"})
    assert story.found == [f"{A}: n: /nodes shows active, /metrics warning"]


def test_nodes_that_nobody_knows_are_found(story):
    story.sends(0, 8)
    story.oracle.see(A, 8, 8.1, {"n": document(), "x": document()})
    assert story.found == [f"{A}: x: nobody registered it, nor did it send anything"]


def test_disturbances_that_follow_one_another_are_one(story):
    """A registry that was cut off is judged by what it knew before the first of them."""
    story.fault(10, 12, A)
    story.fault(15, 17)
    assert story.disturbances.begin_of(A, 20, 21) == 8.5
    assert story.disturbances.begin_of(B, 20, 21) == 13.5
    assert story.disturbances.undisturbed(A, 24, 25)
    assert story.disturbances.calm_seconds(0, 30) == 30 - (23 - 8.5)


def test_a_registry_that_says_that_it_is_blind_may_be_behind(story):
    """But not forever, and no node that goes on sending turns by it."""
    story.sends(0, 20)
    story.shows(5, held=True)
    story.oracle.write("n", "lifecycle", "maintenance", 10, acknowledged=True)
    story.shows(20, held=True)
    assert story.found == []
    story.oracle.finish()
    assert story.found == [f"{A}: it is still blind"]
    story.shows(21, held=False, lifecycle="maintenance")
    story.oracle.mismatches.clear()
    story.oracle.finish()
    assert story.found == []


def test_another_life_begins_with_whatever_the_clock_says(story):
    """A look was under way while the node departed, and the clock was set back since; its history goes on."""
    story.sends(0, 8)
    story.oracle.write("n", "presence", "absent", 9, acknowledged=True)
    story.shows(9.5, last_seen="12:00:08", status="warning")
    story.oracle.attempt("n", 20)
    story.oracle.write("n", "presence", "present", 20.1, acknowledged=True)
    story.shows(24, last_seen="11:00:20")
    history = [("active", "warning", "12:00:09"), ("active", "warning", "11:00:30")]
    story.oracle.see_histories(A, 40, 40.1, {"n": history})
    assert story.found == []
    story.oracle.see_histories(A, 50, 50.1, {"n": [*history, ("active", "warning", "11:00:40")]})
    assert len(story.found) == 1


def test_what_memory_alone_had_may_be_replaced(story):
    """What is not saved yet is listed too, and was no event; but what is still listed seconds later was saved."""
    ours, theirs = [("active", "warning", "12:00:05")], [("active", "warning", "12:00:08")]
    for again, found in ((52, 0), (54, 2)):
        story.oracle.see_histories(A, 40, 40.1, {"n": []})
        story.oracle.see_histories(A, 50, 50.1, {"n": ours})
        story.oracle.see_histories(A, again, again + 0.1, {"n": ours})
        story.oracle.see_histories(B, 60, 60.1, {"n": theirs})
        story.oracle.take_event(event(theirs[0]), 52, "Redis 1")
        story.oracle.compare_events(60)
        assert len(story.found) == found
        story = Story()


def test_what_is_shown_after_an_absence_is_another_life(story):
    """A registry that was stopped shows for a moment a node that departed meanwhile; the clock was set back since."""
    story.sends(0, 8)
    story.oracle.write("n", "presence", "absent", 9, acknowledged=True)
    story.fault(8, 13, A)
    story.shows(12.5, last_seen="12:00:08")
    story.oracle.see(A, 14, 14.1, {})
    story.oracle.attempt("n", 20)
    story.oracle.write("n", "presence", "present", 20.1, acknowledged=True)
    story.shows(24, last_seen="11:00:20")
    assert story.found == []
