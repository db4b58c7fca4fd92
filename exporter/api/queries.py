"""Query parameters, and points in time as people write them: known, or refused with value and expectation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl

from exporter.domain.duration import parse_duration
from exporter.domain.errors import Fault, Invalid
from exporter.domain.node import Node
from exporter.domain.registration import GIB
from exporter.domain.status import Status
from exporter.domain.text import MAX_SHOWN, NAME_EXPECTED, is_name, shown, text_fault
from exporter.domain.timestamp import parse_timestamp

MAX_PARAMETERS = 64
MAX_COUNT = 1_000_000
Test = Callable[[Node], bool]
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,20})?(?:[eE][+-]?[0-9]{1,3})?")


def parse_query(query_string: bytes, parameters: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """The parameters' values, each read by its own function, which raises ValueError; Invalid names all at fault."""
    try:
        pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise Invalid.of("", f"expected at most {MAX_PARAMETERS} query parameters") from None
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, text in pairs:
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            faults.append(Fault(ascii(name)[1:-1][:MAX_SHOWN], f"not a known query parameter here; known: {known}"))
        elif name in values:
            faults.append(Fault(name, "expected once, got it again"))
        else:
            try:
                values[name] = parameters[name](text)
            except ValueError as error:
                faults.append(Fault(name, str(error)))
    if faults:
        raise Invalid(faults)
    return values


def name_of(text: str) -> str:
    """A name of a node or a role."""
    if not is_name(text):
        raise ValueError(f"expected {NAME_EXPECTED}, got {shown(text)}")
    return text


def boolean(text: str) -> bool:
    """True or false, in capitals too: requests and httpx write Python's True as it is."""
    value = {"true": True, "false": False}.get(text.lower())
    if value is None:
        raise ValueError(f"expected true or false, got {shown(text)}")
    return value


def integer(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers within these bounds."""

    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most:
            return int(text)
        raise ValueError(f"expected a whole number from {least} to {most}, got {shown(text)}")

    return read


def _role(text: str) -> Test:
    role = name_of(text)
    return lambda node: node.facts.role == role


def _status(text: str) -> Test:
    if text not in set(Status):
        raise ValueError(f"expected {', '.join(Status)}, got {shown(text)}")
    status = Status(text)
    return lambda node: node.status is status


def _gpu(text: str) -> Test:
    wanted = boolean(text)
    return lambda node: (node.facts.gpus > 0) is wanted


def _environment(text: str) -> Test:
    _check_text(text)
    return lambda node: node.facts.environment == text


def _site(text: str) -> Test:
    _check_text(text)
    return lambda node: node.facts.site == text


def _vpn_ip(text: str) -> Test:
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"expected an IP address, got {shown(text)}") from None
    canonical = str(address)
    # An IPv6 address has many spellings, and nodes keep theirs; an IPv4 address has one.
    return lambda node: (
        node.facts.vpn_ip == canonical or (":" in node.facts.vpn_ip and ip_address(node.facts.vpn_ip) == address)
    )


def _min_free_vram_gb(text: str) -> Test:
    least = float(text) * GIB if _NUMBER.fullmatch(text) else -1.0
    if not 0 <= least <= MAX_COUNT * GIB:
        raise ValueError(f"expected a number of GB from 0 to {MAX_COUNT}, got {shown(text)}")
    return lambda node: node.free_vram_bytes >= least


def _min_gpus(text: str) -> Test:
    least = integer(0, MAX_COUNT)(text)
    return lambda node: node.facts.gpus >= least


def _check_text(text: str) -> None:
    if fault := text_fault(text):
        raise ValueError(fault)


FILTERS: dict[str, Callable[[str], Test]] = {
    "role": _role,
    "status": _status,
    "gpu": _gpu,
    "environment": _environment,
    "site": _site,
    "vpn_ip": _vpn_ip,
    "min_free_vram_gb": _min_free_vram_gb,
    "min_gpus": _min_gpus,
}
"""What nodes may be chosen by; a node must pass all that are given."""


def parse_moment(text: str, wall_ns: int, *, direction: int, expected: str) -> int:
    """Nanoseconds since the epoch; a duration counts on (`direction` 1) or back (-1) from `wall_ns`.

    Raises ValueError that says what was `expected`.
    """
    try:
        return wall_ns + direction * parse_duration(text)
    except ValueError:
        pass
    try:
        return parse_timestamp(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{expected}, got {shown(text)}") from None
