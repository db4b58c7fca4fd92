"""redis-py's own `listen()`, and msgspec: `python -m benchmarks.peers.bare_listener PORT CHANNEL EVENTS`.

Prints `ready` once it listens, and the CPU seconds that it took once all events came.
"""

from __future__ import annotations

import sys
import time

import msgspec
from redis import Redis


def main() -> None:
    """Read and decode so many events."""
    port, channel, left = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    decode = msgspec.json.Decoder().decode
    with Redis(port=port) as client, client.pubsub() as pubsub:
        pubsub.subscribe(channel)
        began = 0.0
        for message in pubsub.listen():
            if message["type"] == "message":
                decode(message["data"])
                left -= 1
                if not left:
                    break
            else:
                began = time.process_time()
                print("ready", flush=True)
        print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    main()
