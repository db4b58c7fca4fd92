"""`GET /join`: the script that makes a machine a node; and the agent that it installs."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import re
from concurrent.futures import Future
from pathlib import Path
from threading import Thread

from starlette.requests import Request
from starlette.responses import Response

from exporter import __version__
from exporter.agent import archive
from exporter.api.problems import Problem
from exporter.api.responses import Handler
from exporter.domain.registration import Agent

JOIN, AGENT = "/join", f"/agent/{archive.NAME}"
NAME = "aurora-agent"
_NUMBERS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,3}")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_SCRIPT = Path(__file__).with_name("join.sh")


async def agent_file() -> tuple[bytes, str]:
    """The agent's zipapp and its SHA-256 in hexadecimal; built when it is first asked for. Raises OSError."""
    # One that stops waiting must not cancel it for the others.
    return await asyncio.shield(asyncio.wrap_future(_built()))


@functools.cache
def _built() -> Future[tuple[bytes, str]]:
    """In a thread: it takes a tenth of a second."""
    built: Future[tuple[bytes, str]] = Future()
    Thread(target=_build, args=(built,), name="aurora-agent-file", daemon=True).start()
    return built


def _build(built: Future[tuple[bytes, str]]) -> None:
    try:
        content = archive.build()
        built.set_result((content, hashlib.sha256(content).hexdigest()))
    except Exception as error:  # noqa: BLE001 - each that asks for it gets it
        built.set_exception(error)


async def upgrade_of(agent: Agent | None) -> dict[str, str] | None:
    """The answer to an agent of ours that is older than this registry; None for any other."""
    if agent is None or agent.name != NAME or not _is_older(agent.version, __version__):
        return None
    try:
        return {"version": __version__, "path": AGENT, "sha256": (await agent_file())[1]}
    except OSError:
        # Installed in a way that no file can be made of: no reason to refuse a node.
        return None


def _is_older(version: str, than: str) -> bool:
    ours, theirs = _NUMBERS.match(than), _NUMBERS.match(version)
    if ours is None or theirs is None:
        return False
    return [int(part) for part in theirs[0].split(".")] < [int(part) for part in ours[0].split(".")]


async def show_script(request: Request) -> Response:
    """The script, for the address that it was asked for at."""
    host = request.headers.get("host", "")
    # It becomes a part of a program that somebody runs as root.
    if _HOST.fullmatch(host) is None:
        raise Problem(400, "expected the registry's own address as Host", kind="invalid")
    scheme = "https" if request.scope.get("scheme") == "https" else "http"
    script = _SCRIPT.read_text(encoding="ascii")
    script = script.replace("@REGISTRY@", f"{scheme}://{host}").replace("@SHA256@", (await agent_file())[1])
    return Response(script, headers={"Cache-Control": "no-store"}, media_type="text/x-shellscript")


def serve_agent() -> Handler:
    """The agent's zipapp, with its checksum as ETag."""

    async def handle(request: Request) -> Response:
        content, sha256 = await agent_file()
        headers = {"ETag": f'"{sha256}"', "Content-Disposition": f'attachment; filename="{archive.NAME}"'}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type="application/zip")

    return handle
