"""What every dashboard has: its variables, its links to the others, its annotations, and panels on the grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders.dashboard import (
    CustomVariable,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from grafana.source import look
from grafana.source.ask import SOURCE
from grafana.source.promql import of

TAG = "aurora"
COLUMNS = 24
NODE_LINK = {
    "title": "Open the node's dashboard",
    "url": "/d/aurora-node/aurora-node?var-node=${__value.raw}&${datasource:queryparam}&${__url_time_range}",
}


class Annotation(model.AnnotationQuery, Builder[model.AnnotationQuery]):
    """An annotation of Prometheus' own kind, whose wording the SDK's model does not know of."""

    def __init__(self, name: str, expr: str, title: str, colour: str) -> None:
        super().__init__(name=name, datasource=SOURCE, enable=True, hide=False, icon_color=colour, expr=expr)
        self.built_in = 0
        self._title = title

    def to_json(self) -> dict[str, object]:
        """As Grafana's Prometheus data source reads it."""
        return {**super().to_json(), "titleFormat": self._title, "step": "15s"}

    def build(self) -> Annotation:
        """Itself: it is its own builder."""
        return self


ANNOTATIONS = (
    Annotation(
        "Site disrupted", f"max by (site) ({of('aurora_site_disrupted')}) == 1", "Site {{site}} is disrupted", look.BAD
    ),
    Annotation(
        "Not receiving",
        f"max by (instance, transport) ({of('aurora_registry_blind')}) == 1",
        "{{instance}} receives nothing over {{transport}}",
        look.HELD,
    ),
)


class Page:
    """A dashboard that is being put together, row by row. Raises ValueError where a row does not fill the grid."""

    def __init__(self, uid: str, title: str, description: str, *, since: str = "now-6h") -> None:
        self._dashboard = (
            Dashboard(title)
            .uid(uid)
            .description(description)
            .tags([TAG, "prometheus", "gpu"])
            .readonly()
            .timezone("browser")
            .time(since, "now")
            .refresh("30s")
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .link(
                DashboardLink("Aurora")
                .type(model.DashboardLinkType.DASHBOARDS)
                .tags([TAG])
                .as_dropdown(False)
                .include_vars(True)
                .keep_time(True)
                .icon("external link")
            )
            .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
            .with_variable(
                self._asked("job", "Job", "label_values(aurora_registry_build_info, job)").current(
                    model.VariableOption(selected=True, text="node-registry", value="node-registry")
                )
            )
            .with_variable(
                self._asked("instance", "Registry", 'label_values(aurora_registry_build_info{job=~"$job"}, instance)')
                .multi(True)
                .include_all(True)
                .all_value(".*")
                .current(EVERY)
            )
        )
        for annotation in ANNOTATIONS:
            self._dashboard.annotation(annotation)
        self._panels = 0

    def asked(self, name: str, label: str, query: str, *, every: bool = False) -> Page:
        """A variable whose values Prometheus knows; `every`: many may be chosen, all are at first."""
        variable = self._asked(name, label, query)
        if every:
            variable.multi(True).include_all(True).all_value(".*").current(EVERY)
        self._dashboard.with_variable(variable)
        return self

    def hidden(self, name: str, query: str) -> Page:
        """A variable that links use and nobody chooses."""
        self._dashboard.with_variable(self._asked(name, name, query).hide(model.VariableHide.HIDE_VARIABLE))
        return self

    def outside(self, title: str, url: str) -> Page:
        """A link to another project's dashboard, for the chosen time."""
        self._dashboard.link(
            DashboardLink(title)
            .type(model.DashboardLinkType.LINK)
            .url(url)
            .keep_time(True)
            .target_blank(True)
            .icon("external link")
        )
        return self

    def choice(self, name: str, label: str, options: Sequence[tuple[str, str]]) -> Page:
        """A variable with these values, each with its text; the first is chosen."""
        chosen = [
            model.VariableOption(selected=not index, text=text, value=value)
            for index, (text, value) in enumerate(options)
        ]
        values = ",".join(f"{text} : {value}" for text, value in options)
        self._dashboard.with_variable(
            CustomVariable(name).label(label).values(values).options(chosen).current(chosen[0])
        )
        return self

    def heading(self, title: str) -> Page:
        """A line across that says what follows."""
        self._dashboard.with_row(Row(title).id(self._next_id()))
        return self

    def row(self, height: int, *panels: tuple[Any, int]) -> Page:
        """Panels side by side, each with its width; together they are as wide as the grid."""
        if (wide := sum(width for _, width in panels)) != COLUMNS:
            raise ValueError(f"the row is {wide} columns wide, expected {COLUMNS}")
        for panel, width in panels:
            self._dashboard.with_panel(panel.id(self._next_id()).height(height).span(width))
        return self

    def build(self) -> model.Dashboard:
        """The dashboard."""
        return self._dashboard.build()

    def _next_id(self) -> int:
        self._panels += 1
        return self._panels

    @staticmethod
    def _asked(name: str, label: str, query: str) -> QueryVariable:
        return (
            QueryVariable(name)
            .label(label)
            .datasource(SOURCE)
            .query({"qryType": 1, "query": query, "refId": f"{name}-variable"})
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(model.VariableSort.NATURAL_ASC)
        )


EVERY = model.VariableOption(selected=True, text=["All"], value=["$__all"])
