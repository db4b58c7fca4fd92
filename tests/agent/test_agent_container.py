"""The line that people copy, in a root with nothing but sh, curl and a Python: what keeps the agent running there."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pythons import PYTHONS
from tests.support.registry_process import RegistryProcess
from tests.support.server_process import until

pytestmark = pytest.mark.servers
CRONTAB = """\
import pathlib, sys
table = pathlib.Path("/home/table")
if sys.argv[1:] == ["-l"]:
    if pathlib.Path("/home/denied").exists():
        sys.exit("You are not allowed to use this program")
    if not table.exists():
        sys.exit("no crontab for somebody")
    sys.stdout.buffer.write(table.read_bytes())
else:
    assert sys.argv[1:] == ["-"]
    table.write_bytes(sys.stdin.buffer.read())
"""
SYSTEMCTL = """\
import pathlib, sys
with open("/home/calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
sys.exit(sys.argv[2] == "restart" and pathlib.Path("/home/broken").exists())
"""


class Container:
    """A root of its own, where we are an ordinary user, or its root. The network is the machine's."""

    def __init__(self, directory: Path, python: Path, user: int = 1000) -> None:
        self.user = user
        self.root = directory / "container"
        self.home = self.root / "home"
        for name in ("bin", "dev", "proc", "usr/lib", "lib", "lib64", "home"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for program in ("sh", "curl"):
            shutil.copy(str(shutil.which(program)), self.root / "bin" / program)
        real = Path(os.path.realpath(python))
        self.python = str(real)
        prefix = real.parents[1]
        self.binds = ["/dev", "/usr/lib", "/lib", *(["/lib64"] if Path("/lib64").exists() else [])]
        if str(prefix) != "/usr":
            self.binds.append(str(prefix))
            (self.root / str(prefix).lstrip("/")).mkdir(parents=True, exist_ok=True)
        else:
            (self.root / "usr/bin").mkdir(exist_ok=True)
            shutil.copy(real, self.root / "usr/bin" / real.name)

    def add(self, program: str, code: str) -> None:
        """A command of this machine, in Python."""
        path = self.root / "bin" / program
        path.write_text(f"#!{self.python}\n{code}")
        path.chmod(0o755)

    def run(self, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command line of its sh."""
        mounts = "".join(f"mount --rbind {path} {self.root}{path} && " for path in self.binds)
        user = f"unshare --user --map-user={self.user} --map-group={self.user} --root={self.root} --wd=/home"
        inside = f"{user} /bin/sh -c {shlex.quote(command)}"
        outer = ["unshare", "--map-root-user", "--mount", "sh", "-c", f"{mounts}exec {inside}"]
        environment = {
            "PATH": f"/bin:{Path(self.python).parent}:/usr/bin:/sbin:/usr/sbin",
            "HOME": "/home",
            "PYTHON": self.python,
            **variables,
        }
        return subprocess.run(outer, env=environment, capture_output=True, text=True, check=False, timeout=60)

    def join(self, mesh: RegistryProcess, *options: str) -> subprocess.CompletedProcess[str]:
        """The line that people copy."""
        joined = self.run(f"curl -fsSL {mesh.url}/join | sh -s -- --name box {' '.join(options)}")
        assert joined.returncode == 0, joined.stderr + joined.stdout
        return joined

    def end(self) -> None:
        """End what still runs in it."""
        for pid_file in self.root.rglob("supervisor.pid"):
            os.killpg(int(pid_file.read_text()), signal.SIGKILL)


@pytest.fixture
def container_of(tmp_path):
    """Makes containers, and ends them."""
    made = []

    def do(python: Path | str = sys.executable, user: int = 1000) -> Container:
        made.append(Container(tmp_path, Path(python), user))
        return made[-1]

    yield do
    for container in made:
        container.end()


def heartbeats(mesh, count=3):
    """So many come."""
    sample = 'aurora_registry_heartbeats_total{transport="http"}'
    goal = mesh.metric(sample) + count
    until(lambda: mesh.metric(sample) >= goal, expected=True)


@pytest.mark.parametrize("python", PYTHONS, ids=str)
def test_a_container_joins(mesh, container_of, python):
    """The agent runs in a loop of its own, and says how an image starts it; the second run leaves all as it is."""
    container = container_of(python)
    pid_file = container.home / ".local/share/aurora-agent/supervisor.pid"
    joined = container.join(mesh, "--site cloud")
    assert "entry point: /home/.local/share/aurora-agent/run" in joined.stdout
    heartbeats(mesh)
    assert mesh.nodes()["box"]["metadata"]["site"] == "cloud"
    until(pid_file.exists, expected=True)
    first = pid_file.read_text()
    container.join(mesh, "--site cloud")
    assert pid_file.read_text() == first
    container.join(mesh, "--site cellar")
    until(lambda: pid_file.read_text() not in {"", first}, expected=True)
    removed = container.run("/home/.local/share/aurora-agent/bin/aurora-agent uninstall")
    assert removed.returncode == 0, removed.stderr
    assert [path for path in container.home.rglob("*") if path.is_file() and "state" not in path.parts] == []


def test_a_rented_container_joins_as_its_root(mesh, container_of):
    """It has neither systemd nor a machine id: who joined and who runs are the same machine."""
    container = container_of(user=0)
    assert "entry point: /opt/aurora-agent/run" in container.join(mesh).stdout
    heartbeats(mesh)
    log = (container.root / "opt/aurora-agent/agent.log").read_text()
    assert "belongs to" not in log
    assert "registered" in log
    removed = container.run("/opt/aurora-agent/bin/aurora-agent uninstall")
    assert removed.returncode == 0, removed.stderr
    assert not (container.root / "opt/aurora-agent").exists()


def test_crontab_starts_it_after_a_reboot(mesh, container_of):
    """Beside what stood there, once; and uninstalling takes its own line away alone."""
    container = container_of()
    container.add("crontab", CRONTAB)
    table = container.home / "table"
    theirs = b"5 4 * * * echo \xe9 # theirs\n"
    table.write_bytes(theirs)
    for _ in range(2):
        assert "crontab starts it after a reboot" in container.join(mesh).stdout
    line = table.read_bytes().removeprefix(theirs).decode()
    assert (line.count("@reboot"), line.count("\n")) == (1, 1)
    container.end()  # the reboot
    # cron gives the rest of the line to sh.
    container.run(line.removeprefix("@reboot").strip().replace(" # ", " & # "))
    heartbeats(mesh)
    container.run("/home/.local/share/aurora-agent/bin/aurora-agent uninstall")
    assert table.read_bytes() == theirs


@pytest.mark.parametrize(("denied", "starts"), [(False, True), (True, False)])
def test_a_crontab_that_cannot_be_read_is_not_written(mesh, container_of, denied, starts):
    """One that is empty is; what somebody has in the other stays."""
    container = container_of()
    container.add("crontab", CRONTAB)
    if denied:
        (container.home / "table").write_text("theirs\n")
        (container.home / "denied").touch()
    said = "crontab starts it after a reboot" if starts else "nothing starts it after a reboot"
    assert said in container.join(mesh).stdout
    assert ((container.home / "table").read_text() == "theirs\n") is denied


def test_a_users_systemd_runs_it(mesh, container_of):
    """Where there is one: it is enabled and started, restarted for another option, and disabled."""
    container = container_of()
    container.add("systemctl", SYSTEMCTL)
    unit = container.home / ".config/systemd/user/aurora-agent.service"
    calls = container.home / "calls"

    def asked() -> list[str]:
        said = calls.read_text().splitlines()
        calls.write_text("")
        return [call.removeprefix("--user ") for call in said if call != "--user show-environment"]

    assert "loginctl enable-linger" in container.join(mesh).stdout
    start = ["daemon-reload", "enable --quiet aurora-agent.service", "{} aurora-agent.service"]
    assert asked() == [call.format("restart") for call in start]
    assert "ExecStart=/home/.local/share/aurora-agent/bin/aurora-agent\n" in unit.read_text()
    container.join(mesh)
    assert asked() == [call.format("start") for call in start]
    container.join(mesh, "--site cellar")
    assert asked() == [call.format("restart") for call in start]
    assert container.run("/home/.local/share/aurora-agent/bin/aurora-agent uninstall").returncode == 0
    assert asked() == ["disable --now aurora-agent.service"]
    assert not unit.exists()


def test_what_a_failed_run_changed_is_started_by_the_next(mesh, container_of):
    """Systemd could not start it: the second run has nothing to write, and what runs is old."""
    container = container_of()
    container.add("systemctl", SYSTEMCTL)
    (container.home / "broken").touch()
    line = f"curl -fsSL {mesh.url}/join | sh -s -- --name box"
    assert container.run(line).returncode == 1
    (container.home / "broken").unlink()
    (container.home / "calls").unlink()
    again = container.run(line)
    assert (again.returncode, "wrote" in again.stdout) == (0, False), again.stderr
    assert "restart aurora-agent.service" in (container.home / "calls").read_text()


def test_a_name_of_another_machine_changes_nothing(mesh, container_of):
    """Neither the files of a node that has another name, nor what runs, until the name is free."""
    container = container_of()
    container.join(mesh)
    settings = container.home / ".config/aurora/agent.env"
    before = settings.read_bytes()
    assert mesh.register(name="taken", node_id="another") == 201
    line = f"curl -fsSL {mesh.url}/join | sh -s -- --name taken"
    refused = container.run(line)
    assert (refused.returncode, "nothing was changed: correct /home/.config" in refused.stderr) == (1, True)
    assert settings.read_bytes() == before
    assert mesh.ask("DELETE", "/nodes/taken").status_code == 204
    assert container.run(line).returncode == 0
    log = container.home / ".local/share/aurora-agent/agent.log"
    until(lambda: "node=taken" in log.read_text(), expected=True)


def test_a_user_without_a_home_gets_an_error(mesh, container_of):
    ended = container_of().run(f"curl -fsSL {mesh.url}/join | sh -s -- --name box", HOME="")
    assert (ended.returncode, ended.stderr.startswith("join: HOME is not set")) == (2, True)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"HOME": "/home/my files"}, "'/home/my files/.local/share/aurora-agent'"),
        ({"HOME": "relative"}, "'relative/.local/share/aurora-agent'"),
        ({"XDG_CONFIG_HOME": "/home/$x"}, "'/home/$x/aurora/agent.env'"),
    ],
)
def test_a_home_that_no_script_can_name_is_refused(mesh, container_of, variables, named):
    """Nothing is half installed."""
    container = container_of()
    (container.home / "my files").mkdir()
    run = container.run(f"curl -fsSL {mesh.url}/join | sh -s -- --name box", **variables)
    assert (run.returncode, f"in place of {named}" in run.stderr) == (2, True), run.stderr
    assert [path for path in container.home.rglob("*") if path.is_file()] == []
    assert mesh.nodes() == {}
