"""What the base installation needs, and what a program says whose packages are missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from exporter.programs.cli.arguments import COMMANDS

ROOT = Path(__file__).parents[1]
INSTALL = "pip install 'aurora-node-registry[registry]'"
EXTRA = (
    "starlette",
    "bcrypt",
    "uvicorn",
    "uvloop",
    "httptools",
    "isal",
    "redis",
    "hiredis",
    "prometheus_client",
    "yaml",
    "re2",
)
WITHOUT = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRA!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""
"""Makes the registry's packages as good as not installed."""

EACH_ALONE = """
import os
from exporter.programs.cli.run import handler

for each in sys.argv[1:]:
    if not (child := os.fork()):
        handler(each)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"cannot load {each}")
"""
"""Loads the commands that are named, each in a fork."""


def without_extra(code, *arguments):
    """Run Python without the packages of the extra; the finished process."""
    command = [sys.executable, "-c", WITHOUT + code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_the_cli_needs_none_of_it():
    """Every command can be loaded, each by a process that loaded no other, and `--help` be asked for."""
    handlers = [command.handler for command in COMMANDS if not command.hidden]
    done = without_extra(EACH_ALONE, *handlers)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_client_needs_none_of_it():
    assert without_extra("from exporter.client import Client; Client('10.0.0.1:9999')").returncode == 0


@pytest.mark.parametrize("name", ["registry", "simulator"])
def test_a_program_says_which_command_installs_what_it_needs(name):
    done = without_extra(f"from exporter.programs.start import {name}; sys.exit({name}())")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"aurora-{name}: ")
    assert done.stderr.endswith(
        " is not installed. Install what it needs: pip install 'aurora-node-registry[registry]'\n"
    )


def test_rules_for_a_configuration_say_so_too(tmp_path):
    """Reading config.yaml is the registry's business; without one, the defaults need nothing."""
    (tmp_path / "config.yaml").write_text("store: 'memory:'\n")
    code = "from exporter.programs.cli import main; sys.exit(main(sys.argv[1:]))"
    with_file = without_extra(code, "rules", f"--config.file={tmp_path}/config.yaml", f"--output={tmp_path}/a")
    assert (with_file.returncode, INSTALL in " ".join(with_file.stderr.split())) == (1, True)
    files = without_extra(code, "files", "rules", f"--output={tmp_path}/b")
    assert files.returncode == 0, files.stderr
