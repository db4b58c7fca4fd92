"""The least that takes heartbeats over HTTP: `python -m benchmarks.peers.bare_http PORT starlette|asgi`."""

from __future__ import annotations

import sys

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

_decode = msgspec.json.Decoder().decode


async def _heartbeat(request: Request) -> Response:
    _decode(await request.body())
    return Response(status_code=204)


async def _asgi(_scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    _decode(message["body"])
    await send({"type": "http.response.start", "status": 204, "headers": ()})
    await send({"type": "http.response.body"})


def main() -> None:
    """Serve with the same server, event loop and parser as the registry."""
    starlette = Starlette(routes=[Route("/nodes/{name}/heartbeat", _heartbeat, methods=["POST"])])
    apps: dict[str, ASGIApp] = {"starlette": starlette, "asgi": _asgi}
    uvicorn.run(
        apps[sys.argv[2]],
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
