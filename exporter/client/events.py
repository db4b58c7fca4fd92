"""The event stream: server-sent events as values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

MAX_EVENT_BYTES = 2**20
MAX_ID = 1024
"""Characters of an id, which becomes a header's value: no registry sends a longer one, or others than ASCII."""


class Event(msgspec.Struct, frozen=True):
    """One event of the stream. `id` resumes the stream behind it; `data` is the event's own JSON."""

    type: str
    data: Any = None
    id: str = ""
    text: str = ""
    """`data` as it came, where it is no JSON."""


def parse_stream(lines: Iterable[bytes]) -> Iterator[Event]:
    """The events in lines of `text/event-stream`, as parse_frames has them, without those that are only an id."""
    return (event for event in parse_frames(lines) if event.type)


def parse_frames(lines: Iterable[bytes]) -> Iterator[Event]:
    """The events in lines of `text/event-stream`; comments, which keep the connection alive, are passed over.

    An event that is cut off, or larger than MAX_EVENT_BYTES, is left out; an id alone, which says from where to resume,
    is an event without a type. Source: WHATWG HTML, 9.2.6.
    """
    kind, event_id, size, moved = "", "", 0, False
    data: list[str] = []
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data and size <= MAX_EVENT_BYTES:
                yield _event(kind or "message", event_id, "\n".join(data))
            elif moved and not data:
                yield Event("", id=event_id)
            kind, data, size, moved = "", [], 0, False
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            kind = value
        elif field == "id" and len(value) <= MAX_ID and value.isascii() and value.isprintable():
            event_id, moved = value, True
        elif field == "data":
            size += len(value) + 1  # and the line feed between two
            if size <= MAX_EVENT_BYTES:
                data.append(value)


def _event(kind: str, event_id: str, text: str) -> Event:
    try:
        return Event(kind, msgspec.json.decode(text), event_id)
    except (msgspec.MsgspecError, RecursionError):
        return Event(kind, None, event_id, text)
