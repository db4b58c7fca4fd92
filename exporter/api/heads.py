"""Heads: what HTTP leaves to the server to refuse, and which host a request is for."""

from __future__ import annotations

from exporter.api.problems import MEDIA_TYPE, Problem

HOP_BY_HOP = frozenset({b"connection", b"upgrade", b"http2-settings"})
LAST = b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n%bconnection: close\r\n\r\n"
SEPARATORS = len(b": \r\n")
ONCE = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"last-event-id",
        b"origin",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"traceparent",
        b"x-request-id",
    }
)
"""Headers with one value: of several, programs on the way may take different ones."""
MAX_ESCAPES, MAX_ESCAPES_IN_QUERY = 1_024, 4_096
"""Of a path, and of a query, `%41` and the like; each takes as long as some hundred plain characters. A short target's
are not counted. A path is taken apart before it is the request's turn.
"""
Headers = list[tuple[bytes, bytes]]


def size_of(target: bytes, headers: Headers) -> int:
    """Bytes of a request's target and headers, however they were read."""
    return len(target) + sum(len(name) + len(value) + SEPARATORS for name, value in headers)


def not_one_host(count: int) -> Problem:
    """Of none or several, programs on the way may take different ones. Source: RFC 9112 3.2."""
    return Problem(400, f"expected one Host header, got {count}")


def refuse_repeated(headers: Headers) -> None:
    """Raise Problem (400) for a header that decides something and stands more than once. Source: RFC 9110 5.3."""
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and name in ONCE:
            detail = f"expected one {name.decode().title()} header, got several"
            raise Problem(400, detail, kind="malformed")
        seen.add(name)


def fault_of_escapes(target: bytes) -> Problem | None:
    """What is wrong with the number of a target's escapes."""
    path, _, query = target.partition(b"?")
    if path.count(b"%") <= MAX_ESCAPES and query.count(b"%") <= MAX_ESCAPES_IN_QUERY:
        return None
    most = f"{MAX_ESCAPES} escapes (%41) in the path, and {MAX_ESCAPES_IN_QUERY} in the query"
    return Problem(414, f"expected at most {most}")


def fault_of_coding(value: bytes) -> Problem | None:
    """What is wrong with a Transfer-Encoding. Source: RFC 9112 6.1."""
    if value.strip().lower() == b"chunked":
        return None
    return Problem(415, "expected Transfer-Encoding chunked and no other: send the body as it is")


def take_host_of_target(target: bytes, headers: Headers) -> bytes:
    """The target without its host, which outweighs the header: `GET http://host/path`. Source: RFC 9112 3.2.2."""
    rest = target.partition(b"://")[2]
    authority = rest.partition(b"/")[0].partition(b"?")[0]
    if not authority:
        return target
    headers[:] = [(b"host", authority), *(each for each in headers if each[0] != b"host")]
    path = rest.removeprefix(authority)
    return path if path[:1] == b"/" else b"/" + path


def without_upgrade(method: bytes, target: bytes, version: str, headers: Headers) -> bytes:
    """The head without its request for an upgrade; `Connection: close` stays."""
    kept = [b"%b: %b\r\n" % header for header in headers if header[0] not in HOP_BY_HOP]
    options = [option for name, value in headers if name == b"connection" for option in value.lower().split(b",")]
    if b"close" in map(bytes.strip, options):
        kept.append(b"connection: close\r\n")
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, target, version.encode(), b"".join(kept))


def last_answer(problem: Problem, request_id: bytes) -> bytes:
    """What follows the status line of an answer after which the connection ends."""
    body = problem.body()
    more = b"".join(b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in problem.headers.items())
    return LAST % (MEDIA_TYPE, len(body), request_id, more) + body
