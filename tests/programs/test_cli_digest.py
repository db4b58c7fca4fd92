from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.registry_process import RegistryProcess, program, run_program
from tests.support.server_process import until

DIGEST = "/transitions?since=24h&limit=10000"


def crossed(node, from_, to, at, day=6):
    return {"node": node, "from": from_, "to": to, "at": f"2025-10-{day:02}T{at}:00Z"}


@pytest.fixture
def eventful(registry, seed):
    """A night with a node offline, one that warned, one muted, one overdue, and two gone."""
    nodes = seed["nodes"]
    nodes["runpod-tx"] |= {"lifecycle": "maintenance", "lifecycle_until": "2025-10-06T18:00:00Z"}
    for name, until_ in (("asleep", "2025-10-07T08:00:00Z"), ("late", "2025-10-06T06:00:00Z")):
        nodes[name] = {
            **nodes["robbiebook1"],
            "name": name,
            "status": "offline",
            "lifecycle": "maintenance",
            "lifecycle_until": until_,
        }
    registry.answer("/nodes", seed)
    registry.answer(
        DIGEST,
        {
            "since": "2025-10-05T12:00:05Z",
            "transitions": [
                crossed("robbiebook1", "active", "warning", "11:58"),
                crossed("vengeance", "offline", "active", "02:31"),
                crossed("vengeance", "warning", "offline", "02:10"),
                crossed("vengeance", "active", "warning", "02:07"),
                crossed("old", "warning", "offline", "20:00", day=5),
                crossed("vengeance", "warning", "active", "19:03", day=5),
                crossed("vengeance", "active", "warning", "19:00", day=5),
                crossed("late", "warning", "offline", "18:00", day=5),
            ],
            "departures": [
                {"node": "old", "reason": "forgotten", "at": "2025-10-06T08:00:00Z"},
                {"node": "spare", "reason": "departed", "at": "2025-10-05T13:00:00Z"},
            ],
            "complete": True,
            "timestamp": "2025-10-06T12:00:05Z",
        },
    )


@pytest.mark.usefixtures("eventful")
def test_the_digest_groups_by_node_and_names_everybody_who_is_suppressed(shows):
    assert shows("digest") == (
        "From 2025-10-05 12:00 to 12:00 UTC (1d)\n"
        "\n"
        "  robbiebook1  warning once\n"
        "  vengeance  offline 02:10-02:31 (21m), warning 2 times\n"
        "  old  offline 2025-10-05 20:00-08:00 (12h)\n"
        "  late  offline since 2025-10-05 18:00 (18h5s)\n"
        "\n"
        "  still missing: robbiebook1 (warning, last seen 11:56)\n"
        "  missing, alerts suppressed: asleep (offline, last seen 11:56)\n"
        "  active, alerts suppressed: runpod-tx (maintenance until 18:00)\n"
        "  overdue: late (offline, maintenance to 06:00)\n"
        "  forgotten: old (08:00)\n"
        "  deregistered: spare (2025-10-05 13:00)\n"
        "\n"
        "6 nodes (3 active, 1 warning, 2 offline); 8 transitions of 4 nodes\n"
    )


@pytest.mark.usefixtures("eventful")
def test_the_digest_says_who_did_what(registry, shows):
    """Of registrations how many; a newline in a reason breaks nothing."""
    entry = {"at": "2025-10-06T11:58:00Z", "by": "operator alice", "address": "10.0.0.4", "request_id": "abc"}
    joined = {"at": "2025-10-06T11:00:00Z", "action": "register", "by": "join", "node": "n"}
    maintenance = {**entry, "action": "maintenance", "node": "vengeance", "detail": "new fan"}
    reload = {"at": "2025-10-05T13:00:00Z", "action": "reload", "by": "signal"}
    registry.answer("/audit?since=24h&limit=10000", {"entries": [maintenance, joined, joined, reload, *[reload] * 25]})

    assert shows("digest").partition("transitions of 4 nodes\n")[2].splitlines()[:4] == [
        "",
        "  2 nodes registered by join",
        "  11:58  maintenance vengeance by operator alice (10.0.0.4): new fan",
        "  2025-10-05 13:00  reload by signal",
    ]
    assert shows("digest").endswith("  and 7 more, in GET /audit\n")
    assert json.loads(shows("digest", "--json"))["audit"][0] == maintenance


def test_a_healthy_mesh_says_that_everybody_was_looked_at(registry, seed, shows):
    """Each list is there, with none in it; a list that was cut says so."""
    del seed["nodes"]["robbiebook1"]
    registry.answer("/nodes", seed)
    calm = {"since": "2025-10-06T11:00:00Z", "timestamp": "2025-10-06T12:00:00Z", "transitions": [], "departures": []}
    registry.answer("/transitions?since=1h&limit=5", {**calm, "complete": False})

    assert shows("digest", "--since", "1h", "--limit", "5") == (
        "From 11:00 to 12:00 UTC (1h)\n"
        "More happened than is shown: ask for a shorter time, or with --limit.\n"
        "\n"
        "no node changed its status\n"
        "\n"
        "  still missing: none\n"
        "  missing, alerts suppressed: none\n"
        "  active, alerts suppressed: none\n"
        "  overdue: none\n"
        "  forgotten: none\n"
        "  deregistered: none\n"
        "\n"
        "3 nodes (3 active, 0 warning, 0 offline); 0 transitions of 0 nodes\n"
    )


@pytest.mark.usefixtures("eventful")
def test_json_has_what_happened_and_the_nodes(shows, registry, seed):
    happened = json.loads(registry.answers[DIGEST][2])

    assert json.loads(shows("digest", "--json")) == {**happened, "nodes": seed["nodes"], "audit": []}


@pytest.mark.servers
def test_the_digest_outlives_a_restart_of_the_registry(tmp_path):
    """What happened before is shown, by a real registry, from its store."""
    thresholds = {"heartbeat_interval": "200ms", "warning_after": "400ms", "offline_after": "800ms"}
    store = f"sqlite:///{tmp_path / 'mesh.db'}"
    with RegistryProcess(tmp_path, store=store, settings={"thresholds": thresholds}) as registry:
        registry.register(name="vengeance")
        registry.register(name="spare")
        registry.ask("DELETE", "/nodes/spare")
        until(registry.statuses, {"vengeance": "offline"})
        registry.stop()
        registry.start()

        reported = digest(registry, tmp_path)

    assert reported.returncode == 0, reported.stderr
    assert "  vengeance  offline since " in reported.stdout
    assert "warning once" in reported.stdout
    assert "  still missing: vengeance (offline" in reported.stdout
    assert "  deregistered: spare (" in reported.stdout
    assert reported.stdout.endswith("1 node (0 active, 0 warning, 1 offline); 2 transitions of 1 node\n")


def digest(registry: RegistryProcess, directory: Path) -> subprocess.CompletedProcess[str]:
    return run_program([*program("cli"), "digest", "--registry", registry.url], directory)
