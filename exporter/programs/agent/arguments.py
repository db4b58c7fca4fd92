"""What the agent can be told, and how `--help` tells of it. Every line fits 80 columns."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from exporter import __version__
from exporter.domain.clock import HOUR, MILLISECOND
from exporter.domain.duration import parse_duration
from exporter.domain.registration import DEFAULT_ENVIRONMENT, DEFAULT_ROLE
from exporter.domain.text import shown

DEFAULT_REGISTRY = "http://127.0.0.1:9999"
DESCRIPTION = "Register this node with an Aurora Node Registry, and keep saying that it lives."
EPILOG = """\
examples:
  aurora-agent --registry http://10.0.0.1:9999 --vpn-ip 10.0.0.4
      register, then send heartbeats with readings of the GPUs
  aurora-agent --registry http://10.0.0.1:9999 --event-bus redis://10.0.0.1
      register over HTTP, send heartbeats over the bus
  aurora-agent --dry-run
      show what would be registered, and send nothing
  aurora-agent --once
      register, send one heartbeat, end: for trying out, and for cron
  aurora-agent --send-status sleeping
      tell that the node will sleep now, from a laptop's sleep hook

Each option may also come from the environment: AURORA_REGISTRY,
AURORA_EVENT_BUS, AURORA_NODE_NAME, AURORA_LOG_LEVEL, ... An option wins.

exit status:
  0 told to stop, or done; 1 the registry refused; 2 wrong usage;
  3 the registry cannot be reached (--once and --send-status only);
  4 the name belongs to another machine; 5 the node was deregistered
"""
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"", "0", "false", "no", "off"})
_Formatter = partial(argparse.RawDescriptionHelpFormatter, width=79, max_help_position=28)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments, those of the environment filled in; `heartbeat_interval_ns` is None where the registry says.

    Ends the program with status 2 where they cannot be understood, as argparse does.
    """
    parser = argparse.ArgumentParser(
        prog="aurora-agent", description=DESCRIPTION, epilog=EPILOG, formatter_class=_Formatter, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"aurora-agent {__version__}")
    way = parser.add_argument_group("the way to the registry")
    _add(way, "--registry", "URL", f"over HTTP (default, without a bus: {DEFAULT_REGISTRY})")
    _add(way, "--event-bus", "URL", "send heartbeats over this Redis; without --registry, all else too")
    _add(way, "--event-bus-channel", "NAME", "the bus's channel", default="aurora:events:global")
    _add(way, "--heartbeat-interval", "DURATION", "such as 30s (default: as the registry says)", kind=_interval)
    node = parser.add_argument_group("the node")
    _add(node, "--node-name", "NAME", "unique in the mesh (default: the host name)")
    _add(node, "--role", "ROLE", f"(default: {DEFAULT_ROLE})", default=DEFAULT_ROLE)
    _add(node, "--vpn-ip", "ADDRESS", "where other nodes reach it")
    _add(node, "--public-ip", "ADDRESS", "where the world reaches it, or `dynamic`")
    _add(node, "--site", "NAME", "what fails together: a room, a provider's region")
    _add(node, "--environment", "NAME", f"(default: {DEFAULT_ENVIRONMENT})")
    _add(node, "--cost-per-hour", "USD", "what an hour of it costs", kind=_cost)
    parser.add_argument(
        "--leave-on-stop",
        action=argparse.BooleanOptionalAction,
        default=_flag(parser, "AURORA_LEAVE_ON_STOP"),
        help="deregister when told to stop: for nodes that do not come back",
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--once", action="store_true", help="register, send one heartbeat, end")
    other.add_argument("--send-status", choices=("active", "sleeping"), help="send one heartbeat with this status, end")
    other.add_argument("--dry-run", action="store_true", help="print the registration as JSON, send nothing")
    _add(parser, "--log.level", "LEVEL", "debug, info, warn or error (default: info)", _one_of(LEVELS), default="info")
    _add(parser, "--log.format", "FORMAT", "logfmt or json (default: logfmt)", _one_of(FORMATS), default="logfmt")
    arguments = parser.parse_args(argv)
    if not arguments.registry and not arguments.event_bus:
        arguments.registry = DEFAULT_REGISTRY
    arguments.heartbeat_interval_ns = arguments.heartbeat_interval or None
    return arguments


LEVELS, FORMATS = ("debug", "info", "warn", "warning", "error"), ("logfmt", "json")


def _add(
    parser: Any, flag: str, metavar: str, text: str, kind: Callable[[str], Any] = str, *, default: str = ""
) -> None:
    # argparse gives a default that is text to `kind` as well, so a variable is checked as its option is.
    variable = "AURORA_" + flag.removeprefix("--").upper().replace("-", "_").replace(".", "_")
    target = flag.removeprefix("--").replace("-", "_").replace(".", "_")
    parser.add_argument(
        flag, dest=target, metavar=metavar, type=kind, default=os.environ.get(variable) or default, help=text
    )


def _flag(parser: argparse.ArgumentParser, variable: str) -> bool:
    text = os.environ.get(variable, "")
    if text.lower() not in _TRUE | _FALSE:
        parser.error(f"{variable}: expected true or false, got {shown(text)}")
    return text.lower() in _TRUE


def _one_of(choices: Sequence[str]) -> Callable[[str], str]:
    def kind(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"expected one of {', '.join(choices)}, got {shown(text)}")
        return text

    return kind


def _interval(text: str) -> int:
    if not text:
        return 0
    try:
        interval_ns = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 100 * MILLISECOND <= interval_ns <= HOUR:
        raise argparse.ArgumentTypeError(f"expected a duration from 100ms to 1h, got {shown(text)}")
    return interval_ns


def _cost(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected US dollars such as 0.79, got {shown(text)}") from None
