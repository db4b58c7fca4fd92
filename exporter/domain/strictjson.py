"""JSON from strangers: everything that RFC 8259 leaves to luck is refused by name."""

from __future__ import annotations

import json
import math
from typing import Any

from exporter.domain.errors import Invalid
from exporter.domain.text import has_surrogate, shown

MAX_DEPTH = 32
_MAX_DIGITS = 40


def loads(body: bytes) -> Any:
    """The value that a JSON text stands for.

    Raises Invalid for what is no JSON, and for duplicate keys, lone surrogates, integers of more than 40 digits and
    nesting deeper than 32. NaN, Infinity and numbers out of a double's range come back as non-finite floats, for the
    caller to refuse by the field's name (`reject_unwritable` does) or to overlook.
    """
    try:
        value = json.loads(body.decode(), object_pairs_hook=_object, parse_int=_integer)
    except UnicodeDecodeError as error:
        raise Invalid.of("", f"the body is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise Invalid.of("", f"the body is nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise Invalid.of("", f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    _check(value, "", 0)
    return value


class Ambiguous:
    """Stands for the value of a key that an object has more than once."""

    def __repr__(self) -> str:
        return "a key that stands more than once"


AMBIGUOUS = Ambiguous()


def loads_leniently(body: bytes) -> Any:
    """The value that a JSON text stands for, where single values may be beyond what JSON allows.

    What `loads` refuses by name is here for the caller to find: AMBIGUOUS for duplicate keys, infinity for endless
    integers, surrogates for bytes that are not UTF-8, control characters in texts. Raises Invalid for what is no JSON.
    """
    try:
        text = body.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        return json.loads(text, object_pairs_hook=_lenient_object, parse_int=_lenient_integer, strict=False)
    except (json.JSONDecodeError, RecursionError):
        # The strict reader finds the same fault, or one before it, and has the words for it.
        loads(body)
        raise Invalid.of("", "the body is not JSON") from None


def reject_unwritable(value: Any, path: str) -> None:
    """Raise Invalid for a non-finite number anywhere in the value: no JSON writer could give it back."""
    if isinstance(value, float) and not math.isfinite(value):
        raise Invalid.of(path, f"expected a finite number, got {value}")
    for child, child_path in _children(value, path):
        reject_unwritable(child, child_path)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Invalid.of(shown(key)[1:-1], "the key stands more than once in one object")
            seen.add(key)
    return value


def _lenient_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                value[key] = AMBIGUOUS
            seen.add(key)
    return value


def _lenient_integer(digits: str) -> float:
    return int(digits) if len(digits) <= _MAX_DIGITS else math.inf


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise Invalid.of("", f"expected an integer of at most {_MAX_DIGITS} digits, got one of {len(digits)}")
    return int(digits)


def _check(value: Any, path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Invalid.of(path.partition(".")[0].partition("[")[0], f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str) and has_surrogate(value):
        raise Invalid.of(path, f"expected text without lone surrogates, got {shown(value)}")
    if isinstance(value, dict):
        for key in value:
            if has_surrogate(key):
                raise Invalid.of(path, f"expected keys without lone surrogates, got {shown(key)}")
    for child, child_path in _children(value, path):
        _check(child, child_path, depth + 1)


def _children(value: Any, path: str) -> list[tuple[Any, str]]:
    if isinstance(value, dict):
        return [(child, f"{path}.{key}" if path else key) for key, child in value.items()]
    if isinstance(value, list):
        return [(child, f"{path}[{index}]") for index, child in enumerate(value)]
    return []
