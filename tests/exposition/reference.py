"""What prometheus-client would expose of the same nodes: plain, slow, and written without a look at the exposition."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import exposition as text_format
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from exporter.domain.lifecycle import Phase
from exporter.domain.node import Node
from exporter.domain.status import Status
from exporter.domain.topology import DEFAULT_RULES, EdgeRule
from exporter.exposition.exposition import FAMILIES
from exporter.nodemap.nodemap import NodeMap
from exporter.nodemap.totals import MESH
from tests.support.topology import count_edges, edges

HELP = {family.name: family.help for family in FAMILIES}
STATUSES = tuple(Status)
HEALTH_FIELDS = {
    "ecc_uncorrected_errors_total": "ecc_uncorrected_errors",
    "remapped_rows": "remapped_rows",
    "remap_pending": "remap_pending",
    "remap_failed": "remap_failed",
    "retired_pages": "retired_pages",
    "recovery_needed": "recovery_needed",
    "pcie_degraded": "pcie_degraded",
    "fan_ratio": "fan",
    "sm_clock_hertz": "sm_clock_hertz",
    "memory_clock_hertz": "memory_clock_hertz",
    "energy_joules_total": "energy_joules",
    "mig_enabled": "mig_enabled",
    "processes": "processes",
}


class Reference(Collector):
    """A collector of prometheus-client over the node map."""

    def __init__(
        self, node_map: NodeMap, *, rules: tuple[EdgeRule, ...] = DEFAULT_RULES, max_edges: int = 10_000
    ) -> None:
        self.node_map = node_map
        self.rules = rules
        self.max_edges = max_edges

    def collect(self) -> Iterable[Metric]:
        """All families that have samples."""
        return [metric for metric in self.all() if metric.samples]

    def all(self) -> Iterator[Metric]:
        """All families, in order."""
        nodes = sorted(self.node_map.nodes(), key=lambda node: node.order)
        yield from of_nodes(self.node_map, nodes)
        yield from of_mesh(nodes)
        yield from self.of_sites(nodes)
        facts = [node.facts for node in nodes]
        info = InfoMetricFamily("aurora_topology_edge", HELP["aurora_topology_edge_info"])
        for edge in itertools.islice(edges(facts, self.rules), self.max_edges):
            info.add_metric([], {"source": edge.source, "target": edge.target, "type": edge.type})
        yield info
        omitted = gauge("aurora_topology_edges_omitted", [])
        omitted.add_metric([], max(0, count_edges(facts, self.rules) - self.max_edges))
        yield omitted

    def of_sites(self, nodes: list[Node]) -> Iterator[Metric]:
        """Sites in the order of their names."""
        count = gauge("aurora_site_nodes", ["site", "status"])
        disrupted = gauge("aurora_site_disrupted", ["site"])
        for site in sorted({node.facts.site for node in nodes} - {""}):
            for status in STATUSES:
                alike = [node for node in nodes if node.facts.site == site and node.status is status]
                count.add_metric([site, status.value], len(alike))
            disrupted.add_metric([site], self.node_map.totals.disrupted(site))
        yield count
        yield disrupted
        starts = gauge("aurora_site_disruption_start_timestamp_seconds", ["site"])
        for site in sorted({node.facts.site for node in nodes} - {""}):
            if disruption := self.node_map.disruptions.of(site):
                starts.add_metric([site], seconds(disruption.began_ns))
        yield starts
        start = gauge("aurora_mesh_disruption_start_timestamp_seconds", [])
        if disruption := self.node_map.disruptions.of(MESH):
            start.add_metric([], seconds(disruption.began_ns))
        yield start


def of_nodes(node_map: NodeMap, nodes: list[Node]) -> Iterator[Metric]:
    now_ns = node_map.clock.monotonic_ns()
    info = InfoMetricFamily("aurora_node", HELP["aurora_node_info"])
    for node in nodes:
        facts = node.facts
        labels = ("role", "vpn_ip", "public_ip", "gpu_type", "os", "environment", "site")
        info.add_metric([], {"node": node.name} | {label: getattr(facts, label) for label in labels})
    yield info
    yield each(nodes, "aurora_node_status", "status", lambda node: {s: node.status is s for s in STATUSES})
    yield one(nodes, "aurora_node_status_held", lambda node: node_map.held_since_ns(node, now_ns) is not None)
    yield one(nodes, "aurora_node_gpus", lambda node: node.facts.gpus)
    yield one(nodes, "aurora_node_gpu_memory_bytes", lambda node: node.facts.gpu_memory_bytes)
    yield one(nodes, "aurora_node_last_seen_timestamp_seconds", lambda node: seconds(node.last_seen_ns))
    yield one(nodes, "aurora_node_last_seen_age_seconds", lambda node: seconds(now_ns - node.last_heartbeat_ns))
    yield one(nodes, "aurora_node_registered_timestamp_seconds", lambda node: seconds(node.record.registered_at_ns))
    counter = CounterMetricFamily(
        "aurora_node_status_transitions", HELP["aurora_node_status_transitions_total"], labels=["node", "status"]
    )
    for node in nodes:
        counter.add_metric([node.name, "active"], node.entered_active)
        counter.add_metric([node.name, "warning"], node.entered_warning)
        counter.add_metric([node.name, "offline"], node.entered_offline)
    yield counter
    yield each(nodes, "aurora_node_lifecycle", "lifecycle", lambda node: {p: node.lifecycle.phase is p for p in Phase})
    yield one(
        nodes,
        "aurora_node_lifecycle_until_timestamp_seconds",
        lambda node: None if node.lifecycle.phase is Phase.IN_SERVICE else seconds(node.lifecycle.until_ns),
    )
    yield disruptions(nodes)
    yield renames(nodes)
    yield one(
        nodes,
        "aurora_node_clock_offset_seconds",
        lambda node: None if node.clock_offset_ns is None else seconds(node.clock_offset_ns),
    )
    for name, of in (
        ("aurora_node_heartbeats_missed", lambda node: node.missed),
        ("aurora_node_name_conflicts", lambda node: node.conflicts),
    ):
        counter = CounterMetricFamily(name, HELP[f"{name}_total"], labels=["node"])
        for node in nodes:
            counter.add_metric([node.name], of(node))
        yield counter
    yield one(nodes, "aurora_node_cost_usd_per_hour", lambda node: node.facts.cost_usd_per_hour)
    yield agents(nodes)
    yield one(nodes, "aurora_node_gpus_observed", lambda node: node.gpus_observed)
    for name, reading_of in (
        ("aurora_node_gpu_utilization_ratio", lambda reading: reading.utilization),
        ("aurora_node_gpu_memory_used_bytes", lambda reading: reading.memory_used_bytes),
        ("aurora_node_gpu_temperature_celsius", lambda reading: reading.temperature_celsius),
        ("aurora_node_gpu_power_watts", lambda reading: reading.power_watts),
    ):
        metric = gauge(name, ["node", "gpu", "uuid"])
        for node in nodes:
            if node.status is not Status.OFFLINE:
                for reading in node.readings:
                    if reading_of(reading) is not None:
                        metric.add_metric([node.name, str(reading.index), reading.uuid], reading_of(reading))
        yield metric
    yield from of_health(nodes)


def of_health(nodes: list[Node]) -> Iterator[Metric]:
    """The health of GPUs, where it is reported."""
    reported: list[Any] = [
        (node.name, str(reading.index), reading.uuid, reading.health)
        for node in nodes
        if node.status is not Status.OFFLINE
        for reading in node.readings
        if reading.health is not None
    ]
    counter = CounterMetricFamily(
        "aurora_node_gpu_xid_errors", HELP["aurora_node_gpu_xid_errors_total"], labels=["node", "gpu", "uuid", "code"]
    )
    for *labels, health in reported:
        for code in sorted(health.xid_errors or {}):
            counter.add_metric([*labels, code], (health.xid_errors or {})[code])
    yield counter
    throttled = gauge("aurora_node_gpu_throttled", ["node", "gpu", "uuid", "reason"])
    for *labels, health in reported:
        for reason in ("sw_power_cap", "sw_thermal", "hw_slowdown", "hw_thermal", "hw_power_brake"):
            if health.throttled is not None:
                throttled.add_metric([*labels, reason], reason in health.throttled)
    for name, field in HEALTH_FIELDS.items():
        if name == "pcie_degraded":
            yield throttled
        yield one_health(reported, f"aurora_node_gpu_{name}", field)


def one_health(reported: list[Any], name: str, field: str) -> Metric:
    """One value for each GPU that reports it."""
    labels = ["node", "gpu", "uuid"]
    metric: Any = gauge(name, labels)
    if name.endswith("_total"):
        metric = CounterMetricFamily(name.removesuffix("_total"), HELP[name], labels=labels)
    for *values, health in reported:
        if getattr(health, field) is not None:
            metric.add_metric(values, float(getattr(health, field)))
    counted: Metric = metric
    return counted


def disruptions(nodes: list[Node]) -> Metric:
    metric = gauge("aurora_node_disruption_start_timestamp_seconds", ["node", "scope"])
    for node in nodes:
        for disruption in node.disruptions:
            metric.add_metric([node.name, disruption.scope.value], seconds(disruption.began_ns))
    return metric


def renames(nodes: list[Node]) -> Metric:
    info = InfoMetricFamily("aurora_node_renamed", HELP["aurora_node_renamed_info"])
    for node in nodes:
        if node.renamed_to:
            info.add_metric([], {"node": node.name, "to": node.renamed_to})
    return info


def agents(nodes: list[Node]) -> Metric:
    info = InfoMetricFamily("aurora_node_agent", HELP["aurora_node_agent_info"])
    for node in nodes:
        agent = node.facts.agent
        if agent:
            info.add_metric([], {"node": node.name, "agent": agent.name, "version": agent.version})
    return info


def of_mesh(nodes: list[Node]) -> Iterator[Metric]:
    roles = gauge("aurora_mesh_nodes", ["role", "status"])
    for role in sorted({node.facts.role for node in nodes}):
        for status in STATUSES:
            alike = [node for node in nodes if node.facts.role == role and node.status is status]
            roles.add_metric([role, status.value], len(alike))
    yield roles
    for name, field in (("aurora_mesh_gpus", "gpus"), ("aurora_mesh_gpu_memory_bytes", "gpu_memory_bytes")):
        metric = gauge(name, ["status"])
        for status in STATUSES:
            total = sum(getattr(node.facts, field) for node in nodes if node.status is status)
            metric.add_metric([status.value], total)
        yield metric


def one(nodes: list[Node], name: str, of: Callable[[Node], float | None]) -> GaugeMetricFamily:
    metric = gauge(name, ["node"])
    for node in nodes:
        if (value := of(node)) is not None:
            metric.add_metric([node.name], value)
    return metric


def each(nodes: list[Node], name: str, label: str, of: Callable[[Node], Mapping[Any, bool]]) -> GaugeMetricFamily:
    metric = gauge(name, ["node", label])
    for node in nodes:
        for state, holds in of(node).items():
            metric.add_metric([node.name, state.value], holds)
    return metric


def gauge(name: str, labels: list[str]) -> GaugeMetricFamily:
    metric = GaugeMetricFamily(name, HELP[name], labels=labels)
    for unit in ("seconds", "bytes", "ratio", "celsius", "watts"):
        if name.endswith(f"_{unit}"):
            metric.unit = unit
    return metric


def seconds(ns: int) -> float:
    """Whole milliseconds, rounded down, as seconds."""
    return ns // 1_000_000 / 1000


def read(body: bytes, *, open_metrics: bool) -> list[Metric]:
    """The families of a body, as prometheus-client's own parsers read them; every value as the double that it is."""
    families = list((parse_openmetrics if open_metrics else parse_text)(body.decode()))
    for family in families:
        family.samples = [sample._replace(value=float(sample.value)) for sample in family.samples]
    return families


def expected(reference: Reference, *, open_metrics: bool) -> list[Metric]:
    """The families as prometheus-client writes them and reads them back."""
    written = (openmetrics if open_metrics else text_format).generate_latest(reference)
    return read(written, open_metrics=open_metrics)
