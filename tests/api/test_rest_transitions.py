from __future__ import annotations

import pytest


def test_a_mesh_without_transitions_has_an_empty_list(client):
    assert client.get("/transitions").json() == {
        "since": "2025-10-05T12:00:00Z",
        "transitions": [],
        "departures": [],
        "complete": True,
        "timestamp": "2025-10-06T12:00:00Z",
    }


def test_transitions_and_departures_of_all_nodes_are_listed(client, service, register):
    """Newest first, as far back as asked; what the limit leaves out is said to be missing."""
    register("robbiebook1")
    service.pass_time(60)
    register("vengeance")
    service.pass_time(70)
    client.delete("/nodes/vengeance")
    service.pass_time(180)

    reported = client.get("/transitions?since=1h").json()

    warned = {"node": "robbiebook1", "from": "active", "to": "warning", "at": "2025-10-06T12:02:00Z"}
    offline = {"node": "robbiebook1", "from": "warning", "to": "offline", "at": "2025-10-06T12:05:00Z"}
    assert reported["transitions"] == [offline, warned]
    assert reported["departures"] == [{"node": "vengeance", "reason": "departed", "at": "2025-10-06T12:02:10Z"}]
    assert reported["complete"] is True
    later = client.get("/transitions?since=2025-10-06T12:04:00Z").json()
    assert (later["transitions"], later["departures"]) == ([offline], [])
    cut = client.get("/transitions?limit=1").json()
    assert (cut["transitions"], cut["complete"]) == ([offline], False)


@pytest.mark.parametrize("since", ["yesterday", "8d", "2025-10-06T13:00:00Z", "2025-10-06T12:00:00"])
def test_a_time_that_cannot_be_looked_back_to_is_refused(client, since):
    answer = client.get(f"/transitions?since={since}")

    assert answer.status == 400
    assert [fault["field"] for fault in answer.json()["errors"]] == ["since"]
