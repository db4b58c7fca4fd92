from __future__ import annotations

import json

import pytest

from exporter.programs.cli.check import ExitStatus


@pytest.fixture
def mesh(registry, seed):
    """The seed's mesh with a changed node, as the registry answers it to `check` and `check NODE`."""

    def do(name="robbiebook1", **changes):
        node = seed["nodes"][name]
        node |= changes
        registry.answer("/nodes", seed)
        registry.answer(f"/nodes/{name}", node)

    return do


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"status": "active"}, ExitStatus.OK),
        ({"status": "warning"}, ExitStatus.WARNING),
        ({"status": "offline"}, ExitStatus.CRITICAL),
        ({"status": "warning", "held": True}, ExitStatus.UNKNOWN),
        ({"status": "offline", "lifecycle": "maintenance"}, ExitStatus.OK),
        ({"status": "gone"}, ExitStatus.UNKNOWN),
    ],
)
@pytest.mark.parametrize("argv", [["check"], ["check", "robbiebook1"]], ids=" ".join)
def test_the_status_is_a_plugins(cli, mesh, changes, state, argv):
    """The gravest of all, or the node's own; a node out of service is what somebody wants."""
    mesh(**changes)
    status, out, err = cli(*argv)
    assert (status, err, out.count("\n")) == (state.value, "", 1)
    assert out.startswith(f"AURORA {state.name} - ")


def test_the_line_has_figures(cli, mesh):
    mesh()
    assert cli("check")[1] == (
        "AURORA WARNING - 3 of 4 nodes active: robbiebook1 is warning, last seen 2025-10-06T11:56:00Z"
        " | nodes=4 active_nodes=3 active_gpus=3 active_vram_gb=72\n"
    )


@pytest.mark.parametrize(
    ("argv", "status", "text"),
    [
        (["--min-active-gpus=3"], 0, "AURORA OK - 3 of 4 nodes active"),
        (["--min-active-gpus=4"], 2, "AURORA CRITICAL - 3 active GPUs, expected at least 4"),
        (["--min-active-nodes=4"], 2, "AURORA CRITICAL - 3 active nodes, expected at least 4"),
        (["--min-active-vram-gb=73"], 2, "AURORA CRITICAL - 72 GB of active VRAM, expected at least 73"),
    ],
)
def test_enough_is_enough(cli, mesh, argv, status, text):
    """Who asks for so many does not ask for all."""
    mesh()
    got, out, _ = cli("check", *argv)
    assert (got, out.startswith(text)) == (status, True)


def test_what_cannot_be_known_is_unknown(cli, registry, nowhere):
    """No answer, no node, wrong usage: 3, and on stdout, where plugins write."""
    registry.answer("/nodes?role=none", {"nodes": {}, "total": 0, "active": 0, "timestamp": "2025-10-06T12:00:05Z"})
    for argv in (["--registry", nowhere], ["--role=none"], ["nope"]):
        status, out, err = cli("check", *argv)
        assert (status, out.startswith("AURORA UNKNOWN - "), err) == (3, True, "")
    assert cli("check", "--bogus")[0] == 3
    assert cli("check", "--min-active-gpus=x")[0] == 3


def test_a_hostile_name_forges_no_figures(cli, registry, seed):
    seed["nodes"] = {"a": {**seed["nodes"]["aurora"], "name": "a\n | x=1", "status": "offline"}}
    registry.answer("/nodes", seed)
    _, out, _ = cli("check")
    assert (out.count("\n"), out.count("|")) == (1, 1)


def test_json(cli, mesh):
    mesh(status="offline")
    status, out, _ = cli("check", "--json")
    assert (status, json.loads(out)["status"], json.loads(out)["figures"]["nodes"]) == (2, "critical", 4)
