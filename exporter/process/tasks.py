"""Ending asyncio tasks, also those that miss a cancellation.

Before Python 3.12 `asyncio.wait_for`, which redis-py calls for every command, swallows a cancellation that arrives as
its own wait completes; an `asyncio.TaskGroup` cancels its tasks once and then waits for them without limit, and so
does `asyncio.run` at its end. A task that missed its one cancellation would run on forever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

AGAIN_SECONDS = (0.05, 0.2)
"""How long a task may clean up before it is cancelled again: at first, and at most; it doubles each time."""
END_SECONDS = 5.0
Result = TypeVar("Result")


async def end_tasks(tasks: Iterable[asyncio.Task[Any]], *, seconds: float = END_SECONDS) -> set[asyncio.Task[Any]]:
    """Cancel the tasks, again and again, until all have ended or the time is up; those that still run.

    The caller may be cancelled meanwhile, which is raised once the tasks have ended. What they raised stays in them.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    again, longest = AGAIN_SECONDS
    running = {task for task in tasks if not task.done()}
    cancelled: asyncio.CancelledError | None = None
    while running and loop.time() < deadline:
        for task in running:
            task.cancel()
        try:
            await asyncio.wait(running, timeout=min(again, max(0.0, deadline - loop.time())))
        except asyncio.CancelledError as error:
            cancelled = error
        running = {task for task in running if not task.done()}
        again = min(2 * again, longest)
    if cancelled is not None:
        raise cancelled
    return running


async def first_of(*ways: Coroutine[Any, Any, None]) -> None:
    """Wait for the first one to end and raise what it raised; the others are ended, and so are all if we are."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end_tasks(tasks)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()  # Looked at, so that asyncio does not complain that nobody did.


async def whole(work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work, then end every other task of the loop: what `asyncio.run` gets instead of the bare work."""
    try:
        return await work
    finally:
        await end_tasks(asyncio.all_tasks() - {asyncio.current_task()})
