"""The agent's one file: what of NVIDIA's binding lies in it, and that this is enough and small."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pynvml  # type: ignore[import-untyped]  # it ships without types
import pytest

from exporter.agent import archive
from exporter.agent.excerpt import excerpt, identifiers
from tests.agent.conftest import agent_file
from tests.support.pythons import PYTHONS
from tests.support.registry_process import clean_env, run_program

MODULE = '''\
# Licence
"""What it is."""
import os, sys
from functools import wraps
A = 1
B = A + 1
C: int = 5
def plain(value):
    return B
@wraps(plain)
def decorated(value):
    return sys.argv
class Thing:
    def method(self):
        global counter
        counter += 1
counter = 0
unused = wraps
print("effect")
'''
HEAD = '# Licence\n"""What it is."""\n'
END = 'print("effect")\n'


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ([], ""),
        (["absent"], ""),
        (["B"], "A = 1\nB = A + 1\n"),
        (["plain"], "A = 1\nB = A + 1\ndef plain(value):\n    return B\n"),
        (
            ["decorated"],
            MODULE[len(HEAD) : MODULE.index("C: int")] + MODULE[MODULE.index("def plain") : MODULE.index("class")],
        ),
        (["Thing"], "class Thing:\n    def method(self):\n        global counter\n        counter += 1\ncounter = 0\n"),
    ],
)
def test_what_is_used_is_kept_with_all_that_it_needs(wanted, kept):
    """Lines as they stand, in their order; what is there for its effect always."""
    lines = excerpt(MODULE, wanted).splitlines(keepends=True)
    without = [line for line in lines if line not in {"C: int = 5\n", END, *HEAD.splitlines(keepends=True)}]
    assert "".join(without) == kept
    assert {"# Licence\n", END} <= set(lines)


@pytest.mark.parametrize("module", ["", "# nothing\n", "'text'\n"])
def test_a_module_without_names_is_kept_whole(module):
    assert excerpt(module, ["a"]) == module


def test_the_binding_in_the_file_is_a_small_part_of_nvidias(monkeypatch):
    """With its licence, every error, and nothing that looks for other programs; nothing amiss."""
    with zipfile.ZipFile(io.BytesIO(agent_file())) as file:
        text = file.read("pynvml.py").decode()
    whole = Path(pynvml.__file__).read_text(encoding="utf-8")
    assert len(text) < len(whole) / 5
    assert "# Copyright (c)" in text
    assert "find_library" not in text
    module = ModuleType("pynvml")
    monkeypatch.setitem(sys.modules, "pynvml", module)
    exec(text, vars(module))
    errors = {name for name in vars(pynvml) if name.startswith("NVML_ERROR_")}
    assert errors | (identifiers(text) & set(vars(pynvml))) <= set(vars(module))


@pytest.mark.parametrize("python", PYTHONS, ids=str)
def test_its_help_and_complaints_are_the_same_on_any_python(python, tmp_path):
    """Argparse changes with each version: without colours, and no wider than a terminal of 80."""
    path = tmp_path / archive.NAME
    path.write_bytes(agent_file())
    reported = run_program([python, "-S", path, "--help"], tmp_path)
    assert (reported.returncode, reported.stderr, "\x1b" in reported.stdout) == (0, "", False)
    assert max(map(len, reported.stdout.splitlines())) <= 79
    assert "its GPUs:\n  --gpus NUMBER             how many there are" in reported.stdout
    wrong = run_program([python, "-S", path, "--log.level=loud"], tmp_path)
    assert (wrong.returncode, wrong.stderr.splitlines()[-1]) == (
        2,
        "aurora-agent: error: argument --log.level: expected one of debug, info, warn, warning, error, got 'loud'",
    )


def test_a_bus_needs_nothing_that_others_installed(tmp_path):
    """As `join` has it started."""
    path = tmp_path / archive.NAME
    path.write_bytes(agent_file())
    options = ["--once", "--event-bus=redis://127.0.0.1:1", "--node-name=a", "--state-dir", tmp_path]
    done = run_program([sys.executable, "-I", "-S", path, *options], tmp_path, clean_env(PYTHONPATH=""))
    assert (done.returncode, "connection refused" in done.stderr) == (3, True), done.stderr
