"""What names, texts and addresses may be made of."""

from __future__ import annotations

import ipaddress
import re

NAME = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z"
NAME_EXPECTED = "1 to 63 letters, digits, dots, underscores and hyphens, a letter or digit at each end"
CODE = r"^[0-9]{1,6}\Z"
CODE_EXPECTED = "1 to 6 digits"
MAX_TEXT = 256
MAX_SHOWN = 80
_NAME = re.compile(NAME)
# C0 and C1 controls, line separators, bidi embeddings, overrides and isolates (CVE-2021-42574), lone surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def is_name(text: str) -> bool:
    """Whether the text may name a node (or a role, a link's type or a topology rule's)."""
    return _NAME.match(text) is not None


def text_fault(text: str) -> str | None:
    """What is wrong with a text that people will read, or None."""
    if len(text) > MAX_TEXT:
        return f"expected at most {MAX_TEXT} characters, got {len(text)}"
    if text.isascii() and text.isprintable():
        # Nearly all; the search takes three times as long.
        return None
    unsafe = _UNSAFE.search(text)
    if unsafe:
        return f"expected no control, bidi-override or surrogate characters, got {shown(unsafe.group())}"
    return None


def has_surrogate(text: str) -> bool:
    """Whether the text has a lone surrogate, which no encoder can write."""
    return _SURROGATE.search(text) is not None


def address_fault(text: str) -> str | None:
    """What is wrong with an IP address, or None. Zones (`%eth0`) mean nothing on another host."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return f"expected an IP address or 'dynamic', got {shown(text)}"
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        return f"expected an IP address without a zone, got {shown(text)}"
    return None


def clipped(key: str) -> str:
    """A key of unknown length as an error message names it: escaped and not longer than a glance."""
    return shown(key[: MAX_SHOWN + 1])[1:-1] if len(key) <= MAX_SHOWN else shown(key[:60])[1:-1] + "..."


def shown(value: object) -> str:
    """A refused value as an error message shows it: escaped and not longer than a glance."""
    try:
        text = ascii(value)
    except RecursionError:
        return "something nested too deep to be shown"
    return text if len(text) <= MAX_SHOWN else f"{text[:60]}... ({len(text)} characters)"
