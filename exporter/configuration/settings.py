"""The settings: their dotted keys, as the dataclasses of `exporter.domain.config` have them, and what each takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from exporter.configuration import addresses, kinds, topologyrules
from exporter.configuration.yamlfile import read_yaml
from exporter.domain.config import Config

ENVIRONMENT_PREFIX = "AURORA_"


def flatten(config: Config) -> dict[str, Any]:
    """Every setting by its dotted key (`web.listen_address`, `store`), in the order of `config.yaml`."""
    settings = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            for inner in dataclasses.fields(value):
                settings[f"{field.name}.{inner.name}"] = getattr(value, inner.name)
        else:
            settings[field.name] = value
    return settings


def assemble(settings: Mapping[str, Any]) -> Config:
    """The configuration with these settings, by dotted key; all others are the defaults."""
    config = Config()
    grouped: dict[str, dict[str, Any]] = {}
    plain: dict[str, Any] = {}
    for key, value in settings.items():
        section, dot, name = key.partition(".")
        if dot:
            grouped.setdefault(section, {})[name] = value
        else:
            plain[key] = value
    changed = {section: dataclasses.replace(getattr(config, section), **values) for section, values in grouped.items()}
    return dataclasses.replace(config, **plain, **changed)


KEYS = tuple(flatten(Config()))
SECTIONS = tuple(dict.fromkeys(key.partition(".")[0] for key in KEYS if "." in key))


def environment_name(key: str) -> str:
    """The variable that sets a key: `web.listen_address` is `AURORA_WEB_LISTEN_ADDRESS`; a last `.url` is left out."""
    return ENVIRONMENT_PREFIX + key.removesuffix(".url").replace(".", "_").upper()


def as_text(written: str) -> Any:
    """The text itself: texts, durations, sizes, addresses."""
    return written


def as_list(written: str) -> Any:
    """Items between commas; nothing is an empty list."""
    return [item.strip() for item in written.split(",")] if written.strip() else []


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """What one key takes."""

    parse: kinds.Parser[Any]
    """From what YAML gave to the typed value; Invalid otherwise."""
    written: Callable[[str], Any] = as_text
    """From the text of a variable or flag to what YAML would have given: `read_yaml` for all but texts and lists."""
    restart: bool = False
    """Only a restart changes it; a reload that would is refused."""


_DURATION = Setting(kinds.duration)
_COUNT = Setting(kinds.integer(1), read_yaml)
_TOKEN_FILE = Setting(kinds.secret_file)
_NETWORKS = Setting(kinds.list_of(kinds.network), as_list)

SETTINGS = {
    "web.listen_address": Setting(addresses.listen_address, restart=True),
    "web.telemetry_path": Setting(addresses.telemetry_path, restart=True),
    "web.cors_origin": Setting(kinds.pattern),
    "web.enable_lifecycle": Setting(kinds.boolean, read_yaml, restart=True),
    "web.config_file": Setting(kinds.text, restart=True),
    "web.allowed_hosts": Setting(kinds.list_of(kinds.host), as_list),
    "store": Setting(addresses.store_url, restart=True),
    "event_bus.url": Setting(addresses.event_bus_url, restart=True),
    "event_bus.channel": Setting(kinds.channel, restart=True),
    "thresholds.heartbeat_interval": _DURATION,
    "thresholds.warning_after": _DURATION,
    "thresholds.offline_after": _DURATION,
    "thresholds.forget_after": _DURATION,
    "thresholds.sleep_max": _DURATION,
    "site.min_nodes": _COUNT,
    "site.disrupted_ratio": Setting(kinds.ratio, read_yaml),
    "site.recent": _DURATION,
    "topology.rules": Setting(kinds.list_of(topologyrules.rule, unique=lambda rule: f"type {rule.type}"), read_yaml),
    "topology.max_edges": Setting(kinds.integer(0), read_yaml),
    "metrics.disabled_families": Setting(kinds.list_of(kinds.family), as_list),
    "auth.trusted_networks": _NETWORKS,
    "auth.trusted_proxies": _NETWORKS,
    "auth.join_token_file": _TOKEN_FILE,
    "auth.operator_token_file": _TOKEN_FILE,
    "auth.read_token_file": _TOKEN_FILE,
    "auth.require_signed_events": Setting(kinds.boolean, read_yaml),
    "limits.max_nodes": _COUNT,
    "limits.max_state": Setting(kinds.size),
    "limits.max_body": Setting(kinds.size),
    "limits.max_connections": Setting(kinds.integer(1), read_yaml, restart=True),
    "limits.max_connections_per_source": _COUNT,
    "limits.receive_timeout": _DURATION,
    "limits.send_timeout": _DURATION,
    "limits.untrusted_requests_per_second": _COUNT,
    "limits.untrusted_new_nodes_per_minute": _COUNT,
    "limits.max_event_streams": _COUNT,
    "alertmanager.urls": Setting(kinds.list_of(addresses.http_url), as_list),
    "alertmanager.external_labels": Setting(kinds.labels, read_yaml),
    "alertmanager.scrape_interval": _DURATION,
    "alerting.prometheus_url": Setting(addresses.optional_http_url),
    "log.level": Setting(kinds.one_of("debug", "info", "warn", "warning", "error")),
    "log.format": Setting(kinds.one_of("logfmt", "json")),
}

if tuple(SETTINGS) != KEYS:
    raise AssertionError(
        f"settings and configuration differ, in keys or their order: {sorted(set(SETTINGS) ^ set(KEYS))}"
    )
