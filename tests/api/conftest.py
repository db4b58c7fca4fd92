from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from exporter.api.app import create_app
from exporter.api.protocol import DeadlineProtocol
from exporter.domain.config import Limits
from exporter.wiring.httpserver import Server
from exporter.wiring.server import GRACE_SECONDS, uvicorn_config
from tests.api.fakeservice import FakeService
from tests.support.asgi import Client
from tests.support.seed_mesh import REGISTRATIONS

VENGEANCE: dict[str, Any] = REGISTRATIONS["vengeance"]


@pytest.fixture
def service():
    return FakeService()


@pytest.fixture
def client(service):
    with asyncio.Runner() as runner:
        yield Client(create_app(service), runner=runner)


@pytest.fixture
def register(client):
    """Registers a node of this name, with whatever else is given."""

    def do(name="vengeance", **fields):
        answer = client.post("/nodes/register", {"name": name, **fields})
        assert answer.status in (200, 201), answer.body
        return answer.json()

    return do


class PromptServer(Server):
    """Ends as soon as it shall: uvicorn looks ten times a second whether it shall, and many tests start one."""

    async def main_loop(self):
        await self.on_tick(0)
        while not self.should_exit:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.005)


@pytest.fixture
def serve():
    """Serves an application on a free port of the loopback, as the registry does; gives the port."""
    running = []

    def start(app, *, limits=Limits, is_trusted=lambda _: True, refused=lambda _: None, **settings):
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn_config(app, DeadlineProtocol.within(limits, is_trusted, refused), **settings)
        server = PromptServer(config, GRACE_SECONDS)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        running.append((server, thread, listening))
        return listening.getsockname()[1]

    yield start
    for server, thread, listening in running:
        server.should_exit = True
        thread.join()
        listening.close()
