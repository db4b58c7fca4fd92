"""GPU capacity: what there is, what is used, what is idle, and the forecast."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.source import ask, charts, look, panels
from grafana.source.lost import lost_gpus_listing
from grafana.source.page import NODE_LINK, Page
from grafana.source.promql import ACTIVE, described, is_active, most, of, whole

READING = ("node", "gpu", "uuid")
UTILIZATION = most("aurora_node_gpu_utilization_ratio", *READING)
USED = f"({most('aurora_node_gpu_memory_used_bytes', *READING)} and on (node) {is_active()})"
"""Of active nodes only: a node in warning still has readings, and is not available."""
IN_ALL = whole("aurora_mesh_gpu_memory_bytes")
AVAILABLE = whole("aurora_mesh_gpu_memory_bytes", ACTIVE)
IDLE = f"(max by (node, gpu, uuid) (avg_over_time({of('aurora_node_gpu_utilization_ratio')}[15m])) < 0.05)"
"""GPUs under 5 % on average of a quarter of an hour: who waits for data is not idle."""
IDLE_COST = (
    f"sum by (node, gpu, uuid) ({IDLE} ^ 0)\n* on (node) group_left ()\n"
    f"({most('aurora_node_cost_usd_per_hour', 'node')} / {most('aurora_node_gpus', 'node')})"
)
"""What each idle GPU costs: its part of the node's price."""


def page() -> Dashboard:
    """The dashboard."""
    return (
        Page("aurora-gpu", "Aurora / GPU capacity", "What GPUs there are, what they do, what is idle, and a forecast.")
        .choice("trend", "Look back and ahead", [("6 hours", "21600"), ("1 hour", "3600"), ("1 day", "86400")])
        .row(4, *_first_look())
        .heading("Utilisation")
        .row(13, (_heat(), 24))
        .row(8, (_busy(), 12), (_vram(), 12))
        .row(8, (_hottest(), 8), (_power(), 10), (lost_gpus_listing(), 6))
        .heading("Health")
        .row(7, (_errors(), 12), (_slowed(), 12))
        .heading("Forecast")
        .row(8, (_forecast(), 18), (_full(), 6))
        .heading("Free and idle")
        .row(9, (_room(), 8), (_idle(), 10), (_types(), 6))
        .build()
    )


def _first_look() -> list[tuple[Any, int]]:
    def gigabytes(title: str, description: str, expr: str, colour: str = look.AMOUNT) -> tuple[Any, int]:
        return panels.number(title, description, ask.now(expr), unit="bytes", decimals=1, colour=colour), 3

    return [
        (
            panels.number(
                "GPUs available",
                "GPUs of active nodes, and of all that are registered.",
                ask.now(whole("aurora_mesh_gpus", ACTIVE), "active"),
                ask.now(whole("aurora_mesh_gpus"), "registered", ref="B"),
                colour=look.AMOUNT,
                named=True,
            ),
            5,
        ),
        gigabytes("VRAM registered", "Of all registered nodes, whatever their status.", IN_ALL),
        gigabytes("VRAM active", "Of the nodes that are active now.", AVAILABLE),
        gigabytes("VRAM used", "On active nodes, from their heartbeats.", f"sum({USED})", look.OTHER_AMOUNT),
        gigabytes(
            "VRAM free",
            "Active less used. A node that sends no readings counts as free.",
            f"{AVAILABLE} - (sum({USED}) or vector(0))",
        ),
        (
            panels.number(
                "Busy",
                "Mean utilisation of all GPUs that send readings.",
                ask.now(f"avg({UTILIZATION})"),
                unit="percentunit",
                decimals=0,
                colour=look.AMOUNT,
            ),
            2,
        ),
        (
            panels.number(
                "Idle GPUs, and their cost an hour",
                "GPUs under 5 % on average of the last quarter of an hour, and their part of their nodes' prices.",
                ask.now(f"count({IDLE}) or vector(0)", "idle"),
                ask.now(f"sum({IDLE_COST}) or vector(0)", "an hour", ref="B"),
                colour=look.OTHER_AMOUNT,
                named=True,
            ).override_by_name("an hour", look.unit("currencyUSD", 2)),
            5,
        ),
    ]


def _heat() -> Any:
    return charts.heat(
        "GPU utilisation by node",
        "One row per node, the mean of its GPUs; brighter is busier. A gap: the node is offline or sends no readings.",
        ask.over_time(f"avg by (node) ({UTILIZATION})", "{{node}}"),
        unit="percentunit",
        most=1,
    )


def _busy() -> Any:
    return charts.lines(
        "How busy GPUs are",
        "Half of all GPUs are busier than the median. A wide gap between the lines: work is not spread.",
        ask.over_time(f"avg({UTILIZATION})", "mean"),
        ask.over_time(f"quantile(0.5, {UTILIZATION})", "median", ref="B"),
        ask.over_time(f"quantile(0.9, {UTILIZATION})", "busiest tenth", ref="C"),
        unit="percentunit",
        most=1,
        overrides={"mean": [look.colour("text")]},
        legend=("lastNotNull", "mean"),
    )


def _vram() -> Any:
    unavailable = f"{IN_ALL} - {AVAILABLE}"
    return charts.areas(
        "VRAM: used, free and unavailable",
        "Used and free on active nodes; unavailable on nodes in warning and offline. Together all that is registered.",
        ask.over_time(f"sum({USED})", "used"),
        ask.over_time(f"{AVAILABLE} - sum({USED})", "free", ref="B"),
        ask.over_time(unavailable, "unavailable", ref="C"),
        unit="bytes",
        overrides={
            "used": [look.colour(look.OTHER_AMOUNT)],
            "free": [look.colour(look.AMOUNT)],
            "unavailable": [look.colour(look.FAINT)],
        },
        legend=("lastNotNull",),
    )


def _hottest() -> Any:
    return panels.ranking(
        "Hottest GPUs",
        "The ten hottest GPUs now. From 87 degrees on for ten minutes, AuroraNodeGpuHot fires.",
        ask.now(
            f"sort_desc(topk(10, {most('aurora_node_gpu_temperature_celsius', *READING)}))", "{{node}} GPU {{gpu}}"
        ),
        unit="celsius",
        colour=look.OTHER_AMOUNT,
        none="No GPU reports its temperature",
    )


def _power() -> Any:
    drawn = f"sum by (site) ({most('aurora_node_gpu_power_watts', *READING)}\n* on (node) group_left (site)\n"
    return charts.areas(
        "GPU power of the mesh",
        "What all GPUs draw together, by site, from the nodes' heartbeats.",
        ask.over_time(f"{drawn}{described('site')})", "{{site}}"),
        unit="watt",
        legend=("lastNotNull", "max"),
    )


def _errors() -> Any:
    grown = f"increase({of('aurora_node_gpu_xid_errors_total')}[$__rate_interval])"
    return charts.bars(
        "XID errors of the mesh",
        "By code, of all GPUs. The runbook of AuroraNodeGpuUnhealthy says what a code means.",
        ask.over_time(f"sum by (code) (max by (node, gpu, uuid, code) ({grown}))", "XID {{code}}"),
        unit="none",
        colour=look.OTHER_AMOUNT,
    )


def _slowed() -> Any:
    throttled = most("aurora_node_gpu_throttled", *READING, "reason")
    degraded = most("aurora_node_gpu_pcie_degraded", *READING)
    return charts.lines(
        "GPUs that are slowed down",
        "How many, by reason: sw_power_cap is a power limit at work, hw_ heat or power that the card itself acts on.",
        ask.over_time(f"sum by (reason) ({throttled})", "{{reason}}"),
        ask.over_time(f"sum({degraded})", "PCIe link", ref="B"),
        unit="none",
        legend=("lastNotNull", "max"),
    )


def _forecast() -> Any:
    return charts.lines(
        "Capacity forecast",
        "VRAM in use, and dashed its trend: at each moment, what the chosen time before it predicts for as long after"
        " it. Where that crosses what is active, jobs will wait.",
        ask.over_time(f"sum({USED})", "used"),
        ask.over_time(
            f"clamp(predict_linear(sum({USED})[${{trend}}s:1m], $trend), 0, scalar({IN_ALL}))",
            "used by then",
            ref="B",
        ),
        ask.over_time(AVAILABLE, "active", ref="C"),
        unit="bytes",
        overrides={
            "used": [look.colour(look.OTHER_AMOUNT)],
            "used by then": [look.colour(look.OTHER_AMOUNT), look.DASHED],
            "active": [look.colour(look.AMOUNT)],
        },
        legend=("lastNotNull",),
    )


def _full() -> Any:
    free = f"({AVAILABLE} - sum({USED}))"
    return panels.number(
        "Full in",
        "How long the free VRAM of active nodes lasts if use grows on by the chosen trend.",
        ask.now(f"{free} / (deriv(sum({USED})[${{trend}}s:1m]) > 0)"),
        unit="dtdurations",
        colour=look.AMOUNT,
        none="Not by this trend",
    )


def _room() -> Any:
    registered = most("aurora_node_gpu_memory_bytes", "node")
    free = f"{registered} - on (node) sum by (node) ({USED})"
    return panels.ranking(
        "Most free VRAM",
        "The ten active nodes with the most room, all their GPUs together, of those that send readings.",
        ask.now(f"sort_desc(topk(10, {free}))", "{{node}}"),
        unit="bytes",
    )


def _idle() -> Any:
    def keyed(expr: str) -> str:
        return f'label_join({expr}, "key", "/", "node", "gpu")'

    facts = f"({IDLE})\n* on (node) group_left (gpu_type, site)\n{described('gpu_type', 'site')}"
    return panels.listing(
        "Idle GPUs",
        "Under 5 % on average of the last quarter of an hour. The cost is the GPU's part of its node's price.",
        ask.rows(keyed(facts), ref="A"),
        ask.rows(f"sum by (key) ({keyed(IDLE_COST)})", ref="B"),
        columns={
            "node": "Node",
            "gpu": "GPU",
            "gpu_type": "Type",
            "site": "Site",
            "Value #A": "Busy",
            "Value #B": "Cost an hour",
        },
        overrides={
            "Node": [look.links(NODE_LINK)],
            "GPU": [look.width(60)],
            "Busy": look.unit("percentunit", 1),
            "Cost an hour": look.unit("currencyUSD", 2),
        },
        join="key",
        sort="Cost an hour",
        none="No GPU is idle",
    )


def _types() -> Any:
    return panels.ranking(
        "GPUs by type",
        "Registered GPUs of each type.",
        ask.now(
            f"sort_desc(sum by (gpu_type) (({most('aurora_node_gpus', 'node')} > 0)"
            f" * on (node) group_left (gpu_type) {described('gpu_type')}))",
            "{{gpu_type}}",
        ),
        unit="none",
    )
