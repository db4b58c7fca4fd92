"""How many bytes all requests may keep at the same time."""

from __future__ import annotations

from exporter.api.problems import Problem


class ByteBudget:
    """At most `most` bytes, and above that an even share of each keeper that wants no more.

    Half of it is for callers that are trusted alone.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = self._keepers = 0

    def admits(self, kept: int, more: int, *, trusted: bool = True) -> bool:
        """Whether one that keeps `kept` bytes already may keep `more` as well."""
        most = self._most if trusted else self._most // 2
        return self._kept + more <= most or kept + more <= most // (self._keepers + 1)

    def change(self, before: int, after: int) -> None:
        """One that kept `before` bytes keeps `after`."""
        self._kept += after - before
        self._keepers += bool(after) - bool(before)


def no_room() -> Problem:
    """What is answered where that is more than the budget admits."""
    return Problem(503, "too much arrives at once: send it again soon", kind="busy", headers={"Retry-After": "2"})
