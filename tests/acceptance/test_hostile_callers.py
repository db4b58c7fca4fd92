"""What callers do to a registry's files, log and memory, with a process of its own."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import requests

from tests.support.registry_process import RegistryProcess

pytestmark = pytest.mark.servers

MANY = 300
JUNK = (b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n")
UPGRADE = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class Limited(RegistryProcess):
    """A registry that may open so many files: by the soft limit, and by the hard one."""

    limits = (64, 256)

    def command(self) -> list[str | Path]:
        """Behind prlimit, of util-linux, which becomes the registry."""
        soft, hard = self.limits
        return ["prlimit", f"--nofile={soft}:{hard}", *super().command()]


def send(port: int, data: bytes) -> bytes:
    """The beginning of the answer, on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
        return connection.recv(65_536)


def test_as_many_files_as_there_may_be_can_be_open(tmp_path):
    """Whatever the soft limit was at the start; and where that is too few, the log says so at once."""
    with Limited(tmp_path) as registry:
        connections = [socket.create_connection(("127.0.0.1", registry.port), timeout=30) for _ in range(150)]
        for connection in connections:
            connection.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        for connection in connections:
            connection.close()
        assert "fewer files can be open than limits.max_connections needs" in registry.log


def test_callers_cannot_fill_the_log(tmp_path):
    """Neither with what is no HTTP, nor with requests for upgrades, nor with reads that they may not make."""
    with RegistryProcess(tmp_path) as registry:
        before = len(registry.log.splitlines())
        for number in range(MANY):
            assert send(registry.port, JUNK[number % len(JUNK)]).startswith(b"HTTP/1.1 400 ")
            assert send(registry.port, UPGRADE).startswith(b"HTTP/1.1 200 ")
        assert registry.metric('aurora_registry_requests_refused_total{reason="malformed"}') == MANY
        assert len(registry.log.splitlines()) - before < 10
        assert "Traceback" not in registry.log


def test_nodes_that_state_much_are_bounded_together(tmp_path):
    """131 kB each: 429 once there is too much; what was acknowledged is there after a restart, whatever it takes."""
    notes = {"a": "x" * 65_000}
    registry = RegistryProcess(
        tmp_path, store=f"sqlite:///{tmp_path}/nodes.db", settings={"limits": {"max_state": "2MiB"}}
    )
    with registry, requests.Session() as session:
        statuses = [
            session.post(
                f"{registry.url}/nodes/register", json={"name": f"n{number}", "capabilities": notes, "metadata": notes}
            ).status_code
            for number in range(30)
        ]
        assert statuses == [201] * 16 + [429] * 14
        assert 2_000_000 < registry.metric("aurora_registry_state_bytes") < 2**21
    registry.configure({"limits": {"max_state": "1MiB"}})
    with registry:
        assert len(json.loads(registry.get("/nodes").content)["nodes"]) == 16
        assert "nodes state more than limits.max_state" in registry.log
        assert registry.ask("POST", "/nodes/n0/heartbeat").status_code == 204
        assert registry.ask("POST", "/nodes/register", json={"name": "new"}).status_code == 429
