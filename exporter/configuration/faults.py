"""How a refused setting is worded: what was expected, what stands there, and what may have been meant."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from exporter.domain.errors import Fault, Invalid, closest, join
from exporter.domain.text import shown

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.-]{1,63}\Z")
_URL = re.compile(r"://.*")


def refused(expected: str, value: Any) -> Invalid:
    """The value is not what was expected."""
    return Invalid.of("", f"expected {expected}, got {_as_written(value)}")


def unknown_key(section: str, key: Any, known: Collection[str]) -> Fault:
    """A key that no setting has; `known` are the dotted keys that may have been meant."""
    field = join(section, shown_key(key))
    # A section's name is alike in all that stands in it: the last word alone is compared. Those of the section win.
    own_last = sorted(known, key=lambda name: name.rpartition(".")[0] == section)
    names = {name.rpartition(".")[2]: name for name in own_last}
    close = closest(field.rpartition(".")[2], names)
    close = names[close] if close else None
    return Fault(field, f"unknown key; did you mean {close}?" if close else "unknown key")


def shown_key(key: Any) -> str:
    """A key as a fault's field shows it; what is no word may be a URL, password and all, and is not repeated."""
    return str(key) if _PLAIN_KEY.match(str(key)) else "(a key that is no word)"


def _as_written(value: Any) -> str:
    # As YAML has it, not as Python does; and of a URL the scheme alone, since the rest may hold a password.
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else _URL.sub("://...", shown(value))
