"""Single values: stat, gauge, bar gauge, pie."""

from __future__ import annotations

import math

from tests.grafana.previews.drawing import FAINT, GRID, TEXT, Canvas, bar, escape, fitting, label, svg
from tests.support.grafana_data import SingleValue

GAP = 6
MAX_SIZE = 56.0


def stat(canvas: Canvas) -> str:
    """Large values, with their trend behind them."""
    values = canvas.shown.values
    if not values or not canvas.shown.frames:
        return canvas.empty
    wide = canvas.options.get("orientation") != "horizontal" and (
        canvas.options.get("orientation") == "vertical" or canvas.width > canvas.height
    )
    columns = len(values) if wide else 1
    rows = 1 if wide else len(values)
    if wide and canvas.width / columns < 110:
        columns = max(1, int(canvas.width // 150))
        rows = math.ceil(len(values) / columns)
    width = (canvas.width - GAP * (columns - 1)) / columns
    height = (canvas.height - GAP * (rows - 1)) / rows
    size = min(MAX_SIZE, height * 0.5, *(width * 0.86 / (max(2, len(value.text)) * 0.58) for value in values))
    return f'<div class="stats">{"".join(_stat(canvas, one, width, height, size) for one in values)}</div>'


def _stat(canvas: Canvas, value: SingleValue, width: float, height: float, size: float) -> str:
    mode = canvas.options.get("colorMode", "value")
    color = value.color or TEXT
    filled = mode.startswith("background")
    text = "#ffffff" if filled else TEXT if mode == "none" else color
    background = f"background:{color};" if filled else ""
    named = canvas.options.get("textMode", "auto") not in ("value", "none") and (
        len(canvas.shown.values) > 1 or canvas.options.get("textMode") in ("name", "value_and_name")
    )
    title = f'<div class="name" style="color:{text if filled else FAINT}">{escape(value.title)}</div>' if named else ""
    drawn = _trend(value, width, height * 0.42, "#ffffff" if filled else color)
    return (
        f'<div class="stat" style="{background}width:{width:.0f}px;height:{height:.0f}px">{drawn}{title}'
        f'<div style="font-size:{size:.0f}px;color:{text}">{escape(value.text)}</div></div>'
    )


def _trend(value: SingleValue, width: float, height: float, color: str) -> str:
    known = [(at, number) for at, number in value.trend if number is not None]
    if len(known) < 2:
        return ""
    low, high = min(number for _, number in known), max(number for _, number in known)
    start, span = known[0][0], known[-1][0] - known[0][0]
    points = [
        f"{(at - start) / span * width:.1f},{height - 2 - (number - low) / ((high - low) or 1) * (height - 6):.1f}"
        for at, number in known
    ]
    area = (
        f'<polygon points="0,{height:.1f} {" ".join(points)} {width:.1f},{height:.1f}" fill="{color}" opacity=".12"/>'
    )
    line = f'<polyline points="{" ".join(points)}" fill="none" stroke="{color}" opacity=".55" stroke-width="1.5"/>'
    return f'<div class="trend">{svg(width, height, area, line)}</div>'


def gauge(canvas: Canvas) -> str:
    """Arcs from the field's minimum to its maximum."""
    values = canvas.shown.values
    if not values or not canvas.shown.frames:
        return canvas.empty
    width = canvas.width / len(values)
    drawn = (_gauge(one, width, canvas.height, named=len(values) > 1) for one in values)
    return f'<div class="stats">{"".join(drawn)}</div>'


def _gauge(value: SingleValue, width: float, height: float, *, named: bool) -> str:
    room = height - (20 if named else 0)
    radius = max(10.0, min(width * 0.42, room * 0.6))
    middle, base = width / 2, room * 0.5 + radius * 0.42
    parts = [_arc((middle, base), radius, 1, GRID)]
    share = min(1.0, max(0.0, value.percent or 0.0))
    if share > 0:
        parts.append(_arc((middle, base), radius, share, value.color or TEXT))
    size = min(34.0, radius * 1.5 / max(3, len(value.text)) / 0.58)
    parts.append(label(middle, base + size * 0.1, value.text, size=size, color=value.color or TEXT, anchor="middle"))
    if named:
        parts.append(label(middle, height - 6, fitting(value.title, width, 12), anchor="middle"))
    return svg(width, height, *parts)


def _arc(middle: tuple[float, float], radius: float, share: float, color: str) -> str:
    def point(part: float) -> str:
        angle = math.radians(150 + 240 * part)
        return f"{middle[0] + radius * math.cos(angle):.1f},{middle[1] + radius * math.sin(angle):.1f}"

    far = int(share * 240 > 180)
    way = f"M{point(0)} A{radius:.1f},{radius:.1f} 0 {far} 1 {point(share)}"
    return f'<path d="{way}" fill="none" stroke="{color}" stroke-width="{radius * 0.22:.1f}"/>'


def bargauge(canvas: Canvas) -> str:
    """A bar for each value, from left to right."""
    values = canvas.shown.values
    if not values or not canvas.shown.frames:
        return canvas.empty
    height = min(44.0, canvas.height / len(values))
    names = min(canvas.width * 0.35, 8 + max(len(one.title) for one in values) * 7)
    texts = 10 + max(len(one.text) for one in values) * 8.5
    room = canvas.width - names - texts
    parts = []
    for index, one in enumerate(values):
        y, thick = index * height, min(height - 4, 26)
        share = min(1.0, max(0.0, one.percent or 0.0))
        middle = y + height / 2
        parts += [
            label(names - 8, middle + 4, fitting(one.title, names - 8, 12), color=TEXT, anchor="end"),
            bar(names, middle - thick / 2, room, thick, GRID),
            bar(names, middle - thick / 2, room * share, thick, one.color or TEXT),
            label(names + room + 8, middle + 5, one.text, size=14, color=one.color or TEXT),
        ]
    return svg(canvas.width, canvas.height, *parts)


def pie(canvas: Canvas) -> str:
    """Shares of a whole, and their names beside them."""
    values = [one for one in canvas.shown.values if one.value]
    total = sum(one.value or 0 for one in values)
    if not total:
        return canvas.empty
    radius = min(canvas.height, canvas.width * 0.6) / 2 - 8
    x, y, at = radius + 8, canvas.height / 2, -math.pi / 2
    width = radius * (0.4 if canvas.options.get("pieType") == "donut" else 1)
    ring = radius - width / 2
    parts = []
    for index, one in enumerate(values):
        turn = (one.value or 0) / total * 2 * math.pi - 1e-4
        start, end = (f"{x + ring * math.cos(a):.1f},{y + ring * math.sin(a):.1f}" for a in (at, at + turn))
        parts.append(
            f'<path d="M{start} A{ring:.1f},{ring:.1f} 0 {int(turn > math.pi)} 1 {end}" fill="none" '
            f'stroke="{one.color}" stroke-width="{width:.1f}"/>'
        )
        at += turn
        top = y - len(values) * 10 + index * 20 + 14
        left = 2 * radius + 28
        parts += [
            f'<rect x="{left:.1f}" y="{top - 9:.1f}" width="12" height="4" fill="{one.color}" rx="2"/>',
            label(left + 18, top, f"{one.title}  {one.text}", color=TEXT),
        ]
    return svg(canvas.width, canvas.height, *parts)
