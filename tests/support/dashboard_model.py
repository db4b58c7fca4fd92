"""A dashboard as Grafana reads it, and the ways through it: its panels, their targets, and every expression in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Expression:
    """PromQL that Grafana would send. `where` names dashboard and place, for people."""

    where: str
    text: str
    panel: int | None = None
    ref_id: str = ""
    variable: str = ""


def loads(text: str) -> Json:
    """Strict JSON: ValueError names a key that stands twice in one object, NaN and the infinities."""

    def unique(pairs: list[tuple[str, Any]]) -> Json:
        keys = [key for key, _ in pairs]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise ValueError(f"an object has the key {min(twice)!r} twice")
        return dict(pairs)

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no JSON")

    dashboard: Json = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    return dashboard


def panels(dashboard: Json) -> Iterator[Json]:
    """Every panel but the rows, those in collapsed rows too."""
    for panel in dashboard.get("panels", []):
        if panel["type"] != "row":
            yield panel
        yield from panel.get("panels") or []


def rows(dashboard: Json) -> Iterator[Json]:
    """The headings between the panels."""
    return (panel for panel in dashboard.get("panels", []) if panel["type"] == "row")


def queried(dashboard: Json) -> Iterator[Json]:
    """The panels that ask for data."""
    return (panel for panel in panels(dashboard) if panel["type"] != "text")


def variables(dashboard: Json) -> list[Json]:
    """The variables, in their order."""
    found: list[Json] = dashboard.get("templating", {}).get("list", [])
    return found


def markers(dashboard: Json) -> list[Json]:
    """The annotations but for Grafana's own."""
    found: list[Json] = dashboard.get("annotations", {}).get("list", [])
    return [annotation for annotation in found if not annotation.get("builtIn")]


def where(dashboard: Json, panel: Json | None = None, detail: str = "") -> str:
    """A place, for people."""
    parts = [dashboard.get("uid") or dashboard.get("title") or "a dashboard without uid"]
    if panel is not None:
        parts.append(f"{panel.get('title') or 'untitled'!r}")
    return ", ".join([*parts, detail] if detail else parts)


def field_properties(panel: Json) -> Iterator[tuple[str, Any]]:
    """What the panel says of its fields, by the name of the property: of all of them, then by overrides."""
    yield from panel.get("fieldConfig", {}).get("defaults", {}).items()
    for override in panel.get("fieldConfig", {}).get("overrides", []):
        for prop in override["properties"]:
            yield prop["id"], prop.get("value")


def variable_query(variable: Json) -> str:
    """The query of a variable, in either of the forms that Grafana stores it in."""
    query = variable.get("query", "")
    return str(query.get("query", "")) if isinstance(query, dict) else str(query)


def expressions(dashboard: Json) -> Iterator[Expression]:
    """Every expression of panels, variables and annotations; of `label_values` and `query_result` what they ask for.

    Variables with choices of their own, which may be parts of the syntax, are filled in with the choice at the start.
    """
    chosen = {
        variable["name"]: str(variable.get("current", {}).get("value", ""))
        for variable in variables(dashboard)
        if variable["type"] == "custom"
    }

    def filled(text: str) -> str:
        return re.sub(r"\$\{?(\w+)\}?", lambda found: chosen.get(found[1], found[0]), text)

    for panel in panels(dashboard):
        for target in panel.get("targets") or []:
            place = where(dashboard, panel, target.get("refId", "?"))
            yield Expression(place, filled(target.get("expr", "")), panel["id"], target.get("refId", ""))
    for variable in variables(dashboard):
        if variable["type"] == "query":
            _, text, _ = split_variable_query(variable_query(variable))
            if text:
                place = where(dashboard, detail=f"variable {variable['name']}")
                yield Expression(place, text, variable=variable["name"])
    for annotation in markers(dashboard):
        target = annotation.get("target") or {}
        text = annotation.get("expr") or target.get("expr") or ""
        yield Expression(where(dashboard, detail=f"annotation {annotation['name']!r}"), text)


def text_of(dashboard: Json, panel: Json, target: Json) -> str:
    """The expression of one target, as `expressions` has it."""
    ids = (panel["id"], target.get("refId", ""))
    return next((one.text for one in expressions(dashboard) if (one.panel, one.ref_id) == ids), "")


def split_variable_query(query: str) -> tuple[str, str, str]:
    """Function, expression and label of `label_values(expression, label)`; the last two may be missing."""
    function, opened, rest = query.partition("(")
    if not opened or not rest.endswith(")"):
        return "", "", ""
    inner = rest[:-1].strip()
    if function != "label_values":
        return function, inner, ""
    expression, comma, label = inner.rpartition(",")
    return (function, expression.strip(), label.strip()) if comma else (function, "", inner)
