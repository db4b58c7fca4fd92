"""Commands that wait to become durable: each caller is answered within two seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from exporter.domain.command import Command
from exporter.domain.errors import StoreUnavailable
from exporter.domain.node import Node
from exporter.exposition.yielder import Turns, resolve

TOO_LATE = "the store did not answer in time"
ANSWER_WITHIN = 1.8
"""Seconds after which a command that the store did not take is given up: every answer comes within two."""
MAX_COMMANDS = 200
"""Commands that become durable together."""
AT_ONCE = 4
"""So many callers are answered between two looks of the event loop at its sockets."""

Submitted = tuple[Command, "asyncio.Future[Node | None]"]
_answers = Turns(AT_ONCE)


class CommandQueue:
    """In order of arrival; of each node at most one is taken at a time."""

    def __init__(self, on_arrival: Callable[[], None]) -> None:
        self._submitted: list[Submitted] = []
        self._on_arrival = on_arrival

    def __bool__(self) -> bool:
        return bool(self._submitted)

    async def submit(self, command: Command) -> Node | None:
        """Wait for the command's answer; raises what it is refused with, and StoreUnavailable when that takes long."""
        done: asyncio.Future[Node | None] = asyncio.get_running_loop().create_future()
        self._submitted.append((command, done))
        self._on_arrival()
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await done
        except TimeoutError:
            raise StoreUnavailable(TOO_LATE) from None

    def take(self) -> list[Submitted]:
        """Those whose callers still wait, of each node at most one: the next one is planned from its result."""
        taken: dict[str, Submitted] = {}
        left: list[Submitted] = []
        for command, done in self._submitted:
            if done.done():
                continue
            if command.name in taken or len(taken) == MAX_COMMANDS:
                left.append((command, done))
            else:
                taken[command.name] = command, done
        self._submitted = left
        return list(taken.values())

    def put_back(self, taken: list[Submitted]) -> None:
        """They were not written, and come first again."""
        self._submitted[:0] = taken

    def refuse_all(self, error: StoreUnavailable) -> None:
        """Nothing that waits will be taken."""
        submitted, self._submitted = self._submitted, []
        for _, done in submitted:
            refuse(done, error)


def answer(done: asyncio.Future[Node | None], node: Node | None) -> None:
    """Answer a caller that may have gone, when it is its turn: hundreds at once would hold up everybody else."""
    _answers.call(partial(resolve, done, node))


def refuse(done: asyncio.Future[Node | None], error: Exception) -> None:
    """As `answer`, with what the command is refused with."""
    _answers.call(partial(_refuse, done, error))


def _refuse(done: asyncio.Future[Node | None], error: Exception) -> bool:
    if done.done():
        return False
    done.set_exception(error)
    return True
