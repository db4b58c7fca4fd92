"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """`next` says what to do where `state` is not ok; what was not looked at is `not checked`."""

    state: Literal["ok", "warning", "wrong", "not checked"]
    check: str
    text: str
    next: str = ""
