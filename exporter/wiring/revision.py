"""Which commit this is, where one can tell."""

from __future__ import annotations

import os
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
