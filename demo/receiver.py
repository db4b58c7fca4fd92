"""Where Alertmanager's notifications arrive: a webhook that passes each one on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from demo.ports import HOST


@dataclass(frozen=True, slots=True)
class SentAlert:
    """One alert in a notification; `status` is `firing` or `resolved`."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass(frozen=True, slots=True)
class Notification:
    """One message to one receiver of Alertmanager's configuration."""

    receiver: str
    alerts: tuple[SentAlert, ...]


class Receiver:
    """An HTTP server on a loopback port of its own; the path of a notification names its receiver. A context."""

    def __init__(self, on_notification: Callable[[Notification], None]) -> None:
        """`on_notification` is called in the server's threads."""

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()
                on_notification(_notification(self.path.removeprefix("/"), body))

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - as the base class names it
                """Log nothing: the callback prints what is worth printing."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1})
        self.url = f"http://{HOST}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _notification(receiver: str, payload: dict[str, Any]) -> Notification:
    alerts = tuple(SentAlert(alert["status"], alert["labels"], alert["annotations"]) for alert in payload["alerts"])
    return Notification(receiver, alerts)
