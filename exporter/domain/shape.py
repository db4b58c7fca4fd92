"""From plain values to typed ones, with errors for people."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from exporter.domain.errors import Invalid
from exporter.domain.text import NAME_EXPECTED, clipped, shown

T = TypeVar("T")
_AT = re.compile(r"^(?P<message>.*?)(?: - at `(?:key in )?\$\.?(?P<path>.*)`)?$", re.DOTALL)
_FIELD = re.compile(r"`(?P<field>[^`]*)`")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def shaped(value: Any, shape: type[T], *, path: str = "") -> T:
    """The value as `shape`; Invalid names the first field that does not fit, its value and what was expected."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), value, path) from None


def _invalid(text: str, value: Any, prefix: str) -> Invalid:
    match = _AT.match(text)
    assert match is not None  # noqa: S101 - the pattern matches every string
    message, path = match["message"], match["path"] or ""
    for marker, meaning in (("unknown field", "not a known field here"), ("missing required field", "required")):
        named = _FIELD.search(message)
        if marker in message and named:
            return Invalid.of(_join(prefix, _join(path, clipped(named["field"]))), meaning)
    expected = message[0].lower() + message[1:].replace("`", "")
    if "matching regex" in message:
        expected = f"expected {NAME_EXPECTED}"
    if message.startswith("Invalid enum value"):
        expected = "expected one of the known values"
    expected = expected.split(", got ")[0]
    return Invalid.of(_join(prefix, path), f"{expected}, got {shown(_look_up(value, path))}")


def _join(left: str, right: str) -> str:
    return f"{left}.{right}" if left and right and not right.startswith("[") else left + right


def _look_up(value: Any, path: str) -> Any:
    for index, key in _STEP.findall(path):
        try:
            value = value[int(index)] if index else value[key]
        except (KeyError, IndexError, TypeError):
            return value
    return value
