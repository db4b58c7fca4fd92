from __future__ import annotations

import json

import pytest


@pytest.fixture
def node(registry, seed):
    """A node with everything that a document may have."""
    document = seed["nodes"]["runpod-tx"] | {
        "transport": "http",
        "metadata": {"os": "ubuntu", "site": "tx", "rack": {"row": 3}},
        "lifecycle": "maintenance",
        "lifecycle_reason": "a new fan",
        "lifecycle_until": "2025-10-06T15:30:05Z",
        "held": True,
        "held_since": "2025-10-06T11:59:05Z",
        "reported_status": "busy",
        "gpus": [
            {
                "index": 0,
                "uuid": "GPU-8f3b2c1e",
                "utilization": 0.934,
                "memory_used_bytes": 20 * 2**30 + 2**29,
                "temperature_celsius": 64.0,
                "power_watts": 410.52,
            },
            {"index": 1},
        ],
    }
    document["capabilities"]["nvlink"] = True
    registry.answer("/nodes/runpod-tx", document)
    return document


@pytest.mark.usefixtures("node")
def test_node_shows_all_that_is_known(shows):
    """Facts side by side, ages by the registry's clock, GPUs as a table; what could not be read is a dash."""
    assert shows("node", "runpod-tx") == (
        "name        runpod-tx\n"
        "role        compute\n"
        "status      active\n"
        "held        since 2025-10-06T11:59:05Z (1 minute ago): its status is frozen\n"
        "reported    busy\n"
        "last seen   2025-10-06T12:00:03Z (2 seconds ago, over HTTP)\n"
        "registered  2025-10-06T10:05:00Z (1 hour 55 minutes ago)\n"
        "lifecycle   maintenance until 2025-10-06T15:30:05Z (in 3 hours 30 minutes)\n"
        "reason      a new fan\n"
        "vpn ip      10.0.0.3\n"
        "public ip   82.221.170.242\n"
        "gpu         2x RTX 4090, 48 GB\n"
        "nvlink      true\n"
        "os          ubuntu\n"
        "site        tx\n"
        'rack        {"row": 3}\n'
        "\n"
        "GPU  LOAD  USED     TEMP   POWER    UUID\n"
        "0    93%   20.5 GB  64 °C  410.5 W  GPU-8f3b2c1e\n"
        "1    -     -        -      -        -\n"
    )


def test_node_leaves_out_what_does_not_apply(registry, shows, seed):
    registry.answer("/nodes/robbiebook1", seed["nodes"]["robbiebook1"])
    assert shows("node", "robbiebook1") == (
        "name        robbiebook1\n"
        "role        compute\n"
        "status      warning\n"
        "last seen   2025-10-06T11:56:00Z (4 minutes 5 seconds ago, over the event bus)\n"
        "registered  2025-10-06T10:15:00Z (1 hour 45 minutes ago)\n"
        "lifecycle   in service\n"
        "vpn ip      10.0.0.5\n"
        "public ip   -\n"
        "gpu         -\n"
    )


def test_node_as_json_is_the_document(node, shows):
    assert json.loads(shows("node", "runpod-tx", "--json")) == node


@pytest.fixture
def why():
    """The explanation of a node in warning, about which nothing is special."""
    return {
        "node": "robbiebook1",
        "status": "warning",
        "status_since": "2025-10-06T11:58:00Z",
        "last_heartbeat": {"at": "2025-10-06T11:56:00Z", "transport": "bus", "age_seconds": 245},
        "counted_age_seconds": 244.8,
        "not_counted_seconds": 0.2,
        "not_counted": [],
        "held": False,
        "next": {"status": "offline", "in_seconds": 55.2},
        "lifecycle": {"phase": "in_service"},
        "suppressed": [],
        "thresholds": {
            "heartbeat_interval_seconds": 30,
            "warning_after_seconds": 120,
            "offline_after_seconds": 300,
            "forget_after_seconds": 259200,
        },
        "timestamp": "2025-10-06T12:00:05Z",
    }


def test_why_says_what_a_status_rests_on(registry, shows, why):
    """The last heartbeat and its transport, what of its age counts, and what comes next."""
    registry.answer("/nodes/robbiebook1/why", why)
    assert shows("why", "robbiebook1") == (
        "robbiebook1 is in warning, since 2025-10-06T11:58:00Z (2 minutes 5 seconds ago).\n"
        "\n"
        "Its last heartbeat was 4 minutes 5 seconds ago, over the event bus\n"
        "(2025-10-06T11:56:00Z).\n"
        "Its counted age is 4 minutes 4 seconds; a node is in warning from 2 minutes on,\n"
        "and offline after 5 minutes.\n"
        "Without a heartbeat its status turns to offline in 55 seconds.\n"
        "\n"
        "Nothing suppresses its alerts.\n"
    )


def test_why_names_what_was_left_out_of_a_heartbeat(registry, shows, why):
    why["ignored"] = [
        {"field": "gpus[0].power_watts", "message": "expected number <= 20000, got 4294967.295"},
        {"field": "", "message": "the body is not UTF-8 (byte 0)"},
    ]
    registry.answer("/nodes/robbiebook1/why", why)
    assert (
        "Left out of its latest heartbeat, which counts all the same:\n"
        "- gpus[0].power_watts: expected number <= 20000, got 4294967.295\n"
        "- the body is not UTF-8 (byte 0)\n"
    ) in shows("why", "robbiebook1")


def test_why_lists_time_that_is_not_counted(registry, shows, why):
    """Each outage with its grace, the one that lasts as such, and that the status is frozen meanwhile."""
    why |= {
        "counted_age_seconds": 65,
        "not_counted_seconds": 180,
        "not_counted": [
            {"from": "2025-10-06T11:56:30Z", "to": "2025-10-06T11:57:30Z", "grace_until": "2025-10-06T11:58:30Z"},
            {"from": "2025-10-06T11:59:05Z"},
        ],
        "held": True,
        "held_since": "2025-10-06T11:59:05Z",
        "next": {"status": "forgotten", "in_seconds": None},
    }
    registry.answer("/nodes/robbiebook1/why", why)
    assert shows("why", "robbiebook1") == (
        "robbiebook1 is in warning, since 2025-10-06T11:58:00Z (2 minutes 5 seconds ago).\n"
        "\n"
        "Its last heartbeat was 4 minutes 5 seconds ago, over the event bus\n"
        "(2025-10-06T11:56:00Z). Of that time, 3 minutes is not counted: the registry\n"
        "could not receive:\n"
        "- from 2025-10-06T11:56:30Z to 2025-10-06T11:57:30Z, and then until\n"
        "  2025-10-06T11:58:30Z for its next heartbeat to arrive\n"
        "- from 2025-10-06T11:59:05Z on, until now\n"
        "Its counted age is 1 minute 5 seconds; a node is in warning from 2 minutes on,\n"
        "and offline after 5 minutes.\n"
        "Its status is frozen since 2025-10-06T11:59:05Z (1 minute ago), until the\n"
        "registry has received for long enough again.\n"
        "Without a heartbeat it is forgotten, but not before the registry receives again.\n"
        "\n"
        "Nothing suppresses its alerts.\n"
    )


@pytest.mark.parametrize(
    ("lifecycle", "shown"),
    [
        (
            {"phase": "maintenance", "reason": "a new fan", "until": "2025-10-06T15:00:00Z", "set_by": "people"},
            "It is in maintenance, set by people, until 2025-10-06T15:00:00Z: a new fan.\n",
        ),
        (
            {"phase": "draining", "until": "2025-10-06T11:00:00Z", "set_by": "node", "overdue": True},
            (
                "It is draining, set by the node itself, until 2025-10-06T11:00:00Z. That is\n"
                "overdue: it ended, and the node is not active.\n"
            ),
        ),
    ],
)
def test_why_lists_what_suppresses_alerts(registry, shows, why, lifecycle, shown):
    """The lifecycle with who set it, and every reason as the registry gives it."""
    reasons = ["it is out of service", "its site home is disrupted: AuroraSiteDisrupted stands for it"]
    registry.answer("/nodes/robbiebook1/why", {**why, "lifecycle": lifecycle, "suppressed": reasons})
    assert shows("why", "robbiebook1").partition(" in 55 seconds.\n")[2] == (
        shown + "\n"
        "Its alerts are suppressed, because\n"
        "- it is out of service\n"
        "- its site home is disrupted: AuroraSiteDisrupted stands for it\n"
    )
