"""Counts the transitions that are published: `python -m benchmarks.peers.event_counter PORT CHANNEL TO EVENTS SECONDS`.

Prints `ready` once it is subscribed; then, once so many nodes were published as entering the status, or the time is up,
a JSON object: how many events came, of how many nodes, and when the last new one did (seconds since the epoch).
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator

import hiredis
import msgspec

TWICE_SECONDS = 3
"""What comes twice comes soon after."""


class _Data(msgspec.Struct):
    node: str = ""
    to: str = ""


class _Event(msgspec.Struct):
    type: str
    data: _Data


def main() -> None:
    """One subscription, read as cheaply as can be: what is measured shares the cores with it."""
    port, channel, to, events, seconds = int(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4]), float(sys.argv[5])
    decode, reader = msgspec.json.Decoder(_Event).decode, hiredis.Reader()
    nodes: set[str] = set()
    count, latest, end = 0, 0.0, time.time() + seconds
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"SUBSCRIBE {channel}\r\n".encode())
        reader.feed(connection.recv(2**16))
        print("ready", flush=True)
        connection.settimeout(0.2)
        while time.time() < end:
            for payload in _payloads(connection, reader):
                if b"node_status_changed" not in payload or (event := decode(payload)).data.to != to:
                    continue
                count += 1
                if event.data.node not in nodes:
                    nodes.add(event.data.node)
                    latest = time.time()
                    if len(nodes) == events:
                        end = latest + TWICE_SECONDS
    print(json.dumps({"events": count, "nodes": len(nodes), "latest": latest}))


def _payloads(connection: socket.socket, reader: hiredis.Reader) -> Iterator[bytes]:
    """Those of the messages that came, if any did within the connection's timeout."""
    try:
        reader.feed(connection.recv(2**18))
    except TimeoutError:
        return
    while (reply := reader.gets()) is not False:
        if reply[0] == b"message":
            yield reply[2]


if __name__ == "__main__":
    main()
