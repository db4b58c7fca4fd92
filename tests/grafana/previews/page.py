"""A dashboard as one HTML page on Grafana's grid of 24 columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.grafana.previews.bars import barchart
from tests.grafana.previews.drawing import Canvas, escape
from tests.grafana.previews.graphs import node_graph
from tests.grafana.previews.queries import Values
from tests.grafana.previews.series import timeseries
from tests.grafana.previews.states import heatmap, timeline
from tests.grafana.previews.tables import table, text
from tests.grafana.previews.values import bargauge, gauge, pie, stat
from tests.support.grafana_data import Processed

WIDTH = 1600
MARGIN = 16
GAP = 8
UNIT = 30 + GAP  # the height of one step of the grid
HEAD = 100
TITLE = 32
PADDING = 8
NOTE = "Preview: drawn from the panels' real query results, not a Grafana screenshot"

DRAWINGS: Mapping[str, Callable[[Canvas], str]] = {
    "stat": stat,
    "gauge": gauge,
    "bargauge": bargauge,
    "piechart": pie,
    "timeseries": timeseries,
    "barchart": barchart,
    "state-timeline": timeline,
    "status-history": timeline,
    "heatmap": heatmap,
    "table": table,
    "text": text,
    "nodeGraph": node_graph,
}

STYLE = Path(__file__).with_name("page.css").read_text()


def panels(dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The panels that are seen when the dashboard opens, in its order; rows among them."""
    yield from dashboard["panels"]


def page(
    dashboard: Mapping[str, Any], shown: list[Processed], values: Values, from_ms: int, to_ms: int
) -> tuple[str, int]:
    """The page and its height in pixels; `shown` has an entry for each of `panels`."""
    drawn, bottom = [], 0.0
    for panel, processed in zip(panels(dashboard), shown, strict=True):
        place = panel["gridPos"]
        column = (WIDTH - 2 * MARGIN + GAP) / 24
        left, top = MARGIN + place["x"] * column, HEAD + place["y"] * UNIT
        width, height = place["w"] * column - GAP, place["h"] * UNIT - GAP
        bottom = max(bottom, top + height)
        where = f"left:{left:.0f}px;top:{top:.0f}px;width:{width:.0f}px;height:{height:.0f}px"
        if panel["type"] == "row":
            closed = f" <small>({len(panel['panels'])} panels)</small>" if panel.get("collapsed") else ""
            mark = "&rsaquo;" if panel.get("collapsed") else "&#8964;"
            drawn.append(f'<div class="row" style="{where}">{mark} {escape(processed.title)}{closed}</div>')
            continue
        titled = TITLE if processed.title else PADDING
        canvas = Canvas(panel, processed, width - 2 * PADDING - 2, height - titled - PADDING - 2, from_ms, to_ms)
        inside = DRAWINGS[panel["type"]](canvas)
        frame = f' style="{where}"' if not panel.get("transparent") else f' style="{where};background:none;border:0"'
        head = f"<h2>{escape(processed.title)}</h2>" if processed.title else ""
        drawn.append(f'<div class="panel"{frame}>{head}<div class="inside" style="top:{titled}px">{inside}</div></div>')
    whole = (
        f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><header><h1>{escape(dashboard['title'])}</h1>"
        f'<div class="note">{NOTE}</div><div class="variables">{_variables(dashboard, values)}</div></header>'
        f"{''.join(drawn)}"
    )
    return whole, round(bottom) + MARGIN


def _variables(dashboard: Mapping[str, Any], values: Values) -> str:
    parts = []
    for variable in dashboard.get("templating", {}).get("list", []):
        if not variable.get("hide"):
            value = values[variable["name"]]
            everything = variable.get("includeAll") and (isinstance(value, list) or value == variable.get("allValue"))
            named = {str(one["value"]): str(one["text"]) for one in variable.get("options", [])}
            said = "All" if everything else named.get(value, value) if isinstance(value, str) else " + ".join(value)
            parts.append(f"<span><b>{escape(variable.get('label') or variable['name'])}</b>{escape(said)}</span>")
    return "".join(parts)
