from __future__ import annotations

import asyncio
import random

import pytest

from exporter.process.tasks import end_tasks, first_of, whole
from exporter.redislink.connecting import connect
from tests.support.redis_server import RedisServer


async def stubborn(ended, cancellations):
    """Work that misses its first cancellations, as `asyncio.wait_for` makes work do before Python 3.12."""
    for _ in range(cancellations):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue
    ended.append(cancellations)


@pytest.mark.parametrize("cancellations", [1, 3])
def test_a_task_that_misses_a_cancellation_is_cancelled_again(cancellations):
    ended: list[int] = []

    async def main():
        task = asyncio.create_task(stubborn(ended, cancellations))
        await asyncio.sleep(0)
        return await end_tasks([task], seconds=60)

    assert (asyncio.run(main()), ended) == (set(), [cancellations])


def test_a_task_that_never_ends_is_named_when_the_time_is_up():
    async def main():
        task = asyncio.create_task(stubborn([], 4))
        await asyncio.sleep(0)
        running = await end_tasks([task], seconds=0.01)
        assert running == {task}
        await end_tasks([task], seconds=60)

    asyncio.run(main())


def test_the_whole_program_ends_although_a_task_misses_its_cancellation():
    """`asyncio.run` alone cancels once, and would wait forever."""
    ended: list[int] = []

    async def main():
        task = asyncio.create_task(stubborn(ended, 2))
        await asyncio.sleep(0)
        return task.done()

    assert asyncio.run(whole(main())) is False
    assert ended == [2]


def test_the_first_one_that_ends_ends_the_others():
    ended: list[int] = []

    async def fail():
        await asyncio.sleep(0)
        raise ValueError("first")

    async def main():
        with pytest.raises(ValueError, match="first"):
            await first_of(stubborn(ended, 2), fail())

    asyncio.run(main())
    assert ended == [2]


@pytest.mark.servers
def test_work_on_a_real_redis_always_ends():
    """Cancelled at random moments: on Python 3.11 about one in three of these misses a single cancellation."""
    with RedisServer() as server:

        async def publish():
            client = connect(server.url)
            try:
                while True:
                    await client.publish("channel", b"x" * 100)
            finally:
                await client.aclose()

        async def main():
            for _ in range(10):
                task = asyncio.create_task(publish())
                await asyncio.sleep(random.uniform(0, 0.01))
                assert await end_tasks([task], seconds=60) == set()

        asyncio.run(main())
