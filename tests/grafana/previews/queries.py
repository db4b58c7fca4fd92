"""What a dashboard asks of Prometheus, with its variables filled in as Grafana fills them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import requests

from tests.support.grafana_data import Answer, PanelAnswers

MAX_POINTS = 600
SCRAPE_SECONDS = 15
TIMEOUT_SECONDS = 30
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
LABEL_VALUES = re.compile(r"label_values\((?:(?P<metric>.+),)?\s*(?P<label>\w+)\)$", re.DOTALL)
QUERY_RESULT = re.compile(r"query_result\((?P<expression>.+)\)$", re.DOTALL)
REFERENCE = re.compile(r"\$(\w+)|\$\{(\w+)(?::\w+)?\}|\[\[(\w+)\]\]")

Values = dict[str, "str | list[str]"]


@dataclass(frozen=True, slots=True)
class Window:
    """The time shown, in seconds of the wall clock, and its step."""

    start: float
    end: float
    step: int

    @classmethod
    def of(cls, time_from: str, now: float, scrape_seconds: int = SCRAPE_SECONDS) -> Window:
        """From a dashboard's `now-6h` until now."""
        found = re.fullmatch(r"now-(\d+)([smhdw])", time_from)
        length = int(found[1]) * UNITS[found[2]] if found else UNITS["h"]
        return cls(now - length, now, max(scrape_seconds, round(length / MAX_POINTS)))

    @property
    def seconds(self) -> int:
        """How long it is."""
        return round(self.end - self.start)


class Prometheus:
    """Its HTTP API, as the data source uses it."""

    def __init__(self, url: str, scrape_seconds: int = SCRAPE_SECONDS) -> None:
        self.url = url.rstrip("/")
        self.scrape_seconds = scrape_seconds

    def get(self, path: str, **parameters: str | float) -> Mapping[str, Any]:
        """The whole answer, an error's too."""
        answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=TIMEOUT_SECONDS)
        found: Mapping[str, Any] = answer.json()
        return found

    def series(self, selector: str, window: Window) -> Sequence[Mapping[str, str]]:
        """The label sets of a selector."""
        when: dict[str, str | float] = {"match[]": selector, "start": window.start, "end": window.end}
        found: Sequence[Mapping[str, str]] = self.get("series", **when)["data"]
        return found


def fill(text: str, values: Mapping[str, str | list[str]], window: Window, scrape_seconds: int) -> str:
    """A query with `$name` and Grafana's own variables replaced."""
    own = {
        "__rate_interval": f"{max(window.step + scrape_seconds, 4 * scrape_seconds)}s",
        "__interval": f"{window.step}s",
        "__interval_ms": str(window.step * 1000),
        "__range": f"{window.seconds}s",
        "__range_s": str(window.seconds),
        "__range_ms": str(window.seconds * 1000),
    }

    def one(found: re.Match[str]) -> str:
        name = found[1] or found[2] or found[3]
        value = values.get(name, own.get(name, found[0]))
        return value if isinstance(value, str) else "(" + "|".join(map(re.escape, value)) + ")"

    return REFERENCE.sub(one, text)


def variables(dashboard: Mapping[str, Any], prometheus: Prometheus, window: Window, given: Values) -> Values:
    """Every variable's value: what is given, else what the dashboard opens with."""
    values: Values = {}
    for variable in dashboard.get("templating", {}).get("list", []):
        name = variable["name"]
        values[name] = given.get(name) or _opening(variable, values, prometheus, window)
    return values


def _opening(variable: Mapping[str, Any], values: Values, prometheus: Prometheus, window: Window) -> str | list[str]:
    current = variable.get("current", {}).get("value")
    everything = variable.get("includeAll") and (not current or current in ("$__all", ["$__all"]))
    if everything and variable.get("allValue"):
        return str(variable["allValue"])
    if variable["type"] == "query":
        options = _options(variable, values, prometheus, window)
        chosen = current if current and current not in ("$__all", ["$__all"]) else options[:1]
        return options if everything else chosen if variable.get("multi") else "".join(chosen)
    if current:
        return list(current) if isinstance(current, list) else str(current)
    return [one["value"] for one in variable.get("options", [])] if everything else str(variable.get("query", ""))


def _options(variable: Mapping[str, Any], values: Values, prometheus: Prometheus, window: Window) -> list[str]:
    query = variable["query"]["query"] if isinstance(variable["query"], dict) else variable["query"]
    query = fill(query, values, window, prometheus.scrape_seconds)
    if found := LABEL_VALUES.match(query):
        selector = found["metric"] or '{__name__!=""}'
        texts = {labels.get(found["label"], "") for labels in prometheus.series(selector.strip(), window)} - {""}
    elif found := QUERY_RESULT.match(query):
        samples = prometheus.get("query", query=found["expression"], time=window.end)["data"]["result"]
        texts = {
            "{" + ",".join(f'{key}="{value}"' for key, value in sample["metric"].items()) + "}" for sample in samples
        }
    else:
        raise ValueError(f"the variable {variable['name']} asks {query!r}: label_values or query_result is known")
    if pattern := variable.get("regex", "").strip("/"):
        matches = [re.search(pattern, text) for text in texts]
        texts = {match[1] if match.re.groups else match[0] for match in matches if match}
    return sorted(texts)


def ask(panel: Mapping[str, Any], values: Values, prometheus: Prometheus, window: Window) -> PanelAnswers:
    """Every visible target of the panel, answered; a panel may ask for longer steps than the window has."""
    if least := re.fullmatch(r"(\d+)([smhdw])", str(panel.get("interval", ""))):
        window = replace(window, step=max(window.step, int(least[1]) * UNITS[least[2]]))
    answers = []
    for target in panel.get("targets", []):
        if target.get("hide"):
            continue
        expression = fill(target["expr"], values, window, prometheus.scrape_seconds)
        if target.get("instant"):
            response = prometheus.get("query", query=expression, time=window.end)
        else:
            step = window.step
            start = window.start // step * step
            response = prometheus.get("query_range", query=expression, start=start, end=window.end, step=step)
        answers.append(Answer({**target, "expr": expression}, response))
    return PanelAnswers(
        panel,
        answers,
        from_ms=round(window.start * 1000),
        to_ms=round(window.end * 1000),
        interval_ms=window.step * 1000,
        variables=values,
        colors=sorted(_colors([panel.get("fieldConfig"), panel.get("options")])),
    )


def _colors(part: Any) -> set[str]:
    if isinstance(part, dict):
        own = {part[key] for key in ("color", "fixedColor") if isinstance(part.get(key), str)}
        return own.union(*map(_colors, part.values()))
    return set().union(*map(_colors, part)) if isinstance(part, list) else set()
