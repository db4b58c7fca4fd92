"""Quantities and moments as people say them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from exporter.domain.clock import SECOND
from exporter.domain.timestamp import parse_timestamp

_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def duration(seconds: float) -> str:
    """The two largest units: `1 minute 20 seconds`, `3 days`; `less than a second` for nothing much."""
    rest = max(0, int(seconds))
    parts: list[tuple[int, int, str]] = []
    for position, (unit, size) in enumerate(_UNITS):
        quantity, rest = divmod(rest, size)
        if quantity:
            parts.append((position, quantity, unit))
    if not parts:
        return "less than a second"
    # The second of the two stands beside the first or not at all: `3 days 2 seconds` says nothing more than `3 days`.
    shown = [part for part in parts[:2] if part[0] - parts[0][0] <= 1]
    return " ".join(count(quantity, unit) for _, quantity, unit in shown)


def count(quantity: int, thing: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{quantity} {thing}" if quantity == 1 else f"{quantity} {thing}s"


def ago(timestamp: str, now_ns: int) -> str:
    """How long before now: `4 seconds ago`; empty where the time cannot be read."""
    elapsed = _elapsed(timestamp, now_ns)
    return "" if elapsed is None else f"{duration(elapsed)} ago"


def age(timestamp: str, now_ns: int) -> str:
    """How long before now, in one unit, for a column: `4s`, `12m`, `3h`, `2d`; `?` where the time cannot be read."""
    elapsed = _elapsed(timestamp, now_ns)
    if elapsed is None:
        return "?"
    seconds = max(0, int(elapsed))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def from_now(timestamp: str, now_ns: int) -> str:
    """`in 3 hours`, or `3 hours ago`; empty where the time cannot be read."""
    elapsed = _elapsed(timestamp, now_ns)
    if elapsed is None:
        return ""
    return f"{duration(elapsed)} ago" if elapsed >= 0 else f"in {duration(-elapsed)}"


def transport(name: str) -> str:
    """`http` and `bus` within a sentence."""
    return {"http": "HTTP", "bus": "the event bus"}.get(name, name)


def phase(name: str) -> str:
    """A lifecycle's phase without its underscore."""
    return name.replace("_", " ")


def number(value: float) -> str:
    """A number without a needless fraction: `72`, `23.5`."""
    return f"{value:.1f}".removesuffix(".0")


def plain(value: Any) -> str:
    """A value of JSON on one line, texts without their quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def listed(things: Iterable[str]) -> str:
    """`a, b, c`."""
    return ", ".join(things)


def _elapsed(timestamp: str, now_ns: int) -> float | None:
    try:
        return (now_ns - parse_timestamp(timestamp)) / SECOND
    except (ValueError, OverflowError):
        return None
