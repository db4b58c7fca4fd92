"""One function for each kind of panel: how it looks everywhere. Titles, words and queries are each panel's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from grafana_foundation_sdk.builders import (
    barchart,
    bargauge,
    common,
    heatmap,
    nodegraph,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders.dashboard import DashboardFieldConfigSourceOverrides, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BarGaugeValueMode,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    ValueMapping,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.source import look

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
Overrides: TypeAlias = Mapping[str, Sequence[DynamicConfigValue]]
"""Properties of fields, by the field's name."""


def over_time(expr: str, legend: str, ref: str = "A") -> Dataquery:
    """A query that gives a series over the dashboard's time."""
    return Dataquery().datasource(SOURCE).ref_id(ref).expr(expr).range().legend_format(legend)


def now(expr: str, legend: str = "", ref: str = "A") -> Dataquery:
    """A query that gives one value a series, of the end of the dashboard's time."""
    return Dataquery().datasource(SOURCE).ref_id(ref).expr(expr).instant().legend_format(legend)


def rows(expr: str, ref: str = "A") -> Dataquery:
    """A query that gives one row a series, its labels as columns."""
    return now(expr, ref=ref).format(PromQueryFormat.TABLE)


def number(
    title: str,
    description: str,
    *queries: Dataquery,
    unit: str = "none",
    decimals: int | None = None,
    colour: str | ThresholdsConfig = look.PLAIN,
    mappings: Sequence[ValueMapping] = (),
    none: str = "–",
    link: Mapping[str, Any] | None = None,
    named: bool = False,
) -> stat.Panel:
    """A number to be read from across the room. `named`: its series' name stands above it."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .no_value(none)
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE)
        .text_mode(BigValueTextMode.VALUE_AND_NAME if named else BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(look.steps(colour) if isinstance(colour, str) else colour)
        .color_scheme(look.by_thresholds())
    )
    for query in queries:
        panel.with_target(query)
    if decimals is not None:
        panel.decimals(decimals)
    if mappings:
        panel.mappings(list(mappings))
    if link:
        panel.with_override(look.matcher("byType", "number"), [look.links(link)])
    return panel


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
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .calcs(list(legend))
        )
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
    _override(panel, overrides)
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
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
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
        .filter_values(heatmap.FilterValueRange().le(-1))  # the SDK would hide what is 0, as if nobody had told of it
        .cell_gap(1)
        .cell_values(heatmap.CellValues().unit(unit))
        .show_legend()
        .unit(unit)
    )


def listing(
    title: str,
    description: str,
    *queries: Dataquery,
    columns: Mapping[str, str],
    overrides: Overrides | None = None,
    join: str = "",
    sort: str = "",
    descending: bool = True,
    none: str = "No data",
) -> table.Panel:
    """A table. `columns`: the fields that are shown and their headings, in order; `overrides` are by heading."""
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .no_value(none)
        .override_by_regexp(".*", [look.none("–")])  # or every empty cell would say what stands for an empty table
        .filterable(True)
        .transformations([*_joined(join), _organized(columns)])
    )
    if sort:
        panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(descending)])
    for query in queries:
        panel.with_target(query)
    _override(panel, overrides)
    return panel


def shares(title: str, description: str, query: Dataquery, *, row: str, column: str, heading: str) -> barchart.Panel:
    """A bar for each value of the label `row`, made up of the statuses that `column` names."""
    return (
        barchart.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(query)
        .transformations(
            [
                DataTransformerConfig(
                    id_val="groupingToMatrix",
                    options={"rowField": row, "columnField": column, "valueField": "Value", "emptyValue": "zero"},
                ),
                _organized({f"{row}\\{column}": heading, **{status: status for status in look.STATUS_COLOURS}}),
            ]
        )
        .unit("none")
        .decimals(0)
        .orientation(VizOrientation.HORIZONTAL)
        .x_field(heading)
        .stacking(StackingMode.NORMAL)
        .show_value(VisibilityMode.AUTO)
        .bar_width(0.8)
        .fill_opacity(75)
        .line_width(0)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .overrides(_overrides(look.status_overrides()))
    )


def ranking(
    title: str, description: str, query: Dataquery, *, unit: str, colour: str = look.AMOUNT, none: str = "No data"
) -> bargauge.Panel:
    """One horizontal bar a series, longest first as the query sorts them."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(query)
        .unit(unit)
        .min(0)
        .no_value(none)
        .orientation(VizOrientation.HORIZONTAL)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .value_mode(BarGaugeValueMode.TEXT)
        .show_unfilled(False)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(look.steps(colour))
        .color_scheme(look.by_thresholds())
    )


def graph(
    title: str,
    description: str,
    *queries: Dataquery,
    transformations: Sequence[DataTransformerConfig],
    arcs: Mapping[str, str],
    overrides: Overrides | None = None,
) -> nodegraph.Panel:
    """Nodes and the connections between them; `arcs`: the fields that colour a node's ring."""
    panel = (
        nodegraph.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .transformations(list(transformations))
        .nodes(
            nodegraph.NodeOptions().arcs(
                [nodegraph.ArcOption().field(field).color(colour) for field, colour in arcs.items()]
            )
        )
    )
    for query in queries:
        panel.with_target(query)
    _override(panel, overrides)
    return panel


def _joined(field: str) -> list[DataTransformerConfig]:
    return [DataTransformerConfig(id_val="joinByField", options={"byField": field, "mode": "outer"})] if field else []


def _organized(columns: Mapping[str, str]) -> DataTransformerConfig:
    """Only these fields, in this order, under these headings."""
    return DataTransformerConfig(
        id_val="organize",
        options={
            "includeByName": dict.fromkeys(columns, True),
            "indexByName": {field: index for index, field in enumerate(columns)},
            "renameByName": {field: heading for field, heading in columns.items() if field != heading},
        },
    )


def _overrides(overrides: Overrides) -> list[Any]:
    return [
        DashboardFieldConfigSourceOverrides().matcher(look.matcher("byName", name)).properties(list(properties))
        for name, properties in overrides.items()
    ]


def _override(panel: Any, overrides: Overrides | None) -> None:
    for name, properties in (overrides or {}).items():
        panel.override_by_name(name, list(properties))
