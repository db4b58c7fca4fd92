"""What is read at one moment, one function for each kind of panel. Titles, words and queries are each panel's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import barchart, bargauge, common, nodegraph, stat, table
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BarGaugeValueMode,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, ValueMapping

from grafana.source import look
from grafana.source.ask import SOURCE
from grafana.source.parts import Overrides, legend_below, override


def number(
    title: str,
    description: str,
    *queries: Dataquery,
    unit: str = "none",
    decimals: int | None = None,
    colour: str | ThresholdsConfig = look.PLAIN,
    mappings: Sequence[ValueMapping] = (),
    none: str = look.UNKNOWN,
    named: bool = False,
    overrides: Overrides | None = None,
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
    override(panel, overrides or {})
    return panel


def listing(
    title: str,
    description: str,
    *queries: Dataquery,
    columns: Mapping[str, str],
    overrides: Overrides | None = None,
    join: str = "",
    sort: str = "",
    none: str = "No data",
) -> table.Panel:
    """A table. `columns`: the fields that are shown and their headings, in order; `overrides` are by heading."""
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .no_value(none)
        .override_by_regexp(".*", [look.none(look.UNKNOWN)])  # not what stands for an empty table
        .filterable(True)
        .transformations([*_joined(join), _organized(columns)])
    )
    if sort:
        panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(True)])
    for query in queries:
        panel.with_target(query)
    override(panel, overrides or {})
    return panel


def shares(title: str, description: str, query: Dataquery, *, row: str, column: str, heading: str) -> barchart.Panel:
    """A bar for each value of the label `row`, made up of the statuses that `column` names."""
    panel = (
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
        .legend(legend_below())
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    override(panel, look.status_overrides())
    return panel


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
    override(panel, overrides or {})
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
