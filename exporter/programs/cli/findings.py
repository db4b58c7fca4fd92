"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """`state` is ok, warning or wrong; `next` says what to do about the latter two."""

    state: Literal["ok", "warning", "wrong"]
    check: str
    told: str
    next: str = ""
