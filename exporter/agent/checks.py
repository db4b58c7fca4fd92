"""The registry's rules for names, texts and addresses, so that a mistake is reported before any request."""

from __future__ import annotations

import re
import socket

from exporter.agent.exits import UsageError

NAME_EXPECTED = "1 to 63 letters, digits, dots, underscores and hyphens, a letter or digit at each end"
MAX_TEXT = 256
MAX_SHOWN = 80
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line separators, bidi embeddings, overrides and isolates, lone surrogates."""
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_OUTSIDE_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME = 63


def check_name(text: str, option: str) -> None:
    """Raise UsageError unless the text may name a node or a role."""
    if _NAME.fullmatch(text) is None:
        raise UsageError(f"{option}: expected {NAME_EXPECTED}, got {shown(text)}")


def check_text(text: str, option: str) -> None:
    """Raise UsageError unless people may read the text."""
    if len(text) > MAX_TEXT:
        raise UsageError(f"{option}: expected at most {MAX_TEXT} characters, got {len(text)}")
    unsafe = UNSAFE.search(text)
    if unsafe:
        raise UsageError(
            f"{option}: expected no control, bidi-override or surrogate characters, got {shown(unsafe.group())}"
        )


def check_address(text: str, option: str) -> None:
    """Raise UsageError unless the text is an IP address without a zone, `dynamic`, or empty."""
    if text in {"", "dynamic"}:
        return
    if any(_is_address(family, text) for family in (socket.AF_INET, socket.AF_INET6)):
        return
    raise UsageError(f"{option}: expected an IP address or 'dynamic', got {shown(text)}")


def _is_address(family: socket.AddressFamily, text: str) -> bool:
    # Not by ipaddress, which weighs more than all of this module.
    try:
        socket.inet_pton(family, text)
    except (OSError, ValueError):
        return False
    return True


def name_of(hostname: str) -> str:
    """A host name as a node's name: what may not stand in one becomes a hyphen; empty where nothing is left."""
    return _OUTSIDE_NAMES.sub("-", hostname).strip("._-")[:_MAX_NAME].rstrip("._-")


def clean_text(value: object) -> str:
    """What of a driver's text people may read; empty where nothing is left, or where it is no text."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    return UNSAFE.sub("", value).strip()[:MAX_TEXT]


def shown(value: object) -> str:
    """A refused value as an error message shows it: escaped and not longer than a glance."""
    text = ascii(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:60]}... ({len(text)} characters)"


def escape_control(text: str) -> str:
    """A text from elsewhere as a terminal may show it: control characters are written out."""
    return UNSAFE.sub(lambda match: ascii(match.group())[1:-1], text)
