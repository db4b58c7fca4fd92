"""The registry as its users run it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.support.server_process import DEADLINE_SECONDS, ServerProcess

ROOT = Path(__file__).resolve().parents[2]


class RegistryProcess(ServerProcess):
    """`aurora-registry` in a directory of its own. `settings` (by section) become its configuration file."""

    def __init__(
        self, directory: Path, *arguments: str, store: str = "memory:", event_bus: str = "", settings: Any = None
    ) -> None:
        super().__init__("registry", directory)
        self.arguments = arguments
        self.variables: dict[str, str] = {}
        """Added to the environment."""
        self.store = store
        self.event_bus = event_bus
        self.configuration = directory / f"config-{self.port}.yaml"
        directory.mkdir(parents=True, exist_ok=True)
        self.configure(settings or {})

    def configure(self, settings: Any) -> None:
        """Write the configuration file; the running registry looks at it at a reload."""
        self.configuration.write_text(yaml.safe_dump(settings))

    def command(self) -> list[str | Path]:
        """As CONTRACT.md has the flags."""
        return [
            *program("registry"),
            f"--config.file={self.configuration}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            f"--store={self.store}",
            *([f"--event-bus={self.event_bus}"] if self.event_bus else []),
            *self.arguments,
        ]

    def environment(self) -> Mapping[str, str]:
        """Ours, without settings that the caller may have for a registry of their own."""
        return clean_env(**self.variables)

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run it where it is expected to end by itself; exit status and outputs."""
        return run_program(self.command(), self.directory)

    def metric(self, sample: str) -> float:
        """The value of one sample of `/metrics`, written as there: `name` or `name{label="value"}`."""
        lines = self.get("/metrics").text.splitlines()
        values = [float(line.removeprefix(sample)) for line in lines if line.startswith(sample + " ")]
        assert len(values) == 1, f"expected one sample {sample}, got {len(values)}"
        return values[0]

    def register(self, **registration: Any) -> int:
        """Register a node; the answer's HTTP status."""
        return self.ask("POST", "/nodes/register", json=registration).status_code

    def nodes(self) -> dict[str, Any]:
        """Every node's document, by name."""
        answer = self.get("/nodes")
        answer.raise_for_status()
        documents: dict[str, Any] = answer.json()["nodes"]
        return documents

    def statuses(self) -> dict[str, str]:
        """Every node's status, by name."""
        return {name: document["status"] for name, document in self.nodes().items()}

    def transitions(self, name: str) -> list[tuple[str, str]]:
        """A node's recorded transitions, oldest first: from what to what."""
        answer = self.get(f"/nodes/{name}/transitions")
        answer.raise_for_status()
        return [(transition["from"], transition["to"]) for transition in reversed(answer.json()["transitions"])]


def program(name: str) -> list[str | Path]:
    """How one of our programs is started from a checkout."""
    return [sys.executable, "-m", f"exporter.programs.{name}"]


def clean_env(**variables: str) -> dict[str, str]:
    """The environment for our programs: the checkout is importable, and no setting is inherited."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AURORA_")}
    return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **variables}


def run_program(
    command: Sequence[str | Path],
    directory: Path,
    environment: Mapping[str, str] | None = None,
    *,
    timeout: float = DEADLINE_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; exit status and outputs."""
    return subprocess.run(
        list(map(str, command)),
        cwd=directory,
        env=environment or clean_env(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
