"""The small parts that all drawings share: numbers, texts, times, colours."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.support.grafana_data import Field, Processed

TEXT = "#ccccdc"
FAINT = "#8e8e9c"
GRID = "#24262c"
CHARACTER = 0.56  # a sans-serif letter's mean width, of its height


@dataclass(frozen=True, slots=True)
class Canvas:
    """A panel's inside, in pixels, and the time shown, in milliseconds."""

    panel: Mapping[str, Any]
    shown: Processed
    width: float
    height: float
    from_ms: int
    to_ms: int

    @property
    def options(self) -> Mapping[str, Any]:
        """The panel's options."""
        found: Mapping[str, Any] = self.panel.get("options", {})
        return found

    @property
    def empty(self) -> str:
        """What stands where there is nothing to draw."""
        said = self.panel.get("fieldConfig", {}).get("defaults", {}).get("noValue", "No data")
        return f'<div class="empty">{escape(said)}</div>'

    def color(self, name: str) -> str:
        """A colour's name as hex."""
        return self.shown.palette.get(name, name)


def escape(text: object) -> str:
    """Text within HTML."""
    return html.escape(str(text))


def fitting(text: str, width: float, size: float) -> str:
    """The text, cut with an ellipsis where it is wider than the pixels at this letter height."""
    room = max(1, int(width / (size * CHARACTER)))
    return text if len(text) <= room else text[: max(1, room - 1)] + "…"


def label(x: float, y: float, text: str, *, size: float = 12, color: str = FAINT, anchor: str = "start") -> str:
    """An SVG text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def bar(x: float, y: float, width: float, height: float, color: str) -> str:
    """An SVG rectangle with soft corners."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}" rx="2"/>'


def svg(width: float, height: float, *parts: str) -> str:
    """A drawing."""
    return f'<svg width="{width:.0f}" height="{height:.0f}">{"".join(parts)}</svg>'


def numbers(shown: Processed) -> list[tuple[Field, Field]]:
    """Each series: its times and its values."""
    pairs = []
    for frame in shown.frames:
        times = next((field for field in frame.fields if field.type == "time"), None)
        if times:
            pairs += [(times, field) for field in frame.fields if field is not times and not hidden(field)]
    return pairs


def hidden(field: Field) -> bool:
    """Whether the panel leaves the field out."""
    custom = field.config.get("custom", {})
    return bool(custom.get("hidden") or custom.get("hideFrom", {}).get("viz"))


def time_marks(canvas: Canvas, left: float, width: float, y: float) -> list[str]:
    """The horizontal axis' times."""
    span = canvas.to_ms - canvas.from_ms
    steps = [minutes * 60_000 for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880)]
    step = next((one for one in steps if span / one <= max(2, width / 70)), steps[-1])
    marks = []
    at = (canvas.from_ms // step + 1) * step
    form = "%H:%M" if step < steps[-2] else "%d %b"
    while at < canvas.to_ms:
        x = left + (at - canvas.from_ms) / span * width
        if left + 14 < x < left + width - 14:
            marks.append(label(x, y, datetime.fromtimestamp(at / 1000, UTC).strftime(form), anchor="middle", size=11))
        at += step
    return marks
