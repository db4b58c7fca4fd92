"""JSON from strangers: everything that RFC 8259 leaves to luck is refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from exporter.domain.errors import Invalid
from exporter.domain.text import clipped, has_surrogate, shown

MAX_DEPTH = 32
MAX_COMMAS = 10_000
"""Of a text: more than the largest registration holds, and few enough to be read in some milliseconds."""
_MAX_DIGITS = 40
_BYTE_ORDER_MARK = "\ufeff"
"""Begins files that Windows wrote; RFC 8259 lets readers overlook it."""
Container = dict[str, Any] | list[Any]
_NESTED = (dict, list)


class TooComplex(Invalid):
    """More values, or nested deeper, than we read: it may be JSON."""


def loads(body: bytes) -> Any:
    """The value that a JSON text stands for.

    Takes time and memory in proportion to the body. Raises Invalid for what is no JSON, and for duplicate keys, lone
    surrogates, integers of more than 40 digits and nesting deeper than 32. NaN, Infinity and numbers out of a double's
    range come back as non-finite floats, for the caller to refuse by the field's name (`reject_unwritable` does) or to
    overlook.
    """
    _check_size(body)
    marks = _Marks()
    try:
        text = body.decode().removeprefix(_BYTE_ORDER_MARK)
        value = json.loads(text, object_pairs_hook=marks.object, parse_int=marks.integer)
    except UnicodeDecodeError as error:
        raise Invalid.of("", f"the body is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise TooComplex.of("", f"the body is nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise Invalid.of("", f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    if marks.any:
        _refuse_marked(value)
    # Text of valid UTF-8 has surrogates by escapes only.
    _check(value, escapes=b"\\u" in body)
    return value


def _check_size(body: bytes) -> None:
    # Each value costs hundreds of bytes and a microsecond: so many stall nothing.
    commas = body.count(b",")
    if commas > MAX_COMMAS:
        raise TooComplex.of("", f"expected a body of at most {MAX_COMMAS} commas, got {commas}")


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
    _check_size(body)
    try:
        text = body.decode("utf-8", "surrogateescape").removeprefix(_BYTE_ORDER_MARK)
        return json.loads(text, object_pairs_hook=_lenient_object, parse_int=_lenient_integer, strict=False)
    except (json.JSONDecodeError, RecursionError):
        # The strict reader finds the same fault, or one before it, and has the words for it.
        loads(body)
        raise Invalid.of("", "the body is not JSON") from None


def reject_unwritable(value: Any, path: str) -> None:
    """Raise Invalid for a non-finite number anywhere in the value: no JSON writer could give it back."""
    for within, where in _containers(value):
        for step, child in _items(within):
            if isinstance(child, float) and not math.isfinite(child):
                raise Invalid.of(_path_of(_Where(where, step, 0), path), f"expected a finite number, got {child}")


class _TooLong(NamedTuple):
    """Stands for an integer that nobody means."""

    digits: int


class _Marks:
    """What a text has that is refused: where it stands is known once the whole is read."""

    def __init__(self) -> None:
        self.any = False

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = _lenient_object(pairs)
        self.any |= len(value) != len(pairs)
        return value

    def integer(self, digits: str) -> int | _TooLong:
        if len(digits) <= _MAX_DIGITS:
            return int(digits)
        self.any = True
        return _TooLong(len(digits))


def _refuse_marked(value: Any) -> None:
    for within, where in _containers(value):
        for step, child in _items(within):
            if child is AMBIGUOUS:
                raise Invalid.of(_path_of(_Where(where, step, 0), ""), "the key stands more than once in one object")
            if isinstance(child, _TooLong):
                message = f"expected an integer of at most {_MAX_DIGITS} digits, got one of {child.digits}"
                raise Invalid.of(_path_of(_Where(where, step, 0), ""), message)


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


def _check(value: Any, *, escapes: bool) -> None:
    for within, where in _containers(value):
        if where is not None and where.depth >= MAX_DEPTH:
            raise TooComplex.of(_path_of(where, "", 1), f"nested deeper than {MAX_DEPTH} levels")
        if escapes:
            _reject_surrogates(within, where)


def _reject_surrogates(within: Container, where: _Where | None) -> None:
    for step, child in _items(within):
        if isinstance(step, str) and has_surrogate(step):
            raise Invalid.of(_path_of(where, ""), f"expected keys without lone surrogates, got {shown(step)}")
        if isinstance(child, str) and has_surrogate(child):
            message = f"expected text without lone surrogates, got {shown(child)}"
            raise Invalid.of(_path_of(_Where(where, step, 0), ""), message)


class _Where(NamedTuple):
    """Where a value stands: its key or index, and where what it is in stands."""

    parent: _Where | None
    step: str | int
    depth: int


def _containers(value: Any) -> Iterator[tuple[Container, _Where | None]]:
    """Every object and array within that is not empty, parents first; paths are worked out where one is needed."""
    # A single value is looked at as if it were in an object.
    root = value if isinstance(value, dict | list) else {"": value}
    waiting: list[tuple[Container, _Where | None]] = [(root, None)]
    while waiting:
        within, where = waiting.pop()
        yield within, where
        depth = where.depth + 1 if where else 1
        waiting += [
            (child, _Where(where, step, depth))
            for step, child in _items(within)
            if child and isinstance(child, _NESTED)
        ]


def _items(within: Container) -> Iterable[tuple[str | int, Any]]:
    return within.items() if isinstance(within, dict) else enumerate(within)


def _path_of(where: _Where | None, prefix: str, steps: int = MAX_DEPTH) -> str:
    """As `a.b[2]`; of a key no more than a glance, of the path only the first `steps`."""
    path: list[str | int] = []
    while where is not None:
        path.append(where.step)
        where = where.parent
    text = prefix
    for step in path[::-1][:steps]:
        named = f"[{step}]" if isinstance(step, int) else clipped(step)
        text += named if isinstance(step, int) or not text else f".{named}"
    return text
