"""An HTTP server of a test's own, on the loopback, that answers as a function says."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self


class Request(NamedTuple):
    """What was asked."""

    method: str
    path: str
    """With its query."""
    headers: Message
    body: bytes
    host: str
    """The address of this server that it was sent to."""


class Response(NamedTuple):
    """What is answered; `Content-Length` is added where the headers do not have it."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""


def json_response(document: Any, status: int = 200, media_type: str = "application/json") -> Response:
    """A document, or with `application/problem+json` a problem."""
    return Response(status, {"Content-Type": media_type}, json.dumps(document).encode())


class HttpStub:
    """Use it as a context. `respond` is called for each request, in a thread of its connection's own."""

    def __init__(self, respond: Callable[[Request], Response], *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = ThreadingHTTPServer((host, port), _handler(respond))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.address = f"{host}:{self._server.server_port}"
        self.url = f"http://{self.address}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(respond: Callable[[Request], Response]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            host = self.connection.getsockname()[0]
            status, headers, content = respond(Request(self.command, self.path, self.headers, body, host))
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # nobody reads all of what is too large
                self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - what http.server calls

        def log_message(self, *_: object) -> None:
            """Tests look at what `respond` was given."""

    return Handler
