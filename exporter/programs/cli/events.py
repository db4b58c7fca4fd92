"""`aurora-cli events`: what happens, as it happens."""

from __future__ import annotations

import json
import sys
from typing import Any

from exporter.client.events import Event
from exporter.programs.cli.context import Context, harmless
from exporter.programs.cli.humanize import plain
from exporter.programs.cli.terminal import Terminal, escape_control

FILTERS = ("role", "site", "environment")
TIMES = ("at", "timestamp")
IN_SERVICE = "in_service"
NODE_KEYS = ("node", "name")
SHOWN = ("action", "role", "vpn_ip", "site", "lifecycle", "lifecycle_reason", "lifecycle_until", "reason", "by")
"""Of an event's data, what stands on its line; a node's whole document is what --json is for."""


def follow(context: Context) -> None:
    """Print each event until interrupted, or until as many came as were asked for."""
    arguments = context.arguments
    filters = {name: getattr(arguments, name) for name in FILTERS}
    left = arguments.limit
    for event in context.client.events(arguments.last_id, **filters):
        if arguments.types and event.type not in arguments.types:
            continue
        context.show([as_json(event) if arguments.json else as_line(event, context.terminal)])
        sys.stdout.flush()
        left -= 1
        if not left:
            return


def as_json(event: Event) -> str:
    """The event on one line."""
    data = event.text if event.data is None else event.data
    return harmless(json.dumps({"id": event.id, "type": event.type, "data": data}, ensure_ascii=False))


def as_line(event: Event, terminal: Terminal) -> str:
    """Time, event, node, and the rest."""
    data: dict[str, Any] = event.data if isinstance(event.data, dict) else {}
    at = next((str(data[key]) for key in TIMES if key in data), "")
    node = next((str(data[key]) for key in NODE_KEYS if key in data), "")
    change = f"{data['from']} -> {data['to']}" if {"from", "to"} <= data.keys() else ""
    changed = event.type == "node_lifecycle_changed"
    shown = {key: plain(data[key]) for key in SHOWN if data.get(key) is not None}
    rest = " ".join(f"{key}={value}" for key, value in shown.items() if value and (value != IN_SERVICE or changed))
    text = "  ".join(filter(None, (at, event.type, node, change, rest or event.text)))
    return terminal.shorten(escape_control(text), terminal.width or 0)
