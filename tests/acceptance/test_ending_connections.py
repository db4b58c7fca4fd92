"""The registry ends when it is asked to, whatever its clients have begun and not finished."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
import yaml

from tests.support.registry_process import RegistryProcess

pytestmark = pytest.mark.servers

AT_ONCE = 5
"""Connections of each kind."""
SMALL_BUFFER = 4096
NODES = 300
TLS_HANDSHAKE = bytes.fromhex("16030100f5010000f10303")
"""The beginning of a ClientHello of 245 bytes."""


def receive_all(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            received += part
    return received


def half_a_head(connection: socket.socket) -> None:
    connection.sendall(b"POST /nodes/register HTTP/1.1\r\nHost: a\r\nContent-")


def half_a_body(connection: socket.socket) -> None:
    """The registry waits for the other half: it said so."""
    head = b"POST /nodes/register HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 90\r\n"
    connection.sendall(head + b"Expect: 100-continue\r\n\r\n")
    assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(b'{"name": "half')


def half_a_chunked_body(connection: socket.socket) -> None:
    head = b"POST /nodes/a/heartbeat HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{}")


def half_a_body_behind_a_whole_one(connection: socket.socket) -> None:
    keep_alive(connection)
    half_a_body(connection)


def keep_alive(connection: socket.socket) -> None:
    connection.sendall(b"HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n")
    assert connection.recv(65_536).startswith(b"HTTP/1.1 200")


def nothing(connection: socket.socket) -> None:
    assert connection.fileno() > 0


def open_stream(connection: socket.socket) -> None:
    connection.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
    assert connection.recv(65_536).startswith(b"HTTP/1.1 200")


def slow_reader(connection: socket.socket) -> None:
    connection.sendall(b"GET /nodes HTTP/1.1\r\nHost: a\r\n\r\n" * 30)
    assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def half_a_handshake(connection: socket.socket) -> None:
    connection.sendall(TLS_HANDSHAKE)


Begin = Callable[[socket.socket], None]
UNFINISHED: list[Begin] = [
    nothing,
    keep_alive,
    half_a_head,
    half_a_body,
    half_a_chunked_body,
    half_a_body_behind_a_whole_one,
    open_stream,
    slow_reader,
]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


PATIENT = {"limits": {"send_timeout": "1m"}}
"""It is the end that cuts a slow reader."""


class WithTls(RegistryProcess):
    """A registry with a certificate for 127.0.0.1."""

    def __init__(self, directory: Path, authority: trustme.CA) -> None:
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_pem.write_to_path(str(directory / "key.pem"))
        certificate.cert_chain_pems[0].write_to_path(str(directory / "cert.pem"))
        authority.cert_pem.write_to_path(str(directory / "ca.pem"))
        file = directory / "web.yml"
        file.write_text(yaml.safe_dump({"tls_server_config": {"cert_file": "cert.pem", "key_file": "key.pem"}}))
        super().__init__(directory, f"--web.config.file={file}", settings=PATIENT)
        self.url = self.url.replace("http:", "https:")

    def ask(self, method: str, path: str, **keywords: Any) -> requests.Response:
        """By its certificate."""
        return super().ask(method, path, verify=str(self.directory / "ca.pem"), **keywords)


@contextlib.contextmanager
def connected(port: int, begin: Begin, context: ssl.SSLContext | None = None) -> Iterator[list[socket.socket]]:
    """Connections on which each client began something."""
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(AT_ONCE):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            connection.settimeout(30)
            connection.connect(("127.0.0.1", port))
            if context is not None:
                connection = stack.enter_context(context.wrap_socket(connection, server_hostname="127.0.0.1"))
            begin(connection)
            connections.append(connection)
        yield connections


def fill(registry: RegistryProcess, context: ssl.SSLContext | None = None) -> None:
    """Nodes enough for answers that no buffer holds."""
    connection = (
        http.client.HTTPConnection("127.0.0.1", registry.port)
        if context is None
        else http.client.HTTPSConnection("127.0.0.1", registry.port, context=context)
    )
    with contextlib.closing(connection):
        for number in range(NODES):
            body = json.dumps({"name": f"node-{number}", "metadata": {f"note-{key}": "x" * 250 for key in range(8)}})
            connection.request("POST", "/nodes/register", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 201


def ends_in_good_order(registry: RegistryProcess, begin: Begin) -> None:
    """It ends by itself, and its log has nothing to complain of but readers that it cut."""
    assert registry.stop() == 0
    complaints = [line for line in registry.log.splitlines() if "level=info" not in line]
    cut = [f'connections={AT_ONCE} peers="127.0.0.1:' in line for line in complaints]
    assert cut == ([True] if begin is slow_reader else [])


@pytest.mark.parametrize("begin", UNFINISHED)
def test_what_is_unfinished_holds_nobody_up(new_registry, begin):
    registry = new_registry(settings=PATIENT).start()
    if begin is slow_reader:
        fill(registry)
    with connected(registry.port, begin):
        ends_in_good_order(registry, begin)


@pytest.mark.parametrize("begin", [half_a_handshake, keep_alive, half_a_body, open_stream, slow_reader])
def test_nor_does_it_with_tls(tmp_path, authority, begin):
    """Peers that do not take leave, as TLS has it, are not waited for."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with WithTls(tmp_path, authority) as registry:
        if begin is slow_reader:
            fill(registry, context)
        with connected(registry.port, begin, None if begin is half_a_handshake else context):
            ends_in_good_order(registry, begin)


def test_who_sent_half_of_a_body_is_refused(new_registry):
    """With 503: it is not acknowledged and safe to repeat."""
    registry = new_registry().start()
    with connected(registry.port, half_a_body) as connections:
        assert registry.stop() == 0
        answers = [receive_all(connection) for connection in connections]
    assert [answer.startswith(b"HTTP/1.1 503") for answer in answers] == [True] * AT_ONCE
    assert all(b"urn:aurora:problem:stopping" in answer for answer in answers)
