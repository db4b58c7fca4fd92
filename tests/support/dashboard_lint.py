"""The rules of Grafana's dashboard-linter, by its names. Source: grafana/dashboard-linter, lint/rule_*.go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import promql_parser as promql

from tests.support.dashboard_model import (
    Json,
    expressions,
    field_properties,
    markers,
    panels,
    queried,
    split_variable_query,
    variable_query,
    variables,
    where,
)
from tests.support.dashboard_promql import SHOWN_TIMES, read, substituted, variables_in

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
UNITS = frozenset(
    {
        *("none", "short", "string", "bool", "bool_yes_no", "percent", "percentunit", "hertz", "currencyUSD"),
        *("bytes", "decbytes", "binBps", "Bps", "celsius", "watt", "watth", "kwatth", "reqps", "rps", "ops", "cps"),
        *("s", "ms", "m", "h", "d", "dtdurations", "dthms", "dtdhms", "dateTimeAsIso", "dateTimeFromNow"),
    }
)
"""Of Grafana's units those that fit a mesh of GPUs."""
WITHOUT_UNIT = frozenset({"text", "nodeGraph"})
EXCLUDED: Mapping[tuple[str, str], str] = {
    ("template-job", "multi, allValue"): "the job is one: a second would be another mesh",
    ("template-instance", "label"): "it is labelled Registry, which is what an instance is here",
    ("template-instance", "allValue"): ".* as well as .+: with nodes' own variables it finds nodes without a site too",
    ("panel-units", "tables"): "held where a table shows a number; facts are words",
    ("target-counter-agg", "nodes_forgotten"): "how many in all, as they are few and each is somebody's machine",
    ("target-counter-agg", "_total"): "held for _bucket, _sum and _count as well",
    ("target-rate-interval", "$__range"): "where the whole time shown is meant",
    ("target-job", "ALERTS, records"): "an alert about a node has no job: replicas make one alert",
    ("target-instance", "ALERTS, records"): "the same",
}
"""What of a rule is not held, or held otherwise, and why."""
TOTALS = ("the counter aurora_registry_nodes_forgotten_total",)
EACH_REGISTRY = "aurora-registry"
"""The dashboard that shows each registry beside the others."""
WITHOUT_TARGET = frozenset({"ALERTS", "ALERTS_FOR_STATE"})

Rule = Callable[[Json, Mapping[str, frozenset[str]]], Iterator[str]]


def lint_problems(dashboard: Json, known: Mapping[str, frozenset[str]]) -> list[str]:
    """What the linter would say. `known`: the labels of each metric."""
    return [f"{problem} ({name})" for name, rule in RULES.items() for problem in rule(dashboard, known)]


def _variable(dashboard: Json, name: str) -> Json | None:
    return next((variable for variable in variables(dashboard) if variable["name"] == name), None)


def _template_datasource(dashboard: Json, _: object) -> Iterator[str]:
    sources = [variable for variable in variables(dashboard) if variable["type"] == "datasource"]
    if [(variable["name"], variable.get("query")) for variable in sources] != [("datasource", "prometheus")]:
        yield f"{where(dashboard)}: expected one variable for the data source, datasource, of type prometheus"
    elif sources[0].get("label") not in ("Data source", "Prometheus data source"):
        yield f"{where(dashboard)}: the variable datasource is labelled {sources[0].get('label')!r}, not 'Data source'"


def _template(name: str, label: str, *, multi: bool) -> Rule:
    def rule(dashboard: Json, _: object) -> Iterator[str]:
        variable = _variable(dashboard, name)
        if variable is None:
            yield f"{where(dashboard)}: it has no variable {name}"
            return
        if variable["type"] != "query":
            yield f"{where(dashboard)}: the variable {name} is no query"
        if variable.get("label") != label:
            yield f"{where(dashboard)}: the variable {name} is labelled {variable.get('label')!r}, not {label!r}"
        every = variable.get("includeAll") and variable.get("allValue") in (".*", ".+")
        if multi and not (variable.get("multi") and every):
            yield f"{where(dashboard)}: the variable {name} does not take several values and all of them"

    return rule


def _template_label_promql(dashboard: Json, known: Mapping[str, frozenset[str]]) -> Iterator[str]:
    for variable in variables(dashboard):
        if variable["type"] == "query":
            function, _, label = split_variable_query(variable_query(variable))
            place = where(dashboard, detail=f"variable {variable['name']}")
            if function not in ("label_values", "label_names", "metrics", "query_result"):
                yield f"{place}: {variable_query(variable)!r} is no query for a variable"
            metrics = [e for e in expressions(dashboard) if e.variable == variable["name"]]
            for expression in metrics:
                names = read(expression.text, known).metrics
                if label and not any(label in known.get(name, ()) for name in names):
                    yield f"{place}: asks for the label {label}, which {', '.join(sorted(names))} does not have"


def _template_reload(dashboard: Json, _: object) -> Iterator[str]:
    for variable in variables(dashboard):
        if variable["type"] == "query" and variable.get("refresh") != 2:
            yield f"{where(dashboard)}: the variable {variable['name']} is not refreshed when the time range changes"


def _panel_datasource(dashboard: Json, _: object) -> Iterator[str]:
    for panel in queried(dashboard):
        for place, holder in (("", panel), *((t.get("refId", "?"), t) for t in panel.get("targets") or [])):
            if holder.get("datasource") != DATASOURCE:
                yield f"{where(dashboard, panel, place)}: its data source is not the variable ${{datasource}}"
    asking = [variable for variable in variables(dashboard) if variable["type"] == "query"]
    for holder in (*asking, *markers(dashboard)):
        if holder.get("datasource") != DATASOURCE:
            yield f"{where(dashboard, detail=holder['name'])}: its data source is not the variable ${{datasource}}"


def _panel_title_description(dashboard: Json, _: object) -> Iterator[str]:
    for panel in panels(dashboard):
        if not panel.get("title") or len(panel.get("description") or "") < 15:
            yield f"{where(dashboard, panel)}: it has no title, or no description"


def _panel_units(dashboard: Json, _: object) -> Iterator[str]:
    for panel in panels(dashboard):
        units = [value for name, value in field_properties(panel) if name == "unit"]
        mapped = [value for name, value in field_properties(panel) if name == "mappings" and value]
        changes = [change.get("options", {}) for change in panel.get("transformations") or []]
        words = panel["type"] == "table" and any(map(_hides_value, changes))
        if panel["type"] not in WITHOUT_UNIT and not units and not mapped and not words:
            yield f"{where(dashboard, panel)}: it has no unit"
        for unit in units:
            if unit not in UNITS and not unit.startswith(("suffix:", "prefix:", "time:")):
                yield f"{where(dashboard, panel)}: {unit!r} is no unit that is known"


def _hides_value(options: Json) -> bool:
    return "Value" in options.get("excludeByName", {}) or "Value" not in options.get("includeByName", {"Value": True})


def _panel_no_targets(dashboard: Json, _: object) -> Iterator[str]:
    for panel in queried(dashboard):
        if not panel.get("targets"):
            yield f"{where(dashboard, panel)}: it has no targets"


def _target_promql(dashboard: Json, known: Mapping[str, frozenset[str]]) -> Iterator[str]:
    apart = dashboard.get("uid") == EACH_REGISTRY
    for expression in expressions(dashboard):
        reading = read(expression.text, known)
        problems = [problem for problem in reading.problems if not any(name in problem for name in TOTALS)]
        yield from (f"{expression.where}: {problem}" for problem in problems)
        if reading.doubled and not expression.variable and not apart:
            yield f"{expression.where}: has each series once for every registry: aggregate, as max by (...) does"


def _target_rate_interval(dashboard: Json, known: Mapping[str, frozenset[str]]) -> Iterator[str]:
    for expression in expressions(dashboard):
        for function, over in read(expression.text, known).ranges:
            if over not in SHOWN_TIMES:
                yield f"{expression.where}: {function} over {over}, not over $__rate_interval"


def _target(name: str) -> Rule:
    def rule(dashboard: Json, known: Mapping[str, frozenset[str]]) -> Iterator[str]:
        for expression in expressions(dashboard):
            if expression.variable in ("job", name):
                continue
            marked = substituted(expression.text, {name: f"chosen-{name}"})
            for selector in read(marked, known).selectors:
                if selector.name in WITHOUT_TARGET or ":" in (selector.name or ""):
                    continue
                chosen = (name, promql.MatchOp.Re, f"chosen-{name}")
                if chosen not in [(m.name, m.op, m.value) for m in selector.matchers.matchers]:
                    yield f'{expression.where}: {selector.name} is asked for without {name}=~"${name}"'

    return rule


def _uneditable(dashboard: Json, _: object) -> Iterator[str]:
    if dashboard.get("editable") is not False:
        yield f"{where(dashboard)}: it is editable, and what people change is lost with the next provisioning"


def _unused(dashboard: Json, _: object) -> Iterator[str]:
    """A rule that the linter gained later: template-unused."""
    defined = {variable["name"] for variable in variables(dashboard)}
    used: set[str] = set()
    for text in _texts({key: value for key, value in dashboard.items() if key != "templating"}):
        used |= variables_in(text)
    for variable in variables(dashboard):
        used |= variables_in(variable_query(variable)) | variables_in(str(variable.get("datasource")))
    for name in sorted(defined - used):
        yield f"{where(dashboard)}: the variable {name} is used nowhere"
    for name in sorted(used - defined):
        if not name.startswith("__") and not name.isdecimal():
            yield f"{where(dashboard)}: ${name} is used, and no variable has that name"


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


RULES: Mapping[str, Rule] = {
    "template-datasource": _template_datasource,
    "template-job": _template("job", "Job", multi=False),
    "template-instance": _template("instance", "Registry", multi=True),
    "template-label-promql": _template_label_promql,
    "template-on-time-change-reload": _template_reload,
    "template-unused": _unused,
    "panel-datasource": _panel_datasource,
    "panel-title-description": _panel_title_description,
    "panel-units": _panel_units,
    "panel-no-targets": _panel_no_targets,
    "target-promql, target-counter-agg": _target_promql,
    "target-rate-interval": _target_rate_interval,
    "target-job": _target("job"),
    "target-instance": _target("instance"),
    "uneditable-dashboard": _uneditable,
}
