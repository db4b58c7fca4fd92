"""The rule files: valid to Prometheus, complete, about metrics that exist, and guarded by unit tests that can fail."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from demo.servers import Generation
from exporter.alerting.files import rule_files
from exporter.alerting.parameters import RuleParameters
from exporter.domain.clock import HOUR, MINUTE, SECOND
from exporter.domain.config import Config
from exporter.domain.duration import parse_duration
from exporter.domain.site import SiteRule
from exporter.domain.status import Thresholds
from exporter.exposition.families import FAMILIES
from exporter.telemetry.metrics import Telemetry
from tests.support.generations import DEFAULT

ALERTS = Path(__file__).resolve().parents[2] / "alerts"
RULE_FILES = sorted(ALERTS.glob("*.rules.yml"))
RUNBOOKS = "https://github.com/aurora-mesh/aurora-node-registry/blob/main/alerts/runbooks/"
CAPACITY = Path(__file__).with_name("capacity.test.yml")
WITH_CAPACITY = rule_files(RuleParameters.of(Config(), min_active_vram_gb=64))
"""With the alert that is there only where it is asked for."""
RULES: list[dict[str, Any]] = [
    rule for text in WITH_CAPACITY.values() for group in yaml.safe_load(text)["groups"] for rule in group["rules"]
]
ALERTING = [rule for rule in RULES if "alert" in rule]
RULES_OF = {"hours": "nodes", "capacity": "mesh"}
TESTS_OF = {"recording": "mesh"}
"""What is recorded is tested by what rests on it; what takes hours is tested apart."""
BEFORE_NAME = "\n  - name: "
"""What stands before the name of each unit test."""
NODE_ALERTS = [rule for rule in ALERTING if "node:aurora_node_info:topk" in rule["expr"]]
TEST_ENVIRONMENTS = '"test" "testing" "staging" "dev" "development"'


def promtool(*arguments: str | Path, of: Generation = DEFAULT) -> subprocess.CompletedProcess[str]:
    # It needs little memory, and shares the processors with other tests: of its time, a quarter was garbage collection,
    # and a quarter more that its threads waited for each other.
    environment = os.environ | {"GOGC": "400", "GOMAXPROCS": "1"}
    return subprocess.run(
        [of.program("promtool"), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env=environment,
    )


def test_rules_pass_every_check_of_promtool(generation):
    """The rule files are valid, without a rule twice."""
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES, of=generation)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("file", sorted(ALERTS.glob("tests/*.test.yml")), ids=lambda file: file.name)
def test_rules_do_what_their_unit_tests_say(file, generation):
    """Each alert fires, not before its time, and resolves as it should."""
    tested = promtool("test", "rules", file, of=generation)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_prometheus_takes_its_configuration(generation):
    """The shipped prometheus.yml is valid, and so is every file that it names."""
    checked = promtool("check", "config", "--lint=all", "--lint-fatal", ALERTS / "prometheus.yml", of=generation)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"SUCCESS: {len(RULE_FILES)} rule files found" in checked.stdout


def test_the_capacity_alert_is_there_where_it_is_asked_for(tmp_path, generation):
    """Not by default: which capacity is low is each mesh's own matter."""
    assert "AuroraMeshLowGpuCapacity" not in (ALERTS / "mesh.rules.yml").read_text()
    for name, text in WITH_CAPACITY.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "tests").mkdir()
    tested = promtool("test", "rules", shutil.copy(CAPACITY, tmp_path / "tests"), of=generation)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize(
    ("file", "part", "instead", "noticed_by"),
    [
        ("nodes", "for: 1m\n        keep_firing_for: 3m", "for: 1m", "a node in warning fires after"),
        ("nodes", "for: 1m", "for: 0s", "a node that is"),
        ("nodes", "for: 1m", "for: 90s", "a node in warning fires after"),
        ("nodes", "expr: aurora_node_status_held == 1", "expr: aurora_node_status_held == 2", "a GPU that is"),
        ("nodes", 'lifecycle!="in_service"', 'lifecycle="maintenance"', "a GPU above 87"),
        (
            "nodes",
            "topk by (node) (1,",
            "max by (node, role, environment, site) (",
            "two registries that disagree",
        ),
        ("nodes", '"test" "testing" "staging" "dev" "development"', '"test" "testing"', "a clock that is"),
        ("nodes", 'status="offline"', 'status="warning"', "an offline node fires"),
        ("nodes", "}}critical{{", "}}warning{{", "an offline node fires"),
        ("registry", 'absent(up{job="node-registry"} == 1)', 'up{job="node-registry"} == 0', "a registry that is"),
        ("registry", 'absent(up{job="node-registry"} == 1)', 'absent(up{job="node-registry"})', "a registry that is"),
        ("registry", "for: 2m", "for: 1m", "a registry that is"),
        ("registry", "vector(1)", "vector(1) == 0", "the watchdog fires always"),
        ("nodes", "> 2.5", "> 3.5", "three outages in an"),
        ("nodes", "> 2.5", "> 1.5", "three outages in an"),
        (
            "nodes",
            'increase(aurora_node_status_transitions_total{status="warning"}[1h])',
            "aurora_node_status * 0",
            "three outages in an",
        ),
        (
            "nodes",
            "max_over_time(node:aurora_node_lifecycle:planned[1h])",
            "node:aurora_node_lifecycle:planned",
            "three outages in an",
        ),
        (
            "nodes",
            "max_over_time(node:aurora_node_disruption_start_timestamp_seconds:max[1h])",
            "vector(0)",
            "a node in warning fires until",
        ),
        ("nodes", "max by (node) (aurora_node_renamed_info)", "vector(0)", "a name that is"),
        ("nodes", "(aurora_node_status_held == 0)", "(aurora_node_status_held == 1)", "a frozen status is"),
        ("nodes", '(up{job="node-registry"} == 1)', '(up{job="node-registry"} == 0)', "a node in warning fires after"),
        ("nodes", '(up{job="node-registry"} == 1)', '(up{job="node-registry"} >= 0)', "what no registry receives"),
        (
            "nodes",
            "node:aurora_node_status_held:frozen\n",
            "node:aurora_node_status_held:frozen == 2\n",
            "a frozen status is",
        ),
        ("nodes", 'ALERTS{alertname="AuroraMeshNoLead", alertstate="firing"}', "vector(1) == 0", "the mesh without a"),
        (
            "nodes",
            'ALERTS{alertname="AuroraNodeFlapping", alertstate="firing"}\n                  )',
            "ALERTS == 2\n                  )",
            "a node in warning fires until",
        ),
        ("nodes", "}}critical{{ else }}warning{{", "}}warning{{ else }}warning{{", "work that ended without"),
        ("nodes", "min by (node) (", "max by (node) (", "a lasting loss of"),
        ("nodes", "> 0.25", "> 1.25", "a lasting loss of"),
        ("nodes", "for: 15m", "for: 4m", "a lasting loss of"),
        ("nodes", "for: 2m", "for: 90s", "a GPU that is"),
        (
            "nodes",
            "aurora_node_gpus - aurora_node_gpus_observed",
            "aurora_node_gpus_observed - aurora_node_gpus",
            "a GPU that is",
        ),
        ("nodes", 'aurora_node_status{status!="active"} == 1', 'aurora_node_status{status="x"} == 1', "a GPU that is"),
        ("nodes", "> 87", "> 86", "a GPU above 87"),
        ("nodes", "> 87", "> 91", "a GPU above 87"),
        ("nodes", "for: 10m", "for: 9m", "a clock that is"),
        ("hours", "< 0.05", "<= 0.05", "a node with all"),
        ("hours", "for: 4h", "for: 3h", "a node with all"),
        ("nodes", "abs(aurora_node_clock_offset_seconds)", "aurora_node_clock_offset_seconds", "a clock that is"),
        ("nodes", "> 5", "> 4", "a clock that is"),
        ("nodes", "[15m]", "[30m]", "a refused claim of"),
        ("nodes", "< time()", "> time()", "work that ended without"),
        ("mesh", "(mesh:aurora_mesh_disruption_start_timestamp_seconds:max > 0)", "vector(1) == 0", "a mesh that goes"),
        (
            "mesh",
            'ALERTS{alertname="AuroraSiteDisrupted", alertstate="firing"}\n          )',
            "ALERTS == 2\n          )",
            "a mesh that goes",
        ),
        (
            "mesh",
            'max without (alertname, alertstate, severity) (ALERTS{alertname="AuroraSiteDisrupted"',
            "(ALERTS{x='y'",
            "what fires goes on",
        ),
        (
            "mesh",
            "(min by (job, instance) (aurora_registry_blind) == 0)",
            "(aurora_registry_blind == 2)",
            "a mesh that goes",
        ),
        (
            "mesh",
            "(min by (job, instance) (aurora_registry_blind) == 1)",
            "(aurora_registry_blind == 2)",
            "a registry that receives nothing",
        ),
        (
            "mesh",
            "(min by (job, instance) (aurora_registry_blind) == 1)",
            "(aurora_registry_blind == 1)",
            "a registry that receives over",
        ),
        ("mesh", "for: 30s", "for: 1m", "a site fires for"),
        ("mesh", "}}critical{{", "}}warning{{", "a site fires for"),
        ("mesh", "unless on (node)", "and on (node)", "a lead out of"),
        ("mesh", "for: 15s", "for: 0s", "a mesh without an"),
        ("mesh", "active|warning", "active", "a mesh without an"),
        ("capacity", "64 * 2^30", "65 * 2^30", "under 64 GB for"),
        ("capacity", "64 * 2^30", "24 * 2^30", "under 64 GB for"),
        (
            "capacity",
            "sum(mesh:aurora_mesh_gpus:max) > 0",
            "sum(mesh:aurora_mesh_gpus:max) >= 0",
            "a mesh without GPUs",
        ),
        ("recording", "max by (role, status) (", "sum by (role) (", "a mesh without an"),
        ("registry", "aurora_registry_event_bus_up == 0", "aurora_registry_event_bus_up == 1", "a bus that no"),
        (
            "registry",
            "aurora_registry_store_up == 0",
            "min by (job) (aurora_registry_store_up) == 0",
            "a store that is down for two",
        ),
        ("registry", "}}warning{{ else }}critical{{", "}}critical{{ else }}critical{{", "a bus that no"),
        ("registry", "> 10", "> 20", "a sender that is"),
        ("registry", "> 10", "> 8", "a sender that is"),
        ("registry", "max by (reason)", "sum by (reason)", "a sender that is"),
        ("registry", '{reason!~"name_conflict|superseded"}', "", "a sender that is"),
        ("registry", "for: 2m", "for: 90s", "a store that is down for two"),
        ("registry", "for: 10m", "for: 9m", "a configuration that"),
        ("registry", "> 5", ">= 5", "scrapes above five seconds"),
        (
            "registry",
            'scrape_duration_seconds{job="node-registry"}',
            "scrape_duration_seconds",
            "scrapes above five seconds",
        ),
    ],
)
def test_unit_tests_notice_a_broken_rule(tmp_path, file, part, instead, noticed_by):
    """Whatever is broken in a rule, the unit test whose name begins so fails. It alone runs: it takes less time."""
    broken = f"{RULES_OF.get(file, file)}.rules.yml"
    assert part in WITH_CAPACITY[broken]
    rules = WITH_CAPACITY | {broken: WITH_CAPACITY[broken].replace(part, instead)}
    source = CAPACITY if file == "capacity" else ALERTS / "tests" / f"{TESTS_OF.get(file, file)}.test.yml"
    head, *tests = source.read_text().split(BEFORE_NAME)
    [test] = [test for test in tests if test.startswith(noticed_by)]
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / source.name).write_text(head + BEFORE_NAME + test)
    for name, text in rules.items():
        (tmp_path / name).write_text(text)

    tested = promtool("test", "rules", tmp_path / "tests" / source.name)

    assert tested.returncode == 1
    assert re.search("got:|err: found duplicate series", tested.stdout + tested.stderr)


@pytest.mark.parametrize("rule", ALERTING, ids=lambda rule: rule["alert"])
def test_alert_is_complete(rule):
    """Every alert says how bad it is, what happened, and where its runbook is; the runbook exists."""
    assert severities(rule) <= {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert all(rule["annotations"].values())
    assert rule["annotations"]["runbook_url"] == f"{RUNBOOKS}{rule['alert']}.md"
    assert (ALERTS / "runbooks" / f"{rule['alert']}.md").read_text().startswith(f"# {rule['alert']}\n")


def test_runbooks_and_unit_tests_cover_the_alerts_and_nothing_else():
    """No runbook is about an alert that is gone, and no alert goes untested."""
    names = {rule["alert"] for rule in ALERTING}
    assert {file.stem for file in (ALERTS / "runbooks").iterdir()} == names
    tests = "".join(file.read_text() for file in (CAPACITY, *ALERTS.glob("tests/*.test.yml")))
    assert {name for name in names if f"alertname: {name}" in tests} == names


@pytest.mark.parametrize(
    "setting",
    [
        RuleParameters(Thresholds(), SiteRule()),
        RuleParameters(
            Thresholds(heartbeat_interval=SECOND, warning_after=2 * SECOND, offline_after=3 * SECOND), SiteRule()
        ),
        RuleParameters(
            Thresholds(heartbeat_interval=10 * SECOND, warning_after=30 * SECOND, offline_after=MINUTE), SiteRule()
        ),
        RuleParameters(Thresholds(offline_after=2 * HOUR), SiteRule()),
        RuleParameters(
            Thresholds(heartbeat_interval=90 * SECOND, warning_after=6 * MINUTE, offline_after=HOUR), SiteRule()
        ),
        RuleParameters(Thresholds(heartbeat_interval=SECOND), SiteRule(), scrape_interval=SECOND),
        RuleParameters(Thresholds(), SiteRule(), scrape_interval=45 * SECOND),
    ],
    ids=["defaults", "seconds", "short", "a long warning", "rare heartbeats", "quick scrapes", "slow scrapes"],
)
def test_a_restart_of_prometheus_repeats_no_alert(setting):
    """Prometheus, starting again, restores for how long an alert has waited from ten minutes on; else it begins again.

    Alertmanager keeps an alert for four minutes after it was sent, and it is sent every 75 seconds: one that waits for
    more than two minutes may be resolved meanwhile, and then fires again.
    """
    assert repeated(setting) == set()


def test_only_waits_that_follow_from_rare_heartbeats_need_a_flag_of_prometheus():
    """docs/alerting.md names it. They cannot be shorter: until then nodes that fail together are not known to."""
    rare = Thresholds(heartbeat_interval=5 * MINUTE, warning_after=20 * MINUTE, offline_after=HOUR)
    needing = {"AuroraNodeWarning", "AuroraNodeOffline", "AuroraSiteDisrupted"}
    assert repeated(RuleParameters(rare, SiteRule())) == needing
    assert "--rules.alert.for-grace-period" in (ALERTS.parent / "docs" / "alerting.md").read_text()


def repeated(setting: RuleParameters) -> set[str]:
    """The alerts that a restart of Prometheus may end and repeat."""
    texts = rule_files(dataclasses.replace(setting, min_active_vram_gb=1)).values()
    rules = [rule for text in texts for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    return {
        rule["alert"]
        for rule in rules
        if "alert" in rule and 2 * MINUTE < parse_duration(rule.get("for", "0s")) < 10 * MINUTE
    }


def test_every_alert_of_the_contract_is_there():
    """Users route and silence by these names."""
    assert {rule["alert"] for rule in ALERTING} == {
        *("AuroraNodeWarning", "AuroraNodeOffline", "AuroraNodeFlapping", "AuroraNodeGpuMissing", "AuroraNodeGpuHot"),
        *("AuroraNodeClockSkew", "AuroraNodeNameConflict", "AuroraNodeHeartbeatLoss", "AuroraMaintenanceOverdue"),
        *("AuroraSiteDisrupted", "AuroraMeshSuspect", "AuroraMeshNoLead", "AuroraMeshLowGpuCapacity"),
        *("AuroraRegistryDown", "AuroraRegistryEventBusDown", "AuroraRegistryStoreDown", "AuroraGpuIdle"),
        *("AuroraRegistryRejectingEvents", "AuroraRegistryConfigReloadFailed", "AuroraRegistrySlowScrape"),
        *("AuroraNodeGpuUnhealthy", "AuroraWatchdog"),
    }


@pytest.mark.parametrize("rule", NODE_ALERTS, ids=lambda rule: rule["alert"])
def test_node_alerts_route_by_role_environment_and_site(rule):
    """An alert about a node carries the labels for routing, and is only info in an environment for testing."""
    assert "group_left (role, environment, site)\nnode:aurora_node_info:topk" in rule["expr"]
    severity = rule["labels"]["severity"]
    assert severity == "info" or f"eq $labels.environment {TEST_ENVIRONMENTS} }}}}info{{{{" in severity


@pytest.mark.parametrize("rule", NODE_ALERTS, ids=lambda rule: rule["alert"])
def test_node_alerts_do_not_fire_while_work_is_planned(rule):
    """All but the one that says that the plan did not hold."""
    overdue = rule["alert"] == "AuroraMaintenanceOverdue"
    assert ("node:aurora_node_lifecycle:planned" in rule["expr"]) is not overdue


def test_rules_name_only_metrics_that_exist():
    """A rule on a metric that nobody exposes would pass promtool, and never fire."""
    used = {name for rule in RULES for name in re.findall(r"(?<!:)\baurora_[a-z0-9_]+", yaml.safe_dump(rule))}
    assert used
    assert used - exposed_names() == set()


def test_what_is_recorded_is_used_and_what_is_used_is_recorded():
    """Recorded names are level:metric:operation; each alert that names one finds it."""
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    used = {name for rule in RULES for name in re.findall(r"\b[a-z_]+:[A-Za-z0-9_]+:[a-z_]+\b", rule["expr"])}
    assert recorded == used


def exposed_names() -> set[str]:
    telemetry = Telemetry(version="1", revision="r", started_ns=0, store_up=lambda: True, event_bus_up=lambda: True)
    own = text_string_to_metric_families(telemetry.expose(open_metrics=False).decode())
    return {family.name for family in FAMILIES} | {sample.name for family in own for sample in family.samples}


def severities(rule: dict[str, Any]) -> set[str]:
    severity: str = rule["labels"]["severity"]
    return set(re.findall(r"}}(\w+){{", severity)) if "{{" in severity else {severity}
