"""What arrives is parsed in rounds, here with a loop and transports that only note what they are asked for."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

import pytest

from exporter.api import rounds
from exporter.api.rounds import HEADS, SLICE, Inflow, Rounds, Work, is_heartbeat

BEAT = b"POST /nodes/vengeance/heartbeat HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Loop:
    """Runs what was scheduled when the test says so, a round at a time; it has no sockets and no time."""

    def __init__(self) -> None:
        self.soon: list[Any] = []

    def call_soon(self, call: Any) -> None:
        """In the next round."""
        self.soon.append(call)

    def turn(self) -> None:
        """One round."""
        soon, self.soon = self.soon, []
        for call in soon:
            call()


class Transport:
    """Notes whether it is read from; nothing is ever written."""

    def __init__(self) -> None:
        self.reading, self.closing = True, False

    def pause_reading(self) -> None:
        """No more is read."""
        self.reading = False

    def resume_reading(self) -> None:
        """More is read."""
        assert not self.closing
        self.reading = True

    def is_closing(self) -> bool:
        """As a test set it."""
        return self.closing


class Connection:
    """Of a number; what it parses takes a whole round's time, and is noted."""

    def __init__(self, all_of_them: Connections, number: int) -> None:
        self._all, self._number = all_of_them, number
        self.pipeline: list[object] = all_of_them.requests
        self.body, self.trusted = 2**30, True

    def parse(self, data: bytes) -> None:
        """Note it."""
        self._all.now += rounds.ROUND_SECONDS
        self._all.parsed.append((self._number, data))
        self.body = max(0, self.body - len(data))

    def body_left(self) -> int:
        """As a test set it, less what was parsed."""
        return self.body

    def no_room(self) -> None:
        """Note it."""
        self._all.refused.append(self._number)


class Connections:
    """Several of one server."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.loop, self.parsed = Loop(), cast("list[tuple[int, bytes]]", [])
        self.now = 0.0
        monkeypatch.setattr(rounds, "perf_counter", lambda: self.now)
        shared = Rounds(cast("asyncio.AbstractEventLoop", self.loop))
        self.transports = [Transport() for _ in range(count)]
        self.requests: list[object] = []
        self.refused: list[int] = []
        self.connections = [Connection(self, number) for number in range(count)]
        self.inflows = [
            Inflow(cast("asyncio.Transport", transport), shared, connection)
            for transport, connection in zip(self.transports, self.connections, strict=True)
        ]


def test_many_that_send_at_once_are_parsed_in_turns(monkeypatch):
    """One a round, here; meanwhile nothing more is read from those that wait."""
    connections = Connections(monkeypatch, 4)
    for number, inflow in enumerate(connections.inflows):
        inflow.receive(b"%d" % number)

    assert connections.parsed == [(0, b"0")]
    assert [transport.reading for transport in connections.transports] == [True, False, False, False]
    connections.loop.turn()
    connections.loop.turn()
    assert connections.parsed == [(0, b"0"), (1, b"1"), (2, b"2")]
    assert [transport.reading for transport in connections.transports] == [True, True, True, False]


def test_much_of_one_connection_is_parsed_in_slices_and_others_come_in_between(monkeypatch):
    """In order, and all of it; who has taken less time comes first."""
    connections = Connections(monkeypatch, 2)
    first, other = connections.inflows
    first.receive(b"a" * SLICE + b"b" * SLICE + b"c")
    connections.loop.turn()
    other.receive(b"d" * SLICE + b"e")
    for _ in range(5):
        connections.loop.turn()

    parsed = [(0, b"a"), (1, b"d"), (0, b"b"), (1, b"e"), (0, b"c")]
    assert [(number, data[:1]) for number, data in connections.parsed] == parsed
    assert all(transport.reading for transport in connections.transports)


def test_heartbeats_of_many_nodes_do_not_fall_behind_those_who_took_less_time(monkeypatch):
    """Others begin again and again, with little; a large body would wait for all of them before each slice."""
    connections = Connections(monkeypatch, 3)
    batch, *others = connections.inflows
    batch.begin()
    batch.counts = False
    batch.receive(b"a" * SLICE + b"b" * SLICE + b"c")
    for inflow in others:
        inflow.receive(b"d" * SLICE + b"e")
    for _ in range(7):
        connections.loop.turn()
    assert [data[:1] for _, data in connections.parsed] == [b"a", b"d", b"d", b"b", b"c", b"e", b"e"]
    batch.begin()
    assert batch.counts


def test_reading_goes_on_when_neither_the_request_nor_its_turn_is_waited_for(monkeypatch):
    """The server pauses for a body that nobody takes, we for a turn: both must have ended."""
    connections = Connections(monkeypatch, 1)
    inflow, transport = connections.inflows[0], connections.transports[0]
    inflow.receive(b"a" * (SLICE + 1))
    inflow.pause_reading()
    inflow.resume_reading()
    assert not transport.reading
    inflow.pause_reading()
    connections.loop.turn()
    connections.loop.turn()
    assert (inflow.unparsed, transport.reading) == (b"", False)
    connections.requests.append("a whole one")
    inflow.resume_reading()
    assert not transport.reading
    connections.requests.clear()
    inflow.resume_reading()
    assert transport.reading


def test_a_connection_that_ended_is_not_read_from(monkeypatch):
    """What it sent and is not parsed is dropped."""
    connections = Connections(monkeypatch, 1)
    inflow, transport = connections.inflows[0], connections.transports[0]
    inflow.receive(b"a" * (SLICE + 1))
    inflow.drop()
    transport.closing = True
    connections.loop.turn()

    assert (connections.parsed, transport.reading) == ([], False)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (BEAT, True),
        (b"POST /nodes/" + b"n" * 63 + b"/heartbeat HTTP/1.1\r\n", True),
        (b"POST /nodes/register HTTP/1.1\r\n", False),
        (b"GET /nodes/a/heartbeat HTTP/1.1\r\n", False),
        (b"POST /nodes/register HTTP/1.1\r\n" + b"x" * 99 + b"/heartbeat ", False),
        (BEAT + b"x" * 4_096, False),
    ],
)
def test_what_is_a_heartbeat_by_its_first_line(data, expected):
    """A large one waits for its turn, too."""
    assert is_heartbeat(data) is expected


def test_requests_that_follow_are_parsed_when_those_before_are_answered(monkeypatch):
    """A read of many small requests is taken in small slices, so that few are kept at a time."""
    connections = Connections(monkeypatch, 1)
    inflow, transport = connections.inflows[0], connections.transports[0]
    connections.connections[0].body = 0
    inflow.receive(b"a" * HEADS + b"b" * HEADS + b"c")
    connections.loop.turn()
    connections.requests.append("a whole one")
    for _ in range(3):
        connections.loop.turn()
    assert [data[:1] for _, data in connections.parsed] == [b"a", b"b"]
    connections.requests.clear()
    inflow.resume_reading()
    inflow.resume_reading()
    connections.loop.turn()
    assert [data[:1] for _, data in connections.parsed] == [b"a", b"b", b"c"]
    assert transport.reading


def test_what_waits_of_all_connections_is_bounded(monkeypatch):
    """What is beyond it is refused, and there is room again once some of it was parsed, or its connection left."""
    monkeypatch.setattr(rounds, "MAX_UNPARSED", 3 * SLICE)
    connections = Connections(monkeypatch, 4)
    first, second, third, fourth = connections.inflows
    for inflow in (first, second):
        inflow.receive(b"a" * (SLICE + 1))
    third.receive(b"a" * (SLICE + 1))
    assert connections.refused == [2]
    connections.loop.turn()
    third.receive(b"a" * SLICE)
    second.drop()
    fourth.receive(b"a" * SLICE)
    assert connections.refused == [2]
    for _ in range(6):
        connections.loop.turn()
    assert [inflow.unparsed for inflow in connections.inflows] == [b""] * 4
    assert sum(len(data) for _, data in connections.parsed) == (SLICE + 1) + 2 * SLICE


def test_where_all_room_is_taken_a_caller_with_little_has_a_place(monkeypatch):
    """Those that keep much are refused more, so that hundreds of them shut nobody out; nor do many with little."""
    monkeypatch.setattr(rounds, "MAX_UNPARSED", 4 * SLICE)
    connections = Connections(monkeypatch, 60)
    much, little = connections.inflows[:2], connections.inflows[2:]
    for inflow in much:
        inflow.receive(b"a" * 2 * SLICE)
    little[0].receive(b"a" * SLICE)
    assert connections.refused == []
    much[0].receive(b"a" * SLICE)
    assert connections.refused == [0]
    for inflow in little[1:]:
        inflow.receive(b"a" * 1_000)
    assert connections.refused == [0]
    for inflow in little:
        inflow.receive(b"a" * 1_000)
    assert connections.refused == [0, *range(2, 60)]


def test_strangers_leave_room_for_trusted_callers(monkeypatch):
    """Half of what may wait."""
    monkeypatch.setattr(rounds, "MAX_UNPARSED", 4 * SLICE)
    connections = Connections(monkeypatch, 3)
    for connection in connections.connections[:2]:
        connection.trusted = False
    for inflow in connections.inflows:
        inflow.receive(b"a" * 2 * SLICE)
    assert connections.refused == [1]


def test_requests_begin_a_few_in_a_round_and_readers_keep_no_others_waiting(monkeypatch):
    """In the order in which they came, while rounds are short."""
    monkeypatch.setattr("exporter.exposition.yielder.time.perf_counter", lambda: 0.0)

    async def play() -> None:
        began: list[str] = []
        shared = Rounds(asyncio.get_running_loop())
        many = 2 * rounds.BEGUN + 1
        for number in range(many):
            shared.begin(partial(began.append, f"read {number}"), Work.READ)
        shared.begin(partial(began.append, "write"), Work.WRITE)
        shared.begin(partial(began.append, "heartbeats"), Work.HEARTBEATS)

        assert began == [*(f"read {number}" for number in range(rounds.BEGUN)), "write", "heartbeats"]
        await asyncio.sleep(0)
        shared.begin(partial(began.append, "the last"), Work.READ)
        assert len(began) == 2 * rounds.BEGUN + 2
        await asyncio.sleep(0)
        assert began[-2:] == [f"read {many - 1}", "the last"]

    asyncio.run(play())


def pieces(monkeypatch, data, *, body):
    """What is parsed of it, turn by turn, where so many bytes of a body are awaited."""
    connections = Connections(monkeypatch, 1)
    connections.connections[0].body = body
    connections.inflows[0].receive(data)
    while connections.loop.soon:
        connections.loop.turn()
    return [piece for _, piece in connections.parsed]


GET, POST = b"GET /stats HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /nodes/register HTTP/1.1\r\nHost: a\r\n\r\n{}"


@pytest.mark.parametrize(
    ("data", "body", "parsed"),
    [
        (GET, 0, [GET]),
        (GET * 3, 0, [GET] * 3),
        (GET + GET[:9], 0, [GET + GET[:9]]),
        (POST, 0, [POST]),
        (POST * 2, 0, [POST[:-2], POST[-2:] + POST]),
        (b"xx" + GET * 2, 2, [b"xx", GET, GET]),
        (b"x" * (SLICE + 1) + GET, SLICE + 1, [b"x" * SLICE, b"x", GET]),
        (b"x" * SLICE, SLICE + 1, [b"x" * SLICE]),
    ],
    ids=["one", "three", "and a half", "with a body", "two", "behind a body", "behind a large one", "a part of one"],
)
def test_of_requests_that_come_together_one_is_parsed_at_once(monkeypatch, data, body, parsed):
    """Each that is parsed is kept. That the first POST has a body, nobody says to the connection here."""
    assert pieces(monkeypatch, data, body=body) == parsed
