"""All that stands between a node and the person on call, as shipped, on loopback ports and in a quicker time."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from demo.servers import Generation
from demo.speed import scaled_duration, scaled_routes, scaled_rules
from exporter.alerting.files import rule_files
from exporter.alerting.parameters import RuleParameters
from exporter.domain.config import Config
from exporter.domain.duration import format_duration
from tests.support.alertmanager_server import AlertmanagerServer
from tests.support.generations import DEFAULT
from tests.support.prometheus_server import PrometheusServer
from tests.support.redis_server import RedisServer
from tests.support.registry_process import ROOT, RegistryProcess
from tests.support.scenario_mesh import SimulatedMesh
from tests.support.scenario_sink import AlertMessage, Sink
from tests.support.server_process import until

ALERTS = ROOT / "alerts"
FACTOR = 60
"""A minute of production is a second here."""
SCRAPE_INTERVAL = "500ms"
"""The shipped fifteen seconds would be 250 ms; this machine may delay a scrape for longer, and then it failed."""
PROMETHEUS_FLAGS = ("--query.lookback-delta=5s", "--rules.alert.resend-delay=2s")


class QuickPrometheus(PrometheusServer):
    """Prometheus whose own defaults of minutes are divided by the factor too."""

    def __init__(self, directory: Path, configuration: Any, generation: Generation, factor: float) -> None:
        super().__init__(directory, configuration, generation)
        self._factor = factor

    def command(self) -> list[str | Path]:
        """It sends to Alertmanager again every two seconds, not one: a stall of this machine must not end an alert."""
        restored = scaled_duration("10m", self._factor)
        return [*super().command(), *PROMETHEUS_FLAGS, f"--rules.alert.for-grace-period={restored}"]


@dataclass(frozen=True)
class Stack:
    """The servers of one stage."""

    redis: RedisServer
    registries: tuple[RegistryProcess, ...]
    alertmanager: AlertmanagerServer
    prometheus: PrometheusServer
    sink: Sink
    mesh: SimulatedMesh
    rules: Path
    rule_texts: dict[str, str]
    """By file, in the quicker time."""

    def open_curtain(self) -> None:
        """Let the mesh send, and return once an alert finds its whole way to the sink, and no other one is on its way.

        Prometheus takes up to five seconds to begin with its scrapes, which are minutes to the rules: they come after.
        """
        self.mesh.register()
        for registry in self.registries:
            until(lambda registry=registry: len(registry.nodes()), len(self.mesh.nodes))  # type: ignore[misc]  # bound now
        self.prometheus.start()
        until(lambda: len(self.prometheus.query("aurora_node_info")), len(self.mesh.nodes) * len(self.registries))
        for name, text in self.rule_texts.items():
            (self.rules / name).write_text(text)
        self.prometheus.signal(signal.SIGHUP)
        until(
            lambda: any(reported.alerts[0].name == "AuroraWatchdog" for reported in self.sink.notifications),
            expected=True,
        )
        # A busy machine may have sent a heartbeat late: the play begins when nobody has anything to worry about.
        until(self._at_rest, expected=True)

    def _at_rest(self) -> bool:
        latest: dict[tuple[str, AlertMessage], str] = {}
        for notification in [*self.sink.notifications]:
            for reported in notification.alerts:
                latest[notification.receiver, replace(reported, status="")] = reported.status
        latest = {key: status for key, status in latest.items() if key[1].name != "AuroraWatchdog"}
        return "firing" not in latest.values() and not self.prometheus.query('ALERTS{alertname!="AuroraWatchdog"}')


@contextmanager
def stack(
    directory: Path,
    *,
    replicas: int = 1,
    instant: bool = False,
    generation: Generation = DEFAULT,
    config: Config | None = None,
    factor: float = FACTOR,
) -> Iterator[Stack]:
    """Start all but Prometheus; `instant`: the registries send alerts to Alertmanager themselves as well.

    `config`: thresholds and site rule other than the defaults, with the rules that `aurora-cli rules` makes for them.
    `factor`: by how much all durations are divided.
    """
    rule_texts = rule_files(RuleParameters.of(config)) if config else _shipped_rules()
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as processes:
        sink = processes.enter_context(Sink())
        redis = processes.enter_context(RedisServer("--appendonly", "yes", "--appendfsync", "always"))
        routes = directory / "alertmanager.yml"
        routes.write_text(scaled_routes((ALERTS / "alertmanager.yml").read_text(), factor, sink.url))
        alertmanager = AlertmanagerServer(directory, generation)
        processes.callback(alertmanager.close)
        alertmanager.start(routes)
        settings = _settings(config or Config(), factor, [alertmanager.url] if instant else [])
        registries = tuple(
            RegistryProcess(directory / f"registry-{number}", store=redis.url, event_bus=redis.url, settings=settings)
            for number in range(replicas)
        )
        for registry in registries:
            processes.enter_context(registry)
        rules = directory / "rules"
        rules.mkdir()
        configuration = _prometheus(rules, registries, alertmanager)
        prometheus = QuickPrometheus(directory / "prometheus", configuration, generation, factor)
        processes.callback(prometheus.close)
        mesh = processes.enter_context(SimulatedMesh(registries, redis.port))
        texts = {name: scaled_rules(text, factor) for name, text in rule_texts.items()}
        yield Stack(redis, registries, alertmanager, prometheus, sink, mesh, rules, texts)


def _shipped_rules() -> dict[str, str]:
    return {path.name: path.read_text() for path in ALERTS.glob("*.rules.yml")}


def _settings(config: Config, factor: float, alertmanagers: list[str]) -> dict[str, Any]:
    def quick(duration_ns: int) -> str:
        return scaled_duration(format_duration(duration_ns), factor)

    return {
        "thresholds": {each.name: quick(getattr(config.thresholds, each.name)) for each in fields(config.thresholds)},
        "site": {"recent": quick(config.site.recent)},
        "alertmanager": {"urls": alertmanagers, "scrape_interval": quick(config.alertmanager.scrape_interval)},
    }


def _prometheus(
    rules: Path, registries: tuple[RegistryProcess, ...], alertmanager: AlertmanagerServer
) -> dict[str, Any]:
    return {
        "global": {
            "scrape_interval": SCRAPE_INTERVAL,
            "scrape_timeout": SCRAPE_INTERVAL,
            "evaluation_interval": "250ms",
        },
        "rule_files": [str(rules / "*.rules.yml")],
        "scrape_configs": [{"job_name": "node-registry", "static_configs": [{"targets": _hosts(*registries)}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": _hosts(alertmanager)}]}]},
    }


def _hosts(*servers: Any) -> list[str]:
    return [f"127.0.0.1:{server.port}" for server in servers]
