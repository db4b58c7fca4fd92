"""Durations as Prometheus writes them: `90s`, `2m`, `1h30m`, `100ms`."""

from __future__ import annotations

import re

from exporter.domain.clock import HOUR, MILLISECOND, MINUTE, SECOND
from exporter.domain.text import shown

DAY = 24 * HOUR
_LONGEST = 2**63 - 1
_UNITS = {"y": 365 * DAY, "w": 7 * DAY, "d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": MILLISECOND}
_DURATION = re.compile(
    r"(?:(?P<y>\d{1,6})y)?(?:(?P<w>\d{1,6})w)?(?:(?P<d>\d{1,6})d)?(?:(?P<h>\d{1,9})h)?"
    r"(?:(?P<m>\d{1,9})m)?(?:(?P<s>\d{1,9})s)?(?:(?P<ms>\d{1,12})ms)?",
    re.ASCII,
)
EXPECTED = "a duration as Prometheus writes it, such as 90s, 2m or 1h30m"


def parse_duration(text: str) -> int:
    """Nanoseconds of a Prometheus duration (units y w d h m s ms, largest first).

    Raises ValueError whose message says what was expected.
    Source: prometheus/common, model.ParseDuration; without its bare `0`, which no setting here may be.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"expected {EXPECTED}, got {shown(text)}")
    ns = sum(int(count) * _UNITS[unit] for unit, count in match.groupdict().items() if count)
    if ns > _LONGEST:
        raise ValueError(f"expected a duration of at most 292 years, got {shown(text)}")
    return ns


def format_duration(ns: int) -> str:
    """The shortest Prometheus duration, down to milliseconds: `2m`, `1h30m`, `100ms`; `0s` for nothing."""
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, ns = divmod(ns, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
