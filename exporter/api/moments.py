"""Points in time as people write them: a time, or a duration from now."""

from __future__ import annotations

from exporter.domain.duration import parse_duration
from exporter.domain.text import shown
from exporter.domain.timestamp import parse_timestamp


def parse_moment(text: str, wall_ns: int, *, direction: int, expected: str) -> int:
    """Nanoseconds since the epoch; a duration counts on (`direction` 1) or back (-1) from `wall_ns`.

    Raises ValueError that says what was `expected`.
    """
    try:
        return wall_ns + direction * parse_duration(text)
    except ValueError:
        pass
    try:
        return parse_timestamp(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{expected}, got {shown(text)}") from None
