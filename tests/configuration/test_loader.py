from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.configuration.loader import load, refused_at_reload
from exporter.configuration.settings import KEYS, SETTINGS, assemble, environment_name, flatten
from exporter.domain.clock import HOUR, MINUTE, SECOND
from exporter.domain.config import Config
from exporter.domain.errors import Fault, Invalid
from exporter.domain.topology import EdgeRule, Selector

SHIPPED = Path(__file__).parents[2] / "config.yaml"

OTHER_VALUES = {
    "web.listen_address": ("[::1]:0", "[::1]:0"),
    "web.telemetry_path": ("/probe/metrics", "/probe/metrics"),
    "web.cors_origin": (r"https://.*\.example", r"https://.*\.example"),
    "web.enable_lifecycle": ("true", True),
    "web.allowed_hosts": ("registry.example.org, *.Mesh.example", ("registry.example.org", "*.mesh.example")),
    "store": ("redis://:hunter2@10.0.0.1:6379/0", "redis://:hunter2@10.0.0.1:6379/0"),
    "event_bus.url": ("redis+cluster://10.0.0.1:6379,10.0.0.2:6379", "redis+cluster://10.0.0.1:6379,10.0.0.2:6379"),
    "event_bus.channel": ("aurora:events:test", "aurora:events:test"),
    "thresholds.heartbeat_interval": ("100ms", SECOND // 10),
    "thresholds.warning_after": ("1m30s", 90 * SECOND),
    "thresholds.offline_after": ("1h", HOUR),
    "thresholds.forget_after": ("1w", 7 * 24 * HOUR),
    "thresholds.sleep_max": ("1d", 24 * HOUR),
    "site.min_nodes": ("5", 5),
    "site.disrupted_ratio": ("1", 1.0),
    "site.recent": ("30m", 30 * MINUTE),
    "topology.rules": (
        "[{type: mesh, source: {role: [lead, edge], gpu: false}}]",
        (EdgeRule("mesh", source=Selector(roles=("lead", "edge"), gpu=False)),),
    ),
    "topology.max_edges": ("0", 0),
    "metrics.disabled_families": (
        "aurora_node_cost_usd_per_hour, aurora_topology_edge_info",
        ("aurora_node_cost_usd_per_hour", "aurora_topology_edge_info"),
    ),
    "auth.trusted_networks": ("", ()),
    "auth.trusted_proxies": (
        "10.0.0.1,fd00::/8",
        (ipaddress.ip_network("10.0.0.1/32"), ipaddress.ip_network("fd00::/8")),
    ),
    "web.config_file": ("/etc/web.yml", "/etc/web.yml"),
    "auth.join_token_file": ("/run/join", "/run/join"),
    "auth.operator_token_file": ("/run/operator", "/run/operator"),
    "auth.read_token_file": ("/run/read", "/run/read"),
    "auth.require_signed_events": ("true", True),
    "limits.max_nodes": ("10", 10),
    "limits.max_state": ("1GiB", 2**30),
    "limits.max_body": ("64KiB", 65_536),
    "limits.max_connections": ("100", 100),
    "limits.max_connections_per_source": ("10", 10),
    "limits.receive_timeout": ("5s", 5 * SECOND),
    "limits.send_timeout": ("1m", 60 * SECOND),
    "limits.untrusted_requests_per_second": ("5", 5),
    "limits.untrusted_new_nodes_per_minute": ("1", 1),
    "limits.max_event_streams": ("20", 20),
    "alertmanager.urls": (
        "http://10.0.0.1:9093, https://aurora:hunter2@10.0.0.2/alerts",
        ("http://10.0.0.1:9093", "https://aurora:hunter2@10.0.0.2/alerts"),
    ),
    "alertmanager.external_labels": ("{region: eu}", {"region": "eu"}),
    "alertmanager.scrape_interval": ("30s", 30 * SECOND),
    "alerting.prometheus_url": ("http://10.0.0.1:9090", "http://10.0.0.1:9090"),
    "log.level": ("debug", "debug"),
    "log.format": ("json", "json"),
}
"""For each setting that can be changed: other than the default, as a variable or flag writes it, and what it means."""


def written(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(*sources):
    with pytest.raises(Invalid) as caught:
        load(*sources)
    return caught.value.faults


def test_without_any_source_everything_is_the_default():
    assert load(None, {}, {}) == Config()


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "web:\nlog: {}\n"])
def test_an_empty_file_and_empty_sections_change_nothing(tmp_path, text):
    assert load(written(tmp_path, text), {}, {}) == Config()


def test_the_shipped_file_states_the_defaults():
    """What people read in config.yaml is what they get without it."""
    assert load(SHIPPED, {}, {}) == Config()


def test_the_shipped_file_states_every_key():
    """A setting that config.yaml does not show might as well not exist."""
    document = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    stated = []
    for name, value in document.items():
        stated += [name] if name in KEYS else [f"{name}.{inner}" for inner in value]

    assert stated == list(KEYS)


def test_the_shipped_file_marks_what_needs_a_restart():
    """Each setting that a reload cannot change says so in the comment above it, and no other does."""
    marked, section, comment = set(), "", ""
    for line in SHIPPED.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"( *)([a-z_]+):", line):
            section = section if match[1] else match[2]
            if "(restart)" in comment:
                marked.add(f"{section}.{match[2]}" if match[1] else match[2])
        comment = comment + line if line.lstrip().startswith("#") else ""

    assert marked == {key for key, setting in SETTINGS.items() if setting.restart}


@pytest.mark.parametrize("key", OTHER_VALUES)
def test_a_variable_changes_its_setting_and_no_other(key):
    text, value = OTHER_VALUES[key]

    assert load(None, {environment_name(key): text}, {}) == assemble({key: value})


@pytest.mark.parametrize("key", OTHER_VALUES)
def test_a_flag_changes_its_setting_and_no_other(key):
    text, value = OTHER_VALUES[key]

    assert load(None, {}, {key: text}) == assemble({key: value})


def test_every_setting_can_be_changed():
    assert set(OTHER_VALUES) == set(SETTINGS)
    assert all(flatten(Config())[key] != value for key, (_, value) in OTHER_VALUES.items())


def test_a_flag_wins_over_the_environment_which_wins_over_the_file(tmp_path):
    path = written(tmp_path, 'store: sqlite:///file.db\nlog: {level: error}\nweb: {listen_address: ":1"}\n')
    environ = {"AURORA_STORE": "sqlite:///environment.db", "AURORA_LOG_LEVEL": "warn"}

    config = load(path, environ, {"store": "sqlite:///flag.db"})

    assert config == assemble({"store": "sqlite:///flag.db", "log.level": "warn", "web.listen_address": ":1"})


def test_variables_are_named_after_their_keys():
    """The name follows from the key; only a last `.url` is left out."""
    assert environment_name("store") == "AURORA_STORE"
    assert environment_name("event_bus.url") == "AURORA_EVENT_BUS"
    assert environment_name("event_bus.channel") == "AURORA_EVENT_BUS_CHANNEL"
    assert environment_name("web.listen_address") == "AURORA_WEB_LISTEN_ADDRESS"
    assert len({environment_name(key) for key in KEYS}) == len(KEYS)


def test_a_fault_says_which_source_it_came_from():
    assert faults_of(None, {"AURORA_LOG_LEVEL": "loud"}, {"log.format": "xml"}) == [
        Fault("log.level", "expected debug, info, warn, warning or error, got 'loud' (from AURORA_LOG_LEVEL)"),
        Fault("log.format", "expected logfmt or json, got 'xml' (from its flag)"),
    ]


def test_a_fault_counts_even_where_a_stronger_source_overrules_it(tmp_path):
    """Else it would come to light on the day that the flag is taken away."""
    path = written(tmp_path, "log: {level: loud}")

    assert faults_of(path, {}, {"log.level": "info"}) == [
        Fault("log.level", "expected debug, info, warn, warning or error, got 'loud'")
    ]


def test_all_sources_are_judged_although_the_file_cannot_be_read(tmp_path):
    path = tmp_path / "absent.yaml"

    assert faults_of(path, {"AURORA_LOG_LEVEL": "loud"}, {}) == [
        Fault("", f"cannot read {path}: No such file or directory"),
        Fault("log.level", "expected debug, info, warn, warning or error, got 'loud' (from AURORA_LOG_LEVEL)"),
    ]


def test_a_misspelt_variable_is_refused():
    assert faults_of(None, {"AURORA_WEB_LISTEN_ADRESS": ":1", "AURORA_EVENT_BUS_URL": "redis://h"}, {}) == [
        Fault("AURORA_EVENT_BUS_URL", "unknown variable; did you mean AURORA_EVENT_BUS?"),
        Fault("AURORA_WEB_LISTEN_ADRESS", "unknown variable; did you mean AURORA_WEB_LISTEN_ADDRESS?"),
    ]


def test_variables_of_others_are_left_alone():
    """Those of the agent, and those that Kubernetes makes of a service's name."""
    others = {"AURORA_SITE": "berlin", "AURORA_TOKEN": "x", "AURORA_WEB_PORT_80_TCP": "tcp://10.0.0.1:80", "HOME": "/"}

    assert load(None, others, {}) == Config()


def test_yaml_in_a_variable_is_read_as_strictly_as_the_file():
    environ = {"AURORA_TOPOLOGY_RULES": "[{type: mesh, type: nfs}]", "AURORA_SITE_MIN_NODES": "[3"}

    assert faults_of(None, environ, {}) == [
        Fault(
            "site.min_nodes",
            "not YAML in line 1, column 3: expected ',' or ']', but got '<stream end>'; "
            "a value with special characters stands in quotes (from AURORA_SITE_MIN_NODES)",
        ),
        Fault("topology.rules[0].type", "stands twice in line 1: keep one of them (from AURORA_TOPOLOGY_RULES)"),
    ]


def test_thresholds_are_compared_across_sources(tmp_path):
    path = written(tmp_path, "thresholds: {warning_after: 4m}")

    assert faults_of(path, {"AURORA_THRESHOLDS_OFFLINE_AFTER": "3m"}, {}) == [
        Fault("thresholds.offline_after", "expected more than thresholds.warning_after (4m), got 3m")
    ]


def test_thresholds_may_be_as_short_as_tests_like_them():
    flags = {
        "thresholds.warning_after": "100ms",
        "thresholds.offline_after": "101ms",
        "thresholds.forget_after": "102ms",
    }

    thresholds = load(None, {}, flags).thresholds

    assert (thresholds.warning_after, thresholds.offline_after) == (SECOND // 10, 101 * SECOND // 1000)


def test_topology_rules_are_read(tmp_path):
    """One role or several, GPUs or not, and every node where there is no selector."""
    path = written(
        tmp_path,
        """
        topology:
          rules:
            - {type: everyone}
            - {type: backup, source: {role: [lead, edge]}, target: {role: lead, gpu: false}}
            - {type: all_again, source: {}}
        """,
    )

    assert load(path, {}, {}).topology.rules == (
        EdgeRule("everyone"),
        EdgeRule("backup", source=Selector(roles=("lead", "edge")), target=Selector(roles=("lead",), gpu=False)),
        EdgeRule("all_again"),
    )


def test_a_list_in_the_file_replaces_the_default(tmp_path):
    path = written(tmp_path, "topology: {rules: []}\nauth: {trusted_networks: [10.0.0.0/8]}\n")

    config = load(path, {}, {})

    assert config.topology.rules == ()
    assert config.auth.trusted_networks == (ipaddress.ip_network("10.0.0.0/8"),)


def test_yaml_anchors_may_be_used(tmp_path):
    path = written(tmp_path, "thresholds: {heartbeat_interval: &short 10s, sleep_max: *short}")

    assert load(path, {}, {}).thresholds.sleep_max == 10 * SECOND


RESTART = {
    "web.listen_address",
    "web.telemetry_path",
    "web.config_file",
    "web.enable_lifecycle",
    "store",
    "event_bus.url",
    "event_bus.channel",
    "limits.max_connections",
}


@pytest.mark.parametrize("key", OTHER_VALUES)
def test_a_reload_names_what_needs_a_restart_and_nothing_else(key):
    faults = refused_at_reload(Config(), assemble({key: OTHER_VALUES[key][1]}))

    message = "changed, and only a restart changes it: restart the registry, or put it back"
    assert faults == ([Fault(key, message)] if key in RESTART else [])


def test_a_reload_without_changes_is_accepted():
    assert refused_at_reload(Config(), load(SHIPPED, {}, {})) == []


@given(st.dictionaries(st.sampled_from([environment_name(key) for key in KEYS]), st.text(max_size=40)))
def test_whatever_the_environment_says_it_is_accepted_or_refused(environ):
    """Never another exception, and each fault is one line."""
    try:
        load(None, environ, {})
    except Invalid as error:
        lines = str(error).splitlines()
    else:
        lines = [""]
    assert len(lines) == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(KEYS),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "role", "x"]), inner),
        max_leaves=6,
    ),
    st.sampled_from(KEYS),
)
def test_whatever_yaml_gives_a_setting_takes_or_refuses(value, key):
    try:
        SETTINGS[key].parse(value)
    except Invalid as error:
        lines = str(error).splitlines()
    else:
        lines = [""]
    assert len(lines) == 1
