from __future__ import annotations

import atexit
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from exporter.agent import archive
from tests.support.nvml_library import NvmlLibrary
from tests.support.registry_process import RegistryProcess, clean_env, run_program
from tests.support.server_process import until

FAST = {"thresholds": {"heartbeat_interval": "200ms"}}
AGENT = [sys.executable, "-m", "exporter.agent"]


@pytest.fixture
def driver(tmp_path):
    """A driver's library with one GPU that works."""
    return NvmlLibrary(tmp_path)


@pytest.fixture
def mesh(tmp_path):
    """A registry that expects five heartbeats a second from each node."""
    with RegistryProcess(tmp_path, settings=FAST) as process:
        yield process


class Agents:
    """Starts agents whose state is the test's own, and ends those that still run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.command: list[Any] = AGENT
        self._running: list[subprocess.Popen[bytes]] = []

    def environment(self, **variables: str) -> dict[str, str]:
        """Nothing of the caller's."""
        return clean_env(**{"AURORA_STATE_DIR": str(self.directory / "state"), **variables})

    def start(self, *arguments: str, **variables: str) -> tuple[subprocess.Popen[bytes], Any]:
        """The process, and a function that reads its log."""
        log = self.directory / f"agent-{len(self._running)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*map(str, self.command), *arguments],
                env=self.environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
        self._running.append(process)
        return process, log.read_text

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """One that ends by itself."""
        return run_program([*self.command, *arguments], self.directory, self.environment(**variables))

    def close(self) -> None:
        """Kill what still runs."""
        for process in self._running:
            process.kill()
            process.wait()


@pytest.fixture
def agents(tmp_path):
    """Where agents are started."""
    started = Agents(tmp_path)
    yield started
    started.close()


class GpuNode:
    """A node with that driver, beside that registry: what is sent, and what the registry shows."""

    name = "vengeance"

    def __init__(self, mesh: RegistryProcess, agents: Agents, driver: NvmlLibrary) -> None:
        self.mesh = mesh
        self.agents = agents
        self.driver = driver
        self.process: subprocess.Popen[bytes] | None = None
        self.log: Any = None

    def start(self, *arguments: str) -> None:
        """Start the agent."""
        self.process, self.log = self.agents.start(
            "--registry", self.mesh.url, f"--node-name={self.name}", *arguments, **self.driver.environment
        )

    def restart(self, *arguments: str) -> None:
        """Stop it as an upgrade does, and start it."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(10) == 0
        self.start(*arguments)

    @property
    def document(self) -> dict[str, Any]:
        """As the registry shows it; empty while it is not there."""
        shown: dict[str, Any] = self.mesh.nodes().get(self.name, {})
        return shown

    @property
    def registered(self) -> Any:
        """How many GPUs the registry expects."""
        return self.metric("aurora_node_gpus")

    @property
    def observed(self) -> Any:
        """How many it observes."""
        return self.metric("aurora_node_gpus_observed")

    def metric(self, family: str) -> float | None:
        """The node's sample; None where there is none."""
        lines = self.mesh.get("/metrics").text.splitlines()
        values = [float(line.split()[-1]) for line in lines if line.startswith(f'{family}{{node="{self.name}"}} ')]
        return values[0] if values else None

    def beats(self, count: int = 3) -> None:
        """Wait for some heartbeats more: what there is to report has been reported by then."""
        sample = 'aurora_registry_heartbeats_total{transport="http"}'
        goal = self.mesh.metric(sample) + count
        until(lambda: self.mesh.metric(sample) >= goal, expected=True)

    def reading(self, gpu: int = 0) -> dict[str, Any]:
        """Of the document, without its age."""
        readings = {reading["index"]: reading for reading in self.document.get("gpus", [])}
        return {key: value for key, value in readings.get(gpu, {}).items() if key != "age_seconds"}

    def plain(self, gpu: int = 0) -> dict[str, Any]:
        """Of the document, what the GPU does."""
        return {key: value for key, value in self.reading(gpu).items() if key != "health"}


@pytest.fixture
def node(mesh, agents, driver):
    """Not started yet, so that the driver can be prepared."""
    return GpuNode(mesh, agents, driver)


agent_file = lru_cache(maxsize=1)(archive.build)


@lru_cache(maxsize=1)
def unpacked_agent() -> Path:
    """What the agent's file holds, where Python keeps its bytecode: out of the file, each process compiles it again."""
    directory = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, directory)
    with zipfile.ZipFile(io.BytesIO(agent_file())) as file:
        file.extractall(directory)
    return directory


def look(driver: NvmlLibrary, script: str = "") -> Any:
    """What the reader in the agent's file sees, in a process of its own; `script` may do more with `nvml`."""
    code = f"""
import json
from exporter.agent import health
from exporter.agent.nvml import Nvml
health.WAIT_MS = 100  # to let the driver go takes as long
nvml = Nvml()
{script or "look = nvml.look()"}
print(json.dumps([look.sight.value, look.number, look.readings, list(look.inventory), look.reason]))
"""
    environment = {**os.environ, **clean_env(PYTHONPATH=str(unpacked_agent())), **driver.environment}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
