"""`aurora-cli rules` writes the rule files for a configuration."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from demo.servers import newest
from exporter.alerting.files import rule_files
from exporter.alerting.parameters import RuleParameters
from exporter.domain.config import Config

ALERTS = Path(__file__).parents[2] / "alerts"
NAMES = ["nodes.rules.yml", "mesh.rules.yml", "registry.rules.yml", "recording.rules.yml"]


def assert_accepted(directory):
    """By promtool, without a warning."""
    files = map(str, directory.glob("*.rules.yml"))
    command = [newest("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *files]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def alert(directory, file, name):
    rules = yaml.safe_load((directory / file).read_text())["groups"][0]["rules"]
    [found] = [rule for rule in rules if rule.get("alert") == name]
    return found


def test_the_shipped_rules_are_those_of_the_defaults():
    """Who changes a default, or a rule, renders the files again."""
    shipped = {path.name: path.read_text() for path in ALERTS.glob("*.rules.yml")}
    assert shipped == rule_files(RuleParameters.of(Config()))


def test_the_files_are_written_and_named(cli, registry, tmp_path):
    """Nobody is asked anything; the directory is made where it is missing."""
    output = tmp_path / "new" / "rules"
    assert cli("rules", f"--output={output}") == (0, "".join(f"{output / name}\n" for name in NAMES), "")
    assert {path.name for path in output.iterdir()} == set(NAMES)
    assert registry.requests == []


def test_nothing_is_overwritten_unasked(cli, tmp_path):
    """One file in the way, and none is written; --force writes all."""
    (tmp_path / NAMES[1]).write_text("mine")
    status, out, err = cli("rules", f"--output={tmp_path}")
    assert (status, out) == (1, "")
    assert "would be overwritten: name another --output, or say --force" in " ".join(err.split())
    assert [path.name for path in tmp_path.iterdir()] == [NAMES[1]]
    assert cli("rules", f"--output={tmp_path}", "--force")[0] == 0
    assert (tmp_path / NAMES[1]).read_text() == (ALERTS / NAMES[1]).read_text()


def test_waits_and_limits_follow_the_configuration(cli, tmp_path):
    """Slower heartbeats wait longer, and promtool takes the outcome."""
    config = tmp_path / "config.yaml"
    config.write_text("thresholds: {heartbeat_interval: 1m, warning_after: 4m, offline_after: 10m}\n")
    assert cli("rules", f"--config.file={config}", f"--output={tmp_path}", "--min-active-vram-gb=16")[0] == 0
    assert alert(tmp_path, "nodes.rules.yml", "AuroraNodeOffline")["for"] == "1m30s"
    assert "increase(aurora_node_heartbeats_missed_total[10m])" in (tmp_path / "nodes.rules.yml").read_text()
    assert alert(tmp_path, "mesh.rules.yml", "AuroraMeshNoLead")["for"] == "15s"
    assert alert(tmp_path, "mesh.rules.yml", "AuroraSiteDisrupted")["for"] == "1m"
    low = alert(tmp_path, "mesh.rules.yml", "AuroraMeshLowGpuCapacity")
    assert "< 16 * 2^30\n" in low["expr"]
    assert "less than 16 GB" in low["annotations"]["description"]
    assert "> 5\n" in alert(tmp_path, "registry.rules.yml", "AuroraRegistryRejectingEvents")["expr"]
    assert_accepted(tmp_path)


@pytest.mark.parametrize("interval", ["100ms", "1s", "59m"])
def test_unusual_intervals_make_rules_that_prometheus_takes(cli, tmp_path, interval):
    config = tmp_path / "config.yaml"
    config.write_text(f"thresholds: {{heartbeat_interval: {interval}, warning_after: 1h, offline_after: 2h}}\n")
    assert cli("rules", f"--config.file={config}", f"--output={tmp_path}")[0] == 0
    assert_accepted(tmp_path)


def test_a_configuration_that_is_refused_writes_nothing(cli, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("thresholds: {warning_after: 5m, offline_after: 2m}\n")
    output = tmp_path / "rules"
    status, out, err = cli("rules", f"--config.file={config}", f"--output={output}")
    assert (status, out, output.exists()) == (1, "", False)
    assert "the configuration is refused: thresholds" in " ".join(err.split())


def test_a_directory_that_cannot_be_written_is_reported(cli, tmp_path):
    (tmp_path / "file").write_text("")
    status, _, err = cli("rules", f"--output={tmp_path / 'file' / 'rules'}")
    assert (status, "cannot write" in err) == (1, True)


@pytest.mark.parametrize("amount", ["-1", "much", "6.4", "1234567890"])
def test_an_amount_that_is_none_is_wrong_usage(cli, amount):
    status, _, err = cli("rules", f"--min-active-vram-gb={amount}")
    assert (status, "expected a whole number of GB, 0 or more" in err) == (2, True)


def test_help_has_examples_and_fits_80_columns(cli):
    status, out, _ = cli("rules", "--help")
    assert status == 0
    assert "\nexamples:\n  aurora-cli rules" in out
    assert max(map(len, out.splitlines())) < 80
