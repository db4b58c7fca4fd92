"""What single pages promise: metrics.md names what /metrics has, programs of python.md run, security.md names tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from exporter.exposition.families import FAMILIES
from exporter.telemetry.metrics import Telemetry
from tests.support.registry_process import RegistryProcess
from tests.support.seed_mesh import REGISTRATIONS

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"
PYTHON = (DOCS / "python.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PYTHON, re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`((?:\w+/)?test_\w+\.py)(?:::(test_\w+)\*?)?`")


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
def test_metrics_md_has_a_row_for_every_family(expected: str) -> None:
    """Each table is exactly what the code declares, in its order."""
    assert expected in (DOCS / "metrics.md").read_text()


@pytest.mark.servers
def test_the_programs_of_python_md_run(tmp_path, capsys):
    """One after the other in one namespace, as a reader types them, against the seed's mesh."""
    with RegistryProcess(tmp_path) as registry:
        for registration in REGISTRATIONS.values():
            registry.register(**registration)
        names: dict[str, Any] = {}
        clients = set()
        for program in PROGRAMS:
            exec(program.replace("10.0.0.1:9999", f"127.0.0.1:{registry.port}"), names)
            clients.add(names["registry"])
        for client in clients:
            client.close()
    out = capsys.readouterr().out
    assert "4 nodes are active\n" in out
    assert "Found 2 GPU nodes: runpod-tx, vengeance\n" in out
    assert "aurora -> runpod-tx (vpn_mesh)\n" in out
    assert "vengeance: 1x RTX 4090 at 10.0.0.4\n" in out
    assert "'http://10.0.0.1:8000', 'http://10.0.0.3:8000'" in out
    assert "a heartbeat every 30.0 s is expected\n" in out
    assert "404 no node is registered as 'nobody'" in out
    assert names["roomiest"] == "runpod-tx"


def test_a_use_case_of_python_md_is_a_few_lines():
    assert len(PROGRAMS) > 8
    assert max(len(program.splitlines()) for program in PROGRAMS) <= 6


def test_every_test_that_security_md_names_exists():
    """With its directory, or in that of the one before it; a name that ends in * begins several."""
    rows = [
        line for line in (DOCS / "security.md").read_text().splitlines() if line.startswith("|") and "test_" in line
    ]
    missing = []
    for row in rows:
        directory = ""
        for file, test in NAMED.findall(row):
            directory = file.rpartition("/")[0] or directory
            path = TESTS / directory / file.rpartition("/")[2]
            if not path.is_file() or f"def {test}" not in path.read_text():
                missing.append(f"{path.relative_to(TESTS)}::{test}")

    assert len(rows) > 15
    assert missing == []
