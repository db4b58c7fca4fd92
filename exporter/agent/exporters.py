"""GPUs as another exporter on this node shows them: `--gpu-source URL`. Any vendor's, by a mapping of names."""

from __future__ import annotations

import io
import json
import math
import pkgutil
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from exporter.agent.checks import clean_text
from exporter.agent.exits import UsageError
from exporter.agent.gpus import (
    MAX_CODE,
    MAX_ERRORS,
    MAX_GPUS,
    MAX_HERTZ,
    MAX_JOULES,
    MAX_ROWS,
    Gpu,
    Look,
    Sight,
    reading_of,
    total_of,
)
from exporter.agent.http import HttpRegistry
from exporter.agent.responsereader import BadAnswer

MAPPINGS = ("dcgm-exporter", "nvidia_gpu_exporter", "all-smi", "amd-device-metrics-exporter")
MOST: Mapping[str, float] = {
    "fan": 2,
    "sm_clock_hertz": MAX_HERTZ,
    "memory_clock_hertz": MAX_HERTZ,
    "ecc_uncorrected_errors": MAX_ERRORS,
    "remapped_rows": MAX_ROWS,
    "remap_failed": 1,
    "energy_joules": MAX_JOULES,
}
"""Of what a GPU's health can be. What is above is how an exporter writes "unknown"."""
OK = 200
_SAMPLE = re.compile(r'\s*([A-Za-z_:][\w:]*)(?:\s*\{([^"}]*(?:"(?:[^"\\]|\\.)*"[^"}]*)*)\})?\s+(\S+)')
_LABEL = re.compile(r'\b(\w+)="((?:[^"\\]|\\.)*)"')
"""Each place of a text fits one part of them, so that no text takes long."""
_UNKNOWN = frozenset({"", "na", "none", "null", "unknown"})
"""What is left of "N/A", "[Unknown]" and "00000000-0000-...": any number of GPUs may have that for their number."""
WHOLE = frozenset({"", "0", "4294967295"})
"""Partitions of a GPU that stand for all of it: none, the first, and the one of a virtual GPU, which has no number."""
_MAKER = re.compile(r"^(?:NVIDIA )?(?:GeForce )?(?=.)")


class ExporterSample(NamedTuple):
    """One line of an exporter's answer."""

    name: str
    labels: Mapping[str, str]
    value: float
    """Not a number where it is not known: its GPU is there all the same."""


class ExporterSource:
    """Reads one exporter at each look. That it cannot be reached says nothing of the GPUs."""

    def __init__(self, url: str) -> None:
        """Raises UsageError for what is no URL."""
        try:
            self._http = HttpRegistry(url)
        except UsageError:
            raise UsageError(
                "--gpu-source (AURORA_GPU_SOURCE): expected an exporter's URL, such as http://127.0.0.1:9400/metrics"
            ) from None
        self._path = "" if self._http.endpoint.count("/") > 2 else "/metrics"  # noqa: PLR2004 - those of http://host
        self._mappings = [
            json.loads(pkgutil.get_data(__package__, f"mappings/{name}.json") or b"{}") for name in MAPPINGS
        ]
        self._names = frozenset().union(*map(_names_of, self._mappings))
        self._health: dict[int, dict[str, Any]] = {}

    def look(self) -> Look:
        """What it shows now."""
        try:
            response = self._http.fetch("GET", self._path)
        except (OSError, BadAnswer) as error:
            return Look(Sight.UNSURE, reason=f"{self._http.endpoint} cannot be read: {error}")
        if response.status != OK:
            return Look(Sight.UNSURE, reason=f"{self._http.endpoint} answers {response.status}")
        text = response.body.decode("utf-8", "replace")
        names = {sample.name for sample in samples_of(text, self._names)}
        if not names:
            return Look(Sight.UNSURE, reason=f"{self._http.endpoint} has no GPU that we understand")
        mapping = max(self._mappings, key=lambda each: len(_names_of(each) & names))
        gpus, self._health = read(mapping, samples_of(text, _names_of(mapping)))
        if not 0 < len(gpus) <= MAX_GPUS:
            return Look(Sight.UNSURE, reason=f"{self._http.endpoint} has {len(gpus)} GPUs, which cannot be")
        return Look(Sight.SEEN, len(gpus), tuple(gpus))

    def health(self) -> dict[int, dict[str, Any]]:
        """How the GPUs were at the latest look."""
        return self._health

    def close(self) -> None:
        """End the connection."""
        self._http.close()


def samples_of(text: str, names: Container[str]) -> Iterator[ExporterSample]:
    """The samples of these names in a text in Prometheus' format, one by one; other lines are skipped."""
    for line in io.StringIO(text):
        match = _SAMPLE.match(line)
        if match is None or match[1] not in names:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        yield ExporterSample(match[1], dict(_LABEL.findall(match[2] or "")), value)


def read(mapping: Mapping[str, Any], samples: Iterable[ExporterSample]) -> tuple[list[Gpu], dict[int, dict[str, Any]]]:
    """The GPUs, and their health by index."""
    cards: list[dict[str, Any]] = []
    named: dict[tuple[str, str], dict[str, Any]] = {}
    for sample in samples:
        uuid, number = _uuid(mapping, sample.labels), _first(sample.labels, mapping.get("index", []))
        if not (uuid or number) or _first(sample.labels, mapping.get("partition", [])) not in WHOLE:
            continue
        card = _card_of(named, uuid, number)
        if card is None:
            if len(cards) > MAX_GPUS:
                break
            card = {"labels": {}, "samples": {}}
            cards.append(card)
        for labels in ((uuid, number), (uuid, ""), ("", number)):
            named.setdefault(labels, card)
        card["labels"].update(sample.labels)
        # What a part of a GPU (MIG) has is not the GPU's; that it is there is.
        is_part = _first(sample.labels, mapping.get("instance", []))
        if math.isfinite(sample.value) and not is_part:
            card["samples"].setdefault(sample.name, sample.value)
    gpus: list[Gpu] = []
    health: dict[int, dict[str, Any]] = {}
    for card in sorted(cards, key=lambda card: _index(mapping, card)):
        index = _index(mapping, card)
        index = index if index not in health else max(health) + 1
        values: dict[str, Any] = dict(_values(mapping["values"], card["samples"]))
        total = values.get("memory_total_bytes") or values.get("memory_used_bytes", 0) + values.get(
            "memory_free_bytes", math.nan
        )
        memory = total_of(total)
        if "memory_used_bytes" in values:
            values["memory_used_bytes"] = round(values["memory_used_bytes"])
        values["uuid"] = _uuid(mapping, card["labels"])
        name = _MAKER.sub("", clean_text(_first(card["labels"], mapping.get("type", []))))
        gpus.append(Gpu(index, name, memory, reading_of(index, memory, values)))
        health[index] = _health(mapping, card["samples"])
    return gpus, health


def _card_of(named: Mapping[tuple[str, str], dict[str, Any]], uuid: str, number: str) -> dict[str, Any] | None:
    """The card that these labels name. Several cards may state one serial number."""
    card = named.get((uuid, number))
    if card is not None or not (uuid and number):
        return card
    # A line before this one may have had one of the two.
    parts = (named.get((uuid, "")), named.get(("", number)))
    of_both = [key for key in named if all(key)]
    return next((part for part in parts if part and not any(named[key] is part for key in of_both)), None)


def _health(mapping: Mapping[str, Any], samples: Mapping[str, float]) -> dict[str, Any]:
    health: dict[str, Any] = {}
    for key, value in _values(mapping.get("health", {}), samples).items():
        if not 0 <= value <= MOST[key]:
            continue
        if key == "remap_failed":
            health[key] = value > 0
        else:
            health[key] = value if key in {"fan", "energy_joules"} else round(value)
    for name in mapping.get("last_xid", ()):
        if name in samples:
            code = round(samples[name])
            # It has the latest code and not how often it came.
            if 0 <= code < MAX_CODE:
                health["xid_errors"] = {str(code): 1} if code else {}
    return health


def _values(wanted: Mapping[str, Any], samples: Mapping[str, float]) -> dict[str, float]:
    values = {}
    for key, alternatives in wanted.items():
        for name, scale in alternatives:
            if name in samples and math.isfinite(samples[name] * scale):
                values[key] = samples[name] * scale
                break
    return values


def _names_of(mapping: Mapping[str, Any]) -> set[str]:
    names = {name for part in ("values", "health") for wanted in mapping.get(part, {}).values() for name, _ in wanted}
    names.update(mapping.get("last_xid", ()))
    names.update(filter(None, (mapping.get("index_metric"), mapping.get("info"))))
    return names


def _index(mapping: Mapping[str, Any], card: Mapping[str, Any]) -> int:
    text = _first(card["labels"], mapping.get("index", []))
    if not text and mapping.get("index_metric") in card["samples"]:
        text = str(round(card["samples"][mapping["index_metric"]]))
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 4 else 0  # noqa: PLR2004 - no more GPUs


def _uuid(mapping: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """What sets the GPU apart from all others; empty where the exporter does not know it."""
    text = _first(labels, mapping.get("uuid", []))
    bare = text.lower().removeprefix("gpu-").strip(" 0-[]()").replace("/", "")
    return "" if bare in _UNKNOWN else text


def _first(labels: Mapping[str, str], names: list[str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")
