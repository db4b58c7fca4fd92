"""The registry in the hands of its operator: reloads, checks, and failures to start that say what to do."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys

import pytest

from tests.support.registry_process import RegistryProcess, clean_env
from tests.support.server_process import DEADLINE_SECONDS, until

pytestmark = pytest.mark.servers

SUCCESSFUL = "aurora_registry_config_last_reload_successful"
SUCCESS_TIME = "aurora_registry_config_last_reload_success_timestamp_seconds"
GOOD = {"thresholds": {"heartbeat_interval": "45s"}}
BAD = {"thresholds": {"heartbeat_interval": "soon"}}
HANGUP = "SIGHUP"


def interval(registry: RegistryProcess) -> int:
    """What nodes get when they register."""
    answer = registry.ask("POST", "/nodes/register", json={"name": "asking"})
    seconds: int = answer.json()["heartbeat_interval_seconds"]
    return seconds


@pytest.mark.parametrize("way", [HANGUP, "POST /-/reload"])
def test_reload_takes_a_good_file_and_leaves_a_bad_one(new_registry, way):
    """Two metrics say which; the old configuration stays in force when the new one is refused."""
    registry = new_registry("--web.enable-lifecycle").start()

    def reload() -> None:
        if way == HANGUP:
            registry.signal(signal.SIGHUP)
        else:
            registry.ask("POST", "/-/reload")

    assert interval(registry) == 30
    started = registry.metric(SUCCESS_TIME)
    registry.configure(GOOD)
    reload()
    until(lambda: registry.metric(SUCCESS_TIME) > started, expected=True)
    assert (registry.metric(SUCCESSFUL), interval(registry)) == (1, 45)

    loaded = registry.metric(SUCCESS_TIME)
    registry.configure(BAD)
    reload()
    until(lambda: registry.metric(SUCCESSFUL), 0.0)
    assert (registry.metric(SUCCESS_TIME), interval(registry)) == (loaded, 45)
    assert "thresholds.heartbeat_interval" in registry.log

    registry.configure(GOOD)
    reload()
    until(lambda: registry.metric(SUCCESSFUL), 1.0)


def test_a_reload_that_is_asked_for_during_the_start_is_carried_out(tmp_path):
    """Also before anything of the registry is loaded; a program that handles no SIGHUP yet is ended by it."""
    configuration = tmp_path / "config.yaml"
    configuration.write_text("log: {level: info}\n")
    hangup = "import os, signal; from exporter.programs.start import registry; import exporter.wiring.server as server"
    script = f"""
{hangup}
def listen(address, listen=server.listen):
    os.kill(os.getpid(), signal.SIGHUP)
    return listen(address)
server.listen = listen
raise SystemExit(registry())
"""
    command = [sys.executable, "-c", script, f"--config.file={configuration}", "--store=memory:"]
    registry = subprocess.Popen(
        [*command, "--web.listen-address=127.0.0.1:0"], stderr=subprocess.PIPE, text=True, env=clean_env(), cwd=tmp_path
    )
    with registry:
        assert registry.stderr is not None
        assert any("the new configuration is in force" in line for line in registry.stderr)
        registry.terminate()
        assert registry.wait(DEADLINE_SECONDS) == 0


def test_refused_reload_names_the_setting(new_registry):
    """POST /-/reload answers with the field at fault."""
    registry = new_registry("--web.enable-lifecycle").start()
    registry.configure(BAD)
    answer = registry.ask("POST", "/-/reload")
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert [fault["field"] for fault in answer.json()["errors"]] == ["thresholds.heartbeat_interval"]


def test_reload_over_http_must_be_enabled(new_registry):
    """Without --web.enable-lifecycle, it is refused and changes nothing."""
    registry = new_registry().start()
    registry.configure(GOOD)
    assert registry.ask("POST", "/-/reload").status_code == 403
    assert interval(registry) == 30


def test_config_check_says_what_is_wrong(new_registry):
    """--config.check: exit status 0 for a good file; 1 for a bad one, with the setting, and nothing is started."""
    good = new_registry("--config.check", settings=GOOD).run()
    assert (good.returncode, good.stderr) == (0, "")
    bad = new_registry("--config.check", settings=BAD).run()
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "thresholds.heartbeat_interval: expected a duration" in bad.stderr
    assert "soon" in bad.stderr


def test_bad_configuration_does_not_start(new_registry):
    """An unknown key is refused by name, with the one that was meant."""
    registry = new_registry(settings={"thresholds": {"warning_aftr": "2m"}})
    done = registry.run()
    assert (done.returncode, done.stdout) == (1, "")
    assert "thresholds.warning_aftr: unknown key; did you mean thresholds.warning_after?" in done.stderr


def test_port_in_use_is_said_clearly(new_registry):
    """A second registry on the same port ends with 1, and names the address and the flag."""
    first, second = new_registry().start(), new_registry()
    second.port = first.port
    done = second.run()
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{first.port}: another program does. Stop it" in done.stderr
    assert "Errno" not in done.stderr
    assert "--web.listen-address" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("damage", ["text", "zeros", "half", "flipped"])
def test_damaged_database_is_refused(new_registry, tmp_path, damage):
    """A SQLite file that is no longer one: a message that names it, exit status 1, and the file is left as it is."""
    registry = new_registry(store="sqlite:///nodes.db").start()
    for number in range(200):
        assert registry.register(name=f"node-{number}") == 201
    assert registry.stop() == 0
    file = tmp_path / "nodes.db"
    content = file.read_bytes()
    damaged = {
        "text": b"not a database, and never was one" * 100,
        "zeros": bytes(len(content)),
        "half": content[: len(content) // 2],
        "flipped": content[:4096] + bytes(byte ^ 0xFF for byte in content[4096:]),
    }[damage]
    file.write_bytes(damaged)
    done = registry.run()
    assert done.returncode == 1
    assert "nodes.db" in done.stderr
    assert "Traceback" not in done.stderr
    assert file.read_bytes() == damaged


def test_foreign_database_is_refused(new_registry, tmp_path):
    """Somebody else's SQLite file is not written to."""
    with sqlite3.connect(tmp_path / "nodes.db") as foreign:
        foreign.execute("CREATE TABLE recipes (name TEXT)")
    foreign.close()
    before = (tmp_path / "nodes.db").read_bytes()
    done = new_registry(store="sqlite:///nodes.db").run()
    assert done.returncode == 1
    assert "nodes.db" in done.stderr
    assert (tmp_path / "nodes.db").read_bytes() == before


def test_password_of_the_store_stays_secret(new_registry):
    """A Redis that refuses its password: no log line, answer or metric shows it."""
    registry = new_registry(store="redis://:hunter2secret@127.0.0.1:9/0").start(ready="/-/healthy")
    until(lambda: "127.0.0.1" in registry.log, expected=True)
    shown = [registry.get(path).text for path in ("/metrics", "/health", "/nodes", "/-/ready")]
    assert not any("hunter2secret" in text for text in [*shown, registry.log])
