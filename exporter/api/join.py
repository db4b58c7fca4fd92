"""`GET /join`: the script that makes a machine a node; and the agent that it installs."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from exporter.agent import archive
from exporter.api.problems import Problem
from exporter.api.responses import Handler

JOIN, AGENT = "/join", f"/agent/{archive.NAME}"
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_SCRIPT = Path(__file__).with_name("join.sh")


@lru_cache(maxsize=1)
def agent_file() -> tuple[bytes, str]:
    """The agent's zipapp and its SHA-256 in hexadecimal; built when it is first asked for."""
    content = archive.build()
    return content, hashlib.sha256(content).hexdigest()


async def show_script(request: Request) -> Response:
    """The script, for the address that it was asked for at."""
    host = request.headers.get("host", "")
    # It becomes a part of a program that somebody runs as root.
    if _HOST.fullmatch(host) is None:
        raise Problem(400, "expected the registry's own address as Host", kind="invalid")
    scheme = "https" if request.scope.get("scheme") == "https" else "http"
    script = _SCRIPT.read_text(encoding="ascii")
    script = script.replace("@REGISTRY@", f"{scheme}://{host}").replace("@SHA256@", agent_file()[1])
    return Response(script, headers={"Cache-Control": "no-store"}, media_type="text/x-shellscript")


def serve_agent() -> Handler:
    """The agent's zipapp, with its checksum as ETag."""

    async def handle(request: Request) -> Response:
        content, sha256 = agent_file()
        headers = {"ETag": f'"{sha256}"', "Content-Disposition": f'attachment; filename="{archive.NAME}"'}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type="application/zip")

    return handle
