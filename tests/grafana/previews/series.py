"""Graphs over time: lines, stacks, bars, thresholds, legends."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from tests.grafana.previews.drawing import GRID, TEXT, Canvas, escape, label, numbers, svg, time_marks
from tests.support.grafana_data import Field

BOTTOM = 20
ROW = 20
GAPS = 3  # a line ends where so many steps bring nothing


@dataclass(frozen=True, slots=True)
class Plot:
    """Where the graph lies within its panel, and what its edges mean."""

    canvas: Canvas
    left: float
    width: float
    height: float

    def x(self, at: float) -> float:
        """A time's place."""
        return self.left + (at - self.canvas.from_ms) / (self.canvas.to_ms - self.canvas.from_ms) * self.width

    def y(self, value: float) -> float:
        """A value's place."""
        low, high = self.canvas.shown.axis[0].value, self.canvas.shown.axis[-1].value
        return 6 + (1 - (value - low) / (high - low)) * (self.height - 6)


def timeseries(canvas: Canvas) -> str:
    """All series on one axis, with the legend below or at the right."""
    pairs = [(times, field) for times, field in numbers(canvas.shown) if field.type == "number"]
    if not pairs or not canvas.shown.axis:
        return canvas.empty
    legend = canvas.options.get("legend", {})
    shown = legend.get("showLegend", True) and legend.get("displayMode") != "hidden"
    at_right = shown and legend.get("placement") == "right"
    beside = min(canvas.width * 0.36, 300.0) if at_right else 0
    rows = _legend_rows(canvas, [field for _, field in pairs]) if shown and not at_right else 0
    height = canvas.height - BOTTOM - rows * ROW
    left = 10 + max(len(tick.text) for tick in canvas.shown.axis) * 6.6
    plot = Plot(canvas, left, canvas.width - beside - left - 8, height)
    parts = [*_grid(plot), *_thresholds(plot, pairs[0][1]), *time_marks(canvas, left, plot.width, height + 16)]
    parts += _stacked(plot, pairs)
    drawn = svg(canvas.width - beside, height + BOTTOM, *parts)
    if not shown:
        return drawn
    room = canvas.height if at_right else rows * ROW
    return f'<div class="{"beside" if at_right else ""}">{drawn}{_legend(canvas, pairs, room)}</div>'


def _grid(plot: Plot) -> list[str]:
    parts = []
    for tick in plot.canvas.shown.axis:
        y = plot.y(tick.value)
        parts += [
            f'<line x1="{plot.left:.1f}" x2="{plot.left + plot.width:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>',
            label(plot.left - 8, y + 4, tick.text, size=11, anchor="end"),
        ]
    return parts


def _thresholds(plot: Plot, field: Field) -> list[str]:
    style = field.config.get("custom", {}).get("thresholdsStyle", {}).get("mode", "off")
    axis = plot.canvas.shown.axis
    parts = []
    if style != "off":
        for step in field.config.get("thresholds", {}).get("steps", []):
            if isinstance(step.get("value"), int | float) and axis[0].value <= step["value"] <= axis[-1].value:
                dash = ' stroke-dasharray="6 4"' if "dashed" in style else ""
                y = plot.y(step["value"])
                parts.append(
                    f'<line x1="{plot.left:.1f}" x2="{plot.left + plot.width:.1f}" y1="{y:.1f}" y2="{y:.1f}" '
                    f'stroke="{plot.canvas.color(step["color"])}" opacity=".7"{dash}/>'
                )
    return parts


def _stacked(plot: Plot, pairs: list[tuple[Field, Field]]) -> list[str]:
    below: dict[tuple[Any, float], float] = defaultdict(float)
    parts = []
    for times, field in pairs:
        custom = field.config.get("custom", {})
        stacking = custom.get("stacking", {})
        stacks = stacking.get("mode", "none") != "none"
        spots: list[tuple[float, float, float]] = []
        lines = [spots]
        step = times.config.get("interval") or 0
        for at, value in zip(times.values, field.values, strict=True):
            if value is None or (spots and step and at - spots[-1][0] > GAPS * step):
                lines.append(spots := [])
            if value is not None:
                base = below[stacking.get("group"), at] if stacks else max(0.0, plot.canvas.shown.axis[0].value)
                spots.append((at, base, base + value if stacks else value))
                below[stacking.get("group"), at] += value if stacks else 0
        draw = _bars if custom.get("drawStyle") == "bars" else _line
        parts += [draw(plot, field, line, step) for line in lines if line]
    return parts


def _line(plot: Plot, field: Field, spots: list[tuple[float, float, float]], _: float) -> str:
    custom = field.config.get("custom", {})
    stepped = str(custom.get("lineInterpolation", "")).startswith("step")
    top = [(plot.x(at), plot.y(value)) for at, _, value in spots]
    if stepped:
        top = [spot for a, b in zip(top, top[1:] + top[-1:], strict=True) for spot in (a, (b[0], a[1]))]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in top)
    width = custom.get("lineWidth", 1)
    opacity = custom.get("fillOpacity", 0) / 100
    dash = ' stroke-dasharray="8 6"' if custom.get("lineStyle", {}).get("fill") == "dash" else ""
    drawn = f'<polyline points="{points}" fill="none" stroke="{field.color}" stroke-width="{max(width, 1)}"{dash}/>'
    if len(spots) == 1:
        drawn = f'<circle cx="{top[0][0]:.1f}" cy="{top[0][1]:.1f}" r="2" fill="{field.color}"/>'
    if opacity:
        back = " ".join(f"{plot.x(at):.1f},{plot.y(base):.1f}" for at, base, _ in reversed(spots))
        drawn = f'<polygon points="{points} {back}" fill="{field.color}" opacity="{opacity:.2f}"/>' + drawn
    return drawn


def _bars(plot: Plot, field: Field, spots: list[tuple[float, float, float]], step: float) -> str:
    width = max(1.0, plot.x(plot.canvas.from_ms + step) - plot.left - 1)
    return "".join(
        f'<rect x="{plot.x(at) - width / 2:.1f}" y="{plot.y(value):.1f}" width="{width:.1f}" '
        f'height="{max(0.0, plot.y(base) - plot.y(value)):.1f}" fill="{field.color}" opacity=".8"/>'
        for at, base, value in spots
    )


def _legend_rows(canvas: Canvas, fields: list[Field]) -> int:
    if canvas.options.get("legend", {}).get("displayMode") == "table":
        wanted = len(fields) + 1
    else:
        letters = sum(len(one.display_name) + 5 + sum(len(c.text) + 8 for c in one.calculations) for one in fields)
        wanted = 1 + int(letters * 6.8 // canvas.width)
    return max(1, min(wanted, int(canvas.height * 0.4 // ROW)))


def _legend(canvas: Canvas, pairs: list[tuple[Field, Field]], height: float) -> str:
    fields = [field for _, field in pairs]
    as_table = canvas.options.get("legend", {}).get("displayMode") == "table"
    key = '<i style="background:{}"></i>{}'
    if as_table:
        head = "".join(f"<th>{escape(one.name)}</th>" for one in fields[0].calculations)
        body = "".join(
            f"<tr><td>{key.format(one.color, escape(one.display_name))}</td>"
            + "".join(f"<td>{escape(calculation.text)}</td>" for calculation in one.calculations)
            + "</tr>"
            for one in fields
        )
        return f'<div class="legend" style="height:{height:.0f}px"><table><tr><th></th>{head}</tr>{body}</table></div>'
    items = "".join(
        f"<span>{key.format(one.color, escape(one.display_name))}"
        + "".join(f"<em>{escape(c.name)}: {escape(c.text)}</em>" for c in one.calculations)
        + "</span>"
        for one in fields
    )
    return f'<div class="legend" style="height:{height:.0f}px;color:{TEXT}">{items}</div>'
