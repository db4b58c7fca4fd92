"""docs/metrics.md names what /metrics has, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.exposition.families import FAMILIES
from exporter.telemetry.metrics import Telemetry

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def own_families() -> list[tuple[str, str, tuple[str, ...], str]]:
    telemetry = Telemetry(version="1", revision="2", started_ns=0, store_up=lambda: True, event_bus_up=lambda: True)
    telemetry.requests.observe("/nodes", "GET", 200, 0.1)
    rows = []
    for family in telemetry.collect():
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = [label for label in family.samples[0].labels if label != "le"] if family.samples else []
        if not family.name.startswith("process_"):
            rows.append((family.name + suffix, family.type, tuple(labels), family.documentation))
    return rows


def table(rows: list[tuple[str, str, tuple[str, ...], str]]) -> str:
    lines = ["| family | type | labels | |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{name}` | {kind} | {' '.join(f'`{x}`' for x in labels)} | {text} |" for name, kind, labels, text in rows
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "expected",
    [
        table([(family.name, family.type, family.labels, family.help) for family in FAMILIES]),
        table(own_families()),
    ],
    ids=["nodes, sites and the mesh", "the registry itself"],
)
def test_the_page_has_a_row_for_every_family(expected: str) -> None:
    """Each table is exactly what the code declares, in its order."""
    assert expected in PAGE.read_text()
