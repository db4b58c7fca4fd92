"""The files that nothing here can run are held by rules; each rule is broken once, to see that it notices."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy import compose_rules, image_rules
from tests.deploy.compose_rules import compose_faults
from tests.deploy.image_rules import image_faults
from tests.deploy.unit_rules import SYSTEMD, unit_faults

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = compose_rules.FILE.read_text()
DOCKERFILE = image_rules.FILE.read_text()
IGNORED = (ROOT / ".dockerignore").read_text()
AGENT = (SYSTEMD / "aurora-agent.service").read_text()
SCRIPTS = [DEPLOY / "bootstrap.sh", SYSTEMD / "aurora-agent-sleep", *sorted((ROOT / "scripts").iterdir())]


def test_the_compose_file_keeps_its_rules():
    assert compose_faults(COMPOSE) == []


def test_the_dockerfile_keeps_its_rules():
    assert image_faults(DOCKERFILE, IGNORED) == []


@pytest.mark.parametrize("name", ["aurora-registry", "aurora-agent"])
def test_a_unit_keeps_its_rules(name):
    assert unit_faults(name, (SYSTEMD / f"{name}.service").read_text()) == []


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ("redis:7.2.11-alpine", "redis:latest", "not pinned"),
        ("      redis: {condition: service_healthy}", "      valkey: {condition: service_healthy}", "valkey"),
        ('["redis:/data"]', '["radis:/data"]', "no volume radis"),
        ("../alerts:/etc", "../alarms:/etc", "no ../alarms"),
        ("noeviction", "allkeys-lru", "drop nodes"),
        ("127.0.0.1:9090:9090", "9090:9090", "beyond this host"),
        ("profiles: [monitoring]", "profiles: [coordinator]", "profiles bring"),
        ("    mem_limit: 128m\n", "    memory_limit: 128m\n", "schema"),
        ("cap_drop: [ALL]", "cap_drop: []", "privileges"),
        ('user: "999:1000"', 'ports: ["6379:6379"]', "published"),
    ],
)
def test_a_broken_compose_file_is_noticed(right, wrong, fault):
    assert right in COMPOSE

    assert fault in "\n".join(compose_faults(COMPOSE.replace(right, wrong)))


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ("python:3.11.14-slim-bookworm", "python:latest", "not pinned"),
        ("USER 10001:10001", "USER root", "root"),
        ('ENTRYPOINT ["aurora-registry"]', "ENTRYPOINT aurora-registry", "by a shell"),
        ("COPY alerts ./alerts", "COPY tests ./tests", "COPY tests"),
        ("ARG REVISION", "ARG JOIN_TOKEN=x\nARG REVISION", "secret"),
        ("--no-cache-dir ", "", "cache"),
        ("HEALTHCHECK --", "# HEALTHCHECK --", "HEALTHCHECK"),
    ],
)
def test_a_broken_dockerfile_is_noticed(right, wrong, fault):
    assert right in DOCKERFILE

    assert fault in "\n".join(image_faults(DOCKERFILE.replace(right, wrong), IGNORED))


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ("NoNewPrivileges=yes", "NoNewPrivilege=yes", "unknown"),
        ("ExitStatus=2 4 5", "ExitStatus=2", "RestartPreventExitStatus"),
        ("PrivateTmp=yes", "PrivateTmp=yes\nPrivateDevices=yes", "cut off"),
        ("bin/aurora-agent", "bin/aurora-agents", "another program"),
    ],
)
def test_a_broken_unit_is_noticed(right, wrong, fault):
    assert right in AGENT

    assert fault in "\n".join(unit_faults("aurora-agent", AGENT.replace(right, wrong)))


@pytest.mark.parametrize("directory", [ROOT, DEPLOY])
def test_docker_compose_itself_takes_the_file_from_either_directory(directory):
    """Debian's docker-compose reads and resolves it; that needs no engine."""
    command = ["docker-compose", f"--file={DEPLOY.relative_to(directory) / 'docker-compose.yml'}", "config", "--quiet"]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "COMPOSE_PROFILES": "coordinator"}
    checked = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=60
    )

    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_example_environment_names_only_what_the_compose_file_asks_for():
    lines = [line.removeprefix("# ") for line in (DEPLOY / ".env.example").read_text().splitlines()]
    names = {line.partition("=")[0] for line in lines if "=" in line and " " not in line}

    assert {"COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES"} <= names
    assert [name for name in names if not name.startswith("COMPOSE_") and f"${{{name}:-" not in COMPOSE] == []


def test_shellcheck_finds_nothing_in_the_scripts():
    command = ["shellcheck", "--external-sources", *map(str, SCRIPTS)]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)

    assert (checked.returncode, checked.stdout) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
@pytest.mark.parametrize("name", ["aurora-registry", "aurora-agent"])
def test_systemd_verifies_a_unit(name, image, tmp_path):
    unit = tmp_path / f"{name}.service"
    text = (SYSTEMD / f"{name}.service").read_text()
    unit.write_text(text.replace("/opt/aurora", str(image / "opt" / "aurora")))
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (checked.returncode, checked.stderr) == (0, "")
