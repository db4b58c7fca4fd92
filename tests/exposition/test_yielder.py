"""How many pass between two looks of the event loop at its sockets, with a clock that the test moves."""

from __future__ import annotations

import asyncio

import pytest

from exporter.exposition.yielder import LONG_ROUND_SECONDS, Turns

MOST = 4


class Passing:
    """Calls that are counted; each round takes as long as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now, self._passed = 0.0, 0
        monkeypatch.setattr("exporter.exposition.yielder.time.perf_counter", lambda: self._now)
        self._turns = Turns(MOST)
        assert self.ask(100) == MOST

    def ask(self, calls: int) -> int:
        """How many of so many calls pass at once."""
        before = self._passed
        for _ in range(calls):
            self._turns.call(self._pass)
        return self._passed - before

    def _pass(self) -> None:
        self._passed += 1

    async def rounds(self, *seconds: float) -> list[int]:
        """How many pass after a round of so many seconds, for each."""
        passed = []
        for each in seconds:
            self._now += each
            before = self._passed
            await asyncio.sleep(0)
            passed.append(self._passed - before)
        return passed


def test_as_many_pass_in_each_round_while_rounds_are_short(monkeypatch):
    async def test() -> None:
        assert await Passing(monkeypatch).rounds(*[LONG_ROUND_SECONDS] * 3) == [MOST] * 3

    asyncio.run(test())


def test_fewer_pass_after_long_rounds_and_more_again_after_short_ones(monkeypatch):
    """One always does: work goes on, however slow the machine is."""

    async def test() -> None:
        long, short = 2 * LONG_ROUND_SECONDS, 0.0
        assert await Passing(monkeypatch).rounds(long, long, long, short, short, short, short) == [2, 1, 1, 2, 3, 4, 4]

    asyncio.run(test())


def test_idle_time_is_no_long_round(monkeypatch):
    async def test() -> None:
        passing = Passing(monkeypatch)
        await passing.rounds(*[0.0] * 30)
        assert await passing.rounds(1_000 * LONG_ROUND_SECONDS) == [0]
        assert passing.ask(2 * MOST) == MOST
        assert await passing.rounds(0.0) == [MOST]

    asyncio.run(test())
