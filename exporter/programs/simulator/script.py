"""Incidents as a YAML file, read as strictly as the registry's configuration."""

from __future__ import annotations

from importlib import resources
from typing import Any

from exporter.configuration import kinds
from exporter.configuration.faults import refused, unknown_key
from exporter.configuration.yamlfile import read_yaml, read_yaml_file
from exporter.domain.duration import parse_duration
from exporter.domain.errors import Fault, Invalid, below
from exporter.programs.simulator.incident import Incident, IncidentKind

DEFAULT = "default"
_HOTTEST = 150


def moment(value: Any) -> int:
    """Nanoseconds since the start, from 0s up."""
    return 0 if value == "0s" else kinds.duration(value)


def offset(value: Any) -> int:
    """Nanoseconds by which a clock is ahead, or with a minus behind."""
    if not isinstance(value, str):
        raise refused("a duration such as 90s, or -90s", value)
    try:
        ns = parse_duration(value.removeprefix("-"))
    except ValueError:
        raise refused("a duration such as 90s, or -90s", value) from None
    return -ns if value.startswith("-") else ns


def celsius(value: Any) -> float:
    """A temperature that a sensor may show."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _HOTTEST:
        raise refused(f"degrees Celsius from 0 to {_HOTTEST}", value)
    return float(value)


_Fields = dict[str, tuple[str, kinds.Parser[Any]]]
"""For each key of the script the field of an Incident, and what it takes."""
_TIMES: _Fields = {
    "at": ("at_ns", moment),
    "for": ("for_ns", kinds.duration),
    "every": ("every_ns", kinds.duration),
}
_CHOICE: _Fields = {
    "nodes": ("nodes", kinds.list_of(kinds.text)),
    "site": ("site", kinds.text),
    "role": ("role", kinds.text),
    "count": ("count", kinds.integer(1)),
    "share": ("share", kinds.ratio),
}
_GPU: _Fields = {**_CHOICE, "gpu": ("gpu", kinds.integer(0))}
_LEAVE: _Fields = {**_CHOICE, "reason": ("reason", kinds.text), "until": ("until_ns", kinds.duration)}
_OWN: dict[IncidentKind, _Fields] = {
    IncidentKind.SITE_FAILS: {"site": _CHOICE["site"]},
    IncidentKind.NODE_FLAPS: {**_CHOICE, "period": ("period_ns", kinds.duration)},
    IncidentKind.GPU_LOST: _GPU,
    IncidentKind.GPU_HOT: {**_GPU, "celsius": ("celsius", celsius)},
    IncidentKind.HEARTBEATS_LOST: {**_CHOICE, "loss": ("loss", kinds.ratio)},
    IncidentKind.CLOCK_SKEW: {**_CHOICE, "offset": ("offset_ns", offset)},
    IncidentKind.MAINTENANCE: _LEAVE,
    IncidentKind.DRAIN: _LEAVE,
    IncidentKind.GARBAGE_ON_BUS: {"per_minute": ("per_minute", kinds.integer(1))},
}


def read_script(name: str) -> tuple[Incident, ...]:
    """The incidents of a file, or of the built-in script (`default`); Invalid with every fault."""
    if name == DEFAULT:
        return parse_script(resources.files(__package__).joinpath("default.yaml").read_text(encoding="utf-8"))
    return _incidents(read_yaml_file(name))


def parse_script(text: str) -> tuple[Incident, ...]:
    """The incidents of a script's text, in its order; Invalid with every fault that there is."""
    return _incidents(read_yaml(text))


def _incidents(document: Any) -> tuple[Incident, ...]:
    if not isinstance(document, list):
        raise refused("a list of incidents such as - {kind: node_dies, at: 1m, for: 5m}", document)
    faults: list[Fault] = []
    incidents = []
    for index, entry in enumerate(document):
        try:
            incidents.append(_incident(entry))
        except Invalid as error:
            faults += below(f"[{index}]", error.faults)
    if faults:
        raise Invalid(faults)
    return tuple(incidents)


def _incident(entry: Any) -> Incident:
    if not isinstance(entry, dict):
        raise refused("an incident such as {kind: node_dies, at: 1m, for: 5m}", entry)
    try:
        kind = IncidentKind(kinds.one_of(*IncidentKind)(entry.get("kind")))
    except Invalid as error:
        raise Invalid(below("kind", error.faults)) from None
    fields = {**_TIMES, **_OWN.get(kind, _CHOICE)}
    faults: list[Fault] = []
    found: dict[str, Any] = {}
    for key, value in entry.items():
        if key == "kind":
            continue
        if key not in fields:
            faults.append(unknown_key("", key, fields))
            continue
        field, parse = fields[key]
        try:
            found[field] = parse(value)
        except Invalid as error:
            faults += below(key, error.faults)
    if "at" not in entry:
        faults.append(Fault("at", "required: a duration since the start, such as 0s or 2m"))
    faults += _contradictions(entry, found)
    if faults:
        raise Invalid(faults)
    return Incident(kind=kind, **found)


def _contradictions(entry: dict[str, Any], found: dict[str, Any]) -> list[Fault]:
    faults = []
    if "every" in entry and "for" not in entry:
        faults.append(Fault("for", "required where every repeats the incident"))
    elif "every_ns" in found and "for_ns" in found and found["every_ns"] <= found["for_ns"]:
        faults.append(Fault("every", f"expected more than for ({entry['for']}), got {entry['every']}"))
    if "nodes" in entry and (others := [key for key in ("site", "role", "count", "share") if key in entry]):
        faults.append(Fault(others[0], "expected either nodes, by name, or what chooses them"))
    if "count" in entry and "share" in entry:
        faults.append(Fault("share", "expected either count or share"))
    return faults
