"""Requests that two programs might cut at different places: none of them gets a second request past the other."""

from __future__ import annotations

import re
import socket

import pytest

from exporter.api.app import create_app

HEAD = b"POST /nodes/v/heartbeat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
SECOND = b"DELETE /nodes/w HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CHUNKED = b"0\r\n\r\n" + SECOND


def form(*lines, body=CHUNKED, head=HEAD):
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


REFUSED = {
    "both lengths": form(b"Content-Length: 4", b"Transfer-Encoding: chunked"),
    "both lengths, the other way": form(b"Transfer-Encoding: chunked", b"Content-Length: 4"),
    "an odd coding": form(b"Transfer-Encoding: xchunked"),
    "chunked and then another": form(b"Transfer-Encoding: chunked, identity"),
    "another and then chunked": form(b"Transfer-Encoding: identity, chunked"),
    "two codings": form(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    "two codings, the other way": form(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"),
    "a vertical tab": form(b"Transfer-Encoding:\x0bchunked"),
    "a space before the colon": form(b"Transfer-Encoding : chunked"),
    "a folded coding": form(b"Transfer-Encoding:\r\n chunked"),
    "a quoted coding": form(b'Transfer-Encoding: "chunked"'),
    "a plus sign": form(b"Content-Length: +0", body=SECOND),
    "a minus sign": form(b"Content-Length: -1", body=SECOND),
    "a list of lengths": form(b"Content-Length: 0, 0", body=SECOND),
    "two equal lengths": form(b"Content-Length: 0", b"Content-Length: 0", body=SECOND),
    "two lengths": form(b"Content-Length: 0", b"Content-Length: 47", body=SECOND),
    "a length in hexadecimal": form(b"Content-Length: 0x0", body=SECOND),
    "a length with a space": form(b"Content-Length: 0 0", body=SECOND),
    "a length with an underscore": form(b"Content-Length: 0_0", body=SECOND),
    "a length beyond 64 bits": form(b"Content-Length: 18446744073709551616", body=SECOND),
    "a bare line feed": form(b"X: y", body=SECOND).replace(b"X: y\r\n", b"X: y\n"),
    "a bare carriage return": form(b"X: y\rTransfer-Encoding: chunked"),
    "a NUL": form(b"X: a\x00b"),
    "a folded header": form(b"X: a\r\n b"),
    "a space before the first header": form(head=HEAD.replace(b"Host", b" Host")),
    "a negative chunk": form(b"Transfer-Encoding: chunked", body=b"-1\r\n" + CHUNKED),
    "a chunk's size in C's way": form(b"Transfer-Encoding: chunked", body=b"0x0\r\n\r\n" + SECOND),
    "a chunk's size beyond 64 bits": form(b"Transfer-Encoding: chunked", body=b"10000000000000000\r\n\r\n" + SECOND),
    "a chunk's size and a space": form(b"Transfer-Encoding: chunked", body=b"0 \r\n\r\n" + SECOND),
    "chunks with bare line feeds": form(b"Transfer-Encoding: chunked", body=b"0\n\n" + SECOND),
    "a chunk longer than its size": form(b"Transfer-Encoding: chunked", body=b"1\r\n{}" + CHUNKED),
    "HTTP/0.9": b"DELETE /nodes/v\r\n\r\n" + SECOND,
    "HTTP/0.9 by its number": form(b"Content-Length: 0", body=SECOND, head=HEAD.replace(b"/1.1", b"/0.9")),
    "HTTP/2 without a Host": b"DELETE /nodes/v HTTP/2.0\r\n\r\n" + SECOND,
    "the PROXY protocol": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + SECOND,
    "the binary PROXY protocol": b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\0\0\1\x7f\0\0\1\0\1\0\1" + SECOND,
}
WHOLE = {
    "a request within a body": form(b"Content-Length: %d" % len(SECOND), body=SECOND),
    "a request within a body that nobody reads": b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    % len(SECOND)
    + SECOND,
    "HTTP/1.0 with chunks": form(b"Transfer-Encoding: chunked", head=HEAD.replace(b"/1.1", b"/1.0")),
}


@pytest.fixture
def send(service, serve, register):
    """Sends bytes; the statuses of all answers."""
    register("v")
    register("w")
    port = serve(create_app(service))

    def do(data):
        received = b""
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            try:
                while more := connection.recv(65_536):
                    received += more
            except ConnectionError:
                pass
        return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", received)]

    return do


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_ambiguous_is_refused_and_nothing_behind_it_is_read(send, client, name):
    """400 or 415, and the end of the connection. Source: RFC 9112 6.3, 11.2."""
    assert send(REFUSED[name]) in ([400], [415])
    assert list(client.get("/nodes").json()["nodes"]) == ["v", "w"]


@pytest.mark.parametrize("name", WHOLE)
def test_a_body_is_no_request(send, client, name):
    """Also one that nothing uses."""
    assert len(send(WHOLE[name])) == 1
    assert list(client.get("/nodes").json()["nodes"]) == ["v", "w"]
