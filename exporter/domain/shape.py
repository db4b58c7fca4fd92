"""From plain values to typed ones, with errors for people."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from exporter.domain.errors import Fault, Invalid, join
from exporter.domain.text import CODE, CODE_EXPECTED, NAME_EXPECTED, clipped, shown

T = TypeVar("T")
MAX_FAULTS = 50
UNKNOWN = "not a known field here"
REQUIRED = "required"
_AT = re.compile(r"^(?P<message>.*?)(?: - at `(?:key in )?\$\.?(?P<path>.*)`)?$", re.DOTALL)
_FIELD = re.compile(r"`(?P<field>[^`]*)`")
_KINDS = re.compile(r"^expected (?P<kinds>\w+(?: \| \w+)*)")
_WORDS = {"str": ["text"], "int": ["whole number"], "float": ["number"], "bool": ["true", "false"]}
"""What JSON's users call it, where msgspec names the types of Python."""
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def shaped(value: Any, shape: type[T], *, path: str = "") -> T:
    """The value as `shape`; Invalid names the first field that does not fit, its value and what was expected."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), value, path) from None


def fitting(
    value: dict[str, Any], shape: type[msgspec.Struct], *, path: str = ""
) -> tuple[dict[str, Any], list[Fault]]:
    """Those of the object's values that fit the shape, and what is wrong with the others, at most MAX_FAULTS."""
    good: dict[str, Any] = {}
    faults: list[Fault] = []
    fields = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    for name, field in fields.items():
        if name in value:
            try:
                shaped(value[name], field.type, path=join(path, name))
            except Invalid as error:
                faults += error.faults
            else:
                good[name] = value[name]
        elif field.required:
            faults.append(Fault(join(path, name), REQUIRED))
    if shape.__struct_config__.forbid_unknown_fields:
        faults += [Fault(join(path, clipped(key)), UNKNOWN) for key in value if key not in fields]
    return good, faults[:MAX_FAULTS]


def _invalid(text: str, value: Any, prefix: str) -> Invalid:
    match = _AT.match(text)
    assert match is not None  # noqa: S101 - the pattern matches every string
    message, path = match["message"], match["path"] or ""
    for marker, meaning in (("unknown field", UNKNOWN), ("missing required field", REQUIRED)):
        named = _FIELD.search(message)
        if marker in message and named:
            return Invalid.of(join(prefix, join(path, clipped(named["field"]))), meaning)
    expected = message[0].lower() + message[1:].replace("`", "")
    if "matching regex" in message:
        expected = f"expected {CODE_EXPECTED if repr(CODE) in message else NAME_EXPECTED}"
    if message.startswith("Invalid enum value"):
        expected = "expected one of the known values"
    expected = _in_words(expected.split(", got ")[0])
    return Invalid.of(join(prefix, path), f"{expected}, got {shown(_look_up(value, path))}")


def _in_words(expected: str) -> str:
    """`expected float | null` as `expected number or null`."""
    kinds = _KINDS.match(expected)
    if kinds is None:
        return expected
    words = [word for kind in kinds["kinds"].split(" | ") for word in _WORDS.get(kind, [kind])]
    said = " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
    return f"expected {said}{expected[kinds.end() :].removesuffix('.0')}"


def _look_up(value: Any, path: str) -> Any:
    for index, key in _STEP.findall(path):
        try:
            value = value[int(index)] if index else value[key]
        except (KeyError, IndexError, TypeError):
            return value
    return value
