"""A real Prometheus beside the registry: it scrapes, discovers targets, answers PromQL, and raises the first alert."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import requests
import yaml
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from demo.servers import Generation
from tests.support.prometheus_server import PrometheusServer
from tests.support.registry_process import ROOT, RegistryProcess
from tests.support.seed_mesh import REGISTRATIONS, Heartbeats, over_http
from tests.support.server_process import until

pytestmark = pytest.mark.servers

LIVING = ("aurora", "runpod-tx", "vengeance")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
CLOSED_PORT = "127.0.0.1:9"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """The seed's mesh, in quick time; robbiebook1 goes missing."""
    directory = tmp_path_factory.mktemp("registry")
    settings = {"thresholds": {"warning_after": "2s", "offline_after": "3s"}}
    with RegistryProcess(directory, store="sqlite:///nodes.db", settings=settings) as registry:
        for registration in REGISTRATIONS.values():
            assert registry.register(**registration) == 201
        with Heartbeats(over_http(registry), LIVING):
            yield registry


@pytest.fixture(scope="module")
def prometheus(
    registry: RegistryProcess, tmp_path_factory: pytest.TempPathFactory, generation: Generation
) -> Iterator[PrometheusServer]:
    """Prometheus with the configuration and the rules that we ship; only addresses and times are changed."""
    directory = tmp_path_factory.mktemp("prometheus")
    for file in (ROOT / "alerts").glob("*.rules.yml"):
        (directory / file.name).write_text(yaml.safe_dump(quick(yaml.safe_load(file.read_text()))))
    with PrometheusServer(directory, shipped_configuration(registry), generation) as prometheus:
        until(lambda: prometheus.by_label('up{job="node-registry"}', "job"), {"node-registry": 1})
        yield prometheus


def shipped_configuration(registry: RegistryProcess) -> Any:
    text = (ROOT / "alerts" / "prometheus.yml").read_text()
    configuration = yaml.safe_load(text.replace("10.0.0.1:9999", f"127.0.0.1:{registry.port}"))
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    discovering = configuration["scrape_configs"][1]
    discovering["http_sd_configs"][0]["refresh_interval"] = "1s"
    # Nothing leaves the loopback interface: the targets are discovered as they are, and scraped nowhere.
    discovering["relabel_configs"] += [
        {"source_labels": ["__address__"], "target_label": "instance"},
        {"target_label": "__address__", "replacement": CLOSED_PORT},
    ]
    return configuration


def quick(rules: Any) -> Any:
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.update({key: "1s" for key in ("for", "keep_firing_for") if key in rule})
    return rules


def test_scrape_configuration_of_the_seed_is_the_shipped_one():
    """The job of the seed, to the letter: name, target, path."""
    shipped = yaml.safe_load((ROOT / "alerts" / "prometheus.yml").read_text())["scrape_configs"][0]
    assert shipped == {
        "job_name": "node-registry",
        "static_configs": [{"targets": ["10.0.0.1:9999"]}],
        "metrics_path": "/metrics",
    }


def test_every_node_has_its_status(prometheus):
    """The one status that holds, of each node, by PromQL."""

    def statuses() -> set[tuple[str, str]]:
        return {(sample["node"], sample["status"]) for sample in map(dict, prometheus.query("aurora_node_status == 1"))}

    expected = dict.fromkeys(LIVING, "active") | {"robbiebook1": "offline"}
    until(statuses, set(expected.items()))
    in_all = {"active": 3, "warning": 0, "offline": 1}
    assert prometheus.by_label("sum by (status) (aurora_mesh_nodes)", "status") == in_all


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("sum(aurora_node_gpus)", 3),
        ("sum(aurora_node_gpu_memory_bytes)", 72 * 2**30),
        ("count(aurora_node_info)", 4),
        ('sum(aurora_node_gpus * on (node) group_left (gpu_type) aurora_node_info{gpu_type="RTX 4090"})', 3),
        ('aurora_mesh_gpus{status="active"}', 3),
        ("aurora_registry_store_up", 1),
        ("aurora_registry_build_info", 1),
        ("min(aurora_node_last_seen_age_seconds) >= bool 0", 1),
        ('aurora_node_last_seen_age_seconds{node="robbiebook1"} > bool 3', 1),
    ],
)
def test_promql_adds_the_mesh_up(prometheus, expression, value):
    """GPUs, VRAM and ourselves, as a dashboard asks for them."""
    until(lambda: list(prometheus.query(expression).values()), [value])


def test_scrape_is_up(prometheus):
    """Prometheus takes every sample of the scrape, and drops none."""
    assert list(prometheus.query('up{job="node-registry"}').values()) == [1]
    target = next(t for t in prometheus.api("targets")["activeTargets"] if t["scrapePool"] == "node-registry")
    assert (target["health"], target["lastError"]) == ("up", "")


def test_targets_are_discovered_with_their_labels(prometheus):
    """http_sd: each node's exporter at its VPN address, offline ones too, and labels that join with our metrics."""

    def discovered() -> dict[str, tuple[dict[str, str], dict[str, str]]]:
        targets = [t for t in prometheus.api("targets")["activeTargets"] if t["scrapePool"] == "node"]
        return {t["labels"].get("node", ""): (t["discoveredLabels"], t["labels"]) for t in targets}

    until(lambda: sorted(discovered()), sorted(REGISTRATIONS))
    found, labels = discovered()["runpod-tx"]
    meta = {name: value for name, value in found.items() if name.startswith("__meta_aurora_") and value}
    assert found["__address__"] == "10.0.0.3:9100"
    assert meta == {
        "__meta_aurora_name": "runpod-tx",
        "__meta_aurora_role": "compute",
        "__meta_aurora_status": "active",
        "__meta_aurora_environment": "production",
        "__meta_aurora_gpu_type": "RTX 4090",
        "__meta_aurora_gpus": "2",
    }
    assert labels == {
        "job": "node",
        "instance": "10.0.0.3:9100",
        "node": "runpod-tx",
        "role": "compute",
        "environment": "production",
    }
    until(lambda: discovered()["robbiebook1"][0]["__meta_aurora_status"], "offline")


def test_a_node_without_heartbeats_raises_the_first_alert(prometheus):
    """The shipped rules fire for the node that is offline, and for no other."""
    until(
        lambda: prometheus.alerts("firing"),
        {
            "AuroraNodeOffline": [
                {"severity": "critical", "node": "robbiebook1", "role": "compute", "environment": "production"}
            ],
            "AuroraWatchdog": [{"severity": "info"}],
        },
    )
    broken = [rule for group in prometheus.api("rules")["groups"] for rule in group["rules"] if rule["health"] != "ok"]
    assert broken == []


def test_promtool_finds_nothing_wrong_with_metrics(registry, generation):
    """Names, help texts, types and units as Prometheus' own linter wants them."""
    text = registry.get("/metrics").text
    checked = subprocess.run(
        [generation.program("promtool"), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (checked.stdout + checked.stderr).splitlines() == []


def test_both_formats_say_the_same(registry):
    """Text 0.0.4 and OpenMetrics 1.0.0 parse with the official parsers, and have the same samples."""

    def differing() -> set[Any]:
        text = registry.get("/metrics", headers={"Accept": "text/plain;version=0.0.4"})
        modern = registry.get("/metrics", headers={"Accept": OPENMETRICS})
        assert text.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert modern.headers["Content-Type"].startswith(OPENMETRICS)
        assert modern.text.endswith("# EOF\n")
        of_text, of_modern = list(parse_text(text.text)), list(openmetrics.text_string_to_metric_families(modern.text))
        assert names(of_text) == names(of_modern)
        assert not any(name.endswith("_created") for name in names(of_modern))
        return steady(of_text) ^ steady(of_modern)

    until(differing, set())  # on a busy machine a node may be held between the two scrapes


@pytest.mark.parametrize("accept", ["text/plain;version=0.0.4", OPENMETRICS])
def test_gzip_is_the_same_text(registry, accept):
    """A compressed scrape unpacks to what a plain one says."""
    parse = openmetrics.text_string_to_metric_families if accept == OPENMETRICS else parse_text

    def differing() -> set[Any]:
        plain = registry.get("/metrics", headers={"Accept": accept, "Accept-Encoding": "identity"})
        zipped = registry.get("/metrics", headers={"Accept": accept, "Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in plain.headers
        assert zipped.headers["Content-Encoding"] == "gzip"
        return steady(parse(zipped.text)) ^ steady(parse(plain.text))

    until(differing, set())


def test_a_scrape_may_choose_by_name(registry):
    """`name[]` leaves everything else out."""
    answer = registry.get("/metrics", params={"name[]": ["aurora_node_gpus", "aurora_registry_store_up"]})
    assert names(parse_text(answer.text)) == {"aurora_node_gpus", "aurora_registry_store_up"}


def test_http_sd_is_json_as_prometheus_wants_it(registry):
    """The list is a JSON array under the right media type, and filters choose from it."""
    answer = requests.get(f"{registry.url}/sd/prometheus?port=9400&gpu=true", timeout=10)
    assert answer.headers["Content-Type"].startswith("application/json")
    assert [target["targets"] for target in answer.json()] == [["10.0.0.3:9400"], ["10.0.0.4:9400"]]


def names(families: Iterable[Metric]) -> set[str]:
    return {sample.name for family in families for sample in family.samples}


def steady(families: Iterable[Metric]) -> set[tuple[str, frozenset[tuple[str, str]], float]]:
    """The samples of nodes that do not move from one scrape to the next."""
    return {
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for family in families
        for sample in family.samples
        if sample.name.startswith("aurora_node_") and "last_seen" not in sample.name
    }
