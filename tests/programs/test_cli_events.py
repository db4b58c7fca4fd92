"""Following events: a stream that is recorded, and resumed."""

from __future__ import annotations

import json

import pytest

from exporter.client.events import MAX_EVENT_BYTES, Event, parse_frames, parse_stream

STREAM = b"""\
: hello

id: 7
event: node_status_changed
data: {"node": "vengeance", "from": "active", "to": "warning", "at": "2025-10-06T12:00:05Z", "site": "home"}

id: 8
event: node_forgotten
data: {"node": "spare", "at": "2025-10-06T12:00:06Z"}

"""


def test_events_are_printed_on_a_line_each(registry, shows):
    registry.answer("/events", STREAM, media_type="text/event-stream")
    assert shows("events", "--limit=2") == (
        "2025-10-06T12:00:05Z  node_status_changed  vengeance  active -> warning  site=home\n"
        "2025-10-06T12:00:06Z  node_forgotten  spare\n"
    )


def test_the_end_of_maintenance_says_what_the_lifecycle_is(registry, shows):
    data = '{"node": "vengeance", "at": "2025-10-06T12:00:05Z", "role": "compute", "lifecycle": "in_service"}'
    events = "".join(f"event: {kind}\ndata: {data}\n\n" for kind in ("node_registered", "node_lifecycle_changed"))
    registry.answer("/events", events.encode(), media_type="text/event-stream")

    assert shows("events", "--limit=2") == (
        "2025-10-06T12:00:05Z  node_registered  vengeance  role=compute\n"
        "2025-10-06T12:00:05Z  node_lifecycle_changed  vengeance  role=compute lifecycle=in_service\n"
    )


def test_events_are_json_a_line_for_programs(registry, shows):
    registry.answer("/events", STREAM, media_type="text/event-stream")
    lines = shows("events", "--json", "--limit=1", "--type=node_forgotten").splitlines()
    assert list(map(json.loads, lines)) == [
        {"id": "8", "type": "node_forgotten", "data": {"node": "spare", "at": "2025-10-06T12:00:06Z"}}
    ]


def test_a_stream_that_ends_is_resumed_behind_the_last_event(registry, shows, monkeypatch):
    monkeypatch.setattr("exporter.client.client.time.sleep", lambda _: None)
    registry.answer("/events?site=home", STREAM, media_type="text/event-stream")
    assert len(shows("events", "--site=home", "--limit=4", "--last-id=3").splitlines()) == 4
    assert registry.last_event_ids == ["3", "8"]


def test_a_registry_without_events_is_reported(cli, registry):
    registry.refuse("/events", 404, {"title": "Not Found", "detail": "nothing answers at this path"})
    assert cli("events")[0] == 1


def test_hostile_events_are_made_visible(registry, shows):
    registry.answer("/events", b'data: {"node": "a\\u001b[2J", "x": "\\n"}\n\n', media_type="text/event-stream")
    out = shows("events", "--limit=1")
    assert (out.count("\n"), "\x1b" in out) == (1, False)


def test_lines_make_events():
    """Comments, unknown fields, several lines of data, no name, no JSON; what is cut off is no event."""
    text = b"retry: 3\ndata: a\ndata: b\n\nevent: x\ndata:{}\nid: 5\n\ndata: 1\n\n: ping\n\nevent: y\ndata: 2"
    assert list(parse_stream(text.splitlines(keepends=True))) == [
        Event("message", None, "", "a\nb"),
        Event("x", {}, "5"),
        Event("message", 1, "5"),
    ]


def test_an_id_alone_says_from_where_to_resume():
    assert list(parse_frames([b"retry: 2000\n", b"id: 7\n", b"\n", b": ping\n", b"\n"])) == [Event("", id="7")]


def test_values_of_any_kind_are_shown(registry, shows):
    registry.answer(
        "/events", b'data: {"node": "a", "role": {"x": [1]}, "by": null}\n\n', media_type="text/event-stream"
    )
    assert shows("events", "--limit=1") == 'message  a  role={"x": [1]}\n'


def test_an_event_without_end_takes_no_memory():
    lines = (b"data: " + b"x" * 65536 + b"\n" for _ in range(MAX_EVENT_BYTES // 65536 + 2))
    assert list(parse_stream([*lines, b"\n", b"data: 1\n", b"\n"])) == [Event("message", 1)]
    empty = [b"data\n"] * (MAX_EVENT_BYTES + 2)
    assert list(parse_stream([*empty, b"\n", b"data: 1\n", b"\n"])) == [Event("message", 1)]


@pytest.mark.parametrize("bad", ["\u2603", "\x1b[2J", "a\rb", "x" * 2000])
def test_an_id_that_no_request_could_bear_is_none(bad):
    """Else the stream could never be resumed."""
    lines = [b"id: 7\n", b"data: 1\n", b"\n", b"id: " + bad.encode() + b"\n", b"data: 2\n", b"\n"]
    assert list(parse_stream(lines)) == [Event("message", 1, "7"), Event("message", 2, "7")]


def test_a_registry_that_cannot_be_reached_is_reported(cli, nowhere):
    """At once and not by waiting: only a stream that began is resumed."""
    status, out, err = cli("events", "--registry", nowhere)
    assert (status, out) == (3, "")
    assert err.startswith(f"aurora-cli: cannot reach the registry at {nowhere}: connection refused.")
