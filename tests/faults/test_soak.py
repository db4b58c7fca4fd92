"""The short form of `make soak`: random faults from a fixed seed, three registries, an oracle that finds nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.registry_process import ROOT, clean_env

pytestmark = [pytest.mark.servers, pytest.mark.timeout(480)]

SHORT = ("--seed", "short", "--minutes", "3")
WITHIN_SECONDS = 420


def test_a_short_soak_finds_nothing() -> None:
    """What it prints says how to repeat it, and what was found."""
    command = [sys.executable, "-m", "tests.soak", *SHORT]
    done = subprocess.run(
        command, cwd=ROOT, env=clean_env(), capture_output=True, text=True, timeout=WITHIN_SECONDS, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "acknowledged writes" in done.stdout
