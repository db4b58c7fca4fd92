"""A Redis, or what stands in its place, that answers with more than anybody can take: real bytes on real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.proxy_thread import ProxyThread
from tests.support.redis_server import RedisServer
from tests.support.server_process import until

pytestmark = pytest.mark.servers

ANSWERS = {
    "a large array": (b"*999999999\r\n", b""),
    "its header in pieces": (b"*99", b"9"),
    "large arrays in arrays": (b"*9999999\r\n" * 7, b""),
    "a line without end": (b"+", b"x" * 65_536),
    "a text of 512 MB": (b"$536870912\r\n", bytes(65_536)),
    "values without end": (b"*99999\r\n" * 7, b"*0\r\n" * 16_384),
    "errors without end": (b"*99999\r\n" * 7, b"-\r\n" * 16_384),
    "answers without end": (b"", b"+OK\r\n" * 16_384),
    "events without end": (b"", b"*3\r\n$7\r\nmessage\r\n$20\r\naurora:events:global\r\n$2\r\n{}\r\n" * 1_024),
}
EXPECTED = {"events without end": "an event on the bus was rejected"}
ATTEMPTS = 8
MIB = 2**20


def memory(process_id: int, kind: str) -> int:
    """What the process took at most, in MiB: `VmHWM` is resident, `VmPeak` is address space."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(f"{kind}:"))


@pytest.mark.parametrize("answer", ANSWERS)
def test_it_takes_bounded_memory_and_ends_nothing(new_registry, measured, answer):
    """Store and bus, in place of a Redis that was there: we serve from memory, and go on once it is itself again."""
    with RedisServer() as redis_server, ProxyThread(redis_server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        registry = new_registry(store=url, event_bus=url).start()
        assert registry.register(name="a") == 201
        before = {kind: memory(registry.process_id, kind) for kind in ("VmHWM", "VmPeak")}
        accepted = proxy.accepted

        proxy.spoil(*ANSWERS[answer])
        with measured("noticed"):
            until(lambda: registry.get("/health").json()["store"], "down")
        until(lambda: EXPECTED.get(answer, "the event bus is not received") in registry.log, expected=True)
        until(lambda: proxy.accepted - accepted > ATTEMPTS, expected=True)
        assert list(registry.nodes()) == ["a"]
        grown = {kind: memory(registry.process_id, kind) - before[kind] for kind in before}

        proxy.heal()
        with measured("back"):
            until(lambda: registry.get("/health").json()["status"], "ok")
        until(lambda: registry.register(name="b"), 201)
        assert registry.stop() == 0
        assert "Traceback" not in registry.log
        assert grown["VmHWM"] < 512
        assert grown["VmPeak"] < 1024
