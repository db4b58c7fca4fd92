"""Nodes for other programs, and for shells."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.support.registry_process import clean_env, program

ADDRESSES = {"aurora": "10.0.0.1", "runpod-tx": "10.0.0.3", "vengeance": "10.0.0.4", "robbiebook1": "10.0.0.5"}


def test_the_inventory_is_ansibles(registry, shows, seed):
    seed["nodes"]["vengeance"]["metadata"] = {"site": "my home", "environment": "test"}
    del seed["nodes"]["aurora"]["vpn_ip"]
    registry.answer("/nodes", seed)
    found = json.loads(shows("inventory", "--list"))
    hosts = found["_meta"]["hostvars"]
    assert hosts["vengeance"]["ansible_host"] == "10.0.0.4"
    assert hosts["vengeance"]["aurora_gpus"] == 1
    assert "ansible_host" not in hosts["aurora"]
    assert found["site_my_home"] == {"hosts": ["vengeance"]}
    assert found["gpu"] == {"hosts": ["runpod-tx", "vengeance"]}
    assert found["status_warning"] == {"hosts": ["robbiebook1"]}
    assert set(found["all"]["children"]) == {"ungrouped", *(found.keys() - {"_meta", "all"})}


def test_templates_of_nodes_are_text_to_ansible(registry, shows, seed):
    """Ansible runs those of an inventory, wherever somebody uses the variable."""
    evil = "{{ lookup('pipe', 'id') }}"
    node = seed["nodes"]["vengeance"]
    node["capabilities"]["gpu_type"] = evil
    node["metadata"] = {"a": [evil, {"b": "{% x %}", "c": 1, "d": "{ }"}], "__ansible_vault": "x", "site": evil}
    registry.answer("/nodes/vengeance", node)
    variables = json.loads(shows("inventory", "--host", "vengeance"))
    unsafe = {"__ansible_unsafe": evil}
    assert variables["aurora_gpu_type"] == unsafe
    inner = {"b": {"__ansible_unsafe": "{% x %}"}, "c": 1, "d": "{ }"}
    assert variables["aurora_metadata"] == {"a": [unsafe, inner], "site": unsafe}
    registry.answer("/nodes", seed)
    assert '"{{' not in shows("inventory").replace('"__ansible_unsafe": "{{', "")


def test_one_hosts_variables(registry, shows, seed):
    registry.answer("/nodes/vengeance", seed["nodes"]["vengeance"])
    assert json.loads(shows("inventory", "--host", "vengeance"))["aurora_role"] == "compute"


def test_ssh_reads_the_configuration(registry, shows, seed, tmp_path):
    """By ssh itself, where there is one."""
    registry.answer("/nodes", seed)
    text = shows("ssh-config", "--user=ubuntu", "--prefix=mesh-", "--identity-file=~/.ssh/mesh")
    hosts = [line.removeprefix("Host mesh-") for line in text.splitlines() if line.startswith("Host ")]
    assert hosts == list(ADDRESSES)
    assert "    HostName 10.0.0.4\n    User ubuntu\n    IdentityFile ~/.ssh/mesh\n" in text
    if ssh := shutil.which("ssh"):
        (tmp_path / "config").write_text(text)
        command = [ssh, "-G", "-F", str(tmp_path / "config"), "mesh-vengeance"]
        read = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "\nhostname 10.0.0.4\n" in f"\n{read}"


def test_ssh_is_given_addresses_only(registry, cli, seed):
    seed["nodes"]["aurora"]["vpn_ip"] = "10.0.0.1\nProxyCommand evil"
    registry.answer("/nodes", seed)
    status, out, err = cli("ssh-config")
    assert (status, "evil" in out, "is no address" in err) == (1, False, True)
    assert cli("ssh-config", "--user=a b")[0] == 2


@pytest.mark.parametrize("name", ["*", "a b", "a\n    ProxyCommand evil", "!a", "Match all"])
def test_ssh_is_given_names_only(registry, cli, seed, name):
    seed["nodes"]["aurora"]["name"] = name
    registry.answer("/nodes", seed)
    status, out, err = cli("ssh-config")
    assert (status, out, "is no name of a node" in err) == (1, "", True)


def test_the_line_that_adds_a_node(cli):
    assert cli("join", "--registry=10.0.0.1:9999") == (0, "curl -fsSL http://10.0.0.1:9999/join | sh\n", "")
    status, out, _ = cli("join", "--registry=https://mesh.example/a", "--", "--site", "my home")
    assert (status, out) == (0, "curl -fsSL https://mesh.example/a/join | sh -s -- --site 'my home'\n")


def test_a_loopback_address_is_no_use_elsewhere(cli):
    """The line is printed all the same, and what is wrong with it is said."""
    status, out, err = cli("join")
    assert (status, out.startswith("curl "), "is this machine only" in err) == (0, True, True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_valid(shows, tmp_path, shell):
    script = tmp_path / "script"
    script.write_text(shows("completion", shell))
    assert subprocess.run([shell, "-n", str(script)], check=False).returncode == 0


def completions(directory, registry, *words):
    """What bash completes the last word to."""
    lines = ["source ./script", f"COMP_WORDS=({' '.join(map(repr, words))})", f"COMP_CWORD={len(words) - 1}"]
    lines += ["_aurora_cli", 'printf "%s\\n" "${COMPREPLY[@]}"']
    bin_directory = directory / "bin"
    bin_directory.mkdir(exist_ok=True)
    command = bin_directory / "aurora-cli"
    command.write_text(f'#!/bin/sh\nexec {" ".join(map(str, program("cli")))} "$@"\n')
    command.chmod(0o755)
    environment = clean_env(AURORA_REGISTRY=registry.url)
    environment["PATH"] = f"{bin_directory}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], cwd=directory, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_bash_completes_commands_options_and_names(registry, shows, seed, tmp_path):
    registry.answer("/nodes", seed)
    (tmp_path / "script").write_text(shows("completion", "bash"))
    assert completions(tmp_path, registry, "aurora-cli", "dr") == ["drain"]
    assert completions(tmp_path, registry, "aurora-cli", "why", "ve") == ["vengeance"]
    assert completions(tmp_path, registry, "aurora-cli", "maintenance", "e") == ["end"]
    assert completions(tmp_path, registry, "aurora-cli", "nodes", "--wi") == ["--wide"]
    assert completions(tmp_path, registry, "aurora-cli", "nodes", "--status", "off") == ["offline"]


def test_names_are_completed_without_a_complaint(cli, nowhere):
    assert cli("complete-names", "--registry", nowhere) == (0, "", "")
