"""How answers leave: each with the headers that all of them have."""

from __future__ import annotations

from starlette.types import Message, Send

from exporter.api.problems import MEDIA_TYPE, Problem


class ResponseSender:
    """Sends an answer with the headers that every answer has, and keeps its status."""

    __slots__ = ("_headers", "_send", "status")

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = headers
        self.status = 0

    async def __call__(self, message: Message) -> None:
        """As the server's own `send`."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
        await self._send(message)

    async def problem(self, problem: Problem, *, close: bool) -> None:
        """Answer with a problem document; `close`: the rest of the request is not wanted."""
        body = problem.body()
        headers = [
            (b"content-type", MEDIA_TYPE),
            (b"content-length", b"%d" % len(body)),
            *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
        ]
        if close:
            headers.append((b"connection", b"close"))
        await self({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self({"type": "http.response.body", "body": body})
