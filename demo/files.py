"""The configuration files of the stack: the shipped ones, with this machine's addresses and in the demo's time."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from demo.process import ROOT
from demo.speed import scaled_duration, scaled_routes, scaled_rules
from exporter.alerting.files import rule_files
from exporter.alerting.parameters import SCRAPE_INTERVAL, RuleParameters
from exporter.domain.clock import MILLISECOND
from exporter.domain.config import Config
from exporter.domain.duration import format_duration, parse_duration

ALERTS = ROOT / "alerts"
JOB = "node-registry"
RULES = "rules"
MIN_ACTIVE_VRAM_GB = 64
_SHORTEST_SCRAPE = 500 * MILLISECOND
"""A busy machine may delay a scrape for longer than what a high speed would leave it."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long things take at a speed, as Prometheus writes durations."""

    speed: float

    def of(self, duration_ns: int) -> str:
        """Production's duration, in the demo's time."""
        return scaled_duration(format_duration(duration_ns), self.speed)

    @property
    def scrape(self) -> str:
        """How often Prometheus scrapes and evaluates."""
        return format_duration(max(_SHORTEST_SCRAPE, parse_duration(self.of(SCRAPE_INTERVAL))))


def write_registry(path: Path, times: Times, *, prometheus: str = "") -> None:
    """The registry's configuration: the defaults, in the demo's time; `prometheus`: whose alerts its page shows."""
    config = Config()
    thresholds = {field.name: times.of(getattr(config.thresholds, field.name)) for field in fields(config.thresholds)}
    _write(
        path,
        {
            "thresholds": thresholds,
            "site": {"recent": times.of(config.site.recent)},
            "alertmanager": {"scrape_interval": times.scrape},
            "alerting": {"prometheus_url": prometheus},
        },
    )


def write_rules(directory: Path, times: Times) -> None:
    """The rules of `aurora-cli rules`; their thresholds and their own waits are in the demo's time alike."""
    directory.mkdir(exist_ok=True)
    for name, text in rule_files(RuleParameters.of(Config(), min_active_vram_gb=MIN_ACTIVE_VRAM_GB)).items():
        (directory / name).write_text(text if times.speed == 1 else scaled_rules(text, times.speed))


def write_prometheus(path: Path, times: Times, *, registry: str, alertmanager: str) -> None:
    """The shipped configuration with these `host:port`s.

    Without the job that scrapes the nodes' own exporters: the addresses of simulated nodes may be somebody's.
    """
    shipped = yaml.safe_load((ALERTS / "prometheus.yml").read_text())
    [job] = [job for job in shipped["scrape_configs"] if job["job_name"] == JOB]
    configuration = {
        "global": {"scrape_interval": times.scrape, "evaluation_interval": times.scrape},
        "rule_files": [f"{RULES}/*.rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [{**job, "static_configs": [{"targets": [registry]}]}],
    }
    _write(path, configuration)


def write_alertmanager(path: Path, times: Times, *, receiver: str) -> None:
    """The shipped routes and inhibitions, with every receiver replaced by a webhook at `receiver/NAME`."""
    path.write_text(scaled_routes((ALERTS / "alertmanager.yml").read_text(), times.speed, receiver))


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
