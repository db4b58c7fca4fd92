from __future__ import annotations

import pytest

PATHS = [("maintenance", "maintenance"), ("drain", "draining")]


@pytest.mark.parametrize(("path", "lifecycle"), PATHS)
def test_a_node_is_taken_out_of_service_and_put_back(client, register, path, lifecycle):
    """For a day by default; its status is another matter. Both answer with the document, however often."""
    document = register("n1")
    del document["heartbeat_interval_seconds"]

    for _ in range(2):
        answer = client.put(f"/nodes/n1/{path}")
        assert (answer.status, answer.json()) == (
            200,
            {**document, "lifecycle": lifecycle, "lifecycle_until": "2025-10-07T12:00:00Z"},
        )
    for _ in range(2):
        answer = client.delete(f"/nodes/n1/{path}")
        assert (answer.status, answer.json()) == (200, document)


@pytest.mark.parametrize(
    ("until", "shown"),
    [
        ("2025-10-06T13:00:00Z", "2025-10-06T13:00:00Z"),
        ("2025-10-06T15:00:00+02:00", "2025-10-06T13:00:00Z"),
        ("2h", "2025-10-06T14:00:00Z"),
        ("1d12h", "2025-10-08T00:00:00Z"),
        ("1ms", "2025-10-06T12:00:00Z"),
    ],
)
def test_until_is_a_time_or_a_duration(client, register, until, shown):
    """As is easier to say."""
    register("n1")
    document = client.put("/nodes/n1/drain", {"reason": "new PSU", "until": until}).json()

    assert (document["lifecycle_reason"], document["lifecycle_until"]) == ("new PSU", shown)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"until": "2025-10-06T11:59:59Z"}, "until"),
        ({"until": "2025-10-06T12:00:00Z"}, "until"),
        ({"until": "2025-10-06T13:00:00"}, "until"),
        ({"until": "0s"}, "until"),
        ({"until": "9999999h"}, "until"),
        ({"until": "999999y"}, "until"),
        ({"until": "9999-12-31T23:59:59Z"}, "until"),
        ({"until": "0001-01-01T00:00:00+23:59"}, "until"),
        ({"until": "tomorrow"}, "until"),
        ({"until": ""}, "until"),
        ({"until": 5}, "until"),
        ({"reason": "a\u202eb"}, "reason"),
        ({"reason": "x" * 257}, "reason"),
        ({"reason": []}, "reason"),
        ({"why": "?"}, "why"),
        ([], ""),
    ],
)
def test_what_is_wrong_with_a_leave_is_named(client, register, body, field):
    """400, and the node stays in service."""
    register("n1")
    answer = client.put("/nodes/n1/maintenance", body)

    assert (answer.status, [error["field"] for error in answer.json()["errors"]]) == (400, [field])
    assert client.get("/nodes/n1").json()["lifecycle"] == "in_service"


@pytest.mark.parametrize("until", ["9999999h", "999999y", "tomorrow", "0s"])
def test_the_longest_leave_is_named(client, register, until):
    register("n1")

    error = client.put("/nodes/n1/maintenance", {"until": until}).json()["errors"][0]["message"]

    assert f"a duration such as 2h, in the future and within ten years, got '{until}'" in error


def test_a_name_that_no_node_can_have_is_not_repeated(client):
    answer = client.get("/nodes/%00")

    assert answer.status == 404
    assert answer.json()["detail"].startswith("no node can have this name: expected 1 to 63 letters")


def test_null_says_nothing(client, register):
    """A JSON null is the default, as for each key."""
    register("n1")

    assert client.put("/nodes/n1/drain", {"reason": None, "until": None}).status == 200


def test_ending_one_phase_leaves_another_alone(client, register):
    """Who ends a drain does not end a maintenance."""
    register("n1")
    client.put("/nodes/n1/maintenance")

    assert client.delete("/nodes/n1/drain").json()["lifecycle"] == "maintenance"


def test_one_phase_replaces_another(client, register):
    """The latest word counts."""
    register("n1")
    client.put("/nodes/n1/drain")

    assert client.put("/nodes/n1/maintenance").json()["lifecycle"] == "maintenance"


@pytest.mark.parametrize(("path", "_"), PATHS)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_lifecycle_is_of_a_node(client, path, method, _):
    """404 for a name never registered."""
    assert client.call(method, f"/nodes/n1/{path}").status == 404


def test_a_lifecycle_needs_the_store(client, register, service):
    """503, and nothing changes."""
    register("n1")
    service.store_up = False

    assert client.put("/nodes/n1/drain").status == 503
    assert client.get("/nodes/n1").json()["lifecycle"] == "in_service"
