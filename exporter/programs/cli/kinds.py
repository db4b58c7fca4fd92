"""Values of options: what each may be, and what a wrong one is answered."""

from __future__ import annotations

import argparse
import math

from exporter.client.endpoint import ALERTMANAGER_PORT, DEFAULT_REGISTRY, PROMETHEUS_PORT, REGISTRY_PORT, as_url
from exporter.domain.clock import SECOND
from exporter.domain.duration import parse_duration
from exporter.domain.errors import Invalid
from exporter.domain.text import NAME_EXPECTED, is_name, shown, text_fault

MAX_DIGITS = 9
"""A thousand million GPUs, or GB, are enough."""


def node_name(text: str) -> str:
    """A node's name."""
    if not is_name(text):
        raise argparse.ArgumentTypeError(f"expected {NAME_EXPECTED}, got {shown(text)}")
    return text


def duration(text: str) -> int:
    """A duration of any length, in nanoseconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def timeout(text: str) -> int:
    """A duration that people may wait for, in nanoseconds."""
    timeout_ns = duration(text)
    if not 0 < timeout_ns <= 3600 * SECOND:
        raise argparse.ArgumentTypeError(f"expected a duration from 1ms to 1h, got {shown(text)}")
    return timeout_ns


def duration_text(text: str) -> str:
    """A duration, as it was written."""
    duration(text)
    return text


def registry(text: str) -> str:
    """A host, host:port or a URL, as a URL."""
    return _url(text, REGISTRY_PORT, f"{DEFAULT_REGISTRY} (here or in AURORA_REGISTRY)")


def prometheus(text: str) -> str:
    """The same, of a Prometheus."""
    return _url(text, PROMETHEUS_PORT, f"http://127.0.0.1:{PROMETHEUS_PORT}")


def alertmanager(text: str) -> str:
    """The same, of an Alertmanager."""
    return _url(text, ALERTMANAGER_PORT, f"http://127.0.0.1:{ALERTMANAGER_PORT}")


def _url(text: str, usual_port: int, example: str) -> str:
    try:
        return as_url(text, usual_port)
    except Invalid:  # the value is not repeated, since it may hold a password
        raise argparse.ArgumentTypeError(f"expected a host, host:port or a URL such as {example}") from None


def whole_number(text: str) -> int:
    """A whole number, 0 or more."""
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 or more, got {shown(text)}")
    return int(text)


def gigabytes(text: str) -> int:
    """A whole number of GB."""
    try:
        return whole_number(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"expected a whole number of GB, 0 or more, got {shown(text)}") from None


def amount(text: str) -> float:
    """A number, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number, 0 or more, got {shown(text)}")
    return value


def reason(text: str) -> str:
    """A text for people."""
    if fault := text_fault(text):
        raise argparse.ArgumentTypeError(fault)
    return text
