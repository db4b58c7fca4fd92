"""Grafana's own front-end code over what Prometheus answered: transformations, overrides, units, colours, links."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HARNESS = Path(__file__).resolve().parents[1] / "grafana" / "node"
DEADLINE_SECONDS = 60.0
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What Prometheus' HTTP API answered to one target of a panel: the whole JSON, `status` included."""

    target: Mapping[str, Any]
    response: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PanelAnswers:
    """A panel as its dashboard has it, and what its targets brought. Times are milliseconds of the wall clock.

    `variables` are the dashboard's (several values as a list); `colors` are names that the caller wants as hex.
    """

    panel: Mapping[str, Any]
    answers: Sequence[Answer] = ()
    from_ms: int = 0
    to_ms: int = HOUR_MS
    interval_ms: int = 15_000
    timezone: str = "utc"
    variables: Mapping[str, str | list[str]] = field(default_factory=dict)
    colors: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """A link with its variables resolved."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One value as the panel shows it."""

    text: str
    color: str | None
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Calculation:
    """A legend's calculation over a field, as text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Field:
    """A column, or a series' values, after all transformations and overrides. Values that are not finite are None."""

    name: str
    display_name: str
    type: str
    labels: Mapping[str, str]
    config: Mapping[str, Any]
    values: tuple[Any, ...]
    cells: tuple[Cell, ...]
    color: str | None
    calculations: tuple[Calculation, ...]

    @property
    def texts(self) -> list[str]:
        """The values as the panel shows them."""
        return [cell.text for cell in self.cells]


@dataclass(frozen=True, slots=True)
class Frame:
    """A data frame that reaches the panel."""

    ref_id: str
    name: str
    fields: tuple[Field, ...]

    def field(self, name: str) -> Field:
        """The field of this real or displayed name; KeyError names those that there are."""
        for one in self.fields:
            if name in (one.name, one.display_name):
                return one
        raise KeyError(f"no field {name}, there are {[one.display_name for one in self.fields]}")


@dataclass(frozen=True, slots=True)
class SingleValue:
    """What a stat, gauge, bar gauge or pie shows of one series. `percent` is from 0 to 1 of the field's range."""

    title: str
    text: str
    color: str | None
    value: float | None
    percent: float | None
    min: float | None
    max: float | None
    links: tuple[Link, ...]
    trend: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of the vertical axis."""

    value: float
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What Grafana would pass over without a word, or break on.

    `kind`: `answer`, `no data`, `unit`, `color`, `reducer`, `transformation`, `field` (a transformation reads a name
    that nothing bears), `matcher`, `unmatched`, `property` (all three: an override), `mapping`, `node graph`,
    `variable`.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Processed:
    """What the panel's viewer gets."""

    title: str
    frames: tuple[Frame, ...]
    values: tuple[SingleValue, ...]
    axis: tuple[Tick, ...]
    palette: Mapping[str, str]
    problems: tuple[Problem, ...]


def process(panels: Sequence[PanelAnswers]) -> list[Processed]:
    """Run every panel through Grafana's code, in one start of Node; RuntimeError carries what Node wrote."""
    asked = [
        {
            "panel": one.panel,
            "results": [
                {"refId": answer.target["refId"], "target": answer.target, "response": answer.response}
                for answer in one.answers
            ],
            "range": {"from": one.from_ms, "to": one.to_ms, "interval": one.interval_ms},
            "timezone": one.timezone,
            "variables": one.variables,
            "colors": list(one.colors),
        }
        for one in panels
    ]
    done = subprocess.run(
        ["node", str(HARNESS / "main.js")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return [_processed(one) for one in json.loads(done.stdout)]


def _processed(found: Mapping[str, Any]) -> Processed:
    return Processed(
        title=found["title"],
        frames=tuple(
            Frame(frame["ref_id"], frame["name"], tuple(map(_field, frame["fields"]))) for frame in found["frames"]
        ),
        values=tuple(
            SingleValue(**{**one, "links": _links(one["links"]), "trend": tuple(map(tuple, one["trend"]))})
            for one in found["values"]
        ),
        axis=tuple(Tick(**tick) for tick in found["axis"]),
        palette=found["palette"],
        problems=tuple(Problem(**problem) for problem in found["problems"]),
    )


def _field(found: Mapping[str, Any]) -> Field:
    cells = tuple(Cell(one["text"], one["color"], _links(one["links"])) for one in found["cells"])
    calculations = tuple(Calculation(**one) for one in found["calculations"])
    return Field(**{**found, "values": tuple(found["values"]), "cells": cells, "calculations": calculations})


def _links(found: Sequence[Mapping[str, str]]) -> tuple[Link, ...]:
    return tuple(Link(**link) for link in found)
