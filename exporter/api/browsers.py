"""What browsers are told and believed: pages of other origins may read, and never write."""

from __future__ import annotations

import re
from collections.abc import Mapping

from exporter.api.problems import Problem

Headers = list[tuple[bytes, bytes]]
READS = b"GET, HEAD, OPTIONS"
READABLE = b"ETag, X-Request-ID"
SENDABLE = b"Accept, Authorization, Content-Type, If-None-Match, Last-Event-ID, X-Request-ID, traceparent"
HOW_TO_WRITE = "pages of other sites cannot write: call the API from a program"


class Origins:
    """Which origins may read: those that the setting matches as a whole, as Prometheus has it."""

    def __init__(self) -> None:
        self._setting: str | None = None
        self._pattern = re.compile("")

    def headers(self, setting: str, origin: bytes) -> Headers:
        """What an answer to this origin carries; never that it may send credentials."""
        if setting != self._setting:
            self._setting, self._pattern = setting, re.compile(setting)
        anyone = setting == ".*"
        vary = [] if anyone else [(b"vary", b"Origin")]
        if not anyone and self._pattern.fullmatch(origin.decode("latin-1")) is None:
            return vary
        return [
            (b"access-control-allow-origin", b"*" if anyone else origin),
            (b"access-control-allow-methods", READS),
            (b"access-control-allow-headers", SENDABLE),
            (b"access-control-expose-headers", READABLE),
            *vary,
        ]


def refuse_cross_site(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a write without a body that a browser sends for another site's page.

    A write with a body is of a type that browsers ask for leave first. `Sec-Fetch-Site` comes over TLS and to localhost
    alone, so elsewhere the page's `Origin` is held against the `Host` it calls. Source: Fetch Metadata, W3C.
    """
    site = headers.get(b"sec-fetch-site")
    if site is None:
        origin = headers.get(b"origin")
        cross = origin is not None and origin.partition(b"://")[2] != headers.get(b"host", b"")
    else:
        cross = site.strip().lower() == b"cross-site"
    if cross:
        raise Problem(403, HOW_TO_WRITE, kind="cross-site")
