"""What is said of GPUs that somebody could look at, could not, or still tries to."""

from __future__ import annotations

import threading

import pytest

from exporter.agent import watch as module
from exporter.agent.gpus import Gpu, Inventory, Look, Sight
from exporter.agent.logs import AgentLog
from exporter.agent.watch import GpuWatch

READING = {"index": 0, "utilization": 0.5}
SEEN = Look(Sight.SEEN, 1, (Gpu(0, "A", 2**34, READING),))
UNSURE = Look(Sight.UNSURE, reason="unknown error")
HUNG = object()
"""The driver's call does not return before the test ends."""


@pytest.fixture
def watch_of():
    """A watch whose looks, and looks at the health, have these results, one after the other; the last one stays."""
    ended = threading.Event()

    def of(results):
        left = list(results)

        def call():
            result = left.pop(0) if len(left) > 1 else left[0]
            if result is HUNG:
                ended.wait()
            if isinstance(result, Exception):
                raise result
            return result

        return call

    def do(*looks, health=({},), every=0.0):
        return GpuWatch(of(looks), lambda: None, AgentLog("error"), every=every, health=of(health))

    yield do
    ended.set()


def seen(watch):
    """Without its age, which depends on the machine."""
    readings = watch.readings(1)
    return readings and [{key: value for key, value in reading.items() if key != "age_seconds"} for reading in readings]


def test_what_was_seen_is_said(watch_of):
    watch = watch_of(SEEN)
    assert (watch.inventory(), watch.readings(1)) == (None, None)
    watch.update()
    assert (watch.inventory(), seen(watch)) == (Inventory(1, "A", 2**34), [READING])


@pytest.mark.parametrize("failure", [UNSURE, ValueError("x"), MemoryError(), OverflowError(), RecursionError()])
def test_who_cannot_look_says_nothing_for_a_while(watch_of, monkeypatch, failure):
    """Whatever was raised. Then the GPUs are lost, where there are any; and found, when somebody can."""
    watch = watch_of(SEEN, failure, failure, SEEN)
    watch.update()
    watch.update()
    assert (watch.inventory(), watch.readings(1)) == (None, None)
    watch.update()
    monkeypatch.setattr(module, "PATIENCE", -1)
    assert (watch.readings(1), watch.readings(0)) == ([], None)
    watch.update()
    assert seen(watch) == [READING]


def test_gpus_that_answer_beside_a_driver_that_cannot_be_asked_stay(watch_of, monkeypatch):
    """None is said to be lost for a while; then the others are."""
    watch = watch_of(SEEN, Look(Sight.UNSURE, 2, (Gpu(1, "B", 0, {"index": 1}),), "unknown error"), HUNG)
    watch.update()
    watch.update()
    assert watch.readings(1) is None
    monkeypatch.setattr(module, "PATIENCE", -1)
    assert watch.readings(1) == [{"index": 1}]
    watch.update(0)
    assert watch.readings(1) == []


def test_a_driver_that_hangs_is_waited_for_no_longer_than_asked(watch_of, monkeypatch):
    """What it said before gets older, and ends."""
    watch = watch_of(SEEN, HUNG)
    watch.update()
    watch.update(0)
    assert seen(watch) == [READING]
    monkeypatch.setattr(module, "FRESH", -1)
    assert watch.readings(1)[0]["age_seconds"] >= 0
    monkeypatch.setattr(module, "PATIENCE", -1)
    watch.update(0)
    assert watch.readings(1) == []


@pytest.mark.parametrize("every", [None, 3600.0])
def test_a_rare_look_that_failed_is_tried_again_at_once(watch_of, every):
    """And one that found them is not."""
    watch = watch_of(UNSURE, SEEN, Look(Sight.SEEN, 0), every=every)
    for expected in (None, Inventory(1, "A", 2**34), Inventory(1, "A", 2**34)):
        watch.update()
        assert watch.inventory() == expected


def test_nobody_waits_for_a_driver_once_the_agent_stops():
    """A signal ends no wait in the driver by itself."""
    hung = threading.Event()
    stopping = [False, False, True]

    def look():
        hung.wait()
        return SEEN

    watch = GpuWatch(
        look, lambda: None, AgentLog("error"), every=0.0, stopping=lambda: stopping.pop(0) if stopping else True
    )
    watch.update(3600)
    assert (stopping, watch.inventory()) == ([], None)
    hung.set()


def test_health_of_another_gpu_is_not_said(watch_of):
    """Their order may have changed since somebody asked how they are; one that is still there is not lost."""
    first, second = ({"index": 0, "uuid": uuid} for uuid in "AB")
    looks = [Look(Sight.SEEN, 1, (Gpu(0, "X", 2**34, reading),)) for reading in (first, second)]
    health = {0: {"uuid": "A", "fan": 0.5}, 1: {"uuid": "B", "xid_errors": {"79": 1}}}
    watch = watch_of(*looks, health=(health,))
    watch.update()
    assert watch._health_call.wait(10)
    watch.update()
    assert seen(watch) == [second]


def test_health_that_cannot_be_asked_for_is_what_it_was(watch_of):
    watch = watch_of(SEEN, health=({0: {"fan": 0.5}}, ValueError("x")))
    for _ in range(2):
        watch.update()
    while seen(watch) == [READING]:
        watch.update()
    for _ in range(3):
        watch.update()
        assert seen(watch) == [{**READING, "health": {"fan": 0.5}}]
