"""Queries, as panels ask Prometheus."""

from __future__ import annotations

from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


def over_time(expr: str, legend: str, ref: str = "A") -> Dataquery:
    """A query that gives a series over the dashboard's time."""
    return Dataquery().datasource(SOURCE).ref_id(ref).expr(expr).range().legend_format(legend)


def now(expr: str, legend: str = "", ref: str = "A") -> Dataquery:
    """A query that gives one value a series, of the end of the dashboard's time."""
    return Dataquery().datasource(SOURCE).ref_id(ref).expr(expr).instant().legend_format(legend)


def rows(expr: str, ref: str = "A") -> Dataquery:
    """A query that gives one row a series, its labels as columns."""
    return now(expr, ref=ref).format(PromQueryFormat.TABLE)
