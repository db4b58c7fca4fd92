"""A caller of ASGI applications without a network between."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Message


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pieces: int = 0

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Calls the application as uvicorn would, from one address; not tested by it: sockets, and slow or torn bodies."""

    app: ASGIApp
    peer: str | None = "127.0.0.1"
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, headers=headers)

    def post(self, path: str, value: Any = None, **headers: str) -> Answer:
        return self.send("POST", path, value, **headers)

    def put(self, path: str, value: Any = None, **headers: str) -> Answer:
        return self.send("PUT", path, value, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.call("DELETE", path, headers=headers)

    def send(self, method: str, path: str, value: Any = None, **headers: str) -> Answer:
        """A value goes as JSON, bytes as they are, None as no body."""
        if value is None:
            return self.call(method, path, headers=headers)
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.call(method, path, body, headers={"content_type": "application/json", **headers})

    def call(
        self, method: str, path: str, body: bytes | list[bytes] | None = None, *, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request. `_` in the names of headers is `-`; a list is a chunked body."""
        return self.runner.run(self.request(method, path, body, headers=headers))

    async def request(
        self, method: str, path: str, body: bytes | list[bytes] | None = None, *, headers: dict[str, str] | None = None
    ) -> Answer:
        """The same, for callers that have a loop."""
        raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        if isinstance(body, list):
            raw.append((b"transfer-encoding", b"chunked"))
        elif body is not None and not any(name == b"content-length" for name, _ in raw):
            raw.append((b"content-length", b"%d" % len(body)))
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": quote(query, safe="=&%[],:+.").encode(),
            "headers": raw if any(name == b"host" for name, _ in raw) else [(b"host", b"registry"), *raw],
            "client": (self.peer, 40_000) if self.peer else None,
            "server": ("127.0.0.1", 9999),
            "state": {},
        }
        answer = Answer()
        chunks = body if isinstance(body, list) else [body or b""]
        arriving = [
            {"type": "http.request", "body": chunk, "more_body": position < len(chunks)}
            for position, chunk in enumerate(chunks, 1)
        ]

        async def receive() -> Message:
            if not arriving:
                await asyncio.Event().wait()
            return arriving.pop(0)

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            elif method != "HEAD":
                answer.body += message.get("body", b"")
                answer.pieces += 1

        await self.app(scope, receive, send)
        return answer
