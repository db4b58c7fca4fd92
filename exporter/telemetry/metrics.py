"""The metrics about ourselves: what is counted, and how it reads in `/metrics`."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from prometheus_client import ProcessCollector, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from exporter.domain.clock import SECOND
from exporter.domain.heartbeat import Reason
from exporter.domain.node import Node
from exporter.domain.recordchecks import RecordFault
from exporter.domain.status import Transport
from exporter.nodemap.changes import Change
from exporter.nodemap.nodemap import NodeMap
from exporter.telemetry import logs
from exporter.telemetry.looplag import LoopLag
from exporter.telemetry.reasons import Notification, Refusal, Rejection
from exporter.telemetry.requests import RequestDurations

K = TypeVar("K", bound=str)
_END = b"# EOF\n"


class Telemetry(Collector):
    """Counts in plain numbers, bumped where things happen, and read by prometheus-client when somebody scrapes."""

    def __init__(
        self,
        *,
        version: str,
        revision: str,
        started_ns: int,
        store_up: Callable[[], bool],
        event_bus_up: Callable[[], bool | None],
        store_durable: Callable[[], bool | None] = lambda: True,
    ) -> None:
        """`started_ns` (wall clock): when the first configuration was loaded. `event_bus_up`: None without a bus.

        `store_durable`: None while that is not known.
        """
        self.heartbeats = dict.fromkeys(Transport, 0)
        """Heartbeats received, by transport."""
        self.events_rejected = dict.fromkeys(Rejection, 0)
        self.requests_refused = dict.fromkeys(Refusal, 0)
        self.subscriptions_lost = 0
        """Subscriptions to the bus that ended, by whatever cause."""
        self.publishes_failed = 0
        """Events of ours that the bus did not take."""
        self.store_writes_failed = 0
        self.store_records_rejected = dict.fromkeys(RecordFault, 0)
        """Records that were set aside when they were read."""
        self.notifications = dict.fromkeys(Notification, 0)
        """Alerts posted, once for each Alertmanager and each time."""
        self.scrape_seconds = 0.0
        """How long the latest scrape took."""
        self.requests = RequestDurations()
        self.loop_lag = LoopLag()
        self._build = {"version": version, "revision": revision, "python": platform.python_version()}
        self._store_up = store_up
        self._event_bus_up = event_bus_up
        self._store_durable = store_durable
        self._reload_successful = True
        self._reloaded_ns = started_ns
        self._forgotten = 0
        self._node_map: NodeMap | None = None
        self._notifications_queue_length: Callable[[], int] = lambda: 0
        self._event_streams: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self._store_queue_length: Callable[[], int] = lambda: 0
        self._blind_ns = dict.fromkeys(Transport, 0)
        self._process = ProcessCollector(registry=None)

    def watch(self, node_map: NodeMap) -> None:
        """Report about this map from now on; until then we are blind to every node."""
        self._node_map = node_map
        node_map.listeners.append(self._note)

    def refuse(self, reason: str) -> None:
        """Count a refusal; `reason` is one of Refusal."""
        self.requests_refused[Refusal(reason)] += 1

    def watch_notifications(self, waiting: Callable[[], int]) -> None:
        """Ask this, from now on, how many alerts wait to be posted."""
        self._notifications_queue_length = waiting

    def watch_event_streams(self, count: Callable[[], tuple[int, int]]) -> None:
        """Ask this, from now on, how many event streams are open, and how many were dropped."""
        self._event_streams = count

    def watch_store(self, waiting: Callable[[], int]) -> None:
        """Ask this, from now on, how many changes wait to be written to the store."""
        self._store_queue_length = waiting

    def reloaded(self, wall_ns: int) -> None:
        """A new configuration is in use."""
        self._reload_successful = True
        self._reloaded_ns = wall_ns

    def reload_failed(self) -> None:
        """A new configuration was refused."""
        self._reload_successful = False

    def expose(self, *, open_metrics: bool, names: frozenset[str] | None = None) -> bytes:
        """All families in OpenMetrics 1.0.0 (without its closing `# EOF`) or in the text format 0.0.4.

        `names`: of these samples only.
        """
        families = _SelectedSamples(self, names)
        if open_metrics:
            text: bytes = openmetrics.generate_latest(families)  # type: ignore[no-untyped-call]  # as it ships
            return text.removesuffix(_END)
        return exposition.generate_latest(families)

    def collect(self) -> Iterator[Metric]:
        """Every family, as it stands now."""
        yield InfoMetricFamily("aurora_registry_build", "What this registry was built from.", self._build)
        yield _gauge("aurora_registry_store_up", "1 if the store answered when last asked.", self._store_up())
        durable = self._store_durable()
        if durable is not None:
            yield _gauge(
                "aurora_registry_store_durable",
                "1 if what the store acknowledges outlives a crash of the store.",
                durable,
            )
        bus_up = self._event_bus_up()
        if bus_up is not None:
            yield _gauge("aurora_registry_event_bus_up", "1 if events on the bus are received.", bus_up)
        yield from self._reception()
        yield _counter(
            "aurora_registry_heartbeats", "Heartbeats received, by transport.", self.heartbeats, label="transport"
        )
        yield _counter(
            "aurora_registry_events_rejected",
            "Events on the bus that were rejected, by reason.",
            self.events_rejected,
            label="reason",
        )
        yield CounterMetricFamily(
            "aurora_registry_event_bus_subscriptions_lost",
            "Subscriptions to the bus that ended; what was published until the next one was not received.",
            self.subscriptions_lost,
        )
        rejected = self._node_map.readings_rejected if self._node_map else dict.fromkeys(Reason, 0)
        yield _counter(
            "aurora_registry_readings_rejected",
            "Parts of heartbeats that were left out, by reason; the heartbeats counted.",
            rejected,
            label="reason",
        )
        yield _counter(
            "aurora_registry_requests_refused",
            "Requests and connections that were refused by a limit or a rule of access, by reason.",
            self.requests_refused,
            label="reason",
        )
        yield CounterMetricFamily(
            "aurora_registry_events_publish_failed",
            "Events of the registry that could not be published.",
            self.publishes_failed,
        )
        yield CounterMetricFamily(
            "aurora_registry_store_writes_failed", "Writes that the store did not take.", self.store_writes_failed
        )
        yield _gauge(
            "aurora_registry_store_queue_length",
            "Transitions and changes of nodes that are in memory and not written to the store yet.",
            self._store_queue_length(),
        )
        yield CounterMetricFamily(
            "aurora_registry_store_transitions_dropped",
            "Transitions that waited too long for a store that was down, and were never recorded.",
            self._node_map.pending.dropped if self._node_map else 0,
        )
        yield _counter(
            "aurora_registry_store_records_rejected",
            "Records that were read from the store and set aside, by reason.",
            self.store_records_rejected,
            label="reason",
        )
        yield CounterMetricFamily(
            "aurora_registry_log_lines_dropped", "Log lines dropped because nobody read them.", logs.dropped()
        )
        yield _counter(
            "aurora_registry_notifications",
            "Alerts posted to Alertmanagers by the registry itself, by outcome.",
            self.notifications,
            label="outcome",
        )
        yield _gauge(
            "aurora_registry_notifications_queue_length",
            "Alerts that wait to be posted, of all Alertmanagers together.",
            self._notifications_queue_length(),
        )
        streams, dropped = self._event_streams()
        room = self._node_map.room if self._node_map else None
        yield _gauge(
            "aurora_registry_state_bytes",
            "Size of all registrations and readings in memory; the setting limits.max_state bounds it.",
            room.state_bytes if room else 0,
        )
        yield _gauge("aurora_registry_event_streams", "Streams of GET /events that are open.", streams)
        yield CounterMetricFamily(
            "aurora_registry_event_streams_dropped",
            "Streams of GET /events that were ended because their readers were too slow.",
            dropped,
        )
        yield CounterMetricFamily(
            "aurora_registry_nodes_forgotten",
            "Nodes removed because they sent no heartbeat for longer than the setting forget_after.",
            self._forgotten,
        )
        yield _gauge(
            "aurora_registry_config_last_reload_successful",
            "1 if the latest configuration is in use, 0 if it was refused.",
            self._reload_successful,
        )
        yield _gauge(
            "aurora_registry_config_last_reload_success_timestamp_seconds",
            "When the configuration in use was loaded.",
            self._reloaded_ns / SECOND,
        )
        yield _gauge(
            "aurora_registry_event_loop_lag_seconds",
            "The longest time within the last minute that everything waited for the event loop.",
            self.loop_lag.seconds,
        )
        yield self.requests.family(
            "aurora_registry_http_request_duration_seconds", "How long HTTP requests took until answered."
        )
        yield _gauge(
            "aurora_registry_scrape_duration_seconds", "How long the previous scrape took.", self.scrape_seconds
        )
        yield from self._process.collect()

    def _reception(self) -> Iterator[Metric]:
        blind = GaugeMetricFamily(
            "aurora_registry_blind",
            "1 while heartbeats over this transport cannot be received; statuses are frozen meanwhile.",
            labels=("transport",),
        )
        for transport in Transport:
            blind.add_metric((transport,), self._take_blindness(transport))
        yield blind
        seconds = {transport: blind_ns / SECOND for transport, blind_ns in self._blind_ns.items()}
        yield _counter(
            "aurora_registry_blind_seconds",
            "Total time in which heartbeats over this transport could not be received.",
            seconds,
            label="transport",
        )
        suspect = self._node_map is not None and self._node_map.totals.mesh_suspect
        yield _gauge(
            "aurora_registry_mesh_suspect",
            "1 while most of the mesh is without heartbeats: the registry's own connection is the likelier cause.",
            suspect,
        )

    def _take_blindness(self, transport: Transport) -> bool:
        if self._node_map is None:
            return True
        reception, now_ns = self._node_map.reception[transport], self._node_map.clock.monotonic_ns()
        blind = reception.blind(now_ns)
        total_ns = reception.blind_total_ns + (now_ns - reception.until_ns if blind else 0)
        # An outage starts at its last proof, which may lie before the latest scrape; a counter must not go back.
        self._blind_ns[transport] = max(self._blind_ns[transport], total_ns)
        return blind

    def _note(self, change: Change, node: Node) -> None:  # noqa: ARG002 - the listeners' signature
        if change is Change.FORGOTTEN:
            self._forgotten += 1


class _SelectedSamples(Collector):
    """The samples of some names, with the families that they belong to."""

    def __init__(self, telemetry: Telemetry, names: frozenset[str] | None) -> None:
        self._telemetry = telemetry
        self._names = names

    def collect(self) -> Iterable[Metric]:
        for family in self._telemetry.collect():
            if self._names is not None:
                family.samples = [sample for sample in family.samples if sample.name in self._names]
                if not family.samples:
                    continue
            yield family


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value)


def _counter(name: str, documentation: str, values: Mapping[K, float], *, label: str) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=(label,))
    for value, count in values.items():
        family.add_metric((value,), count)
    return family
