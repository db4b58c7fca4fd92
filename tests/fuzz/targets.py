"""What is fuzzed: each target takes any bytes, and raises only when something is wrong with us."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import uvicorn
from uvicorn.server import ServerState

from exporter.api.protocol import DeadlineProtocol
from exporter.bus.events import Unreadable, read_event
from exporter.configuration.loader import load
from exporter.configuration.yamlfile import read_yaml
from exporter.domain import strictjson
from exporter.domain.errors import Invalid
from exporter.domain.parsing import parse_heartbeat
from exporter.domain.registration import parse_registration

LONGEST_MESSAGE = 4_000
CORPUS: dict[str, tuple[bytes, ...]] = {
    "registration": (
        b'{"name": "v", "role": "compute", "vpn_ip": "10.0.0.4", "public_ip": "dynamic", "metadata": {"os": "ubuntu"}}',
        b'{"name": "v", "capabilities": {"gpu": true, "gpu_count": 1, "gpu_type": "RTX 4090", "gpu_memory": 24}}',
        b'{"name": "a", "metadata": {"site": "desk", "cost_per_hour": 0.4, "environment": "test", "docker": [1, {}]}}',
        b'{"name": "a", "links": [{"target": "b", "type": "nfs"}], "ttl": "2h", "node_id": "x"}',
        b'{"name": "a", "agent": {"name": "y", "version": "1", "instance": "z", "gpus": "observed"}}',
    ),
    "heartbeat": (
        b'{"status": "active", "gpus": [{"index": "GPU-\xb1"}]}',
        b'{"status": "active", "timestamp": 1759752005.5, "sequence": 7, "gpus": [{"index": 0, "uuid": "GPU-1"}]}',
        b'{"gpus": [{"index": 0, "utilization": 0.5, "memory_used_bytes": 1, "temperature_celsius": 7}, {"index": 1}]}',
        b'{"node": "a", "status": "sleeping", "timestamp": "2025-10-06T12:00:05Z"}',
    ),
    "event": (
        b'{"type": "node_heartbeat", "source_node": "a", "data": {"node": "a", "role": "compute", "status": "active"}}',
        b'{"type": "node_register", "source_node": "a", "data": {"name": "a", "capabilities": {"gpu": true}}}',
        b'{"type": "node_deregister", "data": {"node": "a"}}',
    ),
    "configuration": (
        b"web: {listen_address: '0.0.0.0:9999', cors_origin: '.*'}\nstore: sqlite:///a.db\n",
        b"thresholds:\n  warning_after: 2m\n  offline_after: 5m\nauth:\n  trusted_networks: [10.0.0.0/8]\n",
        b"topology:\n  rules:\n    - {type: vpn_mesh, source: {role: lead}}\nlimits: {max_body: 1MiB}\n",
    ),
    "http": (
        b"POST /h HTTP/1.1\r\nTransfer-Encoding: chunk\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET /nodes HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /nodes/a/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /h HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\na: b\r\n\r\n",
        b"PUT /x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\n1GET / HTTP/1.0\r\n\r\n",
    ),
}


def _check_length(error: Exception, most: int) -> None:
    assert len(str(error)) < most, f"a message of {len(str(error))} characters"


def registration(data: bytes) -> None:
    """A registration is taken, and can be written again, or it is Invalid in few words."""
    try:
        found = parse_registration(strictjson.loads(data))
    except Invalid as error:
        _check_length(error, LONGEST_MESSAGE * len(error.faults))
        return
    json.dumps(json.loads(bytes(found.capabilities)), allow_nan=False).encode()
    msgspec.json.encode(found)


def heartbeat(data: bytes) -> None:
    """Whose name is known is alive, whatever it sends."""
    assert parse_heartbeat(data, node="a") is not None
    try:
        parse_heartbeat(data)
    except Invalid as error:
        _check_length(error, LONGEST_MESSAGE)


def event(data: bytes) -> None:
    """An event is read, or not ours, or Unreadable in few words."""
    try:
        read_event(data)
    except Unreadable as error:
        _check_length(error, 100 * LONGEST_MESSAGE)


def configuration(data: bytes) -> None:
    """A configuration is taken or refused by name."""
    try:
        text = data.decode()
        read_yaml(text)
        load(None, {"AURORA_TOPOLOGY_RULES": text}, {})
    except (Invalid, UnicodeDecodeError):
        return


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.closed = False

    def write(self, data: Any) -> None:
        """As asyncio's own: after the end it is dropped."""

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        """Bytes are handed over one request at a time anyway."""

    def resume_reading(self) -> None:
        """As above."""

    def get_write_buffer_size(self) -> int:
        return 0


async def _app(scope: Any, receive: Any, send: Any) -> None:
    assert scope["path"].startswith(("/", "*")) or "//" in scope["path"], scope["path"]
    while (message := await receive()).get("more_body"):
        pass
    if message["type"] != "http.disconnect":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


class Http:
    """HTTP framing: whatever the bytes and however they are cut, the connection is answered, waits, or is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._config = uvicorn.Config(_app, lifespan="off", log_config=None, ws="none")
        self._config.load()

    def __call__(self, data: bytes) -> None:
        self._loop.run_until_complete(self._play(data))

    def close(self) -> None:
        self._loop.close()

    async def _play(self, data: bytes) -> None:
        protocol = DeadlineProtocol(self._config, ServerState(), {}, self._loop)
        transport = _Transport()
        protocol.connection_made(transport)
        step = 1 + len(data) % 37
        for start in range(0, len(data), step):
            if transport.closed:
                break
            protocol.data_received(data[start : start + step])
        await asyncio.sleep(0)
        protocol.connection_lost(None)
        for _ in range(3):
            await asyncio.sleep(0)
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert len(tasks) <= 1, tasks
        for task in tasks:
            task.cancel()
