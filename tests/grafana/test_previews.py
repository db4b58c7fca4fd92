"""The previews: queries are filled as Grafana fills them, and every panel that a dashboard has can be drawn."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.grafana.previews.page import DRAWINGS, NOTE, page
from tests.grafana.previews.queries import Window, fill
from tests.support.grafana_data import Answer, PanelAnswers, process
from tests.support.registry_process import ROOT

WINDOW = Window.of("now-1h", 7200.0)


@pytest.mark.parametrize(
    ("query", "filled"),
    [
        ("rate(m[$__rate_interval])", "rate(m[60s])"),
        ('m{node=~"$node"}', 'm{node=~"(a\\.b|c)"}'),
        ('m{job=~"${job:regex}"}[$__range]', 'm{job=~"all"}[3600s]'),
        ("m / $other", "m / $other"),
    ],
)
def test_queries_are_filled(query, filled):
    """Grafana's own variables, one value, several values as a pattern; what is unknown stays to be seen."""
    assert fill(query, {"node": ["a.b", "c"], "job": "all"}, WINDOW, 15) == filled


@pytest.mark.parametrize(
    ("time_from", "window"),
    [("now-1h", Window(3600.0, 7200.0, 15)), ("now-30m", Window(5400.0, 7200.0, 15)), ("now-1h", WINDOW)],
)
def test_window_ends_now(time_from, window):
    """A step is never shorter than a scrape."""
    assert Window.of(time_from, 7200.0) == window


def test_every_panel_can_be_drawn():
    """A dashboard with a panel of a new type needs a drawing for it."""
    files = (ROOT / "grafana" / "dashboards").glob("*.json")
    panels = [panel for file in files for panel in json.loads(file.read_text())["panels"]]
    assert {panel["type"] for panel in panels} - {"row"} <= set(DRAWINGS)


def test_page_says_what_it_is_and_shows_what_grafana_computes():
    """The label, the title, and the value in its unit; a panel without a sample says so; text is escaped."""
    place: dict[str, int] = {"h": 4, "w": 12, "y": 0}
    stat: dict[str, Any] = {
        "type": "stat",
        "title": "<VRAM>",
        "targets": [{}],
        "fieldConfig": {"defaults": {"unit": "bytes"}},
    }
    panels = [{**stat, "gridPos": {**place, "x": 0}}, {**stat, "title": "Empty", "gridPos": {**place, "x": 12}}]
    sample = {"metric": {}, "value": [0, str(24 * 2**30)]}
    full, empty = (
        Answer({"refId": "A", "expr": "x"}, {"status": "success", "data": {"resultType": "vector", "result": found}})
        for found in ([sample], [])
    )
    shown = process([PanelAnswers(panels[0], [full]), PanelAnswers(panels[1], [empty])])
    text, height = page({"title": "Mesh", "panels": panels}, shown, {}, 0, 3_600_000)
    assert height == 260
    assert [part in text for part in (NOTE, "&lt;VRAM&gt;", "24 GiB", "No data", "<VRAM>")] == [*[True] * 4, False]
