"""Sends a heartbeat every 5 ms and times its answer: `python -m benchmarks.peers.prober PORT SECONDS [tls]`.

Prints a JSON array of the times in seconds. A heartbeat that had to wait for the answer to the one before it is timed
from when it was due, so that a long wait is not counted once only.
"""

from __future__ import annotations

import json
import socket
import sys
import time

from benchmarks import client, population

INTERVAL = 0.005
NODES = 1_000


def main() -> None:
    """One keep-alive connection, one heartbeat at a time."""
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    requests = [
        client.request("POST", f"/nodes/{population.name(n)}/heartbeat", population.HEARTBEAT) for n in range(NODES)
    ]
    waits: list[float] = []
    with client.connect(port, secured=sys.argv[3:] == ["tls"]) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        due = time.perf_counter()
        end = due + seconds
        while due < end:
            due += INTERVAL
            pause = due - time.perf_counter()
            if pause > 0:
                time.sleep(pause)
            began = time.perf_counter() if pause > 0 else due
            connection.sendall(requests[len(waits) % NODES])
            answer = connection.recv(4096)
            waits.append(time.perf_counter() - began)
            if not answer.startswith(b"HTTP/1.1 204"):
                raise client.Refused(answer.decode())
    print(json.dumps(waits))


if __name__ == "__main__":
    main()
