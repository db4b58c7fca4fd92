"""A short run of each target; `make fuzz` is the long one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fuzz import records, targets
from tests.fuzz.engine import Failed, run

SEED = 20251006
INPUTS = {"registration": 6000, "heartbeat": 6000, "event": 6000, "configuration": 1500, "http": 2500}


@pytest.mark.parametrize("name", [name for name in INPUTS if name != "http"])
def test_whatever_comes_is_taken_or_refused(name):
    """By the errors that are meant for it, and no others."""
    assert run(getattr(targets, name), targets.CORPUS[name], SEED, INPUTS[name]).inputs == INPUTS[name]


def test_whatever_bytes_a_connection_sends_it_stays_whole():
    """No exception reaches the event loop."""
    http = targets.Http()
    try:
        run(http, targets.CORPUS["http"], SEED, INPUTS["http"])
    finally:
        http.close()


def test_whatever_stands_in_a_store_is_taken_or_set_aside():
    """What is taken is shown and written soundly, and takes nothing of the other nodes."""
    assert 0 < records.run(records.Records(), SEED, 500) < 500


@pytest.mark.parametrize("name", ["registration", "event"])
def test_inputs_that_reach_new_code_are_found_and_kept(name, tmp_path):
    """By atheris, where it runs; `make fuzz` goes on from what it kept."""
    pytest.importorskip("atheris", reason="there is no atheris for this Python or system")
    argv = [sys.executable, "-m", "tests.fuzz.guided", name, "3000", str(tmp_path / "corpus")]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr[-4000:]
    assert len(list((tmp_path / "corpus").iterdir())) > len(targets.CORPUS[name])


def test_a_target_that_breaks_is_named_with_its_input():
    """The fuzzer can fail."""
    with pytest.raises(Failed, match=r"seed 1, input \d+: ZeroDivisionError"):
        run(lambda data: None if b"NaN" not in data else 1 / 0, (b"{}",), 1, 5000)  # type: ignore[arg-type]
