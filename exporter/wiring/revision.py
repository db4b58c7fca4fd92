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
    git = Path(__file__).resolve().parents[2] / ".git"
    try:
        head = (git / "HEAD").read_text(encoding="ascii").strip()
        return (
            (git / head.removeprefix("ref: ")).read_text(encoding="ascii").strip()[:12]
            if "ref: " in head
            else head[:12]
        )
    except (OSError, UnicodeDecodeError):
        return "unknown"


def instance_of(listen_address: str) -> str:
    """How other registries on a shared store know this one: the same after a restart on the same host and address."""
    if listen_address.endswith(":0"):
        return secrets.token_hex(4)
    place = f"{socket.gethostname()} {uuid.getnode()} {listen_address}"
    return hashlib.blake2s(place.encode(), digest_size=4).hexdigest()
