from __future__ import annotations

import json

import pytest
import yaml

from demo.ports import free_port
from exporter.programs.cli.doctor.prometheus import shipped_alerts
from tests.support.alertmanager_server import AlertmanagerServer
from tests.support.generations import GENERATIONS, required
from tests.support.prometheus_server import PrometheusServer
from tests.support.redis_server import RedisServer
from tests.support.registry_process import ROOT, RegistryProcess, program, run_program
from tests.support.scenario_sink import Sink
from tests.support.server_process import until

HEALTH = {"status": "ok", "store": "up", "event_bus": "none", "nodes": 1, "version": "1.2.3", "uptime_seconds": 125.5}
METRICS = """\
aurora_registry_build_info{version="1.2.3"} 1
aurora_registry_store_up 1
aurora_registry_blind{transport="bus"} 0
aurora_registry_config_last_reload_successful 1
aurora_registry_mesh_suspect 0
aurora_mesh_nodes{role="lead",status="active"} 1
aurora_node_info{node="aurora"} 1
aurora_node_status{node="aurora",status="active"} 1
aurora_node_last_seen_age_seconds{node="aurora"} 3
"""
READY = "its node map is loaded"


@pytest.fixture
def sound(registry):
    """A registry that has nothing wrong; what is changed of it may be."""

    def do(metrics=METRICS, **health):
        registry.answer("/health", {**HEALTH, **health})
        registry.answer("/-/ready", b"ready", media_type="text/plain")
        registry.answer("/metrics", metrics.encode(), media_type="text/plain")

    do()
    return do


@pytest.fixture
def findings(cli):
    """Runs the doctor; its exit status, and each finding's state and text by its check."""

    def run(*options):
        status, out, err = cli("doctor", "--json", *options)
        assert err == ""
        reported = json.loads(out)
        assert (reported["status"] == "ok") is (status == 0)
        return status, {check["check"]: (check["state"], check["text"]) for check in reported["checks"]}

    return run


@pytest.mark.usefixtures("sound")
def test_a_sound_registry_is_shown_link_by_link(cli, registry, monkeypatch):
    monkeypatch.setattr("exporter.programs.cli.doctor.registry.time.perf_counter", lambda: 0.0)

    status, out, err = cli("doctor")

    assert (status, err) == (0, "")
    assert out == (
        f"ok           registry: {registry.url} is version 1.2.3, up 2 minutes 5\n"
        "             seconds, 1 node\n"
        "ok           ready: its node map is loaded\n"
        "ok           store: up\n"
        "ok           event bus: none is configured: heartbeats come over HTTP only\n"
        "ok           scrape: 9 names, 9 samples, in 0.000 s\n"
        "ok           reception: every transport is received\n"
        "ok           reload: the last one succeeded\n"
        "not checked  Prometheus: whether it scrapes and has the rules. Name it:\n"
        "             --prometheus URL.\n"
        "not checked  Alertmanager: whether alerts arrive, and where they go. Name it:\n"
        "             --alertmanager URL, or --prometheus URL, which knows it.\n"
    )


@pytest.mark.usefixtures("sound")
def test_only_the_state_is_coloured_and_lines_end_at_80_columns(cli, registry, on_terminal):
    on_terminal(width=200)
    registry.answer("/-/ready", b"", status=503)

    _, out, _ = cli("doctor")

    lines = out.splitlines()
    assert lines[0].startswith("\x1b[32mok         \x1b[0m  registry: ")
    assert any(line.startswith("\x1b[31mwrong      \x1b[0m  ready: ") for line in lines)
    assert max(len(line.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "")) for line in lines) <= 80


def test_a_registry_out_of_reach_is_wrong(cli, nowhere):
    status, out, err = cli("doctor", "--registry", nowhere)

    assert (status, err) == (1, "")
    assert " ".join(out.split()).startswith(
        f"wrong registry: {nowhere} does not answer as one: connection refused. "
        "Start aurora-registry, or name another with --registry."
    )


def test_what_is_no_registry_is_said(findings, registry):
    registry.answer("/health", {"status": "fine"})

    status, found = findings()

    assert (status, found["registry"]) == (1, ("wrong", f"what answers at {registry.url} is no registry"))
    assert {state for check, (state, _) in found.items() if check != "registry"} == {"not checked"}


@pytest.mark.parametrize(
    ("health", "check", "reported"),
    [
        ({"store": "down"}, "store", "down: changes are refused"),
        ({"event_bus": "down"}, "event bus", "down: the registry receives nothing from it"),
    ],
)
def test_what_is_down_is_wrong(findings, sound, health, check, reported):
    sound(**health)

    status, found = findings()

    assert (status, found[check]) == (1, ("wrong", reported))


@pytest.mark.parametrize(
    ("change", "check", "reported"),
    [
        (
            ('{transport="bus"} 0', '{transport="bus"} 1'),
            "reception",
            "the registry receives nothing over bus: statuses over it are frozen",
        ),
        (("successful 1", "successful 0"), "reload", "the last one was refused, the configuration before is in force"),
        (('aurora_node_status{node="aurora",status="active"} 1', ""), "scrape", "aurora_node_status missing"),
    ],
)
def test_what_a_scrape_shows_is_wrong(findings, sound, change, check, reported):
    sound(METRICS.replace(*change))

    status, found = findings()

    assert (status, found[check]) == (1, ("wrong", reported))


def test_a_suspect_mesh_is_a_warning(findings, sound):
    sound(METRICS.replace("suspect 0", "suspect 1"))

    status, found = findings()

    assert (status, found["mesh"]) == (0, ("warning", "most of the mesh misses its heartbeats at once"))


def test_a_scrape_that_cannot_be_parsed_is_wrong(findings, sound):
    sound("aurora_mesh_nodes{")

    status, found = findings()

    assert (status, found["scrape"][0]) == (1, "wrong")


@pytest.mark.usefixtures("sound")
def test_a_scrape_that_fails_and_rules_that_are_missing_or_broken_are_wrong(cli, registry):
    """A fake Prometheus beside the registry, at the same address."""
    target = {
        "labels": {"job": "node-registry"},
        "discoveredLabels": {},
        "scrapeUrl": "http://10.0.0.1:9999/metrics",
        "health": "down",
        "lastError": "connection refused",
    }
    alerts = [{"name": name, "health": "ok"} for name in shipped_alerts() if name != "AuroraNodeOffline"]
    alerts[0] |= {"health": "err", "lastError": "duplicate series"}
    registry.answer("/api/v1/targets?state=active", {"data": {"activeTargets": [target]}})
    registry.answer("/api/v1/rules?type=alert", {"data": {"groups": [{"rules": alerts}]}})
    registry.answer("/api/v1/alertmanagers", {"data": {"activeAlertmanagers": []}})
    registry.answer("/api/v1/status/runtimeinfo", {"data": {"startTime": "2025-10-06T12:00:05.123456789Z"}})

    status, out, _ = cli("doctor", "--json", "--prometheus", registry.url)

    wrong = [check["text"] for check in json.loads(out)["checks"] if check["state"] == "wrong"]
    assert status == 1
    assert wrong == [
        "scrapes http://10.0.0.1:9999/metrics, and fails: connection refused",
        "not loaded: AuroraNodeOffline",
        f"{alerts[0]['name']} cannot be evaluated: duplicate series",
        f"{registry.url} has no Alertmanager",
    ]


@pytest.mark.usefixtures("sound")
def test_a_prometheus_without_our_job_is_wrong(findings, registry):
    registry.answer("/api/v1/targets?state=active", {"data": {"activeTargets": []}})
    registry.answer("/api/v1/rules?type=alert", {"data": {"groups": []}})
    registry.answer("/api/v1/alertmanagers", {"data": {"activeAlertmanagers": []}})
    registry.answer("/api/v1/status/runtimeinfo", {"data": {"startTime": "2025-10-06T12:00:05Z"}})

    status, found = findings("--prometheus", registry.url)

    assert (status, found["Prometheus"]) == (1, ("wrong", f"{registry.url} has no job node-registry"))


@pytest.mark.usefixtures("sound")
def test_unavailable_peers_are_wrong_and_no_password_is_shown(cli, nowhere):
    with_password = nowhere.replace("://", "://me:secret@")

    status, out, _ = cli("doctor", "--prometheus", with_password, "--alertmanager", with_password)

    assert status == 1
    assert " ".join(out.split()).endswith(
        f"wrong Prometheus: {nowhere}: connection refused. Check that it runs, and --prometheus. "
        f"wrong Alertmanager: {nowhere}: connection refused. Check that it runs, and --alertmanager."
    )


@pytest.mark.servers
def test_an_event_reaches_a_registry_that_listens(tmp_path):
    """And one on a channel that nobody listens on does not."""
    with RedisServer() as redis, RegistryProcess(tmp_path, event_bus=redis.url) as registry:
        until(lambda: registry.get("/health").json()["event_bus"], "up")
        ok = doctor(tmp_path, registry, "--event-bus", redis.url)
        unreceived = doctor(tmp_path, registry, "--event-bus", redis.url, "--channel", "elsewhere")

    assert (ok.returncode, unreceived.returncode) == (0, 1), ok.stdout + ok.stderr
    assert "1 listener on aurora:events:global got an event, none was rejected" in " ".join(ok.stdout.split())
    assert "nobody listens on elsewhere" in unreceived.stdout


@pytest.mark.servers
def test_the_whole_way_is_found_with_real_servers(tmp_path):
    """Registry, Prometheus with our rules, Alertmanager: all of it ok, and the test alert is resolved at the end."""
    routes = [{"matchers": ['severity="critical"'], "receiver": "pager"}]
    config = tmp_path / "alertmanager.yml"
    config.write_text(
        yaml.safe_dump(
            {
                "route": {"receiver": "chat", "group_wait": "0s", "routes": routes},
                "receivers": [{"name": "chat"}, {"name": "pager"}],
            }
        )
    )
    alertmanager = AlertmanagerServer(tmp_path / "alertmanager")
    with RegistryProcess(tmp_path / "registry") as registry:
        try:
            alertmanager.start(config)
            with PromptPrometheus(tmp_path / "prometheus", prometheus_of(registry, alertmanager)) as prometheus:
                registry.register(name="vengeance", vpn_ip="127.0.0.1")
                until(lambda: len(alertmanager.alerts(filter='alertname="AuroraWatchdog"')), 1)
                until(lambda: rules_waiting(prometheus), [])

                options = ("--prometheus", prometheus.url, "--alertmanager", alertmanager.url)
                found = doctor(tmp_path, registry, *options, "--severity", "critical", "--json")

                until(lambda: [labels["alertname"] for labels in alertmanager.labels() if is_test(labels)], [])
        finally:
            alertmanager.close()

    checks = json.loads(found.stdout)["checks"]
    assert [check for check in checks if check["state"] != "ok"] == []
    reported = [check["text"] for check in checks]
    assert f"scrapes {registry.url}/metrics" in reported
    assert f"all {len(shipped_alerts())} alerts are loaded and evaluated" in reported
    assert "AuroraWatchdog arrives, and goes to chat" in reported
    assert reported[-2:] == ["AuroraDoctorTest with severity critical goes to pager", "resolved again"]


@pytest.mark.servers
def test_an_alertmanager_that_prometheus_does_not_send_to_is_wrong(tmp_path):
    alertmanager = AlertmanagerServer(tmp_path / "alertmanager")
    with RegistryProcess(tmp_path / "registry") as registry:
        try:
            alertmanager.start()
            found = doctor(tmp_path, registry, "--alertmanager", alertmanager.url)
        finally:
            alertmanager.close()

    assert found.returncode == 1
    assert "wrong        watchdog: no AuroraWatchdog: alerts of Prometheus do not arrive." in found.stdout
    assert "AuroraDoctorTest with severity info goes to nobody" in found.stdout


@pytest.mark.servers
@pytest.mark.parametrize("generation", GENERATIONS, ids=lambda each: each.name)
@pytest.mark.parametrize("arrives", [True, False], ids=["arrives", "fails"])
def test_a_message_that_cannot_be_sent_is_wrong(tmp_path, generation, arrives):
    """From the first attempt on, though Alertmanager goes on trying."""
    alertmanager = AlertmanagerServer(tmp_path / "alertmanager", required(generation))
    with RegistryProcess(tmp_path / "registry") as registry, Sink() as sink:
        url = sink.url if arrives else f"http://127.0.0.1:{free_port()}/"
        config = tmp_path / "alertmanager.yml"
        routes = [{"matchers": ['alertname="AuroraDoctorTest"'], "receiver": "pager", "group_wait": "0s"}]
        receivers = [{"name": "pager", "webhook_configs": [{"url": url}]}]
        config.write_text(yaml.safe_dump({"route": {"receiver": "pager", "routes": routes}, "receivers": receivers}))
        try:
            alertmanager.start(config)
            found = doctor(tmp_path, registry, "--alertmanager", alertmanager.url, "--send", "--json")
        finally:
            alertmanager.close()

    [(state, reported)] = [
        (each["state"], each["text"]) for each in json.loads(found.stdout)["checks"] if each["check"] == "message"
    ]
    if arrives:
        assert (state, reported) == (
            "ok",
            "held for 2s, Alertmanager sent messages (1 by webhook): look whether it came",
        )
        assert len(sink.notifications) >= 1
    else:
        assert state == "wrong"
        assert reported.startswith("held for 2s: sending failed (")


class PromptPrometheus(PrometheusServer):
    """It knows its rules sooner than its Alertmanager, and sends that of them again at once."""

    def command(self):
        return [*super().command(), "--rules.alert.resend-delay=1s"]


def prometheus_of(registry, alertmanager):
    return {
        "global": {"scrape_interval": "200ms", "evaluation_interval": "200ms"},
        "rule_files": [str(ROOT / "alerts" / "*.rules.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager.port}"]}]}]},
        "scrape_configs": [
            {"job_name": "node-registry", "static_configs": [{"targets": [f"127.0.0.1:{registry.port}"]}]}
        ],
    }


def rules_waiting(prometheus):
    groups = prometheus.api("rules", type="alert")["groups"]
    return [rule["name"] for group in groups for rule in group["rules"] if rule["health"] != "ok"]


def is_test(labels):
    return labels["alertname"] == "AuroraDoctorTest"


def doctor(directory, registry, *options):
    return run_program([*program("cli"), "doctor", "--registry", registry.url, *options], directory)
