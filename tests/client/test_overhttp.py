from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from demo.ports import free_port
from exporter.client.overhttp import HttpClient
from exporter.domain.errors import Invalid
from exporter.domain.requestoutcome import OK, Outcome, Reply
from tests.support.http_stub import HttpStub, Response

pytestmark = pytest.mark.servers


def test_a_node_registers_beats_and_leaves(registry, listening):
    """The whole of a node's life; what it said is what the registry knows."""

    async def live():
        async with listening(HttpClient(registry.url)) as client:
            stranger = await client.heartbeat("vengeance", {})
            welcome = await client.register({"name": "vengeance", "vpn_ip": "10.0.0.4"})
            ok = await client.heartbeat("vengeance", {"status": "active", "sequence": 1})
            document = registry.get("/nodes/vengeance").json()
            left = await client.leave("vengeance")
            return stranger, welcome, ok, document, left, await client.heartbeat("vengeance", {})

    stranger, welcome, ok, document, left, afterwards = asyncio.run(live())
    assert stranger.outcome is Outcome.UNKNOWN
    assert welcome == Reply(Outcome.OK, document={"heartbeat_interval_seconds": 30.0})
    assert welcome.heartbeat_interval_seconds == 30.0
    assert ok is OK
    assert (document["vpn_ip"], document["transport"]) == ("10.0.0.4", "http")
    assert left is OK
    assert (afterwards.outcome, afterwards.reason) == (
        Outcome.DEPARTED,
        "node 'vengeance' was deregistered: register it again to bring it back",
    )


def test_a_refusal_names_each_field(registry, listening):
    """The registry's own sentences, in one."""

    async def register():
        async with listening(HttpClient(registry.url)) as client:
            return await client.register({"name": "a", "vpn_ip": "home", "metadata": {"site": "a\nb"}})

    answer = asyncio.run(register())
    assert answer == Reply(
        Outcome.REFUSED,
        "vpn_ip: expected an IP address or 'dynamic', got 'home'; "
        "metadata.site: expected no control, bidi-override or surrogate characters, got '\\n'",
    )


def test_a_name_of_another_living_machine_is_a_conflict(registry, listening):
    async def claim():
        async with listening(HttpClient(registry.url)) as client:
            await client.register({"name": "twin", "node_id": "first"})
            return await client.register({"name": "twin", "node_id": "second"})

    assert asyncio.run(claim()).outcome is Outcome.CONFLICT


def test_many_send_at_once_over_few_connections(registry, listening):
    """One client for all of them; each is received."""

    async def all_of_them():
        async with listening(HttpClient(registry.url, connections=4)) as client:
            names = [f"many-{number}" for number in range(100)]
            welcomes = await asyncio.gather(*(client.register({"name": name}) for name in names))
            beats = await asyncio.gather(*(client.heartbeat(name, {}) for name in names))
            return {answer.outcome for answer in welcomes}, beats

    assert asyncio.run(all_of_them()) == ({Outcome.OK}, [OK] * 100)


def test_a_connection_that_the_registry_ended_is_replaced(listening):
    """Servers end idle connections, and now and then just as we send."""
    seen = []

    async def receive(reader, writer):
        seen.append(writer)
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        if len(seen) == 1:
            await reader.read(1)  # The beginning of a second request, which is not answered.
        writer.close()
        await writer.wait_closed()

    async def send_twice():
        async with await asyncio.start_server(receive, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with listening(HttpClient(f"http://127.0.0.1:{port}")) as client:
                return [await client.heartbeat("a", {}), await client.heartbeat("a", {})]

    assert asyncio.run(send_twice()) == [OK, OK]
    assert len(seen) == 2


def test_no_answer_is_waited_out_and_reported(listening):
    """A registry that hangs, or a cable that was pulled: the answer comes in time, and no thread is waited for."""

    async def send():
        with socket.create_server(("127.0.0.1", 0)) as missing:
            endpoint = f"http://127.0.0.1:{missing.getsockname()[1]}"
            async with listening(HttpClient(endpoint, timeout_seconds=0.1)) as client:
                return await client.heartbeat("a", {}), endpoint

    answer, endpoint = asyncio.run(send())
    assert answer == Reply(Outcome.UNREACHABLE, f"{endpoint}: no answer within 100ms")


def test_a_refused_connection_is_reported_without_the_password(listening):
    port = free_port()

    async def send():
        async with listening(HttpClient(f"http://me:hunter2@127.0.0.1:{port}/aurora/")) as client:
            return await client.leave("a"), client.endpoint

    answer, endpoint = asyncio.run(send())
    assert endpoint == f"http://127.0.0.1:{port}/aurora"
    assert answer == Reply(Outcome.UNREACHABLE, f"{endpoint}: connection refused")


@pytest.fixture
def stranger():
    """Starts a server that gives the one answer; gives its address and what it was asked."""
    with contextlib.ExitStack() as servers:

        def start(status, headers, body=b""):
            asked: list[tuple[str, str | None]] = []

            def respond(request):
                asked.append((request.path, request.headers["Authorization"]))
                return Response(status, headers, body)

            return servers.enter_context(HttpStub(respond)).address, asked

        yield start


PROBLEM = {"Content-Type": "application/problem+json"}


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (200, {}, b"<p>Welcome to our hotel", Outcome.UNAVAILABLE),
        (302, {"Location": "http://login.example/"}, b"", Outcome.UNAVAILABLE),
        (404, {}, b"no such page", Outcome.UNAVAILABLE),
        (502, {}, b"bad gateway", Outcome.UNAVAILABLE),
        (404, PROBLEM, b'{"detail": "nothing answers at this path"}', Outcome.REFUSED),
        (403, PROBLEM, b'{"detail": "8.8.8.8 is not in auth.trusted_networks"}', Outcome.REFUSED),
        (429, PROBLEM, b'{"detail": "full"}', Outcome.UNAVAILABLE),
        (503, PROBLEM, b'{"detail": "the store did not answer in time"}', Outcome.UNAVAILABLE),
        (503, PROBLEM, b"[" * 100_000, Outcome.UNAVAILABLE),
    ],
)
def test_what_answers_decides_what_to_do(stranger, listening, status, headers, body, expected):  # noqa: PLR0917 - by name
    """What is no registry's answer is not taken for one: neither for a success, nor for an unknown node."""
    host, _ = stranger(status, headers, body)

    async def send():
        async with listening(HttpClient(f"http://{host}")) as client:
            return [await client.register({"name": "a"}), await client.heartbeat("a", {})]

    assert [answer.outcome for answer in asyncio.run(send())] == [expected, expected]


def test_when_to_come_back_is_passed_on(stranger, listening):
    host, _ = stranger(503, {**PROBLEM, "Retry-After": "7"}, b'{"detail": "not loaded yet"}')

    async def send():
        async with listening(HttpClient(f"http://{host}")) as client:
            return await client.heartbeat("a", {})

    assert asyncio.run(send()) == Reply(Outcome.UNAVAILABLE, "not loaded yet", retry_after_seconds=7)


def test_a_registry_behind_a_proxy_has_a_path_and_a_login(stranger, listening):
    host, asked = stranger(204, {})

    async def send():
        async with listening(HttpClient(f"http://me:p%40ss@{host}/aurora/")) as client:
            return await client.heartbeat("a", {})

    assert asyncio.run(send()) == OK
    assert asked == [("/aurora/nodes/a/heartbeat", "Basic bWU6cEBzcw==")]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://me:hunter2@a",
        "http://",
        "http://me:hunter2@a:x",
        "http://a?b=hunter2",
        "http://a b",
    ],
)
def test_what_is_no_url_is_refused_unseen(url):
    """It may hold a password."""
    with pytest.raises(Invalid, match=r"^expected a host, host:port or a URL such as http://10\.0\.0\.1:9999$"):
        HttpClient(url)


def test_the_end_does_not_wait_for_a_call_that_hangs(listening):
    """A registry that does not answer does not delay the end of the process; an hour would end this test."""

    async def give_up():
        with socket.create_server(("127.0.0.1", 0)) as missing:
            async with listening(
                HttpClient(f"http://127.0.0.1:{missing.getsockname()[1]}", timeout_seconds=3600)
            ) as client:
                call = asyncio.ensure_future(client.heartbeat("a", {}))
                connection, _ = await asyncio.to_thread(missing.accept)
                call.cancel()
                connection.close()

    asyncio.run(give_up())
