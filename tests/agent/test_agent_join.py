"""A machine joins with one line: as root with systemd's files, as a user of an empty container, and twice."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from exporter import __version__
from exporter.agent.places import read_settings, write_settings
from exporter.agent.unitfiles import UNIT, filled
from tests.agent.conftest import FAST
from tests.support.pythons import PYTHONS
from tests.support.registry_process import ROOT, RegistryProcess, clean_env
from tests.support.server_process import until

pytestmark = pytest.mark.servers
SYSTEMD = ROOT / "deploy" / "systemd"


@pytest.fixture
def join(mesh, tmp_path):
    """Runs the line that people copy, below a root of its own."""

    def run(*arguments: str, script: str = "") -> subprocess.CompletedProcess[str]:
        text = script or mesh.get("/join").text
        environment = clean_env(PYTHON=sys.executable, HOME=str(tmp_path))
        del environment["PYTHONPATH"]
        command = ["sh", "-s", "--", "--root", str(tmp_path / "root"), *arguments]
        return subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False)

    return run


class TlsRegistry(RegistryProcess):
    """Its certificate is of the authority in `ca.pem` beside its configuration."""

    def ask(self, method: str, path: str, **keywords: Any) -> requests.Response:
        """Over TLS."""
        self.url = self.url.replace("http:", "https:")
        return super().ask(method, path, verify=str(self.directory / "ca.pem"), **keywords)


class MutualTlsRegistry(TlsRegistry):
    """Which asks its clients for the certificate in `own.crt` and `own.key`."""

    def ask(self, method: str, path: str, **keywords: Any) -> requests.Response:
        """With it."""
        own = (str(self.directory / "own.crt"), str(self.directory / "own.key"))
        return super().ask(method, path, cert=own, **keywords)


def contents(root: Path) -> dict[str, tuple[int, int]]:
    """Every file's time of change and mode."""
    return {
        str(path.relative_to(root)): (path.lstat().st_mtime_ns, path.lstat().st_mode)
        for path in root.rglob("*")
        if not path.is_dir()
    }


def test_the_script_is_plain_sh(mesh, tmp_path):
    """Checked by shellcheck, and short enough to be read before it is run."""
    script = mesh.get("/join").text
    path = tmp_path / "join.sh"
    path.write_text(script)
    subprocess.run(["shellcheck", "--shell=sh", str(path)], check=True)
    assert len(script.splitlines()) < 60
    assert f"registry='{mesh.url}'" in script


@pytest.mark.parametrize(
    "host",
    ["a'; reboot; '", "a b", "", 'a"', "$(reboot)", "a`b`", "a/b", "a:b", "-a", "user@a", "a" * 300, "[::1", "a:1:2"],
)
def test_no_host_gets_into_the_script(mesh, host):
    """Somebody runs it as root."""
    answer = mesh.get("/join", headers={"Host": host})
    assert answer.status_code == 400
    assert "registry=" not in answer.text


@pytest.mark.parametrize("host", ["10.0.0.1:9999", "[fd00::1]:9999", "registry.lan", "registry"])
def test_the_script_fetches_from_where_it_came_from(mesh, host):
    answer = mesh.get("/join", headers={"Host": host})
    if answer.status_code == 200:
        assert f"registry='http://{host}'" in answer.text


def test_the_agent_is_one_small_file(mesh):
    """The same bytes each time; a client that has it gets 304."""
    first, again = mesh.get("/agent/aurora-agent.pyz"), mesh.get("/agent/aurora-agent.pyz")
    assert first.content == again.content
    assert len(first.content) < 2**20
    assert mesh.get("/agent/aurora-agent.pyz", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    assert first.headers["ETag"].strip('"') in mesh.get("/join").text


@pytest.mark.parametrize("python", PYTHONS, ids=str)
def test_the_file_runs_on_any_python(mesh, agents, driver, python, tmp_path):
    """With nothing installed: it registers, sends heartbeats with readings of its GPUs, and leaves."""
    path = tmp_path / "aurora-agent.pyz"
    path.write_bytes(mesh.get("/agent/aurora-agent.pyz").content)
    agents.command = [python, "-I", path]
    driver.answer(count=2)
    process, log = agents.start("--registry", mesh.url, "--node-name=pyz", "--leave-on-stop", **driver.environment)
    observed = 'aurora_node_gpus_observed{node="pyz"}'
    until(lambda: f"{observed} 2" in mesh.get("/metrics").text, expected=True)
    until(lambda: "health" in mesh.nodes()["pyz"]["gpus"][1], expected=True)
    process.terminate()
    assert process.wait(10) == 0
    assert mesh.nodes() == {}
    assert "Traceback" not in log()


def test_a_machine_joins_twice_and_leaves(join, mesh, tmp_path):
    """As root: systemd's files; the second run writes nothing, the third what changed, uninstalling leaves no file."""
    root = tmp_path / "root"
    first = join("--name", "vengeance", "--vpn-ip", "10.0.0.4", "--site", "the attic")
    assert first.returncode == 0, first.stderr
    assert "vengeance is registered at" in first.stdout
    node = mesh.nodes()["vengeance"]
    assert (node["vpn_ip"], node["metadata"]["site"]) == ("10.0.0.4", "the attic")
    before = contents(root)
    assert sorted(before) == [
        "etc/aurora/agent.env",
        "etc/systemd/system/aurora-agent.service",
        "opt/aurora-agent/.aurora-agent",
        "opt/aurora-agent/aurora-agent.pyz",
        "opt/aurora-agent/bin/aurora-agent",
        "usr/lib/systemd/system-sleep/aurora-agent-sleep",
    ]
    second = join()
    assert (second.returncode, contents(root)) == (0, before)
    third = join("--site", "cellar", "--leave-on-stop")
    assert "wrote" in third.stdout
    assert mesh.nodes()["vengeance"]["metadata"]["site"] == "cellar"
    assert read_settings(root / "etc/aurora/agent.env") == {
        "AURORA_LEAVE_ON_STOP": "true",
        "AURORA_NODE_NAME": "vengeance",
        "AURORA_REGISTRY": mesh.url,
        "AURORA_SITE": "cellar",
        "AURORA_VPN_IP": "10.0.0.4",
    }
    assert {name for name, at in contents(root).items() if at != before[name]} == {"etc/aurora/agent.env"}
    assert join("--uninstall").returncode == 0
    assert contents(root) == {}


@pytest.mark.parametrize("form", ["--ca-file=ca.pem", "--ca-file ca.pem"])
def test_a_machine_joins_over_tls(tmp_path, form):
    """The authority's file may be named in either form, and from where one stands; the agent runs elsewhere."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    web = tmp_path / "web.yml"
    web.write_text("tls_server_config: {cert_file: server.pem, key_file: server.pem}")
    with TlsRegistry(tmp_path, settings={**FAST, "web": {"config_file": str(web)}}) as mesh:
        script = mesh.get("/join").text
        environment = clean_env(PYTHON=sys.executable, HOME=str(tmp_path))
        command = ["sh", "-s", "--", "--root", str(tmp_path / "root"), "--name=a", *form.split()]

        def run() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                command, input=script, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
            )

        done = run()
        assert done.returncode == 0, done.stderr
        settings = read_settings(tmp_path / "root/etc/aurora/agent.env")
        assert (settings["AURORA_REGISTRY"], settings["AURORA_CA_FILE"]) == (mesh.url, "/etc/aurora/ca.pem")
        copy = tmp_path / "root/etc/aurora/ca.pem"
        assert (copy.read_bytes(), copy.stat().st_mode & 0o777) == ((tmp_path / "ca.pem").read_bytes(), 0o644)
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"), append=True)
        again = run()
        assert again.stdout.splitlines()[0] == f"wrote {copy}", again.stderr
        assert copy.read_bytes() == (tmp_path / "ca.pem").read_bytes()


def test_a_registry_that_asks_for_a_certificate_is_joined(tmp_path, agents):
    """Ours and its key are copied; the unit hands them on, since only root may read them. Then they are taken back."""
    authority, root = trustme.CA(), tmp_path / "root"
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    ours = authority.issue_cert("node.lan")
    ours.cert_chain_pems[0].write_to_path(str(tmp_path / "own.crt"))
    ours.private_key_pem.write_to_path(str(tmp_path / "own.key"))
    tls = {"cert_file": "server.pem", "key_file": "server.pem", "client_ca_file": "ca.pem"}
    web = tmp_path / "web.yml"
    web.write_text(json.dumps({"tls_server_config": {**tls, "client_auth_type": "RequireAndVerifyClientCert"}}))
    with MutualTlsRegistry(tmp_path, settings={**FAST, "web": {"config_file": str(web)}}) as mesh:
        script = mesh.get("/join").text

        def join(*options: str) -> subprocess.CompletedProcess[str]:
            environment = clean_env(PYTHON=sys.executable, HOME=str(tmp_path))
            command = ["bash", "-c", 'umask 077; exec sh -s -- "$@"', "-", "--root", str(root), "--name=a", *options]
            return subprocess.run(command, input=script, env=environment, capture_output=True, text=True, check=False)

        files = [f"--{kind}-file={tmp_path}/{name}" for kind, name in (("ca", "ca.pem"), ("cert", "own.crt"))]
        done = join(*files, f"--key-file={tmp_path}/own.key")
        assert done.returncode == 0, done.stderr
        drop_in = root / "etc/systemd/system/aurora-agent.service.d/token.conf"
        handed_on = [line.partition("=")[2] for line in drop_in.read_text().splitlines() if "=" in line]
        assert handed_on == ["cert.pem:/etc/aurora/cert.pem", "key.pem:/etc/aurora/key.pem"]
        assert [(root / "etc/aurora" / name).stat().st_mode & 0o777 for name in ("cert.pem", "key.pem")] == [0o600] * 2
        assert (root / "opt/aurora-agent/bin").stat().st_mode & 0o777 == 0o755
        # As the unit starts it: the settings' paths are those of the machine that the image becomes.
        credentials = tmp_path / "credentials"
        shutil.copytree(root / "etc/aurora", credentials)
        settings = read_settings(root / "etc/aurora/agent.env")
        assert {settings[f"AURORA_{kind}_FILE"] for kind in ("CERT", "KEY")} == {
            "/etc/aurora/cert.pem",
            "/etc/aurora/key.pem",
        }
        settings.update(CREDENTIALS_DIRECTORY=str(credentials), AURORA_CA_FILE=str(credentials / "ca.pem"))
        agents.command = [sys.executable, "-I", root / "opt/aurora-agent/aurora-agent.pyz"]
        assert agents.run("--once", **settings).returncode == 0
        settings["AURORA_KEY_FILE"] = "/nowhere/own.key"
        assert "/nowhere/own.key" in agents.run("--once", **settings).stderr
    with RegistryProcess(tmp_path, settings=FAST) as plain:
        script = plain.get("/join").text
        assert join("--cert-file=", "--key-file=").returncode == 0
    assert not drop_in.exists()
    assert sorted(path.name for path in (root / "etc/aurora").iterdir()) == ["agent.env", "ca.pem"]


def test_systemds_files_are_those_of_a_wheel(join, tmp_path):
    """But for where they call the agent; a token is handed on, since the agent is a user of its own."""
    (tmp_path / "token").write_text("secret\n")
    assert join("--name", "a", "--token-file", str(tmp_path / "token")).returncode == 0
    root = tmp_path / "root"
    unit = (root / "etc/systemd/system/aurora-agent.service").read_text()
    assert unit == filled(UNIT, bin="/opt/aurora-agent/bin/aurora-agent", settings="/etc/aurora/agent.env")
    plain = [line for line in unit.splitlines() if not line.startswith(("#", "ExecStart="))]
    wheel = (SYSTEMD / "aurora-agent.service").read_text().splitlines()
    assert plain == [line for line in wheel if not line.startswith(("#", "ExecStart="))]
    assert (
        "LoadCredential=join-token:/etc/aurora/join-token"
        in (root / "etc/systemd/system/aurora-agent.service.d/token.conf").read_text()
    )
    assert (root / "etc/aurora/join-token").stat().st_mode & 0o777 == 0o600
    for script in ("opt/aurora-agent/bin/aurora-agent", "usr/lib/systemd/system-sleep/aurora-agent-sleep"):
        subprocess.run(["shellcheck", "--shell=sh", str(root / script)], check=True)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--colour", "red"], 2, "--colour"),
        (["--name", "a b"], 1, "--node-name (AURORA_NODE_NAME): expected 1 to 63 letters"),
        (["--gpus", "many"], 1, "expected a number of GPUs"),
        (["--token-file", "/nowhere"], 2, "--token-file: /nowhere cannot be read: No such file"),
        (["--ca-file", "/etc/passwd"], 1, "--ca-file (AURORA_CA_FILE): /etc/passwd cannot be used"),
        (["--vpn-ip", "home"], 1, "--vpn-ip (AURORA_VPN_IP): expected an IP address"),
        (["--site", "a\nb"], 2, "--site: a value is one line"),
        (["--prefix", "opt"], 2, "--prefix: expected an absolute path"),
        (["--leave-on-stop", "perhaps"], 2, "invalid choice"),
        (["--registry", "ftp://a"], 2, "expected a host, host:port or a URL"),
        (["--registry", "http://127.0.0.1:1"], 1, "connection refused"),
    ],
)
def test_what_is_wrong_is_reported_at_once(join, tmp_path, arguments, status, message):
    """And nothing is installed, nor changed where something is."""
    root = tmp_path / "root"
    run = join("--name", "a", *arguments)
    assert (run.returncode, message in run.stderr) == (status, True), run.stderr
    assert not root.exists()
    assert join("--name", "b").returncode == 0
    before = contents(root)
    assert join("--name", "a", *arguments).returncode == status
    assert contents(root) == before


def test_what_cannot_be_written_whole_is_not_written(join, mesh, tmp_path):
    """The last of its paths is no directory: nothing is written to those before it, and no node is registered."""
    root = tmp_path / "root"
    (root / "usr/lib/systemd").mkdir(parents=True)
    blocking = root / "usr/lib/systemd/system-sleep"
    blocking.touch()
    run = join("--name", "a")
    assert (run.returncode, run.stderr.splitlines()[-1].startswith("join: ")) == (1, True), run.stderr
    assert list(contents(root)) == ["usr/lib/systemd/system-sleep"]
    assert sorted(path.name for path in root.iterdir()) == ["usr"]
    blocking.unlink()
    full = root / "etc/aurora/agent.env.new"
    full.parent.mkdir(parents=True)
    full.symlink_to("/dev/full")
    run = join("--name", "a")
    assert f"No space left on device: '{root}/etc/aurora/agent.env'" in run.stderr
    assert (contents(root), mesh.nodes()) == ({}, {})
    assert join("--name", "a").returncode == 0


def test_an_agent_that_cannot_be_put_down_is_not_left(mesh, tmp_path):
    """Where it is fetched to takes a part of it only."""
    (tmp_path / "tmp").mkdir()
    environment = clean_env(PYTHON=sys.executable, HOME=str(tmp_path), TMPDIR=str(tmp_path / "tmp"))
    command = ["sh", "-c", "ulimit -f 8; exec sh -s"]
    script = mesh.get("/join").text
    run = subprocess.run(command, input=script, env=environment, capture_output=True, text=True, check=False)
    assert (run.returncode, "the agent cannot be put down anywhere" in run.stderr) == (1, True), run.stderr
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_dry_run_does_nothing(join, mesh, tmp_path):
    run = join("--name", "a", "--dry-run")
    assert (run.returncode, "would write" in run.stdout, "nothing was done" in run.stdout) == (0, True, True)
    assert not (tmp_path / "root").exists()
    assert mesh.nodes() == {}


def test_what_join_did_not_make_is_left_alone(join, tmp_path):
    """Neither written over nor removed."""
    mine = tmp_path / "root/opt/aurora-agent/mine"
    mine.parent.mkdir(parents=True)
    mine.touch()
    assert join("--name", "a").returncode == 2
    assert join("--uninstall").returncode == 0
    assert mine.exists()


def test_an_agent_that_is_not_what_was_announced_is_not_run(join, mesh, tmp_path):
    script = re.sub(r"sha256='[0-9a-f]{64}'", f"sha256='{'0' * 64}'", mesh.get("/join").text)
    run = join("--name", "a", script=script)
    assert (run.returncode, "is not what the registry announced" in run.stderr) == (1, True)
    assert not (tmp_path / "root").exists()


def test_bootstrap_does_the_same(mesh, tmp_path):
    """From a checkout; a registry that does not answer is reported at once."""
    environment = clean_env(PYTHON=sys.executable, HOME=str(tmp_path))

    def bootstrap(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", str(ROOT / "deploy" / "bootstrap.sh"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert bootstrap("--registry", mesh.url, "--root", str(tmp_path / "root"), "--name=a").returncode == 0
    assert list(mesh.nodes()) == ["a"]
    assert "does not answer" in bootstrap("--registry=http://127.0.0.1:1").stderr
    assert bootstrap("--site", "home").returncode == 2


@pytest.mark.parametrize("value", ["plain", "the attic", 'a "quoted" one', "back\\slash", "#5", "$HOME", "", "='x'"])
def test_settings_come_back_as_they_were(tmp_path, value):
    path = tmp_path / "agent.env"
    path.write_bytes(write_settings({"AURORA_SITE": value}))
    assert read_settings(path) == {"AURORA_SITE": value}


def older(agent: bytes) -> bytes:
    """The agent as a version before ours."""
    source, target = zipfile.ZipFile(io.BytesIO(agent)), io.BytesIO()
    with zipfile.ZipFile(target, "w") as fresh:
        for name in source.namelist():
            text = source.read(name)
            fresh.writestr(
                name, text.replace(__version__.encode(), b"0.0.1") if name == "exporter/__init__.py" else text
            )
    return target.getvalue()


@pytest.mark.parametrize("writable", [True, False])
def test_an_older_agent_replaces_itself_if_it_may(mesh, agents, tmp_path, writable):
    """In its own place, or, where that is not its own, with its state; it stays the same process."""
    path = tmp_path / "opt" / "aurora-agent.pyz"
    path.parent.mkdir()
    path.write_bytes(older(mesh.get("/agent/aurora-agent.pyz").content))
    agents.command = [sys.executable, "-I", path]
    if not writable:
        # Root may write wherever it likes: that it may not comes from the registry.
        lie = "import os, runpy, sys; real = os.access; os.access = lambda p, m: 'opt' not in str(p) and real(p, m); "
        agents.command = [
            sys.executable,
            "-I",
            "-c",
            f"{lie}sys.argv[:] = sys.argv[1:]; runpy.run_path(sys.argv[0])",
            path,
        ]
    process, log = agents.start("--registry", mesh.url, "--node-name=a", "--self-upgrade")
    until(lambda: mesh.nodes().get("a", {}).get("agent", {}).get("version"), __version__)
    assert process.poll() is None
    assert "starting the newer agent" in log()
    assert (path.read_bytes() == mesh.get("/agent/aurora-agent.pyz").content) is writable


def test_an_older_agent_says_that_there_is_a_newer(mesh, agents, tmp_path):
    """And stays what it is, unless it was asked to."""
    path = tmp_path / "aurora-agent.pyz"
    path.write_bytes(older(mesh.get("/agent/aurora-agent.pyz").content))
    agents.command = [sys.executable, "-I", path]
    done = agents.run("--once", "--registry", mesh.url, "--node-name=a")
    assert (done.returncode, "the registry has a newer agent" in done.stderr) == (0, True)
    assert mesh.nodes()["a"]["agent"]["version"] == "0.0.1"
