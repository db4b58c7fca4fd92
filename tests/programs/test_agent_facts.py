from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.registration import parse_registration
from exporter.domain.text import is_name
from exporter.programs.agent.arguments import parse
from exporter.programs.agent.facts import name_of, node_id_of, registration_of
from exporter.programs.agent.gpus import Inventory


@given(st.text())
def test_any_host_name_becomes_a_name_or_nothing(hostname):
    """A kernel takes host names that the registry does not."""
    name = name_of(hostname)
    assert name == "" or is_name(name)
    assert not is_name(hostname) or name == hostname


@pytest.mark.parametrize(
    ("hostname", "expected"), [("vengeance.local", "vengeance.local"), ("Böse Kiste_", "B-se-Kiste"), ("___", "")]
)
def test_a_host_name_is_changed_as_little_as_can_be(hostname, expected):
    assert name_of(hostname) == expected


def test_the_machine_id_is_not_shown(tmp_path):
    """machine-id(5): only what is derived from it may be."""
    path = tmp_path / "machine-id"
    path.write_text("0123456789abcdef0123456789abcdef\n")
    node_id = node_id_of(path)
    assert (len(node_id), node_id_of(path)) == (32, node_id)
    assert "01234567" not in node_id
    path.write_text("fedcba9876543210fedcba9876543210\n")
    assert node_id_of(path) not in {node_id, ""}


@pytest.mark.parametrize("content", [b"", b"uninitialized\n", b"\xff", b"0123"])
def test_a_machine_without_an_id_has_none(tmp_path, content):
    """An image that never booted, or a container without the file."""
    path = tmp_path / "machine-id"
    assert node_id_of(path) == ""
    path.write_bytes(content)
    assert node_id_of(path) == ""


def test_a_registration_says_what_is_known_and_no_more():
    """It is one that the registry takes; VRAM is told in GB of 2^30 bytes, all GPUs together."""
    arguments = parse(["--vpn-ip=10.0.0.3", "--site=tx", "--cost-per-hour=0.79"])
    inventory = Inventory(2, "RTX 4090", 2 * 24_564 * 2**20)
    registration = registration_of(arguments, inventory, hostname="runpod-tx", node_id="abc", system="ubuntu")
    assert registration == {
        "name": "runpod-tx",
        "role": "compute",
        "vpn_ip": "10.0.0.3",
        "node_id": "abc",
        "capabilities": {"gpu": True, "gpu_count": 2, "gpu_type": "RTX 4090", "gpu_memory": 48.0},
        "metadata": {"os": "ubuntu", "site": "tx", "cost_per_hour": 0.79},
    }
    assert parse_registration(registration).gpus == 2


def test_a_node_without_gpus_says_so():
    registration = registration_of(parse([]), Inventory(), hostname="robbiebook1", node_id="", system="")
    assert registration == {"name": "robbiebook1", "role": "compute", "capabilities": {"gpu": False}, "metadata": {}}
