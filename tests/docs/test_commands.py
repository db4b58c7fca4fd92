"""Commands in the documents are ones that there are: each is read by the program that it names."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from exporter.programs.cli.arguments import parse as parse_cli
from tests.docs.blocks import PAGES, ROOT, typed
from tests.support.registry_process import RegistryProcess, clean_env, program, run_program
from tests.support.seed_mesh import REGISTRATIONS

_INLINE = re.compile(r"`(aurora-cli [a-z][^`]*|make [a-z]+)`")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
SHOWN = re.compile(r"NAME|FILE|COMMAND|SHELL|\.\.\.|, |\[|ROLE|DIR\b")
"""Marks of a form, which is not to be typed as it stands."""


def lines(page):
    """Every command of a page: what stands behind a prompt, and what is named within a sentence."""
    text = page.read_text(encoding="utf-8")
    yield from typed(page)
    yield from (found for found in _INLINE.findall(text) if not SHOWN.search(found))


COMMANDS = [(page.name, line) for page in PAGES for line in dict.fromkeys(lines(page))]
OURS = [
    (page, line.partition(" | ")[0].partition(" > ")[0])
    for page, line in COMMANDS
    if line.removeprefix(".venv/bin/").startswith("aurora-cli ")
]


@pytest.mark.parametrize(("page", "line"), OURS, ids=" ".join)
def test_aurora_cli_understands_it(page, line):  # noqa: ARG001 - the page is for the report
    words = shlex.split(line, comments=True)[1:]
    if "--help" not in words:
        assert parse_cli(words).command


@pytest.mark.parametrize(("page", "line"), [each for each in COMMANDS if each[1].startswith("make ")], ids=" ".join)
def test_make_has_the_target(page, line):  # noqa: ARG001
    targets = [word for word in shlex.split(line, comments=True)[1:] if "=" not in word]
    assert set(targets) <= TARGETS


@pytest.mark.servers
def test_the_commands_of_the_cli_page_run(tmp_path):
    """As they are written, one after the other, against the seed's mesh."""
    commands = [command for command in typed(ROOT / "docs" / "cli.md") if command.startswith("aurora-cli ")]
    assert len(commands) > 15
    with RegistryProcess(tmp_path / "registry") as registry:
        for registration in REGISTRATIONS.values():
            registry.register(**registration)
        for line in commands:
            words = shlex.split(line)[1:]
            if words[0] == "events":
                continue  # it has no end
            done = run_program([*program("cli"), *words], tmp_path, clean_env(AURORA_REGISTRY=registry.url))
            assert (done.returncode, line) == (0, line), done.stdout + done.stderr


OVER_HTTP = [
    (page.name, command)
    for page in PAGES
    for command in typed(page)
    if command.startswith("curl ") and "/join" not in command
]
BY_AGENT = [(page.name, command) for page in PAGES for command in typed(page) if command.startswith("aurora-agent ")]
ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|10\.0\.0\.1|localhost):9999")


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with RegistryProcess(tmp_path_factory.mktemp("registry"), "--web.enable-lifecycle") as registry:
        for registration in REGISTRATIONS.values():
            registry.register(**registration)
        yield registry


@pytest.mark.servers
@pytest.mark.parametrize(("page", "command"), OVER_HTTP, ids=" ".join)
def test_requests_by_curl_are_answered_with_success(registry, tmp_path, page, command):  # noqa: ARG001
    registry.register(**REGISTRATIONS["vengeance"])
    line = ADDRESS.sub(registry.url, command).replace("curl ", "curl --fail --silent --show-error --max-time 20 ", 1)

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.servers
@pytest.mark.parametrize(("page", "command"), BY_AGENT, ids=" ".join)
def test_the_agent_understands_its_commands(registry, tmp_path, page, command):  # noqa: ARG001
    """Where it would go on without end it is asked what it would send; a file with a token is another test's."""
    words = shlex.split(ADDRESS.sub(registry.url, command), comments=True)[1:]
    if "--token-file" in words:
        at = words.index("--token-file")
        del words[at : at + 2]
    if "--once" not in words and "--dry-run" not in words:
        words.append("--dry-run")

    environment = clean_env(AURORA_REGISTRY=registry.url)
    done = run_program([*program("agent"), *words], tmp_path, environment, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_commands_of_each_kind():
    assert {page for page, _ in OVER_HTTP} >= {"README.md", "operation.md"}
    assert {page for page, _ in BY_AGENT} >= {"agent.md", "security.md"}
