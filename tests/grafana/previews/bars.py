"""Bar charts: a group or a stack of bars for each row of a table."""

from __future__ import annotations

from tests.grafana.previews.drawing import FAINT, GRID, TEXT, Canvas, bar, escape, fitting, hidden, label, svg
from tests.support.grafana_data import Field

FOOT = 20
KEY = 22


def barchart(canvas: Canvas) -> str:
    """Across, or upright unless the panel says `horizontal`; with the names of the bars below."""
    fields = [field for frame in canvas.shown.frames[:1] for field in frame.fields if not hidden(field)]
    named = next((field for field in fields if field.type == "string"), None)
    bars = [field for field in fields if field.type == "number"]
    if named is None or not bars or not canvas.shown.axis:
        return canvas.empty
    keyed = canvas.options.get("legend", {}).get("showLegend", True)
    height = canvas.height - (KEY if keyed else 0)
    draw = _lying if canvas.options.get("orientation") == "horizontal" else _standing
    drawn = svg(canvas.width, height, *draw(canvas, named, bars, height))
    key = "".join(f'<span><i style="background:{one.color}"></i>{escape(one.display_name)}</span>' for one in bars)
    return drawn + (f'<div class="legend" style="height:{KEY}px">{key}</div>' if keyed else "")


def _share(canvas: Canvas, value: float) -> float:
    low, high = canvas.shown.axis[0].value, canvas.shown.axis[-1].value
    return (value - low) / (high - low)


def _spans(canvas: Canvas, bars: list[Field], row: int) -> list[tuple[int, Field, float, float]]:
    """Each bar's slot, and from where to where it reaches, as shares of the axis."""
    stacked = canvas.options.get("stacking", "none") != "none"
    found, base = [], 0.0
    for index, field in enumerate(bars):
        value = field.values[row] or 0
        low = base if stacked else 0.0
        found.append((0 if stacked else index, field, _share(canvas, low), _share(canvas, low + value)))
        base += value
    return found


def _slots(canvas: Canvas, bars: list[Field]) -> int:
    return 1 if canvas.options.get("stacking", "none") != "none" else len(bars)


def _paint(field: Field, row: int) -> str:
    fixed = field.config.get("color", {}).get("mode") in ("fixed", "shades", "palette-classic")
    return (field.color if fixed else field.cells[row].color) or TEXT


def _lying(canvas: Canvas, named: Field, bars: list[Field], height: float) -> list[str]:
    left = min(canvas.width * 0.35, 16 + max(map(len, named.texts)) * 7)
    width, room = canvas.width - left - 16, height - FOOT
    slot = room / len(named.values)
    parts = []
    for tick in canvas.shown.axis:
        x = left + _share(canvas, tick.value) * width
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{room:.1f}" stroke="{GRID}"/>')
        parts.append(label(x, height - 5, tick.text, size=11, anchor="middle"))
    for row, text in enumerate(named.texts):
        top, thick = row * slot + slot * 0.14, slot * 0.72 / _slots(canvas, bars)
        parts.append(label(left - 8, row * slot + slot / 2 + 4, fitting(text, left - 8, 12), color=FAINT, anchor="end"))
        for index, field, start, end in _spans(canvas, bars, row):
            x, long = left + start * width, (end - start) * width
            parts.append(bar(x, top + index * thick, long, thick - 1, _paint(field, row)))
            if canvas.options.get("showValue", "auto") != "never" and long > len(field.texts[row]) * 8 + 6:
                y = top + (index + 0.5) * thick + 4
                parts.append(label(x + long / 2, y, field.texts[row], color="#ffffff", anchor="middle"))
    return parts


def _standing(canvas: Canvas, named: Field, bars: list[Field], height: float) -> list[str]:
    left = 10 + max(len(tick.text) for tick in canvas.shown.axis) * 6.6
    width, room = canvas.width - left - 8, height - FOOT
    slot = width / len(named.values)
    parts = []
    for tick in canvas.shown.axis:
        y = 6 + (1 - _share(canvas, tick.value)) * (room - 6)
        parts.append(f'<line x1="{left:.1f}" x2="{left + width:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
        parts.append(label(left - 8, y + 4, tick.text, size=11, anchor="end"))
    for row, text in enumerate(named.texts):
        start, thick = left + slot * (row + 0.14), slot * 0.72 / _slots(canvas, bars)
        parts.append(label(left + slot * (row + 0.5), height - 5, fitting(text, slot, 11), size=11, anchor="middle"))
        for index, field, low, high in _spans(canvas, bars, row):
            y = 6 + (1 - high) * (room - 6)
            parts.append(bar(start + index * thick, y, thick - 1, (high - low) * (room - 6), _paint(field, row)))
    return parts
