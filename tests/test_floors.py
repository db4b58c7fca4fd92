from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

FLOORS = {
    "domain": 0,
    "nodemap": 1,
    "process": 1,
    "stores": 2,
    "exposition": 2,
    "telemetry": 2,
    "redislink": 2,
    "client": 2,
    "auth": 2,
    "configuration": 2,
    "alerting": 2,
    "api": 3,
    "bus": 3,
    "notifier": 3,
    "wiring": 4,
    "agent": 1,
    "programs": 5,
}
NEIGHBOURS = {("stores", "redislink"), ("client", "redislink"), ("auth", "configuration"), ("agent", "process")}
"""Packages of one floor of which the first may import the second."""
PROGRAMS = ("programs/registry", "programs/cli", "programs/simulator", "agent")
OUTSIDE = {
    *("socket", "ssl", "select", "selectors", "asyncio", "threading", "subprocess", "multiprocessing", "os", "pathlib"),
    *("sqlite3", "redis", "http", "urllib", "urllib3", "starlette", "uvicorn", "prometheus_client", "time", "random"),
    *("logging", "shutil", "tempfile", "io", "sys", "signal"),
}
"""What the domain must not know: I/O, the process, and clocks of its own."""

ROOT = Path(__file__).parents[1] / "exporter"
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.glob("*/**/*.py"))


def imports(module):
    for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that their floor can be read"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_point_downward_only(module):
    here = module.parts[0]
    for name in imports(module):
        top, _, rest = name.partition(".")
        there = rest.partition(".")[0]
        if top == "exporter" and there in FLOORS:
            lower = FLOORS[there] < FLOORS[here]
            assert there == here or lower or (here, there) in NEIGHBOURS, f"{here} imports {name}"


def program_of(path):
    """The program that a module, or a name in one, is a part of; empty for what programs share."""
    return next((program for program in PROGRAMS if f"{path}/".startswith(f"{program}/")), "")


@pytest.mark.parametrize("module", [module for module in MODULES if program_of(module.with_suffix(""))], ids=str)
def test_no_program_imports_another(module):
    own = program_of(module.with_suffix(""))
    for name in imports(module):
        top, _, rest = name.partition(".")
        assert top != "exporter" or program_of(rest.replace(".", "/")) in {own, ""}, f"{own} imports {name}"


@pytest.mark.parametrize("module", [module for module in MODULES if module.parts[0] == "domain"], ids=str)
def test_the_domain_does_no_io(module):
    assert {name.partition(".")[0] for name in imports(module)} & OUTSIDE == set()


def test_every_package_has_its_floor():
    assert {module.parts[0] for module in MODULES} <= set(FLOORS)


def test_contributing_shows_each_package_on_its_floor():
    rows = re.findall(r"^\| (\d) \| ((?:`\w+` )+)\|", (ROOT.parent / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert {name: int(floor) for floor, names in rows for name in re.findall(r"\w+", names)} == FLOORS
