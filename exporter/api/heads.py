"""Heads of requests: what HTTP leaves to the server to refuse, and which host a request is for."""

from __future__ import annotations

from exporter.api.problems import Problem

SEPARATORS = len(b": \r\n")
Headers = list[tuple[bytes, bytes]]


def size_of(target: bytes, headers: Headers) -> int:
    """Bytes of a request's target and headers, however they were read."""
    return len(target) + sum(len(name) + len(value) + SEPARATORS for name, value in headers)


def two_hosts(count: int) -> Problem:
    """Of several, programs on the way may take different ones. Source: RFC 9112 3.2."""
    return Problem(400, f"expected one Host header, got {count}")


def fault_of_coding(value: bytes) -> Problem | None:
    """What is wrong with a Transfer-Encoding. Source: RFC 9112 6.1."""
    if value.strip().lower() == b"chunked":
        return None
    return Problem(415, "expected Transfer-Encoding chunked and no other: send the body as it is")


def take_host_of_target(target: bytes, headers: Headers) -> None:
    """The host that a target names (`GET http://host/path`) outweighs the header. Source: RFC 9112 3.2.2."""
    authority = target.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]
    if authority:
        headers[:] = [(b"host", authority), *(each for each in headers if each[0] != b"host")]
