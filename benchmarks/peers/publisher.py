"""Publishes heartbeats as fast as Redis takes them.

`python -m benchmarks.peers.publisher PORT CHANNEL EVENTS [NODES]`
"""

from __future__ import annotations

import socket
import sys

from benchmarks import population

NODES = 1_000
"""Nodes that the events are of, in turn, where nothing else is said."""
PIPELINE = 1_000


def main() -> None:
    """Send one pipeline after the other, each once the one before was answered."""
    port, channel, events = int(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
    nodes = int(sys.argv[4]) if len(sys.argv) > 4 else NODES
    commands = [_publish(channel, population.event(index)) for index in range(nodes)]
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for start in range(0, events, PIPELINE):
            first = start % nodes
            pipeline = commands[first : first + min(PIPELINE, events - start)]
            connection.sendall(b"".join(pipeline))
            answers = 0
            while answers < len(pipeline):
                answers += connection.recv(2**16).count(b"\n")


def _publish(channel: bytes, payload: bytes) -> bytes:
    parts = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in (b"PUBLISH", channel, payload))
    return b"*3\r\n" + parts


if __name__ == "__main__":
    main()
