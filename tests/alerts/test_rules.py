"""The rule files: valid to Prometheus, complete, about metrics that exist, and guarded by unit tests that can fail."""

from __future__ import annotations

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
from exporter.alerting.setting import Setting
from exporter.domain.config import Config
from exporter.exposition.families import FAMILIES
from exporter.telemetry.metrics import Telemetry
from tests.support.generations import DEFAULT

ALERTS = Path(__file__).resolve().parents[2] / "alerts"
RULE_FILES = sorted(ALERTS.glob("*.rules.yml"))
RUNBOOKS = "https://github.com/aurora-mesh/aurora-node-registry/blob/main/alerts/runbooks/"
CAPACITY = Path(__file__).with_name("capacity.test.yml")
WITH_CAPACITY = rule_files(Setting.of(Config(), min_active_vram_gb=64))
"""With the alert that is there only where it is asked for."""
RULES: list[dict[str, Any]] = [
    rule for text in WITH_CAPACITY.values() for group in yaml.safe_load(text)["groups"] for rule in group["rules"]
]
ALERTING = [rule for rule in RULES if "alert" in rule]
RULES_OF = {"idle": "nodes", "capacity": "mesh"}
TESTS_OF = {"recording": "mesh"}
"""What is recorded is tested by what rests on it; what takes hours is tested apart."""
NODE_ALERTS = [rule for rule in ALERTING if "node:aurora_node_info:topk" in rule["expr"]]
TEST_ENVIRONMENTS = '"test" "testing" "staging" "dev" "development"'


def promtool(*arguments: str | Path, of: Generation = DEFAULT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [of.program("promtool"), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )


def test_rules_pass_every_check_of_promtool(generation):
    """The rule files are valid, without a rule twice."""
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES, of=generation)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_rules_do_what_their_unit_tests_say(generation):
    """Each alert fires, is quiet just before, and resolves as it should."""
    tested = promtool("test", "rules", *sorted(ALERTS.glob("tests/*.test.yml")), of=generation)
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
    ("file", "part", "instead"),
    [
        ("nodes", "for: 1m\n        keep_firing_for: 3m", "for: 1m"),
        ("nodes", "for: 1m", "for: 0s"),
        ("nodes", "for: 1m", "for: 90s"),
        ("nodes", "(aurora_node_status_held == 1)", "(aurora_node_status_held == 2)"),
        ("nodes", 'lifecycle!="in_service"', 'lifecycle="maintenance"'),
        ("nodes", "topk by (node) (1, max by (node, role, environment, site) (aurora_node_info))", "aurora_node_info"),
        ("nodes", TEST_ENVIRONMENTS, '"test" "testing"'),
        ("nodes", 'status="offline"', 'status="warning"'),
        ("nodes", "}}critical{{", "}}warning{{"),
        ("registry", 'absent(up{job="node-registry"} == 1)', 'up{job="node-registry"} == 0'),
        ("registry", 'absent(up{job="node-registry"} == 1)', 'absent(up{job="node-registry"})'),
        ("registry", "for: 2m", "for: 1m"),
        ("registry", "vector(1)", "vector(1) == 0"),
        ("nodes", "> 2.5", "> 3.5"),
        ("nodes", "> 2.5", "> 1.5"),
        ("nodes", 'increase(aurora_node_status_transitions_total{status="warning"}[1h])', "aurora_node_status * 0"),
        ("nodes", "max_over_time(node:aurora_node_lifecycle:planned[1h])", "node:aurora_node_lifecycle:planned"),
        ("nodes", "max_over_time(node:aurora_node_disruption_start_timestamp_seconds:max[1h])", "vector(0)"),
        ("nodes", "max by (node) (aurora_node_renamed_info)", "vector(0)"),
        ("nodes", "(aurora_node_status_held == 0)", "(aurora_node_status_held == 1)"),
        ("nodes", '(up{job="node-registry"} == 1)', '(up{job="node-registry"} == 0)'),
        ("nodes", '(up{job="node-registry"} == 1)', '(up{job="node-registry"} >= 0)'),
        ("nodes", "node:aurora_node_status_held:frozen\n", "node:aurora_node_status_held:frozen == 2\n"),
        ("nodes", 'ALERTS{alertname="AuroraMeshNoLead", alertstate="firing"}', "vector(1) == 0"),
        (
            "nodes",
            'ALERTS{alertname="AuroraNodeFlapping", alertstate="firing"}\n                  )',
            "ALERTS == 2\n                  )",
        ),
        ("nodes", "}}critical{{ else }}warning{{", "}}warning{{ else }}warning{{"),
        ("nodes", "min by (node) (", "max by (node) ("),
        ("nodes", "> 0.25", "> 1.25"),
        ("nodes", "for: 15m", "for: 4m"),
        ("nodes", "for: 5m", "for: 6m"),
        ("nodes", "aurora_node_gpus - aurora_node_gpus_observed", "aurora_node_gpus_observed - aurora_node_gpus"),
        ("nodes", '(aurora_node_status{status="active"} == 1)', "(aurora_node_status >= 0)"),
        ("nodes", "> 87", "> 86"),
        ("nodes", "> 87", "> 91"),
        ("nodes", "for: 10m", "for: 9m"),
        ("idle", "< 0.05", "<= 0.05"),
        ("idle", "for: 4h", "for: 3h"),
        ("nodes", "abs(aurora_node_clock_offset_seconds)", "aurora_node_clock_offset_seconds"),
        ("nodes", "> 5", "> 4"),
        ("nodes", "[15m]", "[30m]"),
        ("nodes", "< time()", "> time()"),
        ("mesh", "(mesh:aurora_mesh_disruption_start_timestamp_seconds:max > 0)", "vector(1) == 0"),
        (
            "mesh",
            'ALERTS{alertname="AuroraSiteDisrupted", alertstate="firing"}\n          )',
            "ALERTS == 2\n          )",
        ),
        (
            "mesh",
            'max without (alertname, alertstate, severity) (ALERTS{alertname="AuroraSiteDisrupted"',
            "(ALERTS{x='y'",
        ),
        ("mesh", "(min by (job, instance) (aurora_registry_blind) == 0)", "(aurora_registry_blind == 2)"),
        ("mesh", "(min by (job, instance) (aurora_registry_blind) == 1)", "(aurora_registry_blind == 2)"),
        ("mesh", "(min by (job, instance) (aurora_registry_blind) == 1)", "(aurora_registry_blind == 1)"),
        ("mesh", "for: 30s", "for: 1m"),
        ("mesh", "}}critical{{", "}}warning{{"),
        ("mesh", "unless on (node)", "and on (node)"),
        ("mesh", "for: 3m", "for: 2m"),
        ("capacity", "64 * 2^30", "65 * 2^30"),
        ("capacity", "64 * 2^30", "24 * 2^30"),
        ("capacity", "sum(mesh:aurora_mesh_gpus:max) > 0", "sum(mesh:aurora_mesh_gpus:max) >= 0"),
        ("recording", "max by (role, status) (", "sum by (role) ("),
        ("registry", "aurora_registry_event_bus_up == 0", "aurora_registry_event_bus_up == 1"),
        ("registry", "aurora_registry_store_up == 0", "min by (job) (aurora_registry_store_up) == 0"),
        ("registry", "}}warning{{ else }}critical{{", "}}critical{{ else }}critical{{"),
        ("registry", "> 10", "> 20"),
        ("registry", "> 10", "> 8"),
        ("registry", "max by (reason)", "sum by (reason)"),
        ("registry", '{reason!="name_conflict"}', ""),
        ("registry", "for: 5m", "for: 4m"),
        ("registry", "> 5", ">= 5"),
        ("registry", 'scrape_duration_seconds{job="node-registry"}', "scrape_duration_seconds"),
    ],
)
def test_unit_tests_notice_a_broken_rule(tmp_path, file, part, instead):
    """Whatever is broken in a rule, one of its unit tests fails."""
    for name, text in WITH_CAPACITY.items():
        (tmp_path / name).write_text(text)
    broken = tmp_path / f"{RULES_OF.get(file, file)}.rules.yml"
    assert part in broken.read_text()
    broken.write_text(broken.read_text().replace(part, instead))
    (tmp_path / "tests").mkdir()
    source = CAPACITY if file == "capacity" else ALERTS / "tests" / f"{TESTS_OF.get(file, file)}.test.yml"
    test = shutil.copy(source, tmp_path / "tests")
    tested = promtool("test", "rules", test)
    assert tested.returncode == 1
    assert "FAILED" in tested.stdout + tested.stderr


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
def test_node_alerts_are_quiet_while_work_is_planned(rule):
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
    used = {name for rule in RULES for name in re.findall(r"\b[a-z]+:[a-z0-9_]+:[a-z]+\b", rule["expr"])}
    assert recorded == used


def exposed_names() -> set[str]:
    telemetry = Telemetry(version="1", revision="r", started_ns=0, store_up=lambda: True, event_bus_up=lambda: True)
    own = text_string_to_metric_families(telemetry.expose(open_metrics=False).decode())
    return {family.name for family in FAMILIES} | {sample.name for family in own for sample in family.samples}


def severities(rule: dict[str, Any]) -> set[str]:
    severity: str = rule["labels"]["severity"]
    return set(re.findall(r"}}(\w+){{", severity)) if "{{" in severity else {severity}
