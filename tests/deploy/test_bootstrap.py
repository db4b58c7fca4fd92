"""bootstrap.sh, run for real below a scratch root, against a real registry."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.conftest import site_packages
from tests.support.redis_server import free_port
from tests.support.registry_process import RegistryProcess, clean_env

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
pytestmark = pytest.mark.servers


@pytest.fixture
def bootstrap(image, tmp_path):
    """Runs the script; the environment that it makes finds the dependencies of the one that runs the tests."""
    python = tmp_path / "python3"
    python.write_text(
        f'#!/bin/bash\nset -e\n"{sys.executable}" "$@"\n'
        f'if [[ $1 == -m ]]; then for d in "$3"/lib/python*/site-packages; do echo "{site_packages()}" '
        '>"$d/dependencies.pth"; done; fi\n'
    )
    python.chmod(0o755)
    [wheel] = (image / "wheel").glob("*.whl")
    variables = {"PYTHON": str(python), "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_IGNORE_INSTALLED": "1"}
    environment = clean_env(**variables)
    # Or the checkout would answer in place of what was installed.
    del environment["PYTHONPATH"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", DEPLOY / "bootstrap.sh", "--root", tmp_path / "root", "--package", wheel, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)

    return run


def contents(root: Path) -> dict[str, tuple[int, int]]:
    """Every file's time of change and mode; compiled code is nobody's doing."""
    return {
        str(path.relative_to(root)): (path.lstat().st_mtime_ns, path.lstat().st_mode)
        for path in root.rglob("*")
        if path.name != "__pycache__" and path.suffix != ".pyc" and not path.is_dir()
    }


def test_a_machine_becomes_a_node_sleeps_and_is_one_no_more(bootstrap, tmp_path):
    """The node appears; a second run changes nothing; the hook tells of sleep; uninstalling leaves no file."""
    root = tmp_path / "root"
    with RegistryProcess(tmp_path / "registry") as registry:
        said = ("--registry", registry.url, "--name", "vengeance", "--vpn-ip", "10.0.0.4", "--site", "the attic")
        first = bootstrap(*said)
        node = registry.nodes().get("vengeance", {})
        before = contents(root)
        second = bootstrap()
        after = contents(root)
        hook = root / "usr/lib/systemd/system-sleep/aurora-agent-sleep"
        paths = {"AURORA_PREFIX": str(root / "opt/aurora"), "AURORA_AGENT_ENV": str(root / "etc/aurora/agent.env")}
        slept = subprocess.run(
            [hook, "pre", "suspend"], env={**os.environ, **paths}, capture_output=True, text=True, check=False
        )
        lifecycle = registry.nodes().get("vengeance", {}).get("lifecycle")
    removed = bootstrap("--uninstall")

    assert first.returncode == 0, first
    assert (node["role"], node["vpn_ip"], node["metadata"]["site"]) == ("compute", "10.0.0.4", "the attic")
    assert (second.returncode, after) == (0, before), second
    assert before["etc/aurora/agent.env"][1] & 0o777 == 0o640
    assert (slept.returncode, lifecycle) == (0, "maintenance"), slept
    assert (removed.returncode, contents(root)) == (0, {}), removed


def test_a_registry_that_does_not_answer_is_told_at_once(bootstrap):
    run = bootstrap("--registry", f"http://127.0.0.1:{free_port()}", "--name", "a", "--vpn-ip", "10.0.0.4")

    assert run.returncode == 1
    assert "the agent could not register: correct " in run.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--registry: expected the registry's URL, such as http://10.0.0.1:9999, got nothing"),
        (("--registry", "10.0.0.1"), "--registry: expected the registry's URL"),
        (("--colour", "red"), "--colour: unknown"),
        (("--site",), "--site: unknown, or without its value"),
        (("--prefix", "here"), "--prefix: expected an absolute path"),
        (("--package", "none.whl", "--registry", "http://a", "--vpn-ip", "10.0.0.4"), "there is no file none.whl"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_done(bootstrap, tmp_path, arguments, message):
    run = bootstrap(*arguments)

    assert (run.returncode, message in run.stderr) == (2, True), run
    assert not (tmp_path / "root").exists()


def test_a_dry_run_does_nothing(bootstrap, tmp_path):
    run = bootstrap("--dry-run", "--registry", "http://10.0.0.1:9999", "--vpn-ip", "10.0.0.4")

    assert (run.returncode, "would write: " in run.stdout) == (0, True), run
    assert not (tmp_path / "root").exists()


def test_help_names_every_option(bootstrap):
    run = bootstrap("--help")

    assert run.returncode == 0
    assert all(option in run.stdout for option in ("--registry", "--vpn-ip", "--dry-run", "--uninstall", "--root"))


def test_what_the_script_did_not_make_is_not_removed(bootstrap, tmp_path):
    """A prefix with somebody else's files in it stays."""
    theirs = tmp_path / "root/opt/aurora/theirs"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    run = bootstrap("--uninstall")

    assert (run.returncode, theirs.read_text()) == (0, "mine"), run
