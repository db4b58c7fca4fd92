"""How a refused setting is worded: what was expected, what stands there, and what may have been meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from typing import Any

from exporter.domain.errors import Fault, Invalid
from exporter.domain.text import shown

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.-]{1,63}\Z")
_URL = re.compile(r"://.*")


def refused(expected: str, value: Any) -> Invalid:
    """The value is not what was expected."""
    return Invalid.of("", f"expected {expected}, got {_as_written(value)}")


def below(field: str, faults: list[Fault]) -> list[Fault]:
    """The same faults, their fields seen from one level further up."""
    return [Fault(join(field, fault.field), fault.message) for fault in faults]


def join(field: str, inner: str) -> str:
    """A dotted path from its two halves; an index (`[2]`) needs no dot."""
    return f"{field}.{inner}" if field and inner and not inner.startswith("[") else field + inner


def unknown_key(section: str, key: Any, known: Collection[str]) -> Fault:
    """A key that no setting has; `known` are the dotted keys that may have been meant."""
    field = join(section, shown_key(key))
    close = closest(field, known)
    return Fault(field, f"unknown key; did you mean {close}?" if close else "unknown key")


def shown_key(key: Any) -> str:
    """A key as a fault's field shows it; what is no word may be a URL, password and all, and is not repeated."""
    return str(key) if _PLAIN_KEY.match(str(key)) else "(a key that is no word)"


def closest(name: str, known: Collection[str], cutoff: float = 0.6) -> str | None:
    """The most similar of the known names, if any is similar enough."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=cutoff)), None)


def _as_written(value: Any) -> str:
    # As YAML has it, not as Python does; and of a URL the scheme alone, since the rest may hold a password.
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else _URL.sub("://...", shown(value))
