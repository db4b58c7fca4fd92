"""The shipped rules and routes with every duration divided by a speed. At 60 minutes become seconds; all else stays."""

from __future__ import annotations

import re
from typing import Any

import yaml

from exporter.domain.clock import MILLISECOND
from exporter.domain.duration import format_duration, parse_duration

_RULE_TIMES = ("interval", "for", "keep_firing_for")
_ROUTE_TIMES = ("group_wait", "group_interval", "repeat_interval", "resolve_timeout")
_PROMQL = re.compile(
    r"""(?P<other> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | `[^`]*` | \#[^\n]* )
      | (?<![\w.]) (?P<duration> (?:\d+(?:ms|[smhdwy]))+ ) \b""",
    re.VERBOSE,
)


def scaled_duration(text: str, speed: float) -> str:
    """The duration divided, to the millisecond, and never less than one."""
    return format_duration(max(1, round(parse_duration(text) / speed / MILLISECOND)) * MILLISECOND)


def scaled_expression(expression: str, speed: float) -> str:
    """The PromQL with its durations (ranges, offsets, steps) divided; strings and plain numbers stay."""

    def scaled(match: re.Match[str]) -> str:
        return match["other"] or scaled_duration(match["duration"], speed)

    return _PROMQL.sub(scaled, expression)


def scaled_rules(text: str, speed: float) -> str:
    """A file of Prometheus rules, in the other time."""
    rules = yaml.safe_load(text)
    for group in rules["groups"]:
        for holder in (group, *group["rules"]):
            _scale(holder, _RULE_TIMES, speed)
        for rule in group["rules"]:
            rule["expr"] = scaled_expression(str(rule["expr"]), speed)
    return yaml.safe_dump(rules, sort_keys=False)


def scaled_routes(text: str, speed: float, sink: str) -> str:
    """Alertmanager's configuration in the other time; every receiver is a webhook at the sink, by its name."""
    configuration = yaml.safe_load(text)
    _scale_routes(configuration["route"], speed)
    receivers = [
        {"name": name, "webhook_configs": [{"url": f"{sink}/{name}", "send_resolved": True}]}
        for name in (receiver["name"] for receiver in configuration["receivers"])
    ]
    kept = {key: configuration[key] for key in ("route", "inhibit_rules") if key in configuration}
    return yaml.safe_dump({**kept, "receivers": receivers}, sort_keys=False)


def _scale_routes(route: dict[str, Any], speed: float) -> None:
    _scale(route, _ROUTE_TIMES, speed)
    for child in route.get("routes", []):
        _scale_routes(child, speed)


def _scale(holder: dict[str, Any], keys: tuple[str, ...], speed: float) -> None:
    for key in keys:
        if key in holder:
            holder[key] = scaled_duration(holder[key], speed)
