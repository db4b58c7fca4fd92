"""How long to wait before trying again: one rule for the registry, the client and the agent."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Pauses between attempts in seconds: twice as long each time, and each shortened at random by up to a half.

    Many that lost one server at the same moment do not all come back at the same moment.
    """

    def __init__(self, random: Callable[[], float], first: float = 0.5, longest: float = 30.0) -> None:
        """`random` gives numbers from 0 to 1; `first` and `longest` are seconds."""
        self._random = random
        self._first, self._longest = first, longest
        self._pause = first

    def next(self, at_least: float = 0.0) -> float:
        """How long to wait now; not less than the server asked for, if it did."""
        number = self._random()
        pause = self._pause * (1 - number / 2)
        self._pause = min(2 * self._pause, self._longest)
        # A server asks all to wait the same time: without jitter they would all come back together.
        return max(pause, at_least * (1 + number / 2))

    def reset(self) -> None:
        """An attempt succeeded."""
        self._pause = self._first
