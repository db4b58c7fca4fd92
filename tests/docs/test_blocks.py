"""Every block of code in the documents is tried: what no test of its kind takes is named here."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import trustme
import yaml

from exporter.auth.webconfig import read_web_config
from exporter.domain.signing import node_token
from exporter.programs.simulator.arguments import parse as parse_simulator
from exporter.programs.simulator.script import parse_script
from tests.docs.blocks import PAGES, ROOT, blocks, languages, typed
from tests.support.generations import DEFAULT
from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess, clean_env, program, run_program
from tests.support.server_process import until

DOCS = ROOT / "docs"
COMMANDS = [(page.name, command) for page in PAGES for command in typed(page)]
VARIABLE = re.compile(r"([A-Z_]+)=(\$\(.*?\)|\S*) ")
TRIED_ELSEWHERE = {
    "aurora-cli": "tests/docs/test_commands.py",
    "aurora-agent": "tests/docs/test_commands.py",
    "curl": "tests/docs/test_commands.py, and tests/agent/test_agent_join.py for the way to join",
    "make": "tests/docs/test_commands.py",
    "docker-compose": "tests/deploy, by docker-compose itself; there is no Docker in the tests",
    "cd": "tests/deploy",
    "export": "tests/deploy",
    "cp": "the files are looked for below",
    "sudo": "tests/deploy plays the steps without root; the files are looked for below",
    "sqlite3": "tests/stores has backups of a store that is in use",
}
FILES = re.compile(r"(?<![/\w])((?:deploy|alerts|tests)/[\w./-]+|config\.yaml|constraints\.txt|\.env\.example)")


def words_of(command):
    """Without the variables before it, what follows its pipe, and its comment."""
    while variable := VARIABLE.match(command):
        command = command[variable.end() :]
    return [word for word in shlex.split(command, comments=True) if word != "&"]


def of(*names):
    return [(page, command) for page, command in COMMANDS if words_of(command)[0].removeprefix(".venv/bin/") in names]


def test_every_command_and_language_is_tried():
    kinds = {words_of(command)[0].removeprefix(".venv/bin/") for _, command in COMMANDS}
    tried = {"amtool", "aurora-registry", "aurora-simulator", "python", "redis-cli"}
    assert kinds == tried | TRIED_ELSEWHERE.keys()
    assert languages() == {"", "console", "sh", "json", "yaml", "python", "promql", "markdown"}


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=" ".join)
def test_the_files_that_a_command_names_are_there(page, command):  # noqa: ARG001 - the page is for the report
    if "--output" not in command:
        for name in FILES.findall(command):
            assert (ROOT / name).exists() or (ROOT / "deploy" / name).exists(), name


@pytest.mark.parametrize(("page", "command"), of("amtool"), ids=" ".join)
def test_amtool_takes_its_commands(page, command):  # noqa: ARG001
    done = subprocess.run(shlex.split(command), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "pager")


@pytest.mark.parametrize(("page", "command"), of("aurora-registry"), ids=" ".join)
def test_the_registry_takes_its_flags(page, command, tmp_path):  # noqa: ARG001
    shutil.copy(ROOT / "config.yaml", tmp_path)
    words = words_of(command)[1:]
    if not {"--help", "--config.check"} & set(words):
        words.append("--config.check")
    given = dict(VARIABLE.findall(command))

    done = subprocess.run(
        [*map(str, program("registry")), *words],
        env=clean_env(**given),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("page", "command"), of("aurora-simulator"), ids=" ".join)
def test_the_simulator_understands_its_commands(page, command):  # noqa: ARG001
    assert parse_simulator(words_of(command)[1:]).incidents == "default"


@pytest.mark.parametrize(("page", "command"), of("python"), ids=" ".join)
def test_python_has_the_modules(page, command):  # noqa: ARG001
    option, module, *arguments = words_of(command)[1:]
    assert option == "-m"
    assert importlib.util.find_spec(module) is not None
    if module == "benchmarks":
        names = (ROOT / "benchmarks" / "__main__.py").read_text(encoding="utf-8")
        assert all(f'"{word}"' in names for word in arguments if word.startswith("--"))
        assert all(f'"{word}"' in names for word in arguments[-1].split(",") if not word.startswith("--"))


@pytest.mark.servers
@pytest.mark.parametrize(("page", "command"), of("redis-cli"), ids=" ".join)
def test_an_event_by_redis_cli_makes_the_node_appear(page, command, tmp_path):  # noqa: ARG001
    with (
        RedisServer() as redis,
        RegistryProcess(tmp_path / "registry", event_bus=redis.url) as registry,
    ):
        name, *words = words_of(command)
        subprocess.run([name, "-u", redis.url, *words], check=True, capture_output=True, timeout=30)
        until(lambda: list(registry.nodes()), ["vengeance"])


def test_a_signed_event_is_made_as_the_page_says(tmp_path):
    [source] = blocks(DOCS / "events.md", "python")
    (tmp_path / "join-token").write_text("a-join-token-that-is-long-enough-for-one")
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(blocks(DOCS / "events.md", "json")[0])
    made = json.loads(done.stdout)
    assert made.keys() == shown.keys()
    assert re.fullmatch(r"t=\d{13},v1=[0-9a-f]{64}", made["signature"])
    assert node_token("a-join-token-that-is-long-enough-for-one", "vengeance")


@pytest.mark.servers
def test_the_body_of_a_heartbeat_is_taken_whole(tmp_path):
    [body] = blocks(DOCS / "api.md", "json")
    with RegistryProcess(tmp_path) as registry:
        registry.register(name="vengeance", capabilities={"gpu": True})
        assert registry.ask("POST", "/nodes/vengeance/heartbeat", json=json.loads(body)).status_code == 204


@pytest.mark.servers
def test_the_demos_stack_starts_in_a_test():
    [source] = blocks(DOCS / "demo.md", "python")
    found = run_program([sys.executable, "-c", source], ROOT, timeout=110)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("page", ["README.md", "docs/security.md"])
def test_prometheus_takes_the_scrape_configurations(page, tmp_path):
    [text] = [text for text in blocks(ROOT / page, "yaml") if "scrape_configs" in text]
    for name in ("ca.crt", "prometheus.crt", "prometheus.key", "read-token"):
        (tmp_path / name).touch()
    (tmp_path / "prometheus.yml").write_text(text)
    command = [DEFAULT.program("promtool"), "check", "config", "--syntax-only", "prometheus.yml"]
    done = run_program(command, tmp_path, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_examples_of_incidents_are_a_script():
    [text] = blocks(DOCS / "simulator.md", "yaml")
    assert len(parse_script(text)) == len(yaml.safe_load(text)) == 3


def test_the_web_configuration_can_be_read(tmp_path):
    [text] = [text for text in blocks(DOCS / "security.md", "yaml") if "tls_server_config" in text]
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    (tmp_path / "server.crt").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    (tmp_path / "web.yml").write_text(text.replace("$2y$10$...", f"$2y$10${'a' * 53}"))

    read = read_web_config(str(tmp_path / "web.yml"))

    assert (read.tls is not None, list(read.users)) == (True, ["prometheus"])


def test_promtool_takes_the_queries(tmp_path):
    queries = [line for text in blocks(DOCS / "metrics.md", "promql") for line in text.splitlines() if line.strip()]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "page", "rules": rules}]}))
    done = run_program([DEFAULT.program("promtool"), "check", "rules", "rules.yml"], tmp_path, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(queries) == 5
