"""Who gets a shared rendering, and when."""

from __future__ import annotations

import asyncio

import pytest

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
