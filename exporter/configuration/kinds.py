"""Kinds of settings: each takes what YAML made of the text and gives the typed value, or raises Invalid."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any, TypeVar

from exporter.configuration.faults import refused
from exporter.configuration.pattern import compile_pattern
from exporter.domain.clock import MILLISECOND
from exporter.domain.config import Network
from exporter.domain.duration import EXPECTED as DURATION_EXPECTED
from exporter.domain.duration import parse_duration
from exporter.domain.errors import Fault, Invalid, below
from exporter.domain.text import text_fault

T = TypeVar("T")
Parser = Callable[[Any], T]

SHORTEST = 100 * MILLISECOND
_HOST = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62}){0,30}", re.ASCII)
_SIZE = re.compile(r"(\d{1,15})(B|KiB|MiB|GiB)?", re.ASCII)
_SIZE_UNITS = {None: 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_FAMILY = re.compile(r"aurora_(?:node|mesh|site|topology)_[a-z0-9_]+")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def text(value: Any) -> str:
    """Any text that a person can read."""
    if not isinstance(value, str):
        raise refused("text", value)
    if fault := text_fault(value):
        raise Invalid.of("", fault)
    return value


def secret_file(value: Any) -> str:
    """The path of a file of secrets; what else stands there may be one of them, and is not repeated."""
    if not isinstance(value, str):
        raise Invalid.of("", "expected the path of a file, got something else")
    return text(value)


def channel(value: Any) -> str:
    """A Pub/Sub channel."""
    if value == "":
        raise refused("the name of a channel", value)
    return text(value)


def boolean(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise refused("true or false", value)
    return value


def one_of(*choices: str) -> Parser[str]:
    """One of a few words."""
    *first, last = choices
    expected = f"{', '.join(first)} or {last}"

    def parse(value: Any) -> str:
        if value not in choices:
            raise refused(expected, value)
        return str(value)

    return parse


def integer(minimum: int) -> Parser[int]:
    """A whole number from the minimum up."""

    def parse(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise refused(f"a whole number, at least {minimum}", value)
        return value

    return parse


def ratio(value: Any) -> float:
    """A part of a whole: above 0, at most 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
        raise refused("a number above 0 and at most 1", value)
    return float(value)


def duration(value: Any) -> int:
    """Nanoseconds of a Prometheus duration, at least 100 ms."""
    if not isinstance(value, str):
        raise refused(DURATION_EXPECTED, value)
    try:
        ns = parse_duration(value)
    except ValueError as error:
        raise Invalid.of("", str(error)) from None
    if ns < SHORTEST:
        raise refused("a duration of at least 100ms", value)
    return ns


def size(value: Any) -> int:
    """Bytes: a whole number, or one with B, KiB, MiB or GiB."""
    match = _SIZE.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    count = int(match[1]) * _SIZE_UNITS[match[2]] if match else 0
    if not count:
        raise refused("a size such as 1MiB, 512KiB or a number of bytes", value)
    return count


def pattern(value: Any) -> str:
    """A regular expression as RE2 has them."""
    if not isinstance(value, str):
        raise refused("a regular expression", value)
    try:
        compile_pattern(value)
    except ValueError as error:
        # The reason repeats a part of the pattern.
        reason = str(error).encode("unicode_escape").decode()
        raise Invalid.of("", f"expected a regular expression, got one that does not compile: {reason}") from None
    return value


def host(value: Any) -> str:
    """The name of a host, in lower case; `*.example.org` stands for all names below example.org."""
    if not isinstance(value, str) or not _HOST.fullmatch(value.lower()):
        raise refused("the name of a host such as registry.example.org or *.example.org, without a port", value)
    return value.lower()


def network(value: Any) -> Network:
    """An IP network in CIDR notation; an address alone is a network of one."""
    if not isinstance(value, str):
        raise refused("a network such as 10.0.0.0/8", value)
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        raise refused("a network such as 10.0.0.0/8 (no bits set behind the prefix)", value) from None


def family(value: Any) -> str:
    """The name of a family of metrics about the mesh."""
    if not isinstance(value, str) or not _FAMILY.fullmatch(value):
        raise refused("a metric family's name such as aurora_node_cost_usd_per_hour", value)
    return value


def labels(value: Any) -> dict[str, str]:
    """Prometheus labels with their values."""
    if not isinstance(value, dict):
        raise refused("labels such as {region: eu}", value)
    faults, found = [], {}
    for name, label_value in value.items():
        if not isinstance(name, str) or not _LABEL.fullmatch(name):
            faults += refused("label names of letters, digits and underscores", name).faults
            continue
        try:
            found[name] = text(label_value)
        except Invalid as error:
            faults += below(name, error.faults)
    if faults:
        raise Invalid(faults)
    return found


def list_of(item: Parser[T], *, unique: Callable[[T], str] = str) -> Parser[tuple[T, ...]]:
    """A list, each item of one kind, none twice; `unique` gives what two items may not share."""

    def parse(value: Any) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise refused("a list", value)
        faults: list[Fault] = []
        items: dict[str, T] = {}
        for index, raw in enumerate(value):
            try:
                parsed = item(raw)
            except Invalid as error:
                faults += below(f"[{index}]", error.faults)
                continue
            if unique(parsed) in items:
                faults.append(Fault(f"[{index}]", f"{unique(parsed)} stands in the list already"))
            items[unique(parsed)] = parsed
        if faults:
            raise Invalid(faults)
        return tuple(items.values())

    return parse
