"""The metrics about ourselves."""

from __future__ import annotations

import platform

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.domain.clock import SECOND
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.reception import Source
from exporter.domain.status import Thresholds, Transport
from exporter.nodemap.nodemap import NodeMap
from exporter.telemetry.metrics import Telemetry
from exporter.telemetry.reasons import Rejection
from tests.support.clock import ManualClock

FAMILIES = {
    "aurora_registry_build": "info",
    "aurora_registry_store_up": "gauge",
    "aurora_registry_store_durable": "gauge",
    "aurora_registry_event_bus_up": "gauge",
    "aurora_registry_blind": "gauge",
    "aurora_registry_blind_seconds": "counter",
    "aurora_registry_mesh_suspect": "gauge",
    "aurora_registry_heartbeats": "counter",
    "aurora_registry_events_rejected": "counter",
    "aurora_registry_readings_rejected": "counter",
    "aurora_registry_requests_refused": "counter",
    "aurora_registry_event_bus_subscriptions_lost": "counter",
    "aurora_registry_events_publish_failed": "counter",
    "aurora_registry_store_writes_failed": "counter",
    "aurora_registry_store_queue_length": "gauge",
    "aurora_registry_store_transitions_dropped": "counter",
    "aurora_registry_store_records_rejected": "counter",
    "aurora_registry_log_lines_dropped": "counter",
    "aurora_registry_event_loop_lag_seconds": "gauge",
    "aurora_registry_notifications": "counter",
    "aurora_registry_notifications_queue_length": "gauge",
    "aurora_registry_state_bytes": "gauge",
    "aurora_registry_event_streams": "gauge",
    "aurora_registry_event_streams_dropped": "counter",
    "aurora_registry_nodes_forgotten": "counter",
    "aurora_registry_config_last_reload_successful": "gauge",
    "aurora_registry_config_last_reload_success_timestamp_seconds": "gauge",
    "aurora_registry_http_request_duration_seconds": "histogram",
    "aurora_registry_scrape_duration_seconds": "gauge",
}


class RegistryState:
    """What the telemetry asks when it is scraped."""

    def __init__(self) -> None:
        self.store_up = True
        self.event_bus_up: bool | None = True
        self.telemetry = Telemetry(
            version="1.2.3",
            revision="abc",
            started_ns=50 * SECOND,
            store_up=lambda: self.store_up,
            event_bus_up=lambda: self.event_bus_up,
        )


@pytest.fixture
def state() -> RegistryState:
    return RegistryState()


@pytest.fixture
def telemetry(state: RegistryState) -> Telemetry:
    return state.telemetry


def scrape(telemetry: Telemetry, family: str) -> dict[tuple[str, ...], float]:
    """One family's samples by their label values."""
    return {
        tuple(sample.labels.values()): sample.value
        for parsed in parse_text(telemetry.expose(open_metrics=False).decode())
        for sample in parsed.samples
        if sample.name == family
    }


def test_every_family_is_there_from_the_start(telemetry):
    """Names and types are the contract's, and alerts on rates find their counters before anything happened."""
    text = telemetry.expose(open_metrics=True).decode() + "# EOF\n"

    families = {family.name: family.type for family in parse_openmetrics(text)}

    assert {name: kind for name, kind in families.items() if name.startswith("aurora_")} == FAMILIES
    assert {"process_cpu_seconds", "process_resident_memory_bytes", "process_open_fds"} <= set(families)


def test_the_text_format_carries_the_same_samples(telemetry):
    """Only the spelling of types differs between the formats."""
    telemetry.requests.observe("nodes", "GET", 200, 0.002)
    names = frozenset(
        {"aurora_registry_build_info", "aurora_registry_heartbeats_total"}
        | {f"aurora_registry_http_request_duration_seconds_{suffix}" for suffix in ("bucket", "sum", "count")}
    )

    text = telemetry.expose(open_metrics=False, names=names).decode()
    open_metrics = telemetry.expose(open_metrics=True, names=names).decode()

    assert [line for line in text.splitlines() if line[0] != "#"] == [
        line for line in open_metrics.splitlines() if line[0] != "#"
    ]
    assert "# TYPE aurora_registry_heartbeats_total counter" in text
    assert "# TYPE aurora_registry_heartbeats counter" in open_metrics


@pytest.mark.parametrize("open_metrics", [True, False])
def test_there_are_no_created_series_and_no_end_mark(telemetry, open_metrics):
    """The caller joins this text with the nodes' and ends it itself."""
    telemetry.requests.observe("nodes", "GET", 200, 0.002)

    text = telemetry.expose(open_metrics=open_metrics).decode()

    assert "_created" not in text
    assert "# EOF" not in text
    assert "python_gc" not in text


def test_only_named_samples_are_exposed(telemetry):
    """`name[]` picks samples, and their family's head comes along."""
    text = telemetry.expose(open_metrics=False, names=frozenset({"aurora_registry_store_up"})).decode()

    assert text == (
        "# HELP aurora_registry_store_up 1 if the store answered when last asked.\n"
        "# TYPE aurora_registry_store_up gauge\n"
        "aurora_registry_store_up 1.0\n"
    )


def test_build_info_names_what_runs(telemetry):
    """Labels are version, revision and the Python that runs it."""
    [labels] = scrape(telemetry, "aurora_registry_build_info")

    assert set(labels) == {"1.2.3", "abc", platform.python_version()}


def test_the_event_bus_is_absent_where_none_is_configured(state):
    """No bus is not a bus that is down."""
    assert scrape(state.telemetry, "aurora_registry_event_bus_up") == {(): 1}
    state.event_bus_up = False
    assert scrape(state.telemetry, "aurora_registry_event_bus_up") == {(): 0}
    state.event_bus_up = None
    assert scrape(state.telemetry, "aurora_registry_event_bus_up") == {}


def test_the_store_is_asked_at_each_scrape(state):
    """The gauge follows what the store did last."""
    assert scrape(state.telemetry, "aurora_registry_store_up") == {(): 1}
    state.store_up = False
    assert scrape(state.telemetry, "aurora_registry_store_up") == {(): 0}


def test_counters_count_by_their_label(telemetry):
    """Every transport and every reason stands there, at 0 where nothing happened."""
    telemetry.heartbeats[Transport.BUS] += 3
    telemetry.events_rejected[Rejection.NOT_JSON] += 2

    assert scrape(telemetry, "aurora_registry_heartbeats_total") == {("http",): 0, ("bus",): 3}
    rejected = scrape(telemetry, "aurora_registry_events_rejected_total")
    assert rejected == {(reason.value,): 2 if reason is Rejection.NOT_JSON else 0 for reason in Rejection}


def test_reloads_are_shown_by_two_gauges(telemetry):
    """A refused configuration leaves the time of the one in force as it was."""

    def gauges() -> tuple[dict[tuple[str, ...], float], ...]:
        name = "aurora_registry_config_last_reload"
        return scrape(telemetry, f"{name}_successful"), scrape(telemetry, f"{name}_success_timestamp_seconds")

    assert gauges() == ({(): 1}, {(): 50})
    telemetry.reload_failed()
    assert gauges() == ({(): 0}, {(): 50})
    telemetry.reloaded(70 * SECOND)
    assert gauges() == ({(): 1}, {(): 70})


def test_request_durations_are_a_histogram(telemetry):
    """Buckets are cumulative, and a duration on an edge belongs below it."""
    for seconds in (0.0005, 0.001, 0.3, 60.0):
        telemetry.requests.observe("nodes", "GET", 200, seconds)

    name = "aurora_registry_http_request_duration_seconds"
    buckets = {labels[2]: count for labels, count in scrape(telemetry, f"{name}_bucket").items()}
    assert (buckets["0.001"], buckets["0.25"], buckets["0.5"], buckets["10.0"], buckets["+Inf"]) == (2, 2, 3, 3, 4)
    assert scrape(telemetry, f"{name}_count") == {("200", "nodes", "GET"): 4}
    assert scrape(telemetry, f"{name}_sum") == {("200", "nodes", "GET"): pytest.approx(60.3015)}


def test_invented_methods_share_one_series(telemetry):
    """A caller that sends a new method with each request makes no new series."""
    telemetry.requests.observe("nodes", "BREW", 405, 0.001)
    telemetry.requests.observe("nodes", "get", 405, 0.001)

    counts = scrape(telemetry, "aurora_registry_http_request_duration_seconds_count")
    assert counts == {("405", "nodes", "unknown"): 2}


def test_we_are_blind_until_there_is_a_map(telemetry):
    """Before the store was read nobody's heartbeat counts."""
    assert scrape(telemetry, "aurora_registry_blind") == {("http",): 1, ("bus",): 1}
    assert scrape(telemetry, "aurora_registry_blind_seconds_total") == {("http",): 0, ("bus",): 0}
    assert scrape(telemetry, "aurora_registry_mesh_suspect") == {(): 0}


class Watched:
    """A map that the telemetry watches, whose bus transport depends on a source."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.clock = ManualClock()
        self.bus = Source("bus", self.clock.monotonic_ns())
        self.map = NodeMap(self.clock, Thresholds(), sources={Transport.BUS: (self.bus,)})
        telemetry.watch(self.map)

    def pass_time(self, seconds: int, *, bus: bool = True) -> None:
        """Time passes second by second, with the bus received or not."""
        for _ in range(seconds):
            self.clock.advance(1)
            if bus:
                self.bus.mark_alive(self.clock.monotonic_ns())
            self.map.tick()


@pytest.fixture
def watched(telemetry: Telemetry) -> Watched:
    return Watched(telemetry)


def test_blindness_is_shown_by_transport(telemetry, watched):
    """A bus that is lost blinds us to no node that sends over HTTP, and its blind time grows as it passes."""
    watched.pass_time(10)
    assert scrape(telemetry, "aurora_registry_blind") == {("http",): 0, ("bus",): 0}

    watched.bus.mark_down()
    watched.pass_time(7, bus=False)

    assert scrape(telemetry, "aurora_registry_blind") == {("http",): 0, ("bus",): 1}
    assert scrape(telemetry, "aurora_registry_blind_seconds_total") == {("http",): 0, ("bus",): 7}

    watched.pass_time(20)

    assert scrape(telemetry, "aurora_registry_blind") == {("http",): 0, ("bus",): 0}
    assert scrape(telemetry, "aurora_registry_blind_seconds_total") == {("http",): 0, ("bus",): 8}


def test_blind_seconds_never_go_back(telemetry, watched):
    """An outage that ends with a proof from before the latest scrape would look like a restart of the counter."""
    watched.bus.mark_down()
    watched.clock.advance(9)
    proof_ns = watched.clock.monotonic_ns()
    watched.clock.advance(1)
    assert scrape(telemetry, "aurora_registry_blind_seconds_total") == {("http",): 10, ("bus",): 10}

    watched.bus.mark_alive(proof_ns)
    watched.map.tick()

    assert scrape(telemetry, "aurora_registry_blind_seconds_total") == {("http",): 10, ("bus",): 10}


def test_a_mesh_that_went_missing_is_suspect(telemetry, watched):
    """When all are missing at once, our own connection is the likelier cause."""
    for name in ("ann", "bob", "cyd"):
        watched.map.heartbeat(Heartbeat(node=name), Transport.BUS, appear=True)
    assert scrape(telemetry, "aurora_registry_mesh_suspect") == {(): 0}

    watched.pass_time(121)

    assert scrape(telemetry, "aurora_registry_mesh_suspect") == {(): 1}


def test_forgotten_nodes_are_counted(telemetry, watched):
    """Forgetting is counted; appearing and going missing are not."""
    watched.map.heartbeat(Heartbeat(node="ann"), Transport.BUS, appear=True)
    watched.pass_time(400)
    assert scrape(telemetry, "aurora_registry_nodes_forgotten_total") == {(): 0}

    for _ in range(73 * 3600 // 4):
        watched.clock.advance(4)
        watched.bus.mark_alive(watched.clock.monotonic_ns())
        watched.map.tick()

    assert scrape(telemetry, "aurora_registry_nodes_forgotten_total") == {(): 1}
