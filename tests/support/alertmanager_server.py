"""A real Alertmanager, with the configuration that the test gives it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from demo.servers import Generation
from tests.support.generations import DEFAULT
from tests.support.server_process import ServerProcess

SENDS_TO_NOBODY = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}


class AlertmanagerServer(ServerProcess):
    """Alertmanager without a cluster, its data in a directory of its own; what it holds is lost when it ends."""

    def __init__(self, directory: Path, generation: Generation = DEFAULT) -> None:
        self.generation = generation
        super().__init__("alertmanager", directory)
        self._configuration: Path | None = None

    def start(self, config_path: Path | None = None, *, ready: str = "/-/ready") -> Self:
        """Start with this configuration file, or once more with the last; without any, no message is sent."""
        self._configuration = config_path or self._configuration
        if self._configuration is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._configuration = self.directory / f"alertmanager-{self.port}.yml"
            self._configuration.write_text(yaml.safe_dump(SENDS_TO_NOBODY))
        return super().start(ready=ready)

    def command(self) -> list[str | Path]:
        """One instance alone, which need not wait for others to answer."""
        return [
            self.generation.program("prometheus-alertmanager"),
            f"--config.file={self._configuration}",
            f"--storage.path={self.directory / f'alertmanager-{self.port}'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]

    def alerts(self, **parameters: str) -> list[dict[str, Any]]:
        """The alerts that it holds and that fire, as its v2 API has them (`filter`, `inhibited`, ... as there)."""
        answer = self.get("/api/v2/alerts", params=parameters)
        answer.raise_for_status()
        held: list[dict[str, Any]] = answer.json()
        return held

    def labels(self) -> list[dict[str, str]]:
        """The labels of the alerts that fire."""
        return [alert["labels"] for alert in self.alerts()]

    def post(self, alerts: Sequence[dict[str, Any]]) -> None:
        """Send it alerts, as Prometheus does."""
        self.ask("POST", "/api/v2/alerts", json=alerts).raise_for_status()
