"""What a request's head becomes: its ASGI scope, and the cycle that answers it."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGIVersions, HTTPScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

ASGI: ASGIVersions = {"version": "3.0", "spec_version": "2.3"}


def new_cycle(connection: HttpToolsProtocol, version: str) -> RequestResponseCycle:
    """As uvicorn makes it once the head is whole, without what this server has no use for, and each request paid for.

    `version`: of HTTP, which the parser formats at each call.
    """
    parser = connection.parser
    url = httptools.parse_url(connection.url)
    path = url.path.decode("ascii")
    scope: HTTPScope = {
        "type": "http",
        "asgi": ASGI,
        "http_version": version,
        "server": connection.server,
        "client": connection.client,
        "scheme": connection.scheme or "http",
        "root_path": "",
        "method": parser.get_method().decode("ascii"),
        "path": unquote(path) if "%" in path else path,
        "raw_path": url.path,
        "query_string": url.query or b"",
        "headers": connection.headers,
    }
    return RequestResponseCycle(
        scope,
        connection.transport,
        connection.flow,
        connection.logger,
        connection.access_logger,
        access_log=False,
        default_headers=connection.server_state.default_headers,
        message_event=asyncio.Event(),
        # Source: RFC 9110 10.1.1.
        expect_100_continue=connection.expect_100_continue and version != "1.0",
        keep_alive=version != "1.0" and parser.should_keep_alive(),
        on_response=connection.on_response_complete,
    )
