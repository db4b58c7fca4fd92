"""The examples, run as they stand, against a real registry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.registry_process import RegistryProcess, clean_env, run_program
from tests.support.server_process import until

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"thresholds": {"heartbeat_interval": "300ms", "warning_after": "1s", "offline_after": "2s"}}


@pytest.fixture
def registry(tmp_path):
    with RegistryProcess(tmp_path, settings=QUICK) as registry:
        yield registry


def example(name, *arguments):
    return [sys.executable, ROOT / "examples" / name, *arguments]


def test_a_failover_follows_a_transition(registry, tmp_path):
    registry.register(name="serenity", role="storage")
    registry.register(name="planned", role="storage")
    registry.ask("PUT", "/nodes/planned/maintenance", json={})
    output = tmp_path / "output"
    with output.open("w") as file:
        process = subprocess.Popen(example("failover.py", registry.url), stdout=file, env=clean_env())
    try:
        until(lambda: registry.metric("aurora_registry_event_streams"), 1)
        until(output.read_text, "serenity (storage) is offline: nobody can take over\n")
    finally:
        process.terminate()
        process.wait(30)


def test_active_backends_become_an_upstream(registry, tmp_path):
    registry.register(name="one", role="compute", vpn_ip="10.0.0.1")
    registry.register(name="two", role="compute", vpn_ip="fd00::2")
    registry.register(name="out", role="compute", vpn_ip="10.0.0.3")
    registry.ask("PUT", "/nodes/out/drain", json={})

    done = run_program(example("backends.py", registry.url, "compute", "8000"), tmp_path)

    assert done.stdout == "upstream compute {\n    server 10.0.0.1:8000;\n    server [fd00::2]:8000;\n}\n"
    until(lambda: set(registry.statuses().values()), {"offline"})
    done = run_program(example("backends.py", registry.url, "compute", "8000"), tmp_path)
    assert done.stdout == "upstream compute {\n    server 127.0.0.1:1 down;\n}\n"
