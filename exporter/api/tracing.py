"""What ties an answer to our log and to the caller's: a request's id, and its trace."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Mapping

_SANE = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_process = secrets.token_hex(8).encode()
_numbers = itertools.count(1)


def request_id_of(headers: Mapping[bytes, bytes]) -> bytes:
    """The caller's own id where it is sane, or else a new one."""
    given = headers.get(b"x-request-id")
    if given is not None and _SANE.fullmatch(given):
        return given
    return b"%b-%x" % (_process, next(_numbers))


def trace_id_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The trace that the request belongs to. Source: W3C Trace Context 3.2."""
    given = headers.get(b"traceparent")
    match = _TRACEPARENT.fullmatch(given) if given is not None else None
    return match[1].decode() if match else None
