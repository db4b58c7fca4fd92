"""One node: its status, its GPUs, and how well its heartbeats arrive."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.models.common import VizOrientation
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.source import ask, charts, look, panels
from grafana.source.page import Page
from grafana.source.promql import ACTIVE, grown, held_code, lifecycle_code, most, of, status_code

NODE = 'node="$node"'
PER_GPU = "GPU {{gpu}}"


def page() -> Dashboard:
    """The dashboard."""
    return (
        Page(
            "aurora-node",
            "Aurora / Node",
            "One node: its status, its GPUs, and how well its heartbeats arrive.",
        )
        .asked("node", "Node", f"label_values({of('aurora_node_info')}, node)")
        .hidden("vpn_ip", f"label_values({of('aurora_node_info', NODE)}, vpn_ip)")
        .outside("Node exporter", "/d/rYdddlPWk/node-exporter-full?var-nodename=$node")
        .outside("DCGM exporter", "/d/Oxed_c6Wz/nvidia-dcgm-exporter-dashboard?var-instance=$vpn_ip:9400")
        .row(4, *_first_look())
        .row(4, (_identity(), 24))
        .heading("Status")
        .row(6, (_history(), 24))
        .row(7, (_age(), 12), (_transitions(), 6), (_record(), 6))
        .heading("GPUs")
        .row(8, (_utilization(), 12), (_memory(), 12))
        .row(8, (_temperature(), 12), (_power(), 12))
        .heading("GPU health")
        .row(7, (_errors(), 8), (_throttled(), 8), (_worn(), 8))
        .row(7, (_clocks(), 12), (_fans(), 6), (_processes(), 6))
        .heading("Heartbeats")
        .row(7, (_missed(), 12), (_offset(), 12))
        .build()
    )


def _of(metric: str, *by: str, where: tuple[str, ...] = ()) -> str:
    return most(metric, "node", *by, where=(NODE, *where))


def _first_look() -> list[tuple[Any, int]]:
    cost = "aurora_node_cost_usd_per_hour"
    return [
        (
            panels.number(
                "Status",
                "By its last heartbeat: active, warning after two minutes, offline after five.",
                ask.now(status_code(NODE)),
                mappings=[look.STATUS_HISTORY],
                none="Not registered",
            ),
            4,
        ),
        (
            panels.number(
                "Heartbeat age",
                "Time since its last heartbeat, by the registry's clock. It includes time in which the registry could"
                " not receive, which does not count for the status.",
                ask.now(f"round({_of('aurora_node_last_seen_age_seconds')})"),
                unit="dthms",
                colour=look.HEARTBEAT_AGE,
            ),
            4,
        ),
        (
            panels.number(
                "Lifecycle",
                "Set by people, or by the node itself when it goes to sleep. Out of service its alerts are suppressed.",
                ask.now(lifecycle_code(NODE)),
                mappings=[look.LIFECYCLE],
            ),
            4,
        ),
        (
            panels.number(
                "Active",
                "The part of the chosen time in which it was active.",
                ask.now(f"avg by (node) (avg_over_time({of('aurora_node_status', NODE, ACTIVE)}[$__range]))"),
                unit="percentunit",
                decimals=1,
            ),
            4,
        ),
        (
            panels.number(
                "GPUs observed / registered",
                "GPUs in its latest heartbeat, and those that it was registered with. Fewer observed: one is lost.",
                ask.now(_of("aurora_node_gpus_observed"), "observed"),
                ask.now(_of("aurora_node_gpus"), "registered", ref="B"),
                named=True,
            ),
            4,
        ),
        (
            panels.number(
                "Cost",
                "As registered in cost_per_hour, and what that makes of the chosen time.",
                ask.now(_of(cost), "per hour"),
                ask.now(f"max by (node) (sum_over_time({of(cost, NODE)}[$__range:1m])) / 60", "in this time", ref="B"),
                unit="currencyUSD",
                decimals=2,
                named=True,
                none="Not stated",
            ),
            4,
        ),
    ]


def _identity() -> Any:
    labels = ("node", "role", "site", "environment", "gpu_type", "os", "vpn_ip", "public_ip")
    headings = ("Node", "Role", "Site", "Environment", "GPU", "System", "VPN address", "Public address")
    return panels.listing(
        "Registration",
        "What the node registered with. A public address that is not fixed is left out.",
        ask.rows(most("aurora_node_info", *labels, where=(NODE,))),
        columns=dict(zip(labels, headings, strict=True)),
    )


def _history() -> Any:
    return charts.history(
        "Status, lifecycle and receiving",
        "Frozen: no registry could receive the node's heartbeats, and its status did not change.",
        ask.over_time(status_code(NODE), "status"),
        ask.over_time(lifecycle_code(NODE), "lifecycle", ref="B"),
        ask.over_time(held_code(NODE), "receiving", ref="C"),
        mappings=[look.STATUS_HISTORY, look.LIFECYCLE_HISTORY, look.HELD_HISTORY],
        words=True,
    )


def _age() -> Any:
    return charts.lines(
        "Heartbeat age",
        "Time since the last heartbeat: a sawtooth that stays low. Dashed: where warning and offline begin.",
        ask.over_time(_of("aurora_node_last_seen_age_seconds"), "{{node}}"),
        unit="dthms",
        thresholds=look.steps("transparent", (look.WARNING_AFTER, look.SUSPICIOUS), (look.OFFLINE_AFTER, look.BAD)),
        legend=("max",),
    )


def _transitions() -> Any:
    return charts.bars(
        "Transitions",
        "When it entered which status. Three times into warning within an hour is flapping.",
        ask.over_time(
            grown("aurora_node_status_transitions_total", "status", window="$__rate_interval", where=(NODE,)),
            "{{status}}",
        ),
        unit="none",
        overrides=look.status_overrides(),
    )


def _record() -> Any:
    until = "aurora_node_lifecycle_until_timestamp_seconds"
    return panels.number(
        "Dates",
        "First registration, last heartbeat, and the end of planned work.",
        ask.now(f"{_of('aurora_node_registered_timestamp_seconds')} * 1000", "registered"),
        ask.now(f"{_of('aurora_node_last_seen_timestamp_seconds')} * 1000", "last heartbeat", ref="B"),
        ask.now(f"{_of(until)} * 1000", "planned work ends", ref="C"),
        unit="dateTimeFromNow",
        named=True,
    ).orientation(VizOrientation.HORIZONTAL)


def _readings(metric: str) -> str:
    return _of(metric, "gpu", "uuid")


def _utilization() -> Any:
    return charts.lines(
        "GPU utilisation",
        "How busy each GPU is, from the node's heartbeats.",
        ask.over_time(_readings("aurora_node_gpu_utilization_ratio"), PER_GPU),
        unit="percentunit",
        most=1,
        legend=("lastNotNull", "mean"),
    )


def _memory() -> Any:
    return charts.lines(
        "VRAM used",
        "What each GPU holds. Dashed: what the node is registered with, for all its GPUs together.",
        ask.over_time(_readings("aurora_node_gpu_memory_used_bytes"), PER_GPU),
        ask.over_time(_of("aurora_node_gpu_memory_bytes"), "registered", ref="B"),
        unit="bytes",
        overrides={"registered": [look.colour(look.FAINT), look.DASHED]},
    )


def _temperature() -> Any:
    return charts.lines(
        "GPU temperature",
        "Cards under load live at 70 to 83 degrees; above the dashed line for ten minutes is an alert.",
        ask.over_time(_readings("aurora_node_gpu_temperature_celsius"), PER_GPU),
        unit="celsius",
        colour=look.OTHER_AMOUNT,
        least=None,
        thresholds=look.steps("transparent", (look.HOT, look.SUSPICIOUS)),
    )


def _power() -> Any:
    return charts.lines(
        "GPU power",
        "What each GPU draws.",
        ask.over_time(_readings("aurora_node_gpu_power_watts"), PER_GPU),
        unit="watt",
        colour=look.OTHER_AMOUNT,
    )


def _errors() -> Any:
    xids = grown(
        "aurora_node_gpu_xid_errors_total", "node", "gpu", "uuid", "code", window="$__rate_interval", where=(NODE,)
    )
    ecc = grown(
        "aurora_node_gpu_ecc_uncorrected_errors_total", "node", "gpu", "uuid", window="$__rate_interval", where=(NODE,)
    )
    return charts.bars(
        "GPU errors",
        "XID errors by code, and uncorrected errors of memory. The runbook of AuroraNodeGpuUnhealthy says what"
        " a code means.",
        ask.over_time(xids, "GPU {{gpu}}: XID {{code}}"),
        ask.over_time(ecc, "GPU {{gpu}}: uncorrected memory errors", ref="B"),
        unit="none",
        colour=look.OTHER_AMOUNT,
    )


def _throttled() -> Any:
    return charts.lines(
        "Slowed down",
        "1 while a GPU is slower than it could be: sw_power_cap is its power limit at work, hw_ is heat or power that"
        " the card itself acts on, PCIe a link with fewer lanes, or under load a lower generation.",
        ask.over_time(_of("aurora_node_gpu_throttled", "gpu", "uuid", "reason"), "GPU {{gpu}}: {{reason}}"),
        ask.over_time(_readings("aurora_node_gpu_pcie_degraded"), "GPU {{gpu}}: PCIe", ref="B"),
        unit="none",
        most=1,
        colour=look.OTHER_AMOUNT,
        legend=("lastNotNull",),
    )


def _worn() -> Any:
    return charts.lines(
        "Worn memory",
        "Rows that were replaced and pages that were retired because of uncorrectable errors; 1 where a reset is due,"
        " or no spare row is left.",
        ask.over_time(_readings("aurora_node_gpu_remapped_rows"), "GPU {{gpu}}: rows replaced"),
        ask.over_time(_readings("aurora_node_gpu_retired_pages"), "GPU {{gpu}}: pages retired", ref="B"),
        ask.over_time(_readings("aurora_node_gpu_remap_pending"), "GPU {{gpu}}: reset due", ref="C"),
        ask.over_time(_readings("aurora_node_gpu_remap_failed"), "GPU {{gpu}}: no spare row", ref="D"),
        ask.over_time(_readings("aurora_node_gpu_recovery_needed"), "GPU {{gpu}}: driver asks for a reset", ref="E"),
        unit="none",
        colour=look.OTHER_AMOUNT,
        legend=("lastNotNull",),
    )


def _clocks() -> Any:
    return charts.lines(
        "GPU clocks",
        "Of the multiprocessors, and of the memory.",
        ask.over_time(_readings("aurora_node_gpu_sm_clock_hertz"), "GPU {{gpu}}"),
        ask.over_time(_readings("aurora_node_gpu_memory_clock_hertz"), "GPU {{gpu}}: memory", ref="B"),
        unit="hertz",
        colour=look.OTHER_AMOUNT,
        legend=("lastNotNull",),
    )


def _fans() -> Any:
    return charts.lines(
        "GPU fans",
        "Of their full speed.",
        ask.over_time(_readings("aurora_node_gpu_fan_ratio"), PER_GPU),
        unit="percentunit",
        most=1,
        colour=look.OTHER_AMOUNT,
    )


def _processes() -> Any:
    return charts.lines(
        "Processes",
        "That compute on each GPU.",
        ask.over_time(_readings("aurora_node_gpu_processes"), PER_GPU),
        unit="none",
        colour=look.OTHER_AMOUNT,
    )


def _missed() -> Any:
    return charts.bars(
        "Heartbeats lost, claims refused",
        "Heartbeats that the node sent and that did not arrive, from gaps in their sequence; and attempts of another"
        " machine to take its name.",
        ask.over_time(
            grown("aurora_node_heartbeats_missed_total", "node", window="$__rate_interval", where=(NODE,)),
            "heartbeats lost",
        ),
        ask.over_time(
            grown("aurora_node_name_conflicts_total", "node", window="$__rate_interval", where=(NODE,)),
            "claims refused",
            ref="B",
        ),
        unit="none",
        overrides={"claims refused": [look.colour(look.OTHER_AMOUNT)]},
    )


def _offset() -> Any:
    return charts.lines(
        "Clock offset",
        "The node's clock minus the registry's, transfer included. No status depends on it.",
        ask.over_time(_of("aurora_node_clock_offset_seconds"), "{{node}}"),
        unit="s",
        least=None,
    )
