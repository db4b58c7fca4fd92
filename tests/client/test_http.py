"""The one way to make a request: whatever answers, the deadline holds, and the reason is given."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from exporter.client.endpoint import parse_endpoint
from exporter.client.http import Cause, HttpService, NoAnswer, fetch


@pytest.fixture
def peer():
    """A server that does with each connection what the test says; gives its address."""
    with contextlib.ExitStack() as stack:

        def start(serve, times=1):
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def run():
                for _ in range(times):
                    connection, _ = server.accept()
                    with connection, contextlib.suppress(OSError):
                        serve(connection)

            thread = threading.Thread(target=run)
            thread.start()
            stack.callback(thread.join)
            return f"127.0.0.1:{server.getsockname()[1]}"

        yield start


def service(address, timeout_seconds=30.0, keep=1):
    return HttpService(parse_endpoint(address), timeout_seconds=timeout_seconds, user_agent="test", keep=keep)


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"], ids=["head", "body"]
)
def test_an_answer_that_drips_ends_at_the_deadline(peer, start):
    """Each piece is quick; the whole is not."""

    def serve(connection):
        connection.recv(65536)
        connection.sendall(start)
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b"x")
                connection.settimeout(0.01)
                with contextlib.suppress(TimeoutError):
                    if not connection.recv(1):
                        return

    with pytest.raises(NoAnswer) as failed:
        service(peer(serve), timeout_seconds=0.2).request("GET", "/")
    assert (failed.value.cause, str(failed.value)) == (Cause.TIMEOUT, "no answer within 200ms")


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"", Cause.PROTOCOL),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Cause.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", Cause.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, Cause.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Cause.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n", Cause.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n" + b"x" * 2**20, Cause.PROTOCOL),
    ],
    ids=["nothing", "no HTTP", "cut off", "too many headers", "no chunk", "negative chunk", "endless chunk"],
)
def test_what_is_no_whole_answer_is_none(peer, answer, cause):
    def serve(connection):
        connection.recv(65536)
        connection.sendall(answer)

    with pytest.raises(NoAnswer) as failed:
        service(peer(serve)).request("GET", "/")
    assert failed.value.cause is cause


def test_a_kept_connection_that_was_closed_is_replaced(peer):
    """The service may close an idle connection at any time, even as the next request arrives."""
    seen = []

    def serve(connection):
        seen.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    http = service(peer(serve, times=2))
    assert [http.request("GET", "/a").status, http.request("GET", "/b").status] == [200, 200]
    assert [request.split(b" ")[1] for request in seen] == [b"/a", b"/b"]
    http.close()


def test_one_connection_serves_many_requests(peer):
    def serve(connection):
        for _ in range(3):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    http = service(peer(serve))
    assert [http.request("GET", "/").status for _ in range(3)] == [204, 204, 204]
    http.close()


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..example"])
def test_a_host_that_no_resolver_takes(host):
    """As one that is not known, and before anybody is asked."""
    with pytest.raises(NoAnswer) as failed:
        service(host).request("GET", "/")
    assert failed.value.cause is Cause.HOST_NAME


def test_a_host_that_is_not_known(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("exporter.client.connection.socket.create_connection", unknown)
    with pytest.raises(NoAnswer) as failed:
        fetch("http://nowhere.invalid/")
    assert failed.value.cause is Cause.HOST_NAME


def test_any_url_can_be_fetched(peer):
    seen = []

    def serve(connection):
        seen.append(connection.recv(65536).split(b"\r\n")[0])
        connection.sendall(b"HTTP/1.0 404 Not Found\r\n\r\nno")

    answer = fetch(f"http://{peer(serve)}/a/b?c=d")
    assert (answer.status, answer.body, seen) == (404, b"no", [b"GET /a/b?c=d HTTP/1.1"])
