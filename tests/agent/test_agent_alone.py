"""The agent is a program of its own: nothing but the standard library, from Python 3.9 on."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pythons import PYTHONS
from tests.support.registry_process import ROOT, clean_env

MODULES = sorted((ROOT / "exporter" / "agent").glob("**/*.py"))
OURS = (
    "exporter.agent",
    "exporter.__version__",
    *(f"exporter.domain.{name}" for name in ("backoff", "eventnames", "requestoutcome", "signing")),
    "exporter.process.streams",
)
BESIDE = {"pynvml"}
"""NVIDIA's binding, which is one pure file and lies in the zipapp."""
IMPORT_ALL = """
import pkgutil, sys
sys.path.insert(0, sys.argv[1])
import exporter.agent
for module in pkgutil.iter_modules(exporter.agent.__path__, "exporter.agent."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
"""


def imports(module: Path) -> Iterator[str]:
    """What a module imports, wherever in it."""
    for statement in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_it_imports_nothing_of_the_registrys(module):
    for name in imports(module):
        top = name.partition(".")[0]
        assert name.startswith(OURS) or top in BESIDE or top in sys.stdlib_module_names, name


@pytest.mark.parametrize("python", PYTHONS, ids=str)
def test_it_runs_on_any_python(python, tmp_path):
    """Every module of it can be imported, with nothing installed and no warning."""
    command = [str(python), "-I", "-S", "-W", "error", "-c", IMPORT_ALL, str(ROOT)]
    done = subprocess.run(command, env=clean_env(), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
