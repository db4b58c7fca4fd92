"""Counts the transitions that are published: `python -m benchmarks.peers.event_counter PORT CHANNEL TO EVENTS SECONDS`.

Prints `ready` once it is subscribed; then, once so many nodes were published as entering the status, or the time is up,
a JSON object: how many events came, of how many nodes, and when the last new one did (seconds since the epoch).
"""

from __future__ import annotations

import json
import sys
import time

import msgspec
import redis


class _Data(msgspec.Struct):
    node: str = ""
    to: str = ""


class _Event(msgspec.Struct):
    type: str
    data: _Data


def main() -> None:
    """One subscription."""
    port, channel, to, events, seconds = int(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4]), float(sys.argv[5])
    subscription = redis.Redis(port=port).pubsub()  # type: ignore[no-untyped-call]  # as it ships
    subscription.subscribe(channel)
    subscription.get_message(timeout=10)
    print("ready", flush=True)
    decode = msgspec.json.Decoder(_Event).decode
    end = time.time() + seconds
    nodes: set[str] = set()
    count, latest = 0, 0.0
    while len(nodes) < events and time.time() < end:
        message = subscription.get_message(timeout=0.2)
        if message is None or message["type"] != "message" or b"node_status_changed" not in message["data"]:
            continue
        event = decode(message["data"])
        if event.data.to == to:
            count += 1
            if event.data.node not in nodes:
                nodes.add(event.data.node)
                latest = time.time()
    # What comes twice comes soon after.
    end = time.time() + 3
    while time.time() < end:
        message = subscription.get_message(timeout=0.2)
        if message is not None and message["type"] == "message" and b"node_status_changed" in message["data"]:
            count += decode(message["data"]).data.to == to
    print(json.dumps({"events": count, "nodes": len(nodes), "latest": latest}))


if __name__ == "__main__":
    main()
