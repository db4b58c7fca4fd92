"""Points in time as the API writes them: `2025-10-06T12:00:05Z`."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache

from exporter.domain.clock import SECOND
from exporter.domain.text import shown

EXPECTED = "a time such as 2025-10-06T12:00:05Z"
_LEAP_SECOND = re.compile(r"([T ]\d\d:59):60", re.ASCII)


def format_timestamp(wall_ns: int) -> str:
    """RFC 3339 in UTC, whole seconds (rounded down)."""
    return _format_seconds(wall_ns // SECOND)


@lru_cache(maxsize=4096)
def _format_seconds(wall_seconds: int) -> str:
    # What is written together is mostly of the same few seconds: a change of the whole mesh, or a list of nodes.
    return dt.datetime.fromtimestamp(wall_seconds, dt.UTC).isoformat().replace("+00:00", "Z")


def parse_timestamp(text: str) -> int:
    """Nanoseconds since the epoch of an RFC 3339 time with an offset; ValueError says what was expected."""
    # RFC 3339 5.6 allows a small t and z, and a leap second, which Python does not read: as POSIX, it is the next one.
    written, leaps = _LEAP_SECOND.subn(r"\1:59", text.upper())
    try:
        when = dt.datetime.fromisoformat(written)
    except ValueError:
        raise ValueError(f"expected {EXPECTED}, got {shown(text)}") from None
    if when.tzinfo is None:
        raise ValueError(f"expected {EXPECTED}, with its Z or offset, got {shown(text)}")
    since = when - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (since.days * 86400 + since.seconds + leaps) * SECOND + since.microseconds * 1000
