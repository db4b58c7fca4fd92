"""Handshakes over real sockets, on both event loops: in turns, with an end, and nothing that follows them is lost."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import trustme
import uvloop
from uvicorn.server import ServerState

from exporter.api.handshaketurns import STEPS
from exporter.api.securedlistener import SecuredListener
from exporter.domain.clock import SECOND
from exporter.domain.config import Limits

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
LIMITS = replace(Limits(), receive_timeout=SECOND // 2, max_connections=50)


class Noting(ssl.SSLObject):
    """Notes when it has something to work on."""

    worked = 0

    def do_handshake(self) -> None:
        """As its base."""
        Noting.worked += 1
        super().do_handshake()


class Echo(asyncio.Protocol):
    """What is sent comes back, as soon as the connection is there."""

    refusals: ClassVar[list[str]] = []
    trusted = True
    transport: Any = None

    def limits(self) -> Limits:
        """As DeadlineProtocol has them."""
        return LIMITS

    def is_trusted(self, _: str) -> bool:
        """As a test set it."""
        return self.trusted

    def refused(self, reason: str) -> None:
        """Note it."""
        self.refusals.append(reason)

    def connection_made(self, transport: Any) -> None:
        """Once."""
        assert self.transport is None
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)


class Peer:
    """A client whose bytes are sent when the test says so."""

    def __init__(self, **wanted: Any) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for name, value in wanted.items():
            setattr(context, name, value)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._secured = context.wrap_bio(self._in, self._out)

    async def connect(self, port: int) -> None:
        """Without a word."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)

    def flight(self, *, request: bytes = b"") -> bytes:
        """What is to be sent next; a request is in it once the handshake is done."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._secured.do_handshake()
            if request:
                self._secured.write(request)
        return self._out.read()

    def send(self, data: bytes) -> None:
        """Send it."""
        self._writer.write(data)

    async def receive(self) -> bool:
        """Whether something came."""
        data = await self._reader.read(65_536)
        self._in.write(data)
        return bool(data)

    async def echo(self, request: bytes, step: int = 65_536) -> bytes:
        """What comes back; everything is sent in steps of so many bytes."""
        flight = self.flight()
        while True:
            for start in range(0, len(flight), step):
                self.send(flight[start : start + step])
                await asyncio.sleep(0)
            if not await self.receive():
                return b""
            flight = self.flight(request=request)
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                return self._secured.read(65_536)

    def close(self) -> None:
        """Without a word."""
        self._writer.transport.abort()


async def until(true: Callable[[], bool]) -> None:
    """Wait for it, half a minute at most."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def begun(port: int) -> list[Peer]:
    """As many as may be, each with a handshake that began, and that waits for the first word."""
    peers = [Peer() for _ in range(LIMITS.max_connections)]
    for peer in peers:
        await peer.connect(port)
    await until(lambda: Noting.worked == len(peers))
    return peers


@pytest.fixture(scope="module")
def identity():
    return trustme.CA().issue_cert("127.0.0.1")


@pytest.fixture(params=LOOPS)
def run(request, identity):
    """Run a test with the port of a listener."""
    Echo.refusals.clear()
    Noting.worked = 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identity.configure_cert(context)
    context.set_ecdh_curve("secp384r1")
    context.sslobject_class = Noting

    async def serve(test: Callable[[int], Awaitable[None]]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listener = SecuredListener(listening, Echo, context, ServerState())  # type: ignore[arg-type]
            try:
                await test(listening.getsockname()[1])
            finally:
                listener.close()
                await asyncio.sleep(0.01)

    def run(test: Callable[[int], Awaitable[None]]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(serve(test))

    return run


def test_few_hellos_are_worked_on_between_two_looks_at_the_sockets(run):
    """However many arrive at once: each costs a signature."""

    async def test(port: int) -> None:
        peers = await begun(port)
        for peer in peers:
            peer.send(peer.flight())
        answers = asyncio.gather(*(peer.receive() for peer in peers))
        most = 0
        while not answers.done():
            before = Noting.worked
            await asyncio.sleep(0)
            most = max(most, Noting.worked - before)
        assert all(answers.result())
        assert 0 < most <= STEPS
        for peer in peers:
            peer.close()

    run(test)


def test_who_was_answered_does_not_wait_behind_those_who_only_begin(run):
    """It has cost its signature already, and its request comes with the rest of its handshake."""

    async def test(port: int) -> None:
        peers = await begun(port)
        answered, *others = peers
        answered.send(answered.flight())
        assert await answered.receive()
        before = Noting.worked
        for peer in others:
            peer.send(peer.flight())
        answered.send(answered.flight(request=b"request"))
        assert await answered.receive()
        assert Noting.worked - before < len(others) // 2
        for peer in peers:
            peer.close()

    run(test)


@pytest.mark.parametrize("wanted", [{}, {"maximum_version": ssl.TLSVersion.TLSv1_2}], ids=["1.3", "1.2"])
@pytest.mark.parametrize("step", [65_536, 50])
def test_whatever_the_steps_what_follows_a_handshake_arrives(run, wanted, step):
    """The client's last word and its request may come as one; the server asks for another key first (its curve)."""

    async def test(port: int) -> None:
        for request in (b"request", b"r" * 2_000):
            peer = Peer(**wanted)
            await peer.connect(port)
            assert (await peer.echo(request, step))[:7] == request[:7]
            peer.close()

    run(test)


def test_strangers_that_say_nothing_or_little_are_refused_in_time(run, monkeypatch):
    monkeypatch.setattr(Echo, "trusted", False)

    async def test(port: int) -> None:
        for begin in (0, 1, 100):
            peer = Peer()
            await peer.connect(port)
            peer.send(peer.flight()[:begin])
            assert not await peer.receive()
            peer.close()
        assert Echo.refusals == ["handshake"] * 3

    run(test)


@pytest.mark.parametrize("begin", [0, 100, 65_536])
def test_peers_that_leave_in_the_middle_make_room(run, begin):
    async def test(port: int) -> None:
        for _ in range(3):
            peers = [Peer() for _ in range(LIMITS.max_connections)]
            for peer in peers:
                await peer.connect(port)
                peer.send(peer.flight()[:begin])
                peer.close()
            came_back = b""
            while not came_back:
                peer = Peer()
                await peer.connect(port)
                with contextlib.suppress(ConnectionError):
                    came_back = await peer.echo(b"request")
                peer.close()
        assert set(Echo.refusals) <= {"connections"}

    run(test)
