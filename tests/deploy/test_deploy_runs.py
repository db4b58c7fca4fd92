"""What the containers run, run here: the same commands, variables and files, on free ports."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.deploy.compose_rules import DEPLOY, compose, mounts
from tests.deploy.image_rules import ROOT, healthcheck
from tests.support.redis_server import RedisServer
from tests.support.registry_process import clean_env, program
from tests.support.server_process import ServerProcess, until

SERVICES = compose()["services"]
pytestmark = pytest.mark.servers


class AsComposed(ServerProcess):
    """A service with the command and the variables that the compose file gives it."""

    def __init__(self, directory: Path, command: list[str | Path], environment: Mapping[str, str]) -> None:
        super().__init__("composed", directory)
        self._command = command
        self._environment = environment

    def command(self) -> list[str | Path]:
        """With its port in place of PORT."""
        return [str(word).replace("PORT", str(self.port)) for word in self._command]

    def environment(self) -> Mapping[str, str]:
        """With its port in place of PORT."""
        return {name: value.replace("PORT", str(self.port)) for name, value in self._environment.items()}


def laid_out(service: str, root: Path) -> Path:
    """The service's files below a root of its own, where the container has them."""
    for source, target in mounts(SERVICES[service]):
        if source.startswith("."):
            place = root / target.removeprefix("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            origin = DEPLOY / source
            (shutil.copytree if origin.is_dir() else shutil.copy)(origin, place)
    return root


def as_here(words: list[str], root: Path) -> list[str | Path]:
    """Flags with the container's paths brought below the root."""
    return [word.replace("=/", f"={root}/") for word in words]


def scraped(prometheus: ServerProcess) -> list[str]:
    """What a Prometheus scrapes."""
    return [target["scrapeUrl"] for target in prometheus.get("/api/v1/targets").json()["data"]["activeTargets"]]


def test_the_registry_runs_as_composed_and_its_healthcheck_says_so(tmp_path):
    """Over a Redis with the composed flags: all is up, the revision shows, the check follows the process."""
    [_, *flags] = SERVICES["redis"]["command"]
    root = laid_out("node-registry", tmp_path)
    with RedisServer(*flags) as redis:
        variables = {
            name: value.replace("redis://redis:6379/0", redis.url)
            for name, value in SERVICES["node-registry"]["environment"].items()
        }
        environment = clean_env(**variables, AURORA_REVISION="abc123", AURORA_WEB_LISTEN_ADDRESS="127.0.0.1:PORT")
        command = [*program("registry"), *as_here(SERVICES["node-registry"]["command"], root)]
        registry = AsComposed(tmp_path, command, environment)
        try:
            registry.start()
            check = [word.replace(":9999", f":{registry.port}") for word in healthcheck()]
            health = registry.get("/health").json()
            well = subprocess.run([sys.executable, *check[1:]], check=False, timeout=30)
            shown = 'revision="abc123"' in registry.get("/metrics").text
            kept = (redis.cli("CONFIG", "GET", "maxmemory-policy"), redis.cli("CONFIG", "GET", "appendonly"))
            ended = registry.stop()
        finally:
            registry.close()
    unwell = subprocess.run([sys.executable, *check[1:]], capture_output=True, check=False, timeout=30)

    assert (health["status"], health["store"], health["event_bus"]) == ("ok", "up", "up")
    assert (check[0], well.returncode, shown, ended) == ("python", 0, True, 0)
    assert unwell.returncode != 0
    assert kept == ({"maxmemory-policy": "noeviction"}, {"appendonly": "yes"})


def test_prometheus_runs_as_composed_with_every_rule(tmp_path):
    """The rules are found by the way that the container has, and the registry is a target by its name there."""
    root = laid_out("prometheus", tmp_path)
    command = ["prometheus", *as_here(SERVICES["prometheus"]["command"], root), "--web.listen-address=127.0.0.1:PORT"]
    server = AsComposed(tmp_path, command, clean_env())
    try:
        server.start()
        groups = server.get("/api/v1/rules").json()["data"]["groups"]
        until(lambda: scraped(server), ["http://node-registry:9999/metrics"])
    finally:
        server.close()

    assert {Path(group["file"]).name for group in groups} == {
        path.name for path in (ROOT / "alerts").glob("*.rules.yml")
    }


def test_alertmanager_runs_as_composed(tmp_path):
    root = laid_out("alertmanager", tmp_path)
    flags = as_here(SERVICES["alertmanager"]["command"], root)
    server = AsComposed(
        tmp_path, ["prometheus-alertmanager", *flags, "--web.listen-address=127.0.0.1:PORT"], clean_env()
    )
    try:
        server.start()
        status = server.get("/api/v2/status").json()
    finally:
        server.close()

    assert "AuroraWatchdog" in status["config"]["original"]


@pytest.mark.parametrize(
    ("origin", "derived", "skipped", "changes"),
    [
        (
            "alerts/prometheus.yml",
            "deploy/prometheus.yml",
            3,
            {"10.0.0.1:9999": "node-registry:9999", "10.0.0.1:9093": "alertmanager:9093", '"*.rules': '"rules/*.rules'},
        ),
        (
            "grafana/provisioning/datasources/prometheus.yml",
            "deploy/grafana-datasource.yml",
            1,
            {"127.0.0.1:9090": "prometheus:9090"},
        ),
    ],
)
def test_a_derived_file_differs_from_its_origin_by_addresses_only(origin, derived, skipped, changes):
    """Below the comments at their heads, line for line."""
    lines = (ROOT / origin).read_text().splitlines()[skipped:]
    text = "\n".join(lines)
    for old, new in changes.items():
        text = text.replace(old, new)

    assert (ROOT / derived).read_text().splitlines()[2:] == text.splitlines()


def test_grafana_looks_for_dashboards_where_they_are_mounted():
    provider = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/aurora.yml").read_text())["providers"][0]

    assert ("../grafana/dashboards", provider["options"]["path"]) in list(mounts(SERVICES["grafana"]))


@pytest.mark.parametrize("name", ["aurora-registry", "aurora-agent", "aurora-cli"])
def test_the_images_steps_give_every_program(name, image, tmp_path):
    """The Dockerfile's own commands build the wheel and install it; every program is there, and pip is not."""
    home = image / "opt" / "aurora" / "bin"
    answer = subprocess.run([home / name, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (answer.returncode, answer.stdout.split()[0]) == (0, name)
    assert not (home / "pip").exists()
