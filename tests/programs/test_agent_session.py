"""What the agent makes of GPUs that come, go or hang: the session alone, with a voice that keeps what was said.

The voice does not test a registry's answers; tests/programs/test_agent_process.py does.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from exporter.client.protocol import OK
from exporter.domain.clock import MILLISECOND
from exporter.programs.agent import session as module
from exporter.programs.agent.gpus import Inventory
from exporter.programs.agent.session import Session

READING = {"index": 0, "uuid": "GPU-1"}


class KeepingVoice:
    """Hears everything; ends the session after some heartbeats."""

    endpoint = "here"

    def __init__(self, beats):
        self.registered = []
        self.reports = []
        self._beats = beats

    async def register(self, registration):
        self.registered.append(registration["capabilities"])
        return OK

    async def heartbeat(self, node, report):
        assert node == "a"
        self.reports.append(report)
        if len(self.reports) == self._beats:
            raise asyncio.CancelledError
        return OK


class ScriptedGpus:
    """Gives one list of readings after another, and the last one for ever; a function among them is called."""

    def __init__(self, *script):
        self._script = list(script)

    def now(self):
        step = self._script[0] if len(self._script) == 1 else self._script.pop(0)
        return step() if callable(step) else step

    readings = now


def live(gpus, inventories, beats):
    """What was registered and reported until so many heartbeats were sent."""
    client = KeepingVoice(beats)

    def describe(inventory=None):
        count = (inventories.pop(0) if inventory is None else inventory).count
        return {"name": "a", "role": "compute", "capabilities": {"gpu": count > 0, "gpu_count": count}}

    said: Any = client  # It neither leaves nor closes: no session asks for that.
    session = Session(said, describe, gpus, interval_ns=MILLISECOND)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(session.run())
    return client


def test_a_gpu_that_comes_later_is_registered():
    """The driver came up after the agent."""
    client = live(ScriptedGpus([], [READING]), [Inventory(), Inventory(1)], beats=3)
    assert [capabilities["gpu_count"] for capabilities in client.registered] == [0, 1]
    assert [report.get("gpus") for report in client.reports] == [None, [READING], [READING]]


def test_a_gpu_that_falls_off_is_missing_from_the_readings_alone():
    """The registration keeps saying what there should be: the difference is what alerts."""
    client = live(ScriptedGpus([READING], []), [Inventory(1)], beats=2)
    assert [capabilities["gpu_count"] for capabilities in client.registered] == [1]
    assert [report["gpus"] for report in client.reports] == [[READING], []]


def test_a_driver_that_hangs_does_not_stop_the_heartbeat(monkeypatch):
    """The node lives, and says so; its GPUs are missing."""
    monkeypatch.setattr(module, "GPU_SECONDS", 0.01)
    hang = threading.Event()
    try:
        client = live(ScriptedGpus([READING], hang.wait), [Inventory(1)], beats=3)
    finally:
        hang.set()
    assert [report["gpus"] for report in client.reports] == [[READING], [], []]


def test_every_heartbeat_has_its_number():
    """From 1, without gaps: a gap is what the registry counts as a loss."""
    client = live(ScriptedGpus([]), [Inventory()], beats=4)
    assert [report["sequence"] for report in client.reports] == [1, 2, 3, 4]
