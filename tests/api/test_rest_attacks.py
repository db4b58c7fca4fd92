"""What hostile callers send, against a real server: each is refused, and the others are served."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import threading

import pytest
import requests
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from exporter.api import bodies
from exporter.api import renderings as renderings_module
from exporter.api.app import create_app
from exporter.api.bytebudget import ByteBudget
from exporter.api.connections import source_of
from exporter.api.framing import MAX_HEAD, MAX_HEADERS
from exporter.api.heads import MAX_ESCAPES, MAX_ESCAPES_IN_QUERY
from exporter.api.problems import Problem
from exporter.api.rates import Buckets
from exporter.api.renderings import Body, Renderings
from exporter.domain.clock import SECOND
from exporter.domain.config import Limits
from tests.support.clock import ManualClock
from tests.support.server_process import until

FRIEND, STRANGER = "127.0.0.1", "127.0.0.2"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
HEAD = b"POST /nodes/n1/heartbeat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


def connect(port, source=FRIEND):
    return socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))


def rest_of(connection):
    """All that comes until the other side closes."""
    received = b""
    while True:
        try:
            data = connection.recv(65_536)
        except ConnectionError:
            return received
        if not data:
            return received
        received += data


def flood(connection, data, most):
    """Send it again and again until the other side has enough; how many bytes it took."""
    sent = 0
    try:
        while sent < most:
            connection.sendall(data)
            sent += len(data)
    except ConnectionError:
        pass
    return sent


@pytest.fixture
def refused():
    return []


@pytest.fixture
def port(service, serve, refused):
    limits = Limits(receive_timeout=60 * SECOND)
    return serve(create_app(service), limits=lambda: limits, refused=refused.append)


@pytest.mark.parametrize("head", [b"GET /nodes HTTP/1.1\r\nHost: 127.0.0.1\r\n", HEAD], ids=["read", "write"])
@pytest.mark.parametrize(
    ("before", "endless"),
    [
        (b"0\r\n", b"a:\r\n" * 1000),
        (b"0\r\n", b"a" * 4000),
        (b"1;", b"x" * 4000),
        (b"", b"0" * 4000),
    ],
    ids=["trailers", "one trailer", "chunk extension", "chunk size"],
)
def test_what_surrounds_a_body_ends(port, refused, head, before, endless):
    """431, or 400 where it is no HTTP either, after as many bytes as a head may have."""
    with connect(port) as connection:
        connection.sendall(head + CHUNKED + before)
        sent = flood(connection, endless, 1024 * MAX_HEAD)
        answer = rest_of(connection)

    assert sent < 1024 * MAX_HEAD
    assert answer == b"" or answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
    assert refused in (["head_too_large"], ["malformed"])


def test_a_body_of_tiny_chunks_is_refused(port, refused):
    """Each is a call, whatever its size; a thousand may be as small as they like."""
    with connect(port) as connection:
        connection.sendall(HEAD + CHUNKED + b"1\r\n \r\n" * 2_000)
        assert rest_of(connection).startswith(b"HTTP/1.1 400 ")
    assert refused == ["malformed"]
    body = b'{"status":"active"}'
    with connect(port) as connection:
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body + b" " * 900)
        connection.sendall(HEAD + CHUNKED + chunks + b"0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 404 ")


def test_trailers_become_no_headers(serve):
    """What a proxy in front checked are the headers."""
    seen = []

    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        seen.extend(scope["headers"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    with connect(serve(app)) as connection:
        connection.sendall(
            HEAD + b"Connection: close\r\n" + CHUNKED + b"2\r\n{}\r\n0\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"
        )
        assert rest_of(connection).startswith(b"HTTP/1.1 204 ")
    assert b"x-forwarded-for" not in dict(seen)


def test_headers_have_a_number(port):
    """431 above it."""
    with connect(port) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * MAX_HEADERS + b"\r\n")
        assert rest_of(connection).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("target", "most"),
    [
        (b"/nodes?site=%b", MAX_ESCAPES_IN_QUERY),
        (b"/metrics?name[]=%b", MAX_ESCAPES_IN_QUERY),
        (b"/%b", MAX_ESCAPES),
        (b"/nodes/%b/heartbeat?a=%%41", MAX_ESCAPES),
    ],
)
@pytest.mark.parametrize("escape", [b"%", b"%41", b"%ff"])
def test_escapes_have_a_number(port, refused, target, most, escape):
    """Taken apart, 60 KB of them would hold up everybody else for 20 ms."""
    with connect(port) as connection:
        request = b"GET " + target % (escape * (most + 1)) + b" HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall(request)
        assert rest_of(connection).startswith(b"HTTP/1.1 414 ")
    assert refused == ["malformed"]
    with connect(port) as connection:
        connection.sendall(request.replace(escape, b"", 1).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert not rest_of(connection).startswith(b"HTTP/1.1 414 ")


@pytest.mark.parametrize(
    "upgrade",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    ],
    ids=["h2c", "websocket"],
)
@pytest.mark.parametrize("split", [0, 1, 5, 30])
def test_an_upgrade_is_ignored_and_the_body_is_read(port, client, upgrade, split):
    """As curl --http2 and Java's default client send it; however its bytes arrive."""
    client.post("/nodes/register", {"name": "n1"})
    body = b'{"until": "10m", "reason": "fan"}'
    request = (
        b"PUT /nodes/n1/maintenance HTTP/1.1\r\nHost: 127.0.0.1\r\n" + upgrade
        + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )  # fmt: skip
    with connect(port) as connection:
        connection.sendall(request[: len(request) - split])
        if split:
            threading.Event().wait(0.05)
            connection.sendall(request[len(request) - split :])
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"HTTP/1.1 200 " in rest_of(connection)
    assert client.get("/nodes/n1").json()["lifecycle_reason"] == "fan"


@pytest.mark.parametrize("options", [b"Upgrade, close", b"Close ,upgrade", b"upgrade\r\nConnection: close"])
def test_with_an_upgrade_too_a_connection_that_shall_be_closed_is(port, options):
    with connect(port) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: " + options + b"\r\n\r\n")
        answer = rest_of(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in answer


@pytest.mark.parametrize("request_line", [b"CONNECT example.org:443 HTTP/1.1", b"PRI * HTTP/2.0", b"\x16\x03\x01"])
def test_what_is_no_http_1_is_refused_in_our_words(port, refused, request_line, caplog):
    """400, counted, and not logged line by line."""
    with connect(port) as connection:
        connection.sendall(request_line + b"\r\nHost: x\r\n\r\n")
        assert rest_of(connection).startswith(b"HTTP/1.1 400 ")
    assert refused == ["malformed"]
    assert caplog.records == []


@contextlib.contextmanager
def unfinished(port, number, begun):
    """So many connections that announce a large body and send the beginning of it."""
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            connection = stack.enter_context(connect(port))
            connection.sendall(HEAD + b"Content-Length: 900000\r\n\r\n" + begun)
        yield


def test_large_bodies_that_do_not_end_keep_no_other_waiting(port, register):
    """Neither a heartbeat, however large or of however many nodes, nor a registration."""
    register("n1")
    url, large = f"http://127.0.0.1:{port}", b" " * 20_000
    json_type = {"Content-Type": "application/json"}
    with unfinished(port, 200, b"{"):
        for path, body, status in (
            ("/nodes/n1/heartbeat", b"{}", 204),
            ("/heartbeats", b'[{"node": "n1"}]', 200),
            ("/nodes/register", b'{"name": "n2"}', 201),
        ):
            assert requests.post(url + path, body + large, headers=json_type, timeout=30).status_code == status
        chunked = requests.post(f"{url}/nodes/n1/heartbeat", iter([b"{}"]), headers=json_type, timeout=30)
    assert chunked.status_code == 204


def test_all_large_bodies_together_have_a_bound(service, serve, register, monkeypatch):
    """Above it one is refused, unless it wants no more than an even share; its node lives all the same."""
    kept = []

    class Budget(ByteBudget):
        def change(self, before, after):
            super().change(before, after)
            kept.append(after)

    monkeypatch.setattr(bodies, "MAX_BYTES", 2**20)
    monkeypatch.setattr(bodies, "ByteBudget", Budget)
    port = serve(create_app(service))
    register("n1")

    def send(path, size):
        url, headers = f"http://127.0.0.1:{port}{path}", {"Content-Type": "application/json"}
        return requests.post(url, b"[" + b" " * size + b"]", headers=headers, timeout=30)

    with unfinished(port, 1, b" " * 800_000):
        until(lambda: kept[-1:], [800_000])
        refusal = send("/heartbeats", 600_000)
        beat = send("/nodes/n1/heartbeat", 600_000)
        small = send("/heartbeats", 300_000)
    assert refusal.status_code == 503
    assert (refusal.json()["type"], refusal.headers["Retry-After"]) == ("urn:aurora:problem:busy", "2")
    assert (beat.status_code, beat.json()["ignored"][0]["message"]) == (200, refusal.json()["detail"])
    assert small.json() == {"accepted": 0, "rejected": []}
    until(lambda: send("/heartbeats", 600_000).status_code, 200)


def test_a_reader_that_does_not_read_is_cut_off(serve, refused):
    """Once it took less than 64 KiB within limits.send_timeout; one that reads gets all."""
    size = 64 * 2**20

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": bytes(size)})

    port = serve(app, limits=lambda: Limits(send_timeout=SECOND // 2), refused=refused.append)
    with connect(port) as stuck:
        stuck.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert len(requests.get(f"http://127.0.0.1:{port}/").content) == size
        while not refused:
            threading.Event().wait(0.05)
        assert len(rest_of(stuck)) < size
    assert refused == ["send_timeout"]


def test_strangers_leave_room_for_trusted_callers(service, serve, refused):
    """Idle strangers go first; and trusted callers are served however many come."""
    limits = Limits(max_connections=16, receive_timeout=60 * SECOND)
    port = serve(
        create_app(service), limits=lambda: limits, is_trusted=lambda host: host == FRIEND, refused=refused.append
    )
    strangers = [connect(port, STRANGER) for _ in range(40)]
    try:
        for _ in range(8):
            assert requests.get(f"http://127.0.0.1:{port}/health", timeout=30).status_code == 200
    finally:
        for stranger in strangers:
            stranger.close()
    assert set(refused) == {"idle_connection"}


def test_one_stranger_has_a_share_of_connections(service, serve, refused):
    """503 above limits.max_connections_per_source, which says what to do."""
    limits = Limits(max_connections_per_source=2)
    port = serve(create_app(service), limits=lambda: limits, is_trusted=lambda _: False, refused=refused.append)
    with connect(port, STRANGER), connect(port, STRANGER), connect(port, STRANGER) as third:
        third.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = rest_of(third)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in answer.lower()
    assert b"limits.max_connections_per_source" in answer


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
    ],
)
def test_a_source_is_an_address_or_a_network_of_64_bits(address, source):
    assert source_of(address) == source


def test_a_bucket_fills_at_its_rate():
    """After the burst, one token each half second; another source has its own."""
    clock = ManualClock()
    buckets = Buckets(clock)
    assert [buckets.take("a", 2, 3) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b", 2, 3) == 0
    clock.advance(0.5)
    assert [buckets.take("a", 2, 3) for _ in range(2)] == [0, 0.5]


def test_strangers_that_ask_too_often_are_refused(client, service):
    """429 with Retry-After; trusted callers never."""
    service.set_config(limits=Limits(untrusted_requests_per_second=1))
    client.peer = "192.0.2.7"
    answers = [client.get("/health") for _ in range(10)]
    assert [answer.status for answer in answers] == [200] * 5 + [429] * 5
    assert answers[-1].headers["retry-after"] == "1"
    client.peer = "10.0.0.7"
    assert {client.get("/health").status for _ in range(20)} == {200}


BOMBS = {
    "keys of 60,000 letters over 60,000 values": lambda: json.dumps(
        {"name": "b", "capabilities": {"k" * 60_000: [0] * 60_000}}
    ),
    "lists": lambda: "[" + "[]," * 340_000 + "[]]",
    "objects": lambda: "[" + "{}," * 340_000 + "{}]",
    "depth": lambda: '{"name": "b", "metadata": ' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}",
    "keys": lambda: json.dumps({"name": "b", "metadata": {str(number): number for number in range(50_000)}}),
    "a long unknown key": lambda: json.dumps({"name": "b", "k" * 500_000: 1}),
    "a long number": lambda: '{"name": "b", "metadata": {"a": ' + "9" * 500_000 + "}}",
    "a lone surrogate under long keys": lambda: (
        '{"name": "b", "metadata": {"' + "k" * 30_000 + '": {"' + "l" * 30_000 + '": "\\ud800"}}}'
    ),
    "a long name": lambda: json.dumps({"name": "b" * 900_000}),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_in_few_words(client, service, bomb):
    """400 as a short problem document, and nothing is kept."""
    answer = client.post("/nodes/register", BOMBS[bomb]().encode())

    assert answer.status == 400
    assert len(answer.body) < 1000
    assert len(service.node_map) == 0


def test_equal_requests_share_a_rendering():
    """While it is under way; the next one is new."""
    rendered: list[str] = []

    async def play():
        renderings = Renderings(1, rendered.append)
        gate = asyncio.Event()

        async def render():
            rendered.append("rendering")
            await gate.wait()
            return Body([b"x"])

        readers = [asyncio.create_task(renderings.get("key", render)) for _ in range(20)]
        await asyncio.sleep(0)
        readers[0].cancel()
        gate.set()
        bodies = await asyncio.gather(*readers, return_exceptions=True)
        await renderings.get("key", render)
        return {id(body) for body in bodies[1:]}

    assert len(asyncio.run(play())) == 1
    assert rendered == ["rendering"] * 2


def test_too_many_renderings_are_refused(monkeypatch):
    """503 with Retry-After, by number and by the bytes that are still read."""
    refused: list[str] = []
    monkeypatch.setattr(renderings_module, "MAX_WAITING", 3)
    monkeypatch.setattr(renderings_module, "MAX_BYTES", 10)

    async def play():
        renderings = Renderings(1, refused.append)
        gate = asyncio.Event()

        async def render():
            await gate.wait()
            return Body([b"x" * 4])

        readers = [asyncio.create_task(renderings.get(key, render)) for key in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Problem) as by_number:
            await renderings.get("another", render)
        gate.set()
        held = await asyncio.gather(*readers)
        with pytest.raises(Problem) as by_bytes:
            await renderings.get("another", render)
        del held, readers
        await asyncio.sleep(0)
        await renderings.get("another", render)
        return by_number.value, by_bytes.value

    problems = asyncio.run(play())
    assert [(problem.status, problem.headers) for problem in problems] == [(503, {"Retry-After": "1"})] * 2
    assert refused == ["busy", "busy"]


@pytest.mark.parametrize(
    "each",
    [
        b"GET /stats HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST /nodes/register HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{        ",
    ],
    ids=["reads", "writes"],
)
def test_of_requests_that_come_together_the_next_alone_is_kept(serve, each):
    """The others wait as bytes: as objects, thousands of them would keep the garbage collector busy."""
    ended = threading.Event()

    async def app(scope, _receive, send):
        while scope["path"] != "/" and not ended.is_set():  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    def kept():
        return sum(type(one) is RequestResponseCycle for one in gc.get_objects())

    port = serve(app)
    requests.get(f"http://127.0.0.1:{port}/", timeout=30)
    before = kept()
    with connect(port) as connection:
        connection.sendall(each * 299 + each.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        for _ in range(20):
            requests.get(f"http://127.0.0.1:{port}/", timeout=30)
        assert kept() - before <= 3
        ended.set()
        assert rest_of(connection).count(b"HTTP/1.1 204") == 300
