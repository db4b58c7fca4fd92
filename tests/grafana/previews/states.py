"""Rows of coloured time: state timelines, status histories, heatmaps."""

from __future__ import annotations

from tests.grafana.previews.drawing import TEXT, Canvas, escape, fitting, label, numbers, svg, time_marks
from tests.support.grafana_data import Cell, Field

BOTTOM = 20
KEY = 22
BLUES = ((8, 48, 107), (8, 81, 156), (33, 113, 181), (66, 146, 198), (107, 174, 214), (158, 202, 225), (222, 235, 247))
"""From little to much, as Grafana's scheme of that name runs on a dark ground."""
UNSEEN = 1e-9  # Grafana's heatmap leaves out what is not above it, unless the panel says otherwise


def timeline(canvas: Canvas) -> str:
    """A row for each series; equal neighbours are one block."""
    pairs = numbers(canvas.shown)
    if not pairs:
        return canvas.empty
    left = min(canvas.width * 0.25, 14 + max(len(field.display_name) for _, field in pairs) * 7)
    width = canvas.width - left - 8
    keyed = canvas.options.get("legend", {}).get("showLegend", True)
    height = (canvas.height - BOTTOM - (KEY if keyed else 0)) / len(pairs)
    span = canvas.to_ms - canvas.from_ms
    thick = height * min(1.0, canvas.options.get("rowHeight", 0.9))
    parts = []
    keys: dict[str, str] = {}
    for row, (times, field) in enumerate(pairs):
        y = row * height
        parts.append(
            label(left - 8, y + height / 2 + 4, fitting(field.display_name, left - 8, 12), color=TEXT, anchor="end")
        )
        step = times.config.get("interval") or span / 100
        for start, end, cell in blocks(times, field, step):
            x = left + (max(start, canvas.from_ms) - canvas.from_ms) / span * width
            stop = left + (min(end, canvas.to_ms) - canvas.from_ms) / span * width
            color, text = cell.color or TEXT, cell.text
            keys.setdefault(text, color)
            parts.append(
                f'<rect x="{x:.1f}" y="{y + (height - thick) / 2:.1f}" width="{max(1.0, stop - x):.1f}" '
                f'height="{thick:.1f}" fill="{color}" opacity=".85"/>'
            )
            if canvas.options.get("showValue", "auto") != "never" and stop - x > len(text) * 7 + 10 and thick > 14:
                parts.append(label(x + 6, y + height / 2 + 4, text, size=12, color="#ffffff"))
    parts += time_marks(canvas, left, width, height * len(pairs) + 15)
    drawn = svg(canvas.width, height * len(pairs) + BOTTOM, *parts)
    legend = "".join(f'<span><i style="background:{color}"></i>{escape(text)}</span>' for text, color in keys.items())
    return drawn + (f'<div class="legend" style="height:{KEY}px">{legend}</div>' if keyed else "")


def blocks(times: Field, field: Field, step: float) -> list[tuple[float, float, Cell]]:
    """Runs of one value: from when until when; a gap of three steps ends one."""
    found: list[tuple[float, float, Cell]] = []
    for at, cell, value in zip(times.values, field.cells, field.values, strict=True):
        if value is None:
            continue
        if found and at - found[-1][1] <= 2 * step:
            start, _, before = found[-1]
            found[-1] = (start, at, before)
            if before == cell:
                found[-1] = (start, at + step, cell)
                continue
        found.append((at, at + step, cell))
    return found


def heatmap(canvas: Canvas) -> str:
    """A row for each bucket or series, coloured from nothing to the most."""
    pairs = [(times, field) for times, field in numbers(canvas.shown) if field.type == "number"]
    top = max((value for _, field in pairs for value in field.values if value is not None), default=0)
    most = canvas.options.get("color", {}).get("max") or top or 1
    if not pairs:
        return canvas.empty
    unseen = canvas.options.get("filterValues", {}).get("le", UNSEEN)
    left = min(canvas.width * 0.25, 14 + max(len(field.display_name) for _, field in pairs) * 7)
    width = canvas.width - left - 8
    height = (canvas.height - BOTTOM) / len(pairs)
    span = canvas.to_ms - canvas.from_ms
    parts = []
    for row, (times, field) in enumerate(pairs):
        y = canvas.height - BOTTOM - (row + 1) * height
        if height > 10 or row % 3 == 0:
            name = fitting(field.display_name, left - 8, 11)
            parts.append(label(left - 8, y + height / 2 + 4, name, size=11, anchor="end"))
        step = times.config.get("interval") or span / 100
        for at, value in zip(times.values, field.values, strict=True):
            x = left + (at - canvas.from_ms) / span * width
            if value is not None and value > unseen and x >= left:
                color = _blue(value / most)
                parts.append(
                    f'<rect x="{x:.1f}" y="{y + 0.5:.1f}" width="{max(1.0, step / span * width + 0.4):.1f}" '
                    f'height="{max(1.0, height - 1):.1f}" fill="{color}"/>'
                )
    return svg(canvas.width, canvas.height, *parts, *time_marks(canvas, left, width, canvas.height - 4))


def _blue(share: float) -> str:
    """Source of the colours: ColorBrewer's Blues."""
    place = min(max(share, 0.0), 1.0) * (len(BLUES) - 1)
    low = min(int(place), len(BLUES) - 2)
    mixed = (round(a + (b - a) * (place - low)) for a, b in zip(BLUES[low], BLUES[low + 1], strict=True))
    return f"rgb({' '.join(map(str, mixed))})"
