from __future__ import annotations

import asyncio
import gc
import json
import socket
import threading
from dataclasses import replace

import pytest
import requests

from exporter.api.app import create_app
from exporter.api.framing import MAX_HEAD, MAX_HEADERS
from exporter.api.protocol import DeadlineProtocol
from exporter.domain.clock import SECOND
from exporter.domain.config import Limits
from tests.api.fakeservice import FakeService

HEAD = b"POST /nodes/n1/heartbeat HTTP/1.1\r\nHost: registry\r\nContent-Type: application/json\r\nX-Request-ID: r-1\r\n"


class Connection:
    """A connection that sends what the test says, as slowly as the test says."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def remainder(self):
        """All that comes until the other side closes."""
        received = b""
        while True:
            try:
                data = self.socket.recv(65_536)
            except ConnectionResetError:
                return received
            if not data:
                return received
            received += data

    def drip(self, data):
        """Bytes one by one until the other side has enough of it; then all that came back."""
        pause = threading.Event()
        for byte in data:
            try:
                self.socket.sendall(bytes([byte]))
            except (BrokenPipeError, ConnectionResetError):
                break
            pause.wait(0.02)
        return self.remainder()


@pytest.fixture
def registry(service, serve):
    """The port of a registry that waits for a request for three tenths of a second."""
    return serve(create_app(service), limits=lambda: Limits(receive_timeout=3 * SECOND // 10))


def problem_of(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    assert b"x-request-id: " in head
    return json.loads(body)


def test_a_connection_that_never_sends_anything_is_closed(registry):
    """With 408, for callers that read it."""
    with Connection(registry) as connection:
        answer = connection.remainder()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert problem_of(answer)["detail"].startswith("the request did not arrive whole within limits.receive_timeout")


@pytest.mark.parametrize(
    ("at_once", "slowly"),
    [
        (b"", b"G" * 10_000),
        (b"GET /health HTTP/1.1\r\n", b"X-Slow: " + b"a" * 10_000),
        (b"", b"\r\n" * 10_000),
    ],
    ids=["method", "headers", "empty lines"],
)
def test_slow_headers_end(registry, at_once, slowly):
    """One byte at a time holds no connection forever."""
    with Connection(registry) as connection:
        connection.send(at_once)
        answer = connection.drip(slowly)

    assert answer == b"" or answer.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 "))


def observed(service: FakeService) -> list[tuple[str, str, str]]:
    """Handler, method and code of what was answered."""
    samples = service.telemetry.requests.family("durations", "").samples
    return list(dict.fromkeys((each.labels["handler"], each.labels["method"], each.labels["code"]) for each in samples))


@pytest.mark.parametrize(
    "length",
    [b"Content-Length: 10000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n2710\r\n"],
    ids=["sized", "chunked"],
)
def test_slow_bodies_end(registry, service, length):
    """408 with the request's own id; the request is nobody's failure of ours."""
    with Connection(registry) as connection:
        connection.send(HEAD + length + b"{")
        answer = connection.remainder()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"x-request-id: r-1\r\n" in answer
    assert [key for key in observed(service) if key[2] == "499"] == [("/nodes/{name}/heartbeat", "POST", "499")]


def test_a_slow_second_request_ends(registry):
    """The time of each request is its own: the first is answered."""
    with Connection(registry) as connection:
        connection.send(b"GET /-/healthy HTTP/1.1\r\nHost: registry\r\n\r\nGET /-/hea")
        answer = connection.remainder()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in answer


def test_empty_lines_between_requests_hold_no_connection(registry):
    """They are no request, and no sign of one."""
    with Connection(registry) as connection:
        connection.send(b"GET /-/healthy HTTP/1.1\r\nHost: registry\r\n\r\n")
        answer = connection.drip(b"\r\n" * 10_000)

    assert answer.startswith(b"HTTP/1.1 200 ") or answer == b""


def test_requests_that_arrive_in_time_are_answered(registry, service):
    """In pieces, one behind the other, on one connection."""
    with requests.Session() as session:
        for number in range(20):
            url = f"http://127.0.0.1:{registry}/nodes/register"
            assert session.post(url, json={"name": f"n{number}"}).status_code == 201
    assert len(service.node_map) == 20


def test_a_slow_answer_is_no_slow_request(serve):
    """However long we take ourselves, the request had arrived; the one behind it on the connection waits for us.

    The sleep is real: the server's own timer must have had the time to end the connection.
    """
    waiting = threading.Event()

    async def app(_scope, _receive, send):
        if not waiting.is_set():
            await asyncio.sleep(3)
            waiting.set()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    port = serve(app, limits=lambda: Limits(receive_timeout=2 * SECOND))
    with Connection(port) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        assert waiting.wait(30)
        connection.send(b"1")
        answer = b""
        while answer.count(b"HTTP/1.1 204 ") < 2:
            received = connection.socket.recv(65_536)
            assert received, answer
            answer += received

    assert b"408" not in answer


def test_a_slow_answer_is_not_cut_off_by_the_next_request(serve):
    """The next one may be slow: it is ended once the answer is out. The sleep outlasts the server's own timer."""

    async def app(_scope, _receive, send):
        await asyncio.sleep(0.5)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    with Connection(serve(app, limits=lambda: Limits(receive_timeout=SECOND // 10))) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT")
        answer = connection.remainder()

    assert answer.startswith(b"HTTP/1.1 204 ")
    assert b"HTTP/1.1 408 " in answer


def test_slow_connections_do_not_keep_others_waiting(registry):
    """Hundreds of them; then all are closed."""
    slow = [Connection(registry) for _ in range(300)]
    for connection in slow:
        connection.send(HEAD + b"Content-Length: 9\r\n\r\n{")
    for _ in range(20):
        assert requests.get(f"http://127.0.0.1:{registry}/-/healthy").status_code == 200
    answers = [connection.remainder() for connection in slow]
    for connection in slow:
        connection.__exit__()

    assert {answer[:13] for answer in answers} == {b"HTTP/1.1 408 "}


def test_endless_headers_are_refused(registry):
    """431 long before they fill the memory, whether they come at once or in parts."""
    with Connection(registry) as connection:
        connection.send(b"GET / HTTP/1.1\r\n" + b"X-Long: " + b"a" * MAX_HEAD)
        answer = connection.remainder()

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert problem_of(answer)["detail"] == (
        f"expected a request line and at most {MAX_HEADERS} headers of at most {MAX_HEAD} bytes together"
    )


@pytest.mark.parametrize("head", [b"GET /%b HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n%b: x\r\n"], ids=["target", "name"])
@pytest.mark.parametrize(
    ("size", "refused"), [(MAX_HEAD - 500, False), (MAX_HEAD + 1, True)], ids=["fits", "too large"]
)
def test_a_head_is_measured_though_it_comes_in_one_piece(registry, head, size, refused):
    """However much of it the network brings at once."""
    with Connection(registry) as connection:
        connection.send(head % (b"a" * size) + b"Connection: close\r\n\r\n")
        answer = connection.remainder()

    assert answer.startswith(b"HTTP/1.1 431 ") is refused


@pytest.mark.parametrize(
    "coding",
    [
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    ],
    ids=["list", "twice"],
)
def test_a_body_in_another_transfer_coding_is_refused(registry, coding):
    """It would be taken for what it is not."""
    with Connection(registry) as connection:
        connection.send(HEAD + coding + b"\r\n2\r\n{}\r\n0\r\n\r\n")
        answer = connection.remainder()

    assert answer.startswith(b"HTTP/1.1 415 ")
    assert problem_of(answer)["detail"] == "expected Transfer-Encoding chunked and no other: send the body as it is"


@pytest.mark.parametrize(("version", "expected"), [(b"1.1", True), (b"1.0", False)])
def test_no_100_continue_for_http_1_0(registry, version, expected):
    """Such a client takes it for the answer."""
    with Connection(registry) as connection:
        head = HEAD.replace(b"HTTP/1.1", b"HTTP/" + version)
        connection.send(head + b"Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
        connection.send(b"{}")
        answer = connection.remainder()

    assert (b" 100 Continue" in answer) is expected


def test_no_host_is_refused(registry):
    """Source: RFC 9112 3.2. A client of HTTP/1.0 need not send one."""
    with Connection(registry) as connection:
        connection.send(b"GET /nodes HTTP/1.1\r\n\r\n")
        answer = connection.remainder()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert problem_of(answer)["detail"] == "expected one Host header, got 0"
    with Connection(registry) as connection:
        connection.send(b"GET /nodes HTTP/1.0\r\n\r\n")
        assert connection.remainder().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("method", [b"GET", b"DELETE"])
def test_two_hosts_are_refused(registry, method):
    """Reads as well: a proxy before us might take the other one."""
    with Connection(registry) as connection:
        connection.send(method + b" /nodes/n1 HTTP/1.1\r\nHost: 127.0.0.1\r\nhost: 127.0.0.1\r\n\r\n")
        answer = connection.remainder()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert problem_of(answer)["detail"] == "expected one Host header, got 2"


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        (b"http://rebind.test/nodes/n1", b"127.0.0.1", b"403"),
        (b"http://127.0.0.1:9/nodes/n1", b"rebind.test", b"404"),
        (b"/nodes/n1", b"127.0.0.1:80@rebind.test", b"403"),
    ],
    ids=["target", "header", "user"],
)
def test_a_write_is_for_the_host_that_its_target_names(registry, target, host, status):
    """As every server has to take it; a port is digits and nothing else."""
    with Connection(registry) as connection:
        connection.send(b"DELETE %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (target, host))
        answer = connection.remainder()

    assert answer.split(b" ")[1] == status


@pytest.mark.parametrize("target", [b"http://127.0.0.1", b"http://127.0.0.1?", b"HTTP://127.0.0.1/"])
def test_a_target_with_a_host_needs_no_path(registry, target):
    """It is the root's, as `http://127.0.0.1` is in a browser."""
    with Connection(registry) as connection:
        connection.send(b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % target)
        answer = connection.remainder()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"<!DOCTYPE html>" in answer


def test_a_large_body_is_no_long_header(registry):
    """Headers end where they end."""
    body = json.dumps([{"node": "n1"}] * 20_000)
    answer = requests.post(
        f"http://127.0.0.1:{registry}/heartbeats", data=body, headers={"Content-Type": "application/json"}
    )

    assert (answer.status_code, len(answer.json()["rejected"])) == (200, 20_000)


def test_a_body_that_comes_in_one_piece_with_its_headers_is_none_of_them(registry):
    """Whatever the network makes one piece of."""
    body = json.dumps([{"node": "n1"}] * 10_000).encode()
    head = b"POST /heartbeats HTTP/1.1\r\nHost: r\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with Connection(registry) as connection:
        connection.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        answer = connection.remainder()

    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"\x16\x03\x01",
    ],
    ids=["binary", "version", "length", "tls"],
)
def test_what_is_no_http_is_answered_400(registry, nonsense):
    """As a problem document, too."""
    with Connection(registry) as connection:
        connection.send(nonsense)
        answer = connection.remainder()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert problem_of(answer)["detail"] == "this is no HTTP/1.1 request"


def test_a_connection_that_waits_too_long_for_its_next_request_is_closed(service, serve):
    """After an answer, without another one; one that is used again in time stays."""
    port = serve(create_app(service), timeout_keep_alive=1)
    with Connection(port) as connection:
        for _ in range(3):
            connection.send(b"GET /-/healthy HTTP/1.1\r\nHost: registry\r\n\r\n")
            assert connection.socket.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert connection.remainder() == b""


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_body_is_refused_and_thrown_away(registry, service, chunked):
    """413 that its sender gets to read, with a body announced or not."""
    service.set_config(limits=replace(service.config.limits, max_body=1000))
    piece = b" " * 100_000
    data = (piece for _ in range(50)) if chunked else piece * 50
    answer = requests.post(
        f"http://127.0.0.1:{registry}/nodes/register", data=data, headers={"Content-Type": "application/json"}
    )

    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


def test_who_asks_before_sending_is_answered_before(registry):
    """`Expect: 100-continue` spares both of us the body; the connection ends, since none will come."""
    with Connection(registry) as connection:
        connection.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
        answer = connection.remainder()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close\r\n" in answer


def test_a_body_that_stops_after_its_refusal_ends_the_connection(registry):
    """With one answer and not two."""
    with Connection(registry) as connection:
        connection.send(HEAD + b"Content-Length: 99999999\r\n\r\n{")
        answer = connection.remainder()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_too_many_connections_are_asked_to_come_back(service, serve):
    """503 as a problem document, with Retry-After."""
    port = serve(create_app(service), limits=lambda: Limits(max_connections=2))
    with Connection(port), Connection(port):
        answer = requests.get(f"http://127.0.0.1:{port}/nodes")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["type"] == "urn:aurora:problem:busy"
    assert answer.headers["x-request-id"]


def test_a_caller_that_leaves_is_no_failure(registry, service):
    """Nothing is applied, and nobody is answered."""
    with Connection(registry) as connection:
        connection.send(HEAD + b"Content-Length: 100\r\n\r\n{")
    while not (beats := [key for key in observed(service) if key[0] == "/nodes/{name}/heartbeat"]):
        requests.get(f"http://127.0.0.1:{registry}/-/healthy")

    assert [code for _, _, code in beats] == ["499"]


def test_the_timeout_follows_the_configuration(service, serve):
    """What a reload says counts for the connections that are open."""
    timeout_ns = [60 * SECOND]
    port = serve(create_app(service), limits=lambda: Limits(receive_timeout=timeout_ns[0]))
    with Connection(port) as connection:
        timeout_ns[0] = SECOND // 10
        answer = connection.remainder()

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_caller_that_leaves_with_requests_waiting_is_no_error(serve, caplog):
    """What is answered then is answered to nobody, in the middle of an answer too."""
    left, ended = threading.Event(), threading.Event()

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})
        await asyncio.to_thread(left.wait)
        for _ in range(3):
            await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})
        ended.set()

    with Connection(serve(app)) as connection:
        connection.send(b"GET /first HTTP/1.1\r\nHost: registry\r\n\r\n" * 5)
        assert connection.socket.recv(1000).startswith(b"HTTP/1.1 200 ")
    left.set()
    assert ended.wait(30)
    assert caplog.messages == []


def test_a_connection_that_is_gone_leaves_nothing_to_the_garbage_collector(service, serve):
    """Among thousands of them, what it would find late is memory."""
    port = serve(create_app(service))
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            with Connection(port) as connection:
                connection.send(b"GET /-/healthy HTTP/1.1\r\nHost: registry\r\nConnection: close\r\n\r\n")
                assert connection.remainder().startswith(b"HTTP/1.1 200 ")
        pause = threading.Event()
        while left := sum(isinstance(each, DeadlineProtocol) for each in gc.get_objects()):
            assert not pause.wait(0.05), left
    finally:
        gc.enable()
