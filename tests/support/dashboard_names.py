"""The metrics that may be asked for, and the labels that each has: from the code that exposes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from exporter.exposition.families import FAMILIES
from exporter.telemetry.metrics import Telemetry
from tests.support.dashboard_promql import read

ALERTS = Path(__file__).resolve().parents[2] / "alerts"
TARGET = frozenset({"job", "instance"})
"""What Prometheus itself puts on every series."""
OF_PROMETHEUS = ("up", "scrape_duration_seconds", "scrape_samples_scraped")
OF_ALERTS = frozenset(
    {*("alertname", "alertstate", "severity", "node", "role", "environment", "site"), *("gpu", "reason", *TARGET)}
)


def own_labels() -> dict[str, frozenset[str]]:
    """The labels of each sample about the registry itself, by its name."""
    telemetry = Telemetry(version="1", revision="r", started_ns=0, store_up=lambda: True, event_bus_up=lambda: True)
    telemetry.requests.observe("/nodes", "GET", 200, 0.1)
    return {sample.name: frozenset(sample.labels) for family in telemetry.collect() for sample in family.samples}


def exposed_labels() -> dict[str, frozenset[str]]:
    """The labels of each sample in /metrics, by its name."""
    return {family.name: frozenset(family.labels) for family in FAMILIES} | own_labels()


def rules() -> list[dict[str, Any]]:
    """Every rule that is shipped."""
    files = sorted(ALERTS.glob("*.rules.yml"))
    return [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def scraped_labels() -> dict[str, frozenset[str]]:
    """The labels of all that Prometheus has of a registry and its alerts, but for what it records."""
    exposed = {name: labels | TARGET for name, labels in exposed_labels().items()}
    return exposed | dict.fromkeys(OF_PROMETHEUS, TARGET) | {"ALERTS": OF_ALERTS, "ALERTS_FOR_STATE": OF_ALERTS}


def known_labels() -> dict[str, frozenset[str]]:
    """The labels of every metric that a dashboard may ask for."""
    known = scraped_labels()
    for rule in rules():
        if "record" in rule:
            known[rule["record"]] = read(rule["expr"], known).labels
    return known
