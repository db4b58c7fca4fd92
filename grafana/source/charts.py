"""What is drawn over time, one function for each kind of panel. Titles, words and queries are each panel's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import common, heatmap, statetimeline, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import (
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import ValueMapping
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode

from grafana.source import look
from grafana.source.ask import SOURCE
from grafana.source.parts import Overrides, legend_below, override


def lines(
    title: str,
    description: str,
    *queries: Dataquery,
    unit: str,
    colour: str = look.AMOUNT,
    overrides: Overrides | None = None,
    least: float | None = 0,
    most: float | None = None,
    legend: Sequence[str] = ("lastNotNull", "max"),
    thresholds: ThresholdsConfig | None = None,
) -> timeseries.Panel:
    """Lines over time, in shades of a colour; `thresholds` are drawn as dashed lines."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .draw_style(GraphDrawStyle.LINE)
        .line_width(1)
        .fill_opacity(8)
        .show_points(VisibilityMode.NEVER)
        .color_scheme(look.shades(colour))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .legend(legend_below(*legend))
    )
    for query in queries:
        panel.with_target(query)
    if least is not None:
        panel.min(least)
    if most is not None:
        panel.max(most)
    if thresholds:
        panel.thresholds(thresholds)
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    override(panel, overrides or {})
    return panel


def areas(title: str, description: str, *queries: Dataquery, **options: Any) -> timeseries.Panel:
    """Areas on top of each other that add up to a whole; options as `lines` has them."""
    return (
        lines(title, description, *queries, **options)
        .fill_opacity(40)
        .stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    )


def bars(title: str, description: str, *queries: Dataquery, **options: Any) -> timeseries.Panel:
    """Bars over time, for what happens and does not last: a minute each, at least; options as `lines` has them."""
    return (
        areas(title, description, *queries, **{"legend": (), **options})
        .interval("1m")
        .draw_style(GraphDrawStyle.BARS)
        .fill_opacity(70)
    )


def history(
    title: str,
    description: str,
    *queries: Dataquery,
    mappings: Sequence[ValueMapping],
    none: str = "No data",
    per_page: int | None = None,
    words: bool = False,
) -> statetimeline.Panel:
    """States over time, a row a series; `words` writes the state into its stretch."""
    panel = (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit("none")
        .mappings(list(mappings))
        .no_value(none)
        .merge_values(True)
        .show_value(VisibilityMode.AUTO if words else VisibilityMode.NEVER)
        .row_height(0.8)
        .fill_opacity(80)
        .line_width(0)
        .color_scheme(look.by_thresholds())
        .thresholds(look.steps(look.PLAIN))
        .legend(legend_below())
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.SINGLE))
    )
    if per_page:
        panel.per_page(per_page)
    for query in queries:
        panel.with_target(query)
    return panel


def heat(title: str, description: str, query: Dataquery, *, unit: str, most: float) -> heatmap.Panel:
    """A row a series, brighter where the value is higher, from 0 to `most`."""
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(query)
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .reverse(False)
            .steps(64)
            .min(0)
            .max(most)
        )
        .filter_values(heatmap.FilterValueRange().le(-1))  # the SDK would hide what is 0, as if there were no sample
        .cell_gap(1)
        .cell_values(heatmap.CellValues().unit(unit))
        .show_legend()
        .unit(unit)
    )
