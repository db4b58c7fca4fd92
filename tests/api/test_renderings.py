"""Who gets a shared rendering, and when."""

from __future__ import annotations

import asyncio

import pytest

from exporter.api import renderings
from exporter.api.renderings import Body, Renderings


async def gathered(shared: Renderings, readers: int, began: list[int], error: Exception | None = None) -> list[object]:
    """What so many readers of one key get."""

    async def render() -> Body:
        began.append(1)
        await asyncio.sleep(0)
        if error:
            raise error
        return Body([b"body"])

    return await asyncio.gather(*(shared.get("key", render) for _ in range(readers)), return_exceptions=True)


def test_all_who_ask_at_the_same_time_share_one_rendering():
    """However many; a later caller gets a new one."""
    shared = Renderings(1, pytest.fail)
    began: list[int] = []
    bodies = asyncio.run(gathered(shared, 500, began))

    assert (len(bodies), len({id(body) for body in bodies}), len(began)) == (500, 1, 1)
    asyncio.run(gathered(shared, 1, began))
    assert len(began) == 2


def test_an_error_reaches_all():
    """And the next one may succeed."""
    shared = Renderings(1, pytest.fail)
    found = asyncio.run(gathered(shared, 40, [], ValueError("no")))

    assert [str(each) for each in found] == ["no"] * 40
    assert isinstance(asyncio.run(gathered(shared, 1, []))[0], Body)


def test_a_body_is_handed_to_a_few_at_a_time_and_not_to_who_left():
    """So that others have the event loop in between."""

    async def play() -> list[int]:
        ready = asyncio.Event()

        async def render() -> Body:
            await ready.wait()
            return Body([b"body"])

        shared = Renderings(1, pytest.fail)
        tasks = [asyncio.create_task(shared.get("key", render)) for _ in range(3 * renderings.STARTS)]
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
    assert sum(counts) == 3 * renderings.STARTS
    assert max(counts) <= renderings.STARTS
