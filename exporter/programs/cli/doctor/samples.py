"""Samples of a scrape in the text format, as far as checks need them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})?[ \t]+(\S+)(?:[ \t]+\S+)?")
_LABEL = re.compile(rf'({_NAME})="((?:[^"\\]|\\.)*)",?')


@dataclass(frozen=True, slots=True)
class Sample:
    """One line."""

    name: str
    labels: dict[str, str]
    value: float


def parse_samples(text: str) -> list[Sample]:
    """The samples in order; ValueError names the first line that is no sample."""
    return [_sample(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def total(samples: list[Sample], name: str) -> float | None:
    """The sum of the samples of this name; None where there is none."""
    values = [sample.value for sample in samples if sample.name == name]
    return sum(values) if values else None


def _sample(line: str) -> Sample:
    match = _SAMPLE.fullmatch(line.strip())
    if match is None or _LABEL.sub("", match[2] or ""):
        raise ValueError(f"no sample: {line[:80]}")
    return Sample(match[1], dict(_LABEL.findall(match[2] or "")), float(match[3]))
