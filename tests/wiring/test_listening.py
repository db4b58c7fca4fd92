"""Where the server listens, and what is said where it cannot."""

from __future__ import annotations

import contextlib
import errno
import socket

import pytest

from exporter.wiring import server


def test_a_port_that_is_taken_is_another_programs():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"^cannot listen on 127.0.0.1:{port}: another program does\. Stop it"):
            server.listen(f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EACCES, "ports below 1024 need root"),
        (errno.EADDRNOTAVAIL, "this host has no such address"),
        (errno.ENOBUFS, "No buffer space available"),
        (-2, "no such host"),
    ],
)
def test_the_reason_stands_there_once(monkeypatch, code, reason):
    """It fits, and says what to do."""

    def refuse(*_, **__):
        raise OSError(code, "why not")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(OSError, match=r"^cannot listen on 10.0.0.1:80: ") as refused:
        server.listen("10.0.0.1:80")
    text = str(refused.value)
    assert (text.count(reason), "--web.listen-address" in text, "Errno" in text) == (1, True, False)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this host has no IPv6")
def test_without_a_host_both_families_are_served():
    """As Go's servers do."""
    with server.listen(":0") as listening:
        for address in ("127.0.0.1", "::1"):
            with socket.create_connection((address, listening.getsockname()[1]), timeout=30) as caller:
                accepted, _ = listening.accept()
                accepted.close()
                assert caller.recv(1) == b""


def test_a_peer_that_takes_nothing_fills_little_of_the_kernels_memory():
    """Some of it is the peer's own: a buffer of the kernel that holds what arrived."""
    with (
        server.listen("127.0.0.1:0") as listening,
        socket.create_connection(listening.getsockname(), timeout=30),
        listening.accept()[0] as accepted,
    ):
        accepted.settimeout(0)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 2**20:
                sent += accepted.send(bytes(2**16))
        assert 0 < sent < 2**20
