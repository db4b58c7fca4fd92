"""The short form of `make soak`: random faults from a fixed seed, three registries, an oracle that finds nothing."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.soak.run import soak

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

SEED = "short"
SECONDS = 75.0
NODES = 100


def test_a_short_soak_finds_nothing(tmp_path: Path) -> None:
    """What it prints says how to repeat it."""
    repeat = f"python -m tests.soak --seed {SEED} --minutes {SECONDS / 60:g} --nodes {NODES}"
    sys.stdout.write(f"{repeat}\n")
    result = asyncio.run(soak(tmp_path, SEED, SECONDS, nodes=NODES, say=print))
    assert (result.lost, result.mismatches, result.duplicates) == ([], [], []), repeat
    assert result.writes > NODES
    assert result.comparisons > SECONDS * NODES
