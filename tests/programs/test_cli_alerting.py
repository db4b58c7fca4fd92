"""`aurora-cli alerting init`: from the choice of a receiver to a message that arrives."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
from typing import Any

import pytest
import yaml

from demo.ports import free_port
from tests.support.http_stub import HttpStub, Response
from tests.support.registry_process import ROOT, RegistryProcess, clean_env, program
from tests.support.server_process import until

EVERYTHING = (
    *("--ntfy=https://ntfy.example/topic", "--slack=https://slack.example/x", "--discord=https://discord.example/x"),
    *("--webhook=http://127.0.0.1:8080/?a=b", "--telegram", "123:secret", "-4711"),
    *("--email=me@example.org", "--smtp=mail.example.org:587", "--watchdog=https://dead.example/x"),
)


@pytest.fixture
def init(cli, tmp_path):
    """Runs `alerting init` into a new directory; its exit status, stderr and what Alertmanager would read."""

    def run(*argv):
        output = tmp_path / "alerting"
        status, out, err = cli("alerting", "init", f"--output={output}", *argv)
        path = output / "alertmanager.yml"
        return status, out + err, yaml.safe_load(path.read_text()) if path.exists() else None

    return run


def receiver(config, name):
    [found] = [each for each in config["receivers"] if each["name"] == name]
    return found


def test_every_kind_of_receiver_is_one_that_alertmanager_takes(init, tmp_path):
    """Checked by amtool and promtool, as it says."""
    status, reported, config = init(*EVERYTHING)
    assert status == 0, reported
    assert "alertmanager.yml: amtool finds nothing wrong" in reported
    assert "prometheus.yml: promtool finds nothing wrong" in reported
    pager = receiver(config, "pager")
    assert {key for key in pager if key.endswith("_configs")} == {
        *("webhook_configs", "slack_configs", "discord_configs", "telegram_configs", "email_configs")
    }
    assert all(each["send_resolved"] for key, configs in pager.items() if key != "name" for each in configs)
    assert receiver(config, "watchdog")["webhook_configs"][0]["url"] == "https://dead.example/x"
    assert sorted(path.name for path in (tmp_path / "alerting" / "rules").iterdir()) == [
        *("mesh.rules.yml", "nodes.rules.yml", "recording.rules.yml", "registry.rules.yml")
    ]


def test_routes_and_inhibitions_are_the_shipped_ones(init):
    """But for the receivers that there are not, and the route of the doctor's test alert."""
    shipped = yaml.safe_load((ROOT / "alerts" / "alertmanager.yml").read_text())
    _, _, config = init("--webhook=http://127.0.0.1:1/")
    assert config["inhibit_rules"] == shipped["inhibit_rules"]
    names = {"chat": "pager", "quiet": "nobody"}
    expected = json.loads(json.dumps(shipped["route"]))
    for route in (expected, *expected["routes"]):
        route["receiver"] = names.get(route["receiver"], route["receiver"])
    test, *others = config["route"]["routes"]
    assert test["matchers"] == ['alertname="AuroraDoctorTest"']
    assert {**config["route"], "routes": others} == expected
    assert {each["name"] for each in config["receivers"]} == {"pager", "nobody", "watchdog"}


def test_secrets_come_from_files_and_are_for_their_owner_alone(init, tmp_path):
    (tmp_path / "slack").write_text("https://slack.example/hush\n")
    (tmp_path / "token").write_text("1:hush\n")
    (tmp_path / "password").write_text("hunter2\n")
    status, reported, config = init(
        *(f"--slack-file={tmp_path / 'slack'}", f"--telegram-file={tmp_path / 'token'}", "--telegram-chat=5"),
        *("--email=me@example.org", "--smtp=mail:587", "--smtp-user=me"),
        f"--smtp-password-file={tmp_path / 'password'}",
    )
    assert status == 0, reported
    assert not any(secret in reported for secret in ("hush", "hunter2"))
    pager = receiver(config, "pager")
    assert pager["slack_configs"][0]["api_url"] == "https://slack.example/hush"
    assert pager["telegram_configs"][0]["bot_token"] == "1:hush"
    assert config["global"]["smtp_auth_password"] == "hunter2"
    mode = (tmp_path / "alerting" / "alertmanager.yml").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize(
    ("argv", "status", "complaint"),
    [
        ([], 2, "where should messages go? Give one of --ntfy, --slack"),
        (["--slack=secret-without-scheme"], 2, "--slack: expected a URL that begins with http:// or https://"),
        (["--telegram", "secret", "me"], 2, "--telegram-chat: expected the number of a chat"),
        (["--telegram-chat=5"], 2, "expected the bot's token beside it"),
        (["--email=me", "--smtp=a:25"], 2, "--email: expected an address such as me@example.org"),
        (["--email=me@example.org"], 2, "--smtp: expected the mail server as host:port"),
        (["--ntfy-file=/nowhere"], 1, "--ntfy-file: cannot read /nowhere: No such file or directory"),
    ],
)
def test_what_cannot_be_is_reported_and_nothing_is_written(init, tmp_path, argv, status, complaint):
    got, reported, config = init(*argv)
    assert (got, config, (tmp_path / "alerting").exists()) == (status, None, False)
    assert complaint in reported
    assert "secret" not in reported


def test_nothing_is_overwritten_unasked(init, tmp_path):
    """Not even half of it."""
    init("--webhook=http://127.0.0.1:1/")
    (tmp_path / "alerting" / "alertmanager.yml").unlink()
    status, reported, config = init("--webhook=http://127.0.0.1:2/")
    assert (status, config, "would be overwritten" in reported) == (1, None, True)
    assert init("--webhook=http://127.0.0.1:2/", "--force")[0] == 0


ALERT = {
    "labels": {"alertname": "AuroraNodeOffline", "node": "vengeance", "role": "compute", "site": "home"},
    "annotations": {"summary": "Node vengeance is offline", "description": "It is.", "runbook_url": "http://r/x.md"},
    "startsAt": "2025-10-06T12:00:05Z",
}


@pytest.mark.parametrize(
    ("status", "template", "expected"),
    [
        ("firing", "aurora.title", "FIRING: Node vengeance is offline"),
        (
            "firing",
            "aurora.text",
            (
                "It is.\nNode: vengeance, compute\nSite: home\nSince: 2025-10-06 12:00:05 UTC\n"
                "What to do: http://r/x.md\nLook: http://10.0.0.1:9999/ui/nodes/vengeance"
            ),
        ),
        (
            "resolved",
            "aurora.text",
            (
                "It is.\nNode: vengeance, compute\nSite: home\nSince: 2025-10-06 12:00:05 UTC\nLasted: 7m30s\n"
                "What to do: http://r/x.md\nLook: http://10.0.0.1:9999/ui/nodes/vengeance"
            ),
        ),
    ],
)
def test_a_message_says_what_where_since_when_and_what_to_do(init, tmp_path, status, template, expected):
    """As Alertmanager's own tool renders it."""
    init("--webhook=http://127.0.0.1:1/", "--registry=10.0.0.1:9999")
    alert = {**ALERT, "status": status, "endsAt": "2025-10-06T12:07:35.4Z"}
    data = {"status": status, "alerts": [alert], "commonAnnotations": ALERT["annotations"]}
    (tmp_path / "data.json").write_text(json.dumps(data))
    command = ["amtool", "template", "render", f"--template.glob={tmp_path / 'alerting' / 'aurora.tmpl'}"]
    command += [f"--template.data={tmp_path / 'data.json'}", f'--template.text={{{{ template "{template}" . }}}}']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, expected), done.stderr


@pytest.mark.servers
def test_a_message_arrives(tmp_path):
    """The lines of docs/first-alert.md, with other ports, and twice as often a scrape."""
    port, alertmanager_port = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        received: list[Any] = []

        def note(request):
            received.append(json.loads(request.body))
            return Response()

        sink = stack.enter_context(HttpStub(note))
        registry = stack.enter_context(RegistryProcess(tmp_path / "registry"))
        environment = clean_env(AURORA_REGISTRY=registry.url, PROMETHEUS_PORT=str(port))

        def cli(*argv):
            command = [*map(str, program("cli")), *argv]
            return subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90, check=False
            )

        alertmanager = f"--alertmanager=127.0.0.1:{alertmanager_port}"
        assert cli("alerting", "init", f"--webhook={sink.url}/", alertmanager).returncode == 0
        prometheus = tmp_path / "alerting" / "prometheus.yml"
        prometheus.write_text(prometheus.read_text().replace("15s", "1s"))
        with (tmp_path / "log").open("w") as log:
            servers = subprocess.Popen(
                [ROOT / "scripts" / "alerting"], cwd=tmp_path, env=environment, stdout=log, stderr=log
            )
        stack.callback(servers.wait, 30)
        stack.callback(servers.send_signal, signal.SIGTERM)
        until(lambda: answers(port), expected=True)

        doctor = cli("doctor", "--prometheus", f"127.0.0.1:{port}", "--send")

        assert doctor.returncode == 0, doctor.stdout + doctor.stderr + (tmp_path / "log").read_text()
        assert "AuroraDoctorTest with severity critical goes to pager" in " ".join(doctor.stdout.split())
        first = received[0]
        assert (first["receiver"], first["status"]) == ("pager", "firing")
        assert [alert["labels"]["alertname"] for alert in first["alerts"]] == ["AuroraDoctorTest"]
    assert servers.returncode == 0
    assert {path.name for path in (tmp_path / "alerting" / "data").iterdir()} == {"alertmanager", "prometheus"}


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(port)), 1):
        return True
    return False


def test_the_servers_are_not_started_without_a_configuration(tmp_path):
    done = subprocess.run([ROOT / "scripts" / "alerting"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "aurora-cli alerting init --ntfy" in done.stderr) == (1, True)


@pytest.mark.servers
def test_a_port_that_is_taken_is_reported(tmp_path):
    for name in ("alertmanager.yml", "prometheus.yml"):
        (tmp_path / name).write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = {**os.environ, "PROMETHEUS_PORT": str(taken.getsockname()[1])}
        done = subprocess.run(
            [ROOT / "scripts" / "alerting", str(tmp_path)], env=environment, capture_output=True, text=True, check=False
        )
    assert (done.returncode, "is taken" in done.stderr) == (1, True)
