"""Where Alertmanager's notifications arrive: a webhook that writes down who was told what, and when."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Told:
    """One alert in a notification."""

    name: str
    status: str
    """`firing` or `resolved`."""
    labels: Labels

    @property
    def subject(self) -> str:
        """The node that it is about, or else the site; empty for the mesh and the registry."""
        return self.label("node") or self.label("site")

    def label(self, name: str) -> str:
        """The value of a label, empty where there is none."""
        return dict(self.labels).get(name, "")

    def __str__(self) -> str:
        return " ".join(part for part in (self.name, self.subject, self.status) if part)


@dataclass(frozen=True)
class Notification:
    """One message to a receiver."""

    at: float
    """Monotonic seconds."""
    receiver: str
    alerts: tuple[Told, ...]


class Sink:
    """An HTTP server on a loopback port; the path of a notification names its receiver. Use it as a context."""

    def __init__(self) -> None:
        self.notifications: list[Notification] = []
        """In order of arrival."""
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.notifications.append(_notification(self.path.removeprefix("/"), json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - as the base class names it
                """Nothing: a failing test shows what arrived."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _notification(receiver: str, payload: dict[str, Any]) -> Notification:
    alerts = tuple(
        Told(alert["labels"]["alertname"], alert["status"], frozenset(alert["labels"].items()))
        for alert in payload["alerts"]
    )
    return Notification(time.monotonic(), receiver, alerts)
