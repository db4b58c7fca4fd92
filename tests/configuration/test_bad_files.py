"""One bad file for each way to be wrong, and the exact words that the person reads who wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.configuration.loader import load
from exporter.domain.errors import Invalid

BAD = Path(__file__).parent / "bad"

REDIS = (
    "redis://host:port/db, rediss://host:port/db, redis+sentinel://host:port,host:port/service/db, "
    "redis+cluster://host:port,host:port"
)
STORE = f"expected sqlite:///file.db, sqlite:////absolute/file.db, {REDIS} or memory:"
BUS = f"expected {REDIS} or nothing at all"
ADDRESS = 'expected an address such as "0.0.0.0:9999", ":9999" or "[::]:9999"'
DURATION = "expected a duration as Prometheus writes it, such as 90s, 2m or 1h30m"
NAME = "expected 1 to 63 letters, digits, dots, underscores and hyphens, a letter or digit at each end"
SIZE = "expected a size such as 1MiB, 512KiB or a number of bytes"
QUOTES = "a value with special characters stands in quotes"
VALUES = "expected at most 100000 values, with each alias counted as what it stands for"
PATH = BAD / "not_utf8.yaml"

MESSAGES = {
    "alertmanager_no_host": ["alertmanager.urls[0]: expected http://host:port or https://host:port, got http://..."],
    "alertmanager_no_list": ["alertmanager.urls: expected a list, got 'http://..."],
    "alertmanager_port": ["alertmanager.urls[0]: expected http://host:port or https://host:port, got http://..."],
    "alertmanager_scheme": ["alertmanager.urls[0]: expected http://host:port or https://host:port, got ftp://..."],
    "alias_of_itself": [VALUES],
    "aliases": [VALUES],
    "channel_control": ["event_bus.channel: expected no control, bidi-override or surrogate characters, got '\\n'"],
    "channel_empty": ["event_bus.channel: expected the name of a channel, got ''"],
    "channel_number": ["event_bus.channel: expected text, got 7"],
    "control_character": ["not YAML: unacceptable character #x0001: special characters are not allowed"],
    "cors_origin": [
        ("web.cors_origin: expected a regular expression, got one that does not compile: missing ): https://(")
    ],
    "cors_origin_list": ["web.cors_origin: expected a regular expression, got ['a']"],
    "document_is_list": ["expected keys such as web: and store:, got something else"],
    "duplicate_in_rule": ["topology.rules[0].type: stands twice in line 1: keep one of them"],
    "duplicate_key": ["log.level: stands twice in lines 2 and 4: keep one of them"],
    "duplicate_keys_twice": [
        "web.telemetry_path: stands twice in line 2: keep one of them",
        "store: stands twice in lines 1 and 3: keep one of them",
    ],
    "duration_huge": ["thresholds.forget_after: expected a duration of at most 292 years, got '999999y'"],
    "duration_number": [f"thresholds.heartbeat_interval: {DURATION}, got 30"],
    "duration_short": ["thresholds.heartbeat_interval: expected a duration of at least 100ms, got '99ms'"],
    "duration_unit": [f"thresholds.heartbeat_interval: {DURATION}, got '30 seconds'"],
    "enable_lifecycle": ["web.enable_lifecycle: expected true or false, got 1"],
    "event_bus_broken": [f"event_bus.url: {BUS}, got redis://..."],
    "event_bus_memory": [f"event_bus.url: {BUS}, got what is no such URL"],
    "event_bus_sqlite": [f"event_bus.url: {BUS}, got sqlite://..."],
    "external_labels_name": [
        "alertmanager.external_labels: expected label names of letters, digits and underscores, got 'my region'"
    ],
    "external_labels_no_mapping": [
        "alertmanager.external_labels: expected labels such as {region: eu}, got ['region']"
    ],
    "external_labels_value": ["alertmanager.external_labels.region: expected text, got 3"],
    "family": [
        (
            "metrics.disabled_families[0]: expected a metric family's name such as aurora_node_cost_usd_per_hour, "
            "got 'process_cpu_seconds_total'"
        )
    ],
    "family_twice": ["metrics.disabled_families[1]: aurora_node_gpus stands in the list already"],
    "key_in_wrong_place": ["listen_address: unknown key; did you mean web.listen_address?"],
    "key_that_is_a_url": ["event_bus.(a key that is no word): unknown key"],
    "listen_address_bad_ipv6": [f"web.listen_address: {ADDRESS}, got '[1:2]:9999'"],
    "listen_address_bare_ipv6": [f"web.listen_address: {ADDRESS}, got '::1:9999'"],
    "listen_address_number": [f"web.listen_address: {ADDRESS}, got 9999"],
    "listen_address_port_too_high": [f"web.listen_address: {ADDRESS}, got ':99999'"],
    "listen_address_without_port": [f"web.listen_address: {ADDRESS}, got '0.0.0.0'"],
    "log_format": ["log.format: expected logfmt or json, got ['json']"],
    "log_level": ["log.level: expected debug, info, warn, warning or error, got 'loud'"],
    "long_text": ["expected texts of at most 65536 characters, got one of 80001"],
    "looks_like_date": ["a value looks like a date or a number but is not one: put it in quotes"],
    "many": [
        "mertics: unknown key; did you mean metrics?",
        "web.telemetry_path: expected a path such as /metrics, got 'metrics'",
        "thresholds.heartbeat_interval: expected a duration of at least 100ms, got '0s'",
        "thresholds.offline_after: expected more than thresholds.warning_after (10m), got 5m",
    ],
    "max_body_list": [f"limits.max_body: {SIZE}, got [1]"],
    "max_body_unit": [f"limits.max_body: {SIZE}, got '1MB'"],
    "max_body_zero": [f"limits.max_body: {SIZE}, got 0"],
    "max_edges": ["topology.max_edges: expected a whole number, at least 0, got -1"],
    "max_state": [f"limits.max_state: {SIZE}, got 'much'"],
    "max_nodes": ["limits.max_nodes: expected a whole number, at least 1, got 0"],
    "min_nodes_text": ["site.min_nodes: expected a whole number, at least 1, got '3'"],
    "min_nodes_true": ["site.min_nodes: expected a whole number, at least 1, got true"],
    "min_nodes_zero": ["site.min_nodes: expected a whole number, at least 1, got 0"],
    "nested_too_deep": ["not YAML that we can read: nested too deep"],
    "merged_aliases": [VALUES],
    "network_host_bits": [
        (
            "auth.trusted_networks[1]: expected a network such as 10.0.0.0/8 (no bits set behind the prefix), "
            "got '10.0.0.1/8'"
        )
    ],
    "network_number": ["auth.trusted_proxies[0]: expected a network such as 10.0.0.0/8, got 10"],
    "networks_no_list": ["auth.trusted_networks: expected a list, got '10.0.0.0/8'"],
    "not_utf8": [f"{PATH} is not UTF-8 (byte 13)"],
    "nothing": [f"store: {STORE}, got what is no such URL"],
    "offline_after_forget": ["thresholds.forget_after: expected more than thresholds.offline_after (3d1h), got 3d"],
    "python_object": [
        (
            f"not YAML in line 1, column 8: could not determine a constructor for the tag "
            f"'tag:yaml.org,2002:python/object:os.system'; {QUOTES}"
        )
    ],
    "ratio_above_one": ["site.disrupted_ratio: expected a number above 0 and at most 1, got 1.01"],
    "ratio_nan": ["site.disrupted_ratio: expected a number above 0 and at most 1, got nan"],
    "ratio_text": ["site.disrupted_ratio: expected a number above 0 and at most 1, got '55%'"],
    "ratio_zero": ["site.disrupted_ratio: expected a number above 0 and at most 1, got 0"],
    "rule_no_mapping": ["topology.rules[0]: expected a rule, got 'mesh'"],
    "rule_type_name": [f"topology.rules[0].type: {NAME}, got 'vpn mesh'"],
    "rule_type_twice": ["topology.rules[2]: type mesh stands in the list already"],
    "rule_unknown_key": ["topology.rules[0].sorce: unknown key; did you mean source?"],
    "rule_without_type": ["topology.rules[0].type: required"],
    "rules_no_list": ["topology.rules: expected a list, got {'type': 'mesh'}"],
    "section_is_text": ["event_bus: expected keys such as url: under it, got something else"],
    "selector_gpu": ["topology.rules[0].source.gpu: expected true or false, got 2"],
    "selector_no_roles": ["topology.rules[0].source.role: expected a role, or a list of some, got []"],
    "selector_role": [f"topology.rules[0].source.role[1]: {NAME}, got ''"],
    "selector_text": ["topology.rules[0].source: expected a selector such as {role: lead} or {gpu: true}, got 'lead'"],
    "selector_unknown_key": ["topology.rules[0].source.roles: unknown key; did you mean role?"],
    "sentinel_without_service": [f"store: {STORE}, got redis+sentinel://..."],
    "store_kind": [f"store: {STORE}, got postgres://..."],
    "store_no_url": [f"store: {STORE}, got what is no such URL"],
    "store_without_file": [f"store: {STORE}, got sqlite://..."],
    "syntax": [f"not YAML in line 1, column 14: mapping values are not allowed here; {QUOTES}"],
    "syntax_ipv6": [f"not YAML in line 1, column 24: expected the node content, but found ':'; {QUOTES}"],
    "telemetry_path": ["web.telemetry_path: expected a path such as /metrics, got 'metrics'"],
    "telemetry_path_taken": [
        "web.telemetry_path: expected a path that the REST interface does not use itself, got '/nodes/metrics'"
    ],
    "token_in_place_of_file": [
        "auth.join_token_file: expected the path of a file, got something else",
        "auth.operator_token_file: expected the path of a file, got something else",
        "auth.read_token_file: expected the path of a file, got something else",
    ],
    "unknown_key": ["thresholds.offline_afer: unknown key; did you mean thresholds.offline_after?"],
    "unknown_key_like_nothing": ["thresholds.bogus: unknown key"],
    "unknown_section": ["webb: unknown key; did you mean web?"],
    "warning_after_offline": ["thresholds.offline_after: expected more than thresholds.warning_after (5m), got 5m"],
}


def test_each_bad_file_has_its_message():
    """No file is left out, and no message stands without its file."""
    assert {path.stem for path in BAD.glob("*.yaml")} == set(MESSAGES)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_bad_file_is_refused_in_these_words(name):
    """Every fault is reported, with field, value and expectation, and no password is repeated."""
    with pytest.raises(Invalid) as caught:
        load(BAD / f"{name}.yaml", {}, {})

    assert [str(fault) for fault in caught.value.faults] == MESSAGES[name]
    assert "hunter2" not in str(caught.value)
