"""Topology rules: which nodes reach which, by role and by GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporter.configuration import kinds
from exporter.configuration.faults import refused, unknown_key
from exporter.domain.errors import Fault, Invalid, below
from exporter.domain.text import NAME_EXPECTED, is_name
from exporter.domain.topology import EdgeRule, Selector


def rule(value: Any) -> EdgeRule:
    """A rule such as `{type: vpn_mesh, source: {role: lead}}`; a selector that is left out means every node."""
    if isinstance(value, dict) and "type" not in value:
        raise Invalid.of("type", "required")
    return EdgeRule(**_fields(value, "a rule", {"type": _name, "source": _selector, "target": _selector}))


def _selector(value: Any) -> Selector:
    fields = _fields(value, "a selector such as {role: lead} or {gpu: true}", {"role": _roles, "gpu": kinds.boolean})
    return Selector(roles=fields.get("role", ()), gpu=fields.get("gpu"))


def _roles(value: Any) -> tuple[str, ...]:
    if value == []:
        raise refused("a role, or a list of some", value)
    return kinds.list_of(_name)(value if isinstance(value, list) else [value])


def _name(value: Any) -> str:
    if not isinstance(value, str) or not is_name(value):
        raise refused(NAME_EXPECTED, value)
    return value


def _fields(value: Any, expected: str, parsers: Mapping[str, kinds.Parser[Any]]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refused(expected, value)
    faults: list[Fault] = []
    fields = {}
    for key, raw in value.items():
        parser = parsers.get(key)
        if parser is None:
            faults.append(unknown_key("", key, parsers))
            continue
        try:
            fields[key] = parser(raw)
        except Invalid as error:
            faults += below(key, error.faults)
    if faults:
        raise Invalid(faults)
    return fields
