"""Every panel of every dashboard, over what Prometheus answers of a real registry, through Grafana's own code."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.grafana.previews.queries import Prometheus, Window, ask, variables
from tests.support.grafana_data import Problem, process
from tests.support.prometheus_server import PrometheusServer
from tests.support.registry_process import ROOT, RegistryProcess
from tests.support.seed_mesh import REGISTRATIONS, Heartbeats
from tests.support.server_process import until

pytestmark = pytest.mark.servers

FILES = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
LIVING = ("aurora", "runpod-tx", "vengeance")
OF_THE_MESH = {"no data", "unmatched"}
"""Kinds that tell what this mesh has not, such as a bus or a conflict: no fault of a dashboard's own."""


def load(name: str) -> dict[str, Any]:
    """A heartbeat with readings of every GPU."""
    count = REGISTRATIONS[name].get("capabilities", {}).get("gpu_count", 0)
    reading = {"utilization": 0.5, "memory_used_bytes": 2**30, "temperature_celsius": 61.0, "power_watts": 210.0}
    gpus = [{"index": index, "uuid": f"GPU-{name}-{index}", **reading} for index in range(count)]
    return {"timestamp": time.time(), **({"gpus": gpus} if gpus else {})}


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[tuple[str, Problem]]]]:
    """By dashboard: each panel's title with what was found. One node has fallen silent, one is in maintenance."""
    settings = {"thresholds": {"warning_after": "2s", "offline_after": "3s"}}
    with RegistryProcess(tmp_path_factory.mktemp("registry"), settings=settings) as registry:
        for registration in REGISTRATIONS.values():
            sited = {**registration.get("metadata", {}), "site": "lab", "os": "debian", "cost_per_hour": 0.5}
            assert registry.register(**{**registration, "metadata": sited}) == 201
        registry.ask("PUT", "/nodes/vengeance/maintenance", json={"reason": "new power supply"})

        def send(name: str) -> None:
            registry.ask("POST", f"/nodes/{name}/heartbeat", json=load(name), timeout=2)

        scrape = {"job_name": "node-registry", "static_configs": [{"targets": [f"127.0.0.1:{registry.port}"]}]}
        configuration = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}
        with Heartbeats(send, LIVING), PrometheusServer(tmp_path_factory.mktemp("prometheus"), configuration) as server:
            until(lambda: server.query("count(count_over_time(aurora_node_info[1m]) > 5)"), {frozenset(): 4.0})
            until(lambda: registry.statuses()["robbiebook1"], "offline")
            yield found(Prometheus(server.url, scrape_seconds=1))


def found(prometheus: Prometheus) -> dict[str, list[tuple[str, Problem]]]:
    window = Window.of("now-1m", time.time(), 1)
    asked = []
    for file in FILES:
        dashboard = json.loads(file.read_text())
        values = variables(dashboard, prometheus, window, {"node": "runpod-tx"})
        every = [inner for panel in dashboard["panels"] for inner in (panel, *panel.get("panels", []))]
        asked += [(file.stem, ask(panel, values, prometheus, window)) for panel in every]
    done = process([one for _, one in asked])
    by_file: dict[str, list[tuple[str, Problem]]] = {file.stem: [] for file in FILES}
    for (name, _), processed in zip(asked, done, strict=True):
        by_file[name] += [(processed.title, problem) for problem in processed.problems]
    return by_file


@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_grafana_knows_all_that_the_dashboard_names(problems, name):
    """Units, colours, calculations, transformations and the fields that they read, mappings, links, node graphs."""
    assert [one for one in problems[name] if one[1].kind not in OF_THE_MESH] == []
