"""Steps of handshakes in rounds, with a loop that only notes what it is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.api import handshaketurns
from exporter.api.handshaketurns import HandshakeTurns


class Turns:
    """Steps that note their source; each takes so many milliseconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, milliseconds: float) -> None:
        self.now, self.milliseconds = 0.0, milliseconds
        self.soon: list[Any] = []
        self.pauses: list[float] = []
        self.taken: list[str] = []
        monkeypatch.setattr(handshaketurns, "perf_counter", lambda: self.now)
        self.turns = HandshakeTurns(self)  # type: ignore[arg-type]  # of a loop it needs two methods

    def call_soon(self, call: Any) -> None:
        """In the next round."""
        self.soon.append(call)

    def call_later(self, seconds: float, call: Any, *arguments: Any) -> None:
        """In the next round, which is so far away."""
        self.pauses.append(round(seconds, 4))
        call(*arguments)

    def wait(self, source: str, *, trusted: bool = True, first: bool = False) -> Step:
        """Another step."""
        step = Step(self, source, trusted=trusted, first=first)
        self.turns.wait(step)
        return step

    def round(self) -> list[str]:
        """Whose turn it was in the next round."""
        soon, self.soon, self.taken = self.soon, [], []
        for call in soon:
            call()
        return self.taken


class Step:
    """One step."""

    def __init__(self, all_of_them: Turns, source: str, *, trusted: bool, first: bool) -> None:
        self.source, self.trusted, self.first, self._all = source, trusted, first, all_of_them

    def take_turn(self) -> None:
        """Note it."""
        self._all.now += self._all.milliseconds / 1000
        self._all.taken.append(self.source)


def test_a_round_ends_after_a_millisecond(monkeypatch):
    turns = Turns(monkeypatch, 0.6)
    for _ in range(5):
        turns.wait("a")
    assert [len(turns.round()) for _ in range(4)] == [2, 2, 1, 0]


def test_a_round_has_few_steps_however_short_they_are(monkeypatch):
    turns = Turns(monkeypatch, 0)
    for _ in range(6):
        turns.wait("a")
    assert [len(turns.round()) for _ in range(3)] == [4, 2, 0]
    turns.wait("a")
    assert turns.round() == ["a"]


def test_a_round_is_followed_by_a_pause_of_its_length(monkeypatch):
    """So that at least half of the loop's time is left for those who are connected."""
    turns = Turns(monkeypatch, 0.6)
    for _ in range(3):
        turns.wait("a")
    assert [turns.round(), turns.round()] == [["a", "a"], ["a"]]
    turns.wait("a")
    assert turns.round() == ["a"]
    assert turns.pauses == [0.0012, 0.0006, 0.0006]


def test_who_is_almost_done_goes_before_others_of_its_source_alone(monkeypatch):
    turns = Turns(monkeypatch, 1)
    for source in ("one", "other", "one", "other"):
        turns.wait(source)
    turns.wait("other", first=True).source = "almost done"
    assert [turns.round()[0] for _ in range(4)] == ["one", "almost done", "one", "other"]


def test_sources_take_turns(monkeypatch):
    """A stranger's hundred hold up neither another stranger's nor a trusted peer's, and the reverse."""
    turns = Turns(monkeypatch, 1)
    for _ in range(100):
        turns.wait("many", trusted=False)
        turns.wait("friends")
    turns.wait("stranger", trusted=False)
    turns.wait("friend")
    assert [turns.round()[0] for _ in range(6)] == ["friends", "many", "friend", "stranger", "friends", "many"]


def test_who_is_gone_has_no_turn(monkeypatch):
    turns = Turns(monkeypatch, 1)
    gone = turns.wait("gone")
    turns.wait("a")
    turns.turns.leave(gone)
    turns.turns.leave(gone)
    assert [turns.round(), turns.round()] == [["a"], []]
