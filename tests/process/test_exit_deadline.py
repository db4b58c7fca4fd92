from __future__ import annotations

import subprocess
import sys

from tests.support.registry_process import clean_env

STUCK = """
import signal, sys, threading, time
from exporter.process.exitdeadline import ExitDeadline
from exporter.telemetry import logs
logs.setup("info", "logfmt")
deadline = ExitDeadline(0.2, flush=logs.flush)
deadline.start()
threading.Thread(target=time.sleep, args=(3600,)).start()
print("ended", flush=True)
"""
"""Python waits at its end for a thread that sleeps."""


def test_a_program_whose_work_is_done_ends_with_its_own_status():
    """What still runs then is nothing that anybody waits for, and nothing to complain of."""
    done = STUCK.replace("flush=logs.flush", "flush=logs.flush, status=0")
    answer = subprocess.run(
        [sys.executable, "-c", done], env=clean_env(), capture_output=True, text=True, timeout=60, check=False
    )

    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "ended\n", "")


def test_a_program_that_cannot_end_is_broken_off():
    answer = subprocess.run(
        [sys.executable, "-c", STUCK], env=clean_env(), capture_output=True, text=True, timeout=60, check=False
    )

    assert (answer.returncode, answer.stdout) == (1, "ended\n")
    assert 'msg="the program did not end in time and is aborted" seconds=0.2' in answer.stderr
