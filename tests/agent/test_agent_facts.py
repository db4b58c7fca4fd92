"""What a node says that it is, and how settings are checked before anybody is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.agent.checks import check_address, check_name, clean_text, name_of
from exporter.agent.exits import UsageError
from exporter.agent.facts import Facts, node_id_of
from exporter.agent.gpus import Inventory
from exporter.agent.logs import AgentLog
from exporter.agent.options import duration, parse
from exporter.agent.state import StateFile
from exporter.agent.tokens import Tokens
from exporter.domain.duration import parse_duration
from exporter.domain.errors import Invalid
from exporter.domain.registration import parse_registration
from exporter.domain.signing import node_token
from exporter.domain.text import is_name, text_fault


@pytest.fixture
def state(tmp_path):
    return StateFile(tmp_path / "state", AgentLog("error"))


@given(st.text())
def test_any_host_name_becomes_a_name_or_nothing(hostname):
    """A kernel takes host names that the registry does not."""
    name = name_of(hostname)
    assert name == "" or is_name(name)
    assert not is_name(hostname) or name == hostname


@given(st.text() | st.binary())
def test_any_text_of_a_driver_can_be_written(value):
    """Cleaned, or empty."""
    assert text_fault(clean_text(value)) is None


@given(st.text(max_size=70) | st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True))
def test_names_are_checked_as_the_registry_does(name):
    try:
        check_name(name, "--node-name")
    except UsageError:
        assert not is_name(name)
    else:
        assert is_name(name)


@given(st.text(max_size=20) | st.ip_addresses().map(str) | st.sampled_from(["dynamic", "", "fe80::1%eth0"]))
def test_addresses_are_checked_as_the_registry_does(address):
    try:
        check_address(address, "--vpn-ip")
    except UsageError:
        with pytest.raises(Invalid):
            parse_registration({"name": "a", "vpn_ip": address})
    else:
        parse_registration({"name": "a", "vpn_ip": address})


@pytest.mark.parametrize("text", ["90s", "2m", "1h30m", "100ms"])
def test_durations_are_prometheus(text):
    assert duration(text) * 1e9 == parse_duration(text)


@pytest.mark.parametrize("text", ["", "5", "s", "1.5h", "-1s", "1 s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="expected a duration"):
        duration(text)


@pytest.mark.parametrize(
    ("hostname", "expected"),
    [
        ("vengeance.local", "vengeance.local"),
        ("Böse Kiste_", "B-se-Kiste"),
        ("___", ""),
        ("GPU_Box-7.", "GPU_Box-7"),
        ("a" * 62 + ".b", "a" * 62),
        ("n" * 200, "n" * 63),
        ("gpu\udcff-1", "gpu--1"),
        ("节点", ""),
    ],
)
def test_a_host_name_is_changed_as_little_as_can_be(hostname, expected):
    assert name_of(hostname) == expected


def test_the_machine_id_is_not_shown(tmp_path, state):
    """machine-id(5): only what is derived from it may be."""
    path = tmp_path / "machine-id"
    path.write_text("0123456789abcdef0123456789abcdef\n")
    node_id = node_id_of(state, path)
    assert (len(node_id), node_id_of(state, path)) == (32, node_id)
    assert "01234567" not in node_id
    path.write_text("fedcba9876543210fedcba9876543210\n")
    assert node_id_of(state, path) not in {node_id, ""}


@pytest.mark.parametrize("content", [b"", b"\n", b"uninitialized\n", b"\xff", b"0123", b"0" * 32 + b"\n", b"a" * 33])
def test_a_machine_without_an_id_keeps_one_of_its_own(tmp_path, state, content):
    """An image that never booted, or a container without the file; without a place to keep it, it has none."""
    path = tmp_path / "machine-id"
    node_id = node_id_of(state, path)
    path.write_bytes(content)
    assert (len(node_id), node_id_of(state, path)) == (32, node_id)
    (tmp_path / "file").touch()
    assert node_id_of(StateFile(tmp_path / "file", AgentLog("error")), path) == ""


def test_a_registration_says_what_is_known_and_no_more(state):
    """It is one that the registry takes; VRAM is given in GB of 2^30 bytes, all GPUs together."""
    facts = Facts(parse(["--vpn-ip=10.0.0.3", "--site=tx", "--cost-per-hour=0.79"]), "runpod-tx", state)
    registration = facts.registration(Inventory(2, "RTX 4090", 2 * 24_564 * 2**20))
    assert registration["capabilities"] == {"gpu": True, "gpu_count": 2, "gpu_type": "RTX 4090", "gpu_memory": 48.0}
    assert (registration["name"], registration["vpn_ip"]) == ("runpod-tx", "10.0.0.3")
    assert registration["agent"]["gpus"] == "observed"
    assert parse_registration(registration).gpus == 2


@pytest.mark.parametrize(
    ("options", "inventory", "capabilities", "knowledge"),
    [
        ([], Inventory(), {"gpu": False}, "observed"),
        ([], None, {}, "unknown"),
        ([], Inventory(2, "A", 0, remembered=True), {"gpu": True, "gpu_count": 2, "gpu_type": "A"}, "unknown"),
        (["--gpus=0"], Inventory(2, "A"), {"gpu": False}, "stated"),
        (["--gpus=3"], None, {"gpu": True, "gpu_count": 3}, "stated"),
        (
            ["--gpu-memory=128"],
            Inventory(1, "A", 5),
            {"gpu": True, "gpu_count": 1, "gpu_type": "A", "gpu_memory": 128},
            "observed",
        ),
    ],
)
def test_how_gpus_are_known_is_said(state, options, inventory, capabilities, knowledge):
    registration = Facts(parse(options), "a", state).registration(inventory)
    assert (registration["capabilities"], registration["agent"]["gpus"]) == (capabilities, knowledge)


def test_state_is_kept_whole_and_for_ourselves(state):
    """What cannot be read, or written, is as if nothing had been kept."""
    state.open("http://a", "n")
    state.put(token="secret")
    [path] = state.directory.glob("*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    again = StateFile(state.directory, AgentLog("error"))
    again.open("http://a", "n")
    assert again.get("token") == "secret"
    again.open("http://b", "n")
    assert again.get("token") is None
    path.write_text("[" * 10_000)
    again.open("http://a", "n")
    assert again.get("token") is None


def test_a_token_is_the_nodes_own_or_the_one_to_join_with(tmp_path, state):
    """One that the registry takes no more is forgotten, and another asked for; the file may be exchanged."""
    file = tmp_path / "token"
    file.write_text("join\n")
    state.open("http://a", "n")
    tokens = Tokens(str(file), state)
    assert (tokens.current(), tokens.of_node("n"), tokens.forget()) == ("join", node_token("join", "n"), False)
    for unusable in ("", "a\r\nb: c", "\u20ac", "x" * 5000, 5, None):
        tokens.take({"token": unusable})
        assert tokens.current() == "join"
    tokens.take({"token": "own"})
    assert (tokens.current(), tokens.of_node("n")) == ("own", "own")
    for odd in ("a\r\nHost: x", "two words", "", "\u00e9", "x" * 5000, 1, None):
        tokens.take({"token": odd})
        assert tokens.current() == "own"
    assert tokens.forget()
    file.write_text("new")
    assert tokens.current() == "new"
    file.write_text("two words")
    assert tokens.current() == ""
    with pytest.raises(UsageError, match="--token-file"):
        Tokens(str(file), state)
    assert Tokens("", state).of_node("n") == ""
