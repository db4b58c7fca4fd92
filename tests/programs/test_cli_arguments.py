from __future__ import annotations

import pytest

from exporter import __version__
from exporter.domain.clock import SECOND
from exporter.programs.cli import arguments
from exporter.programs.cli.arguments import parse
from exporter.programs.cli.run import handler

COMMANDS = [command.name for command in arguments.COMMANDS if not command.hidden]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_examples_and_fits_80_columns(cli, command):
    status, out, err = cli(*filter(None, [command]), "--help")
    assert (status, err) == (0, "")
    assert "\nexamples:\n  aurora-cli " in out
    assert max(map(len, out.splitlines())) < 80


def test_version(cli):
    assert cli("--version") == (0, f"aurora-cli {__version__}\n", "")


def test_options_may_stand_before_or_behind_the_command():
    """And what stands before is not undone by a default behind."""
    before = parse(["--registry=10.0.0.1:9999", "--timeout=1m", "--json", "stats"])
    behind = parse(["stats", "--registry=http://10.0.0.1:9999/", "--timeout=1m", "--json"])
    assert vars(before) == vars(behind)
    assert vars(before) == {
        "command": "stats",
        "handler": "overview:stats",
        "registry": "http://10.0.0.1:9999",
        "timeout_ns": 60 * SECOND,
        "json": True,
        "token_file": None,
        "ca_file": None,
        "cert_file": None,
        "key_file": None,
    }


def test_the_registry_is_the_option_then_the_environment_then_here(monkeypatch):
    assert parse(["stats"]).registry == "http://127.0.0.1:9999"
    monkeypatch.setenv("AURORA_REGISTRY", "https://registry.example/aurora")
    assert parse(["stats"]).registry == "https://registry.example/aurora"
    assert parse(["stats", "--registry=http://[fd00::1]:9999"]).registry == "http://[fd00::1]:9999"


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["node"], "the following arguments are required: NAME"),
        (["node", "../stats"], "argument NAME: expected 1 to 63 letters, digits"),
        (["why", "."], "argument NAME: expected 1 to 63 letters, digits"),
        (["nodes", "--status=on"], "argument --status: invalid choice: 'on'"),
        (["nodes", "--min-gpus=many"], "argument --min-gpus: invalid int value: 'many'"),
        (["stats", "--timeout=5"], "argument --timeout: expected a duration as Prometheus writes it"),
        (["stats", "--timeout=2h"], "argument --timeout: expected a duration from 1ms to 1h, got '2h'"),
        (
            ["stats", "--registry=ftp://x"],
            "argument --registry: expected a host, host:port or a URL such as http://127.0.0.1:9999",
        ),
        (["stats", "--registry=http://"], "argument --registry: expected a host, host:port or a URL such as"),
        (["stats", "--registry=http://x:99999"], "argument --registry: expected a host, host:port or a URL such as"),
        (["stats", "--registry=http://x/?a=b"], "argument --registry: expected a host, host:port or a URL such as"),
    ],
)
def test_wrong_usage_is_reported_as_such(cli, registry, argv, complaint):
    """Exit status 2, and nobody is asked anything."""
    status, out, err = cli(*argv)
    assert (status, out, registry.requests) == (2, "", [])
    assert complaint in err


def test_a_wrong_environment_is_wrong_usage_without_its_password(cli, monkeypatch):
    monkeypatch.setenv("AURORA_REGISTRY", "http://me:secret@x:port")
    status, _, err = cli("stats")
    assert (status, "AURORA_REGISTRY" in err, "secret" in err) == (2, True, False)


@pytest.mark.parametrize("command", arguments.COMMANDS, ids=lambda command: command.name)
def test_every_command_has_somebody_who_does_it(command):
    assert callable(handler(command.handler))
