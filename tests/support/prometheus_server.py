"""A real Prometheus, with the configuration that the test gives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from demo.servers import Generation
from tests.support.generations import DEFAULT
from tests.support.server_process import ServerProcess


class PrometheusServer(ServerProcess):
    """Prometheus with its data in a directory of its own."""

    def __init__(self, directory: Path, configuration: Any, generation: Generation = DEFAULT) -> None:
        self.generation = generation
        super().__init__("prometheus", directory)
        directory.mkdir(parents=True, exist_ok=True)
        self._configuration = directory / "prometheus.yml"
        self._configuration.write_text(yaml.safe_dump(configuration))

    def command(self) -> list[str | Path]:
        """Its own defaults hold, also of what it restores when it starts again."""
        return [
            self.generation.program("prometheus"),
            f"--config.file={self._configuration}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]

    def api(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its HTTP API (`path` below `/api/v1/`)."""
        answer = self.get(f"/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> dict[frozenset[tuple[str, str]], float]:
        """The instant vector of an expression now: each sample's value by its labels."""
        result = self.api("query", query=expression)["result"]
        return {frozenset(sample["metric"].items()): float(sample["value"][1]) for sample in result}

    def by_label(self, expression: str, label: str) -> dict[str, float]:
        """The instant vector by the value of the one label that differs between its samples."""
        result = self.api("query", query=expression)["result"]
        values = {sample["metric"].get(label, ""): float(sample["value"][1]) for sample in result}
        assert len(values) == len(result), f"{label} is the same for several samples of {expression}"
        return values

    def alerts(self, state: str) -> dict[str, list[dict[str, str]]]:
        """The labels of the alerts in this state (`firing` or `pending`), by the alert's name."""
        found: dict[str, list[dict[str, str]]] = {}
        for alert in self.api("alerts")["alerts"]:
            if alert["state"] == state:
                labels = {name: value for name, value in alert["labels"].items() if name != "alertname"}
                found.setdefault(alert["labels"]["alertname"], []).append(labels)
        return found
