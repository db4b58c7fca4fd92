"""Heads of requests: what HTTP leaves to the server to refuse, and which host a request is for."""

from __future__ import annotations

from exporter.api.problems import Problem

JUDGED = frozenset({b"host", b"transfer-encoding"})
"""Headers that `fault_of_latest` has a say about."""
Headers = list[tuple[bytes, bytes]]


def fault_of_latest(headers: Headers) -> Problem | None:
    """What is wrong with the latest header, a Host or Transfer-Encoding, beside those before it.

    Two hosts are refused, so that no two programs on the way take different ones. Source: RFC 9112 3.2, 6.1.
    """
    name, value = headers[-1]
    if name == b"host":
        hosts = sum(each == b"host" for each, _ in headers)
        return Problem(400, f"expected one Host header, got {hosts}") if hosts > 1 else None
    if value.strip().lower() == b"chunked":
        return None
    return Problem(415, "expected Transfer-Encoding chunked and no other: send the body as it is")


def take_host_of_target(target: bytes, headers: Headers) -> None:
    """The host that a target names (`GET http://host/path`) outweighs the header. Source: RFC 9112 3.2.2."""
    authority = target.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]
    if authority:
        headers[:] = [(b"host", authority), *(each for each in headers if each[0] != b"host")]
