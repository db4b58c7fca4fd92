"""The registry ends when it is asked to, and nothing that it writes to holds it up."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.registry_process import ROOT, RegistryProcess, clean_env
from tests.support.server_process import until

pytestmark = pytest.mark.servers

STARTS = 8
"""Registries that are stopped, each at another moment of its life."""


@pytest.mark.parametrize("bus", [True, False])
def test_sigterm_at_any_moment_ends_it(new_registry, redis_server, bus):
    """Over a store and a bus that it reads and writes all the time; it ends by itself, with status 0."""
    registry = new_registry(store=redis_server.url, event_bus=redis_server.url if bus else "")
    for _ in range(STARTS):
        registry.start(ready="/-/healthy")
        time.sleep(random.uniform(0, 0.3))  # real: any moment of its start, which nothing announces
        assert registry.stop() == 0
    assert "did not end in time" not in registry.log


def test_standard_error_that_nobody_reads_holds_nobody_up(tmp_path):
    """A pipe holds 64 KiB: at debug level it is full at once. The registry goes on, counts, and ends when asked to."""
    registry = RegistryProcess(tmp_path, "--log.level=debug")
    reader, writer = os.pipe()
    process = subprocess.Popen(
        list(map(str, registry.command())), cwd=tmp_path, env=clean_env(), stdout=writer, stderr=writer
    )
    os.close(writer)
    try:
        until(lambda: registry.get("/-/ready").status_code, 200)
        for number in range(1500):
            assert registry.register(name=f"node-{number}", metadata={"site": "x" * 200}) == 201
        assert registry.metric('aurora_mesh_nodes{role="compute",status="active"}') == 1500
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reader)


def test_standard_streams_that_are_closed_are_no_place_for_sockets(tmp_path):
    """As some supervisors start programs: it runs, what it writes gets into nothing, and it ends with status 0."""
    registry = RegistryProcess(tmp_path, store=f"sqlite:///{tmp_path}/nodes.db")
    command = [sys.executable, "-c", "from exporter.programs.start import registry; raise SystemExit(registry())"]
    arguments = shlex.join(map(str, command + registry.command()[3:]))
    process = subprocess.Popen(["sh", "-c", f"exec {arguments} <&- >&- 2>&-"], cwd=tmp_path, env=clean_env())
    try:
        until(lambda: registry.get("/-/ready").status_code, 200)
        assert registry.register(name="n1") == 201
        streams = {str(Path(f"/proc/{process.pid}/fd/{number}").readlink()) for number in range(3)}
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    assert streams == {os.devnull}


@pytest.mark.parametrize("store", ["sqlite:///nodes.db", "redis://store.hang:6379/0"], ids=["sqlite", "redis"])
def test_names_that_nobody_resolves_hold_nobody_up(tmp_path, store):
    """The status page is answered, and the end waits for no lookup: it comes with status 0."""
    library = tmp_path / "hanging_lookup.so"
    source = ROOT / "tests" / "support" / "hanging_lookup.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    settings = {
        "alerting": {"prometheus_url": "http://prometheus.hang:9090"},
        "alertmanager": {"urls": ["http://alertmanager.hang:9093"]},
    }
    registry = RegistryProcess(tmp_path, store=store, event_bus="redis://bus.hang:6379/0", settings=settings)
    registry.variables = {"LD_PRELOAD": str(library)}
    try:
        registry.start(ready="/-/healthy")
        alerts = registry.get("/alerts").json()
        assert alerts["error"] == "Prometheus could not be asked within 5 s"
        assert registry.get("/health").json()["event_bus"] == "down"
        assert registry.register(name="n1") == (201 if store.startswith("sqlite") else 503)
        assert registry.stop() == 0
    finally:
        registry.close()
    assert "is aborted" not in registry.log
