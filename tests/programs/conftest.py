from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import pytest

from demo.ports import free_port
from exporter.programs.cli import main
from tests.support.http_stub import HttpStub, Response

NOW = datetime(2025, 10, 6, 12, 0, 5, tzinfo=UTC)
JSON = "application/json"


class RecordedRegistry:
    """A registry on the loopback that gives recorded answers, and records what it was asked.

    It does not filter, sort or page: it answers the path and query that were recorded, and 404 to all else.
    """

    def __init__(self):
        self.requests = []
        self.authorizations = []
        self.last_event_ids = []
        self.answers = {}
        self.url = ""

    def answer(self, path, document, *, status=200, media_type=JSON, headers=None):
        """From now on this is the answer to the path (with its query); bytes go out as they are."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.answers[path] = (status, {"Content-Type": media_type, **(headers or {})}, body)

    def refuse(self, path, status, problem, **headers):
        """From now on the path is answered by a problem document."""
        self.answer(path, problem, status=status, media_type="application/problem+json", headers=headers)

    def respond(self, request):
        self.requests.append(request.path)
        self.authorizations.append(request.headers["Authorization"])
        if "Last-Event-ID" in request.headers:
            self.last_event_ids.append(request.headers["Last-Event-ID"])
        status, headers, body = self.answers.get(request.path, (404, {"Content-Type": "text/plain"}, b"Not Found"))
        return Response(status, {"Date": NOW.strftime("%a, %d %b %Y %H:%M:%S GMT"), **headers}, body)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    """No setting of the caller's is inherited."""
    for name in [name for name in os.environ if name.startswith("AURORA_")] + ["NO_COLOR", "COLUMNS"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def registry():
    """A registry without recorded answers yet."""
    recorded = RecordedRegistry()
    with HttpStub(recorded.respond) as server:
        recorded.url = server.url
        yield recorded


@pytest.fixture
def cli(registry, monkeypatch, capsys):
    """Runs aurora-cli in this process against the registry; gives exit status, stdout and stderr."""
    monkeypatch.setenv("AURORA_REGISTRY", registry.url)

    def run(*argv):
        try:
            status = main(argv)
        except SystemExit as ended:  # argparse ends the program itself
            status = int(ended.code or 0)
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


@pytest.fixture
def shows(cli):
    """Runs aurora-cli where it must succeed without a complaint; gives its stdout."""

    def run(*argv):
        status, out, err = cli(*argv)
        assert (status, err) == (0, "")
        return out

    return run


@pytest.fixture
def on_terminal(monkeypatch):
    """Stdout and stderr are a terminal of this width, with these variables in the environment."""

    def do(width=80, **variables):
        for name, value in {"COLUMNS": str(width), "TERM": "xterm", **variables}.items():
            monkeypatch.setenv(name, value)
        for stream in ("stdout", "stderr"):
            monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True)

    return do


@pytest.fixture
def nowhere():
    """The URL of a port where nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def seed():
    """`GET /nodes` of the mesh that the product was made for."""
    return {
        "nodes": {node["name"]: node for node in _seed_nodes()},
        "total": 4,
        "active": 3,
        "timestamp": _at("12:00:05"),
    }


def _seed_nodes():
    gpus = {"gpu": True, "gpu_count": 2, "gpu_type": "RTX 4090", "gpu_memory": 48}
    one = {"gpu": True, "gpu_count": 1, "gpu_type": "RTX 4090", "gpu_memory": 24}
    facts = [
        ("aurora", "lead", "10.0.0.1", "45.32.194.172", "active", "12:00:05", {}, "10:00:00"),
        ("runpod-tx", "compute", "10.0.0.3", "82.221.170.242", "active", "12:00:03", gpus, "10:05:00"),
        ("vengeance", "compute", "10.0.0.4", None, "active", "12:00:01", one, "10:10:00"),
        ("robbiebook1", "compute", "10.0.0.5", None, "warning", "11:56:00", {"gpu": False}, "10:15:00"),
    ]
    for name, role, vpn_ip, public_ip, status, last_seen, capabilities, registered_at in facts:
        yield {
            "name": name,
            "role": role,
            "vpn_ip": vpn_ip,
            **({"public_ip": public_ip} if public_ip else {}),
            "status": status,
            "last_seen": _at(last_seen),
            "capabilities": capabilities,
            "registered_at": _at(registered_at),
            "metadata": {},
            "lifecycle": "in_service",
            "transport": "bus",
        }


def _at(time):
    return f"2025-10-06T{time}Z"
