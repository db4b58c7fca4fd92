"""Whether a dashboard is well formed: unique ids, a grid without overlaps and holes, and nothing that the SDK drops."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.support.dashboard_model import Json, panels, rows, where

WIDTH = 24
OUTSIDE_THE_MODEL = re.compile(r"\.annotations\.list\[\d+\]\.(titleFormat|step)")
"""What Grafana's Prometheus data source reads of an annotation, and the SDK's model does not have."""
UID = re.compile(r"aurora-[a-z]+")


def form_problems(dashboard: Json) -> list[str]:
    """Everything about ids, grid, leftovers of an export, and the SDK's model."""
    return [*_ids(dashboard), *_grid(dashboard), *_leftovers(dashboard), *_model(dashboard)]


def _ids(dashboard: Json) -> Iterator[str]:
    if not UID.fullmatch(str(dashboard.get("uid", ""))):
        yield f"{where(dashboard)}: its uid is {dashboard.get('uid')!r}, expected aurora-... in lower case"
    if not dashboard.get("title"):
        yield f"{where(dashboard)}: it has no title"
    if dashboard.get("id") is not None:
        yield f"{where(dashboard)}: it has the id {dashboard['id']}, which only Grafana's database gives"
    for panel_id in _twice(panel.get("id") for panel in (*panels(dashboard), *rows(dashboard))):
        yield f"{where(dashboard)}: the panel id {panel_id} is there twice"
    for title in _twice((_row_of(dashboard, panel), panel["type"], panel.get("title")) for panel in panels(dashboard)):
        yield f"{where(dashboard)}: the title {title[2]!r} is there twice in one row"
    for panel in panels(dashboard):
        if not isinstance(panel.get("id"), int):
            yield f"{where(dashboard, panel)}: it has no id"
        for ref_id in _twice(target.get("refId") for target in panel.get("targets") or []):
            yield f"{where(dashboard, panel)}: the refId {ref_id} is there twice"


def _twice(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


def _row_of(dashboard: Json, panel: Json) -> str:
    y = panel.get("gridPos", {}).get("y", 0)
    above = [
        row for row in rows(dashboard) if row.get("gridPos", {}).get("y", 0) <= y or panel in (row.get("panels") or [])
    ]
    return str(above[-1].get("title")) if above else ""


def _grid(dashboard: Json) -> Iterator[str]:
    """Panels of a collapsed row have a grid of their own, laid out below it."""
    open_panels = [panel for panel in dashboard.get("panels", []) if "gridPos" in panel]
    for panel in (*panels(dashboard), *rows(dashboard)):
        if "gridPos" not in panel:
            yield f"{where(dashboard, panel)}: it has no place in the grid"
    yield from _cells(dashboard, open_panels)
    for row in rows(dashboard):
        if row.get("panels"):
            yield from _cells(dashboard, [panel for panel in row["panels"] if "gridPos" in panel])


def _cells(dashboard: Json, placed: list[Json]) -> Iterator[str]:
    taken: dict[tuple[int, int], Json] = {}
    for panel in placed:
        x, y, width, height = (panel["gridPos"].get(key, 0) for key in "xywh")
        if x + width > WIDTH or min(x, y) < 0 or min(width, height) < 1:
            yield f"{where(dashboard, panel)}: it does not fit into the grid, which is {WIDTH} wide"
            continue
        cells = [(column, line) for column in range(x, x + width) for line in range(y, y + height)]
        for other in {id(taken[cell]): taken[cell] for cell in cells if cell in taken}.values():
            yield f"{where(dashboard, panel)}: it overlaps {other.get('title')!r}"
        taken.update(dict.fromkeys(cells, panel))
    lines = {line for _, line in taken}
    holes = [(x, y) for y in sorted(lines) for x in range(WIDTH) if (x, y) not in taken]
    if lines and len(lines) != max(lines) - min(lines) + 1:
        missing = next(y for y in range(min(lines), max(lines)) if y not in lines)
        yield f"{where(dashboard)}: the grid has an empty line at {missing}"
    if holes:
        yield f"{where(dashboard)}: the grid has a hole at column {holes[0][0]}, line {holes[0][1]}"


def _leftovers(dashboard: Json) -> Iterator[str]:
    for key in ("__inputs", "__requires", "__elements"):
        if key in dashboard:
            yield f"{where(dashboard)}: it has {key}, which asks the user at the import; provisioning cannot answer"
    if "${DS_" in json.dumps(dashboard):
        yield f"{where(dashboard)}: it names a data source by ${{DS_...}}, which only an import fills in"


def _model(dashboard: Json) -> Iterator[str]:
    register_default_plugins()
    try:
        through = json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        yield f"{where(dashboard)}: Grafana's model does not take it: {type(error).__name__}: {error}"
        return
    lost = {path for path in set(_paths(dashboard)) - set(_paths(through)) if not OUTSIDE_THE_MODEL.fullmatch(path)}
    yield from (f"{where(dashboard)}: Grafana's model does not know {path}" for path in sorted(lost))


def _paths(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            # The model leaves out what is not set.
            if inner is not None:
                yield f"{path}.{key}"
                yield from _paths(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _paths(inner, f"{path}[{index}]")
