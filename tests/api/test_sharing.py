"""Who gets a shared result, and when."""

from __future__ import annotations

import asyncio

import pytest

from exporter.api import sharing
from exporter.api.sharing import Shared

MANY = 3 * sharing.AT_ONCE


def test_a_result_is_handed_to_a_few_at_a_time_and_not_to_who_left():
    """So that others have the event loop in between."""

    async def play() -> list[int]:
        ready = asyncio.Event()

        async def work() -> str:
            await ready.wait()
            return "result"

        shared = Shared(work())
        tasks = [asyncio.create_task(shared.result()) for _ in range(MANY)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        ready.set()
        done, counts = 0, []
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            before, done = done, sum(task.done() for task in tasks)
            counts.append(done - before)
        return counts

    counts = asyncio.run(play())
    assert sum(counts) == MANY
    assert max(counts) <= sharing.AT_ONCE


def test_who_comes_later_has_the_same_result_at_once():
    async def play() -> tuple[bool, str, str]:
        async def work() -> str:
            return "result"

        shared = Shared(work())
        first = await shared.result()
        return shared.done(), first, await shared.result()

    assert asyncio.run(play()) == (True, "result", "result")


def test_an_error_reaches_all_also_later():
    async def play() -> None:
        async def work() -> str:
            raise ValueError("no")

        shared = Shared(work())
        found = await asyncio.gather(*(shared.result() for _ in range(MANY)), return_exceptions=True)
        assert [str(each) for each in found] == ["no"] * MANY
        with pytest.raises(ValueError, match="no"):
            await shared.result()

    asyncio.run(play())
