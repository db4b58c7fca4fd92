"""The configuration: every key with its default. Durations are nanoseconds."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from exporter.domain.clock import SECOND
from exporter.domain.eventnames import CHANNEL
from exporter.domain.site import SiteRule
from exporter.domain.status import Thresholds
from exporter.domain.topology import DEFAULT_RULES, EdgeRule

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TRUSTED_NETWORKS: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "fc00::/7",
        "fe80::/10",
    )
)


@dataclass(frozen=True, slots=True)
class Web:
    """How we are reached."""

    listen_address: str = "0.0.0.0:9999"
    telemetry_path: str = "/metrics"
    cors_origin: str = ".*"
    enable_lifecycle: bool = False
    config_file: str = ""
    allowed_hosts: tuple[str, ...] = ()
    """Names under which writes are taken, beside addresses, localhost and this machine's own name."""


@dataclass(frozen=True, slots=True)
class EventBus:
    """The Redis whose channel nodes publish on; an empty URL means none."""

    url: str = ""
    channel: str = CHANNEL


@dataclass(frozen=True, slots=True)
class Topology:
    """Which connections there are, and how many of them `/metrics` shows at most."""

    rules: tuple[EdgeRule, ...] = DEFAULT_RULES
    max_edges: int = 10_000


@dataclass(frozen=True, slots=True)
class Metrics:
    """What `/metrics` leaves out."""

    disabled_families: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Auth:
    """Who may write. Token files are named here and read by `auth`."""

    trusted_networks: tuple[Network, ...] = TRUSTED_NETWORKS
    trusted_proxies: tuple[Network, ...] = ()
    join_token_file: str = ""
    operator_token_file: str = ""
    read_token_file: str = ""
    require_signed_events: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What one registry takes on before it says no."""

    max_nodes: int = 1_000_000
    max_state: int = 2**29
    """Bytes of what all nodes together state: registrations, and the latest readings."""
    max_body: int = 2**20
    """Bytes of a request's body."""
    max_connections: int = 10_000
    max_connections_per_source: int = 256
    """Connections of one address that is not trusted."""
    receive_timeout: int = 10_000_000_000
    """How long a request may take to arrive whole."""
    send_timeout: int = 10_000_000_000
    """How long a reader may take for 64 KiB of its answer."""
    untrusted_requests_per_second: int = 50
    """Of one address that is not trusted."""
    untrusted_new_nodes_per_minute: int = 60
    """Of one address that is not trusted."""
    max_event_streams: int = 1_000


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """Where transitions are posted at once; no URLs means nowhere."""

    urls: tuple[str, ...] = ()
    external_labels: dict[str, str] = field(default_factory=dict)
    scrape_interval: int = 15 * SECOND
    """How often Prometheus scrapes us and evaluates the rules: how long they wait, and we, follows from it."""


@dataclass(frozen=True, slots=True)
class Alerting:
    """The Prometheus whose firing alerts the status page shows; an empty URL means none."""

    prometheus_url: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """How much we say, and how."""

    level: str = "info"
    format: str = "logfmt"


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that `config.yaml` may say."""

    web: Web = Web()
    store: str = "sqlite:///aurora-registry.db"
    event_bus: EventBus = EventBus()
    thresholds: Thresholds = field(default_factory=Thresholds)
    site: SiteRule = field(default_factory=SiteRule)
    topology: Topology = Topology()
    metrics: Metrics = Metrics()
    auth: Auth = Auth()
    limits: Limits = Limits()
    alertmanager: Alertmanager = Alertmanager()
    alerting: Alerting = Alerting()
    log: Log = Log()
