"""Registry: our own health."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.source import ask, charts, look, panels
from grafana.source.page import Page
from grafana.source.promql import most, of

BY_INSTANCE = "{{instance}}"


def page() -> Dashboard:
    """The dashboard."""
    return (
        Page("aurora-registry", "Aurora / Registry", "How the registry itself is: what it receives, keeps and answers.")
        .row(4, *_first_look())
        .row(4, (_builds(), 24))
        .heading("Receiving")
        .row(8, (_heartbeats(), 8), (_rejected(), 8), (_blind(), 8))
        .row(6, (_reception(), 16), (_refused(), 8))
        .heading("Answering")
        .row(8, (_requests(), 8), (_latency(), 8), (_scrapes(), 8))
        .heading("Storing and notifying")
        .row(8, (_failures(), 8), (_notifications(), 8), (_kept(), 8))
        .heading("Resources")
        .row(7, (_memory(), 8), (_cpu(), 8), (_files(), 8))
        .build()
    )


def _first_look() -> list[tuple[Any, int]]:
    def worst(title: str, description: str, metric: str, none: str = look.UNKNOWN) -> tuple[Any, int]:
        query = ask.now(f"min({of(metric)})")
        return panels.number(title, description, query, mappings=[look.UP], none=none), 4

    return [
        worst("Registry", "Whether Prometheus reaches every registry.", "up", "No registry"),
        worst("Store", "Whether the store answered every registry when last asked.", "aurora_registry_store_up"),
        worst("Event bus", "Whether every registry receives the bus.", "aurora_registry_event_bus_up", "No bus"),
        (
            panels.number(
                "Receiving",
                "Not receiving: no registry gets the heartbeats of some nodes now. Their statuses are frozen.",
                ask.now(f"max(min by (transport) ({of('aurora_registry_blind')}))"),
                mappings=[look.mapping({0: ("all nodes", look.GOOD), 1: ("not receiving", look.HELD)})],
            ),
            4,
        ),
        (
            panels.number(
                "Mesh",
                "Suspect: most of the mesh stopped sending together, so our own connection is the likelier cause.",
                ask.now(f"max({of('aurora_registry_mesh_suspect')})"),
                mappings=[look.mapping({0: ("plausible", look.GOOD), 1: ("suspect", look.HELD)})],
            ),
            4,
        ),
        (
            panels.number(
                "Configuration",
                "Whether the latest configuration came into force. Refused: the one before it holds on.",
                ask.now(f"min({of('aurora_registry_config_last_reload_successful')})"),
                mappings=[look.mapping({1: ("in force", look.GOOD), 0: ("refused", look.SUSPICIOUS)})],
            ),
            4,
        ),
    ]


def _builds() -> Any:
    loaded = "aurora_registry_config_last_reload_success_timestamp_seconds"
    return panels.listing(
        "Registries",
        "What runs, since when, and when its configuration was loaded.",
        ask.rows(most("aurora_registry_build_info", "instance", "version", "revision", "python"), ref="A"),
        ask.rows(f"time() - {most('process_start_time_seconds', 'instance')}", ref="B"),
        ask.rows(f"time() - {most(loaded, 'instance')}", ref="C"),
        ask.rows(f"sum by (instance) ({of('aurora_mesh_nodes')})", ref="D"),
        columns={
            "instance": "Registry",
            "version": "Version",
            "revision": "Revision",
            "python": "Python",
            "Value #B": "Runs for",
            "Value #C": "Configured for",
            "Value #D": "Nodes",
        },
        overrides={"Runs for": look.unit("dtdurations", 1), "Configured for": look.unit("dtdurations", 1)},
        join="instance",
    )


def _rate(counter: str, *by: str) -> str:
    return f"sum by ({', '.join(by)}) (rate({of(counter)}[$__rate_interval]))"


def _increase(counter: str, *by: str) -> str:
    return f"sum by ({', '.join(by)}) (increase({of(counter)}[$__rate_interval]))"


def _heartbeats() -> Any:
    return charts.areas(
        "Heartbeats",
        "Heartbeats received, by transport. Registries that share a bus each count what they receive.",
        ask.over_time(_rate("aurora_registry_heartbeats_total", "instance", "transport"), "{{transport}} {{instance}}"),
        unit="ops",
    )


def _rejected() -> Any:
    return charts.bars(
        "Events and readings rejected",
        "By reason. Of events, one of each reason in ten seconds is in the log; what was left out of a node's heartbeat"
        " is in aurora-cli why NAME.",
        ask.over_time(
            _increase("aurora_registry_events_rejected_total", "reason") + " > 0",
            "event: {{reason}}",
        ),
        ask.over_time(
            _increase("aurora_registry_readings_rejected_total", "reason") + " > 0",
            "reading: {{reason}}",
            ref="B",
        ),
        unit="none",
        colour=look.OTHER_AMOUNT,
    )


def _refused() -> Any:
    return charts.bars(
        "Requests refused",
        "By reason: limits on size, time, rate and connections, and rules of who may write.",
        ask.over_time(_increase("aurora_registry_requests_refused_total", "reason") + " > 0", "{{reason}}"),
        unit="none",
        colour=look.OTHER_AMOUNT,
    )


def _blind() -> Any:
    return charts.bars(
        "Time not receiving",
        "How long heartbeats could not be received. It counts against no node.",
        ask.over_time(
            _increase("aurora_registry_blind_seconds_total", "instance", "transport"),
            "{{transport}} {{instance}}",
        ),
        unit="s",
        colour=look.HELD,
    )


def _reception() -> Any:
    up = look.mapping({0: ("down", look.BAD), 1: ("up", look.GOOD)})
    return charts.history(
        "Store, bus and receiving",
        "What each registry could reach, and which transports it did not receive.",
        ask.over_time(most("aurora_registry_store_up", "instance"), "store {{instance}}"),
        ask.over_time(most("aurora_registry_event_bus_up", "instance"), "bus {{instance}}", ref="B"),
        ask.over_time(
            f"{most('aurora_registry_blind', 'instance', 'transport')} + {look.HELD_CODES['no']}",
            "receiving {{transport}} {{instance}}",
            ref="C",
        ),
        mappings=[up, look.HELD_HISTORY],
        per_page=20,
    )


def _requests() -> Any:
    return charts.areas(
        "HTTP requests",
        "Requests answered, by handler.",
        ask.over_time(_rate("aurora_registry_http_request_duration_seconds_count", "handler"), "{{handler}}"),
        unit="reqps",
    )


def _latency() -> Any:
    buckets = _rate("aurora_registry_http_request_duration_seconds_bucket", "le")
    return charts.lines(
        "HTTP latency",
        "How long requests took until answered, of all handlers together.",
        ask.over_time(f"histogram_quantile(0.5, {buckets})", "median"),
        ask.over_time(f"histogram_quantile(0.99, {buckets})", "slowest hundredth", ref="B"),
        unit="s",
    )


def _scrapes() -> Any:
    return charts.lines(
        "Scrape",
        "How long a scrape takes the registry, and Prometheus with the way there.",
        ask.over_time(most("aurora_registry_scrape_duration_seconds", "instance"), "registry {{instance}}"),
        ask.over_time(most("scrape_duration_seconds", "instance"), "Prometheus {{instance}}", ref="B"),
        unit="s",
    )


def _failures() -> Any:
    return charts.bars(
        "Writes and events that failed",
        "What the store did not take, and our own events that the bus did not take. Writes are repeated; the authority"
        " on transitions is what is recorded.",
        ask.over_time(
            _increase("aurora_registry_store_writes_failed_total", "instance"),
            "store {{instance}}",
        ),
        ask.over_time(
            _increase("aurora_registry_events_publish_failed_total", "instance"),
            "bus {{instance}}",
            ref="B",
        ),
        unit="none",
        colour=look.OTHER_AMOUNT,
    )


def _notifications() -> Any:
    return charts.bars(
        "Instant notification",
        "Alerts posted to Alertmanagers by the registry itself, by outcome, and those that wait. None where"
        " alertmanager.urls is empty.",
        ask.over_time(_increase("aurora_registry_notifications_total", "outcome"), "{{outcome}}"),
        ask.over_time(f"sum({of('aurora_registry_notifications_queue_length')})", "waiting", ref="B"),
        unit="none",
    )


def _kept() -> Any:
    return charts.lines(
        "Nodes kept and forgotten",
        "Nodes in each registry's map, and how many it forgot, forget_after past their last heartbeat.",
        ask.over_time(f"sum by (instance) ({of('aurora_mesh_nodes')})", "kept {{instance}}"),
        ask.over_time(most("aurora_registry_nodes_forgotten_total", "instance"), "forgotten {{instance}}", ref="B"),
        unit="none",
        legend=("lastNotNull",),
    ).decimals(0)


def _memory() -> Any:
    return charts.lines(
        "Memory",
        "Resident memory of each registry: about two kilobytes a node on top of its own.",
        ask.over_time(most("process_resident_memory_bytes", "instance"), BY_INSTANCE),
        unit="bytes",
    )


def _cpu() -> Any:
    return charts.lines(
        "CPU",
        "Cores in use. A registry works on one.",
        ask.over_time(_rate("process_cpu_seconds_total", "instance"), BY_INSTANCE),
        unit="percentunit",
    )


def _files() -> Any:
    return charts.lines(
        "Open files",
        "Connections for the most part, and how many there may be.",
        ask.over_time(most("process_open_fds", "instance"), "open {{instance}}"),
        ask.over_time(most("process_max_fds", "instance"), "limit {{instance}}", ref="B"),
        unit="none",
        legend=("lastNotNull",),
    )
