"""Which commit this is, where that is known, and which of several registries."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import uuid
from pathlib import Path


def revision() -> str:
    """AURORA_REVISION, which an image's build sets; else the checkout's commit; else `unknown`."""
    stated = os.environ.get("AURORA_REVISION")
    if stated:
        return stated
    try:
        return commit_of(Path(__file__).resolve().parents[2])[:12]
    except (OSError, ValueError, KeyError):
        return "unknown"


def commit_of(checkout: Path) -> str:
    """The commit that is checked out there; OSError, ValueError or KeyError where that is not known.

    Source: gitrepository-layout(5). A worktree has a file in place of `.git`, and its branches in the main one.
    """
    git = checkout / ".git"
    if git.is_file():
        git = checkout / git.read_text(encoding="ascii").removeprefix("gitdir: ").strip()
    head = (git / "HEAD").read_text(encoding="ascii").strip()
    if not head.startswith("ref: "):
        return head
    branch, common = head.removeprefix("ref: "), git / "commondir"
    if common.exists():
        git /= common.read_text(encoding="ascii").strip()
    if (git / branch).exists():
        return (git / branch).read_text(encoding="ascii").strip()
    packed = (line.split() for line in (git / "packed-refs").read_text(encoding="ascii").splitlines())
    return {line[1]: line[0] for line in packed if len(line) == 2}[branch]  # noqa: PLR2004 - a commit and its name


def instance_of(listen_address: str) -> str:
    """How other registries on a shared store know this one: the same after a restart on the same host and address."""
    if listen_address.endswith(":0"):
        return secrets.token_hex(4)
    place = f"{socket.gethostname()} {uuid.getnode()} {listen_address}"
    return hashlib.blake2s(place.encode(), digest_size=4).hexdigest()
