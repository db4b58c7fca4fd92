"""The simulator's arguments and its `--help`. Every line fits 80 columns."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial

from exporter import __version__
from exporter.domain.duration import parse_duration
from exporter.domain.text import shown
from exporter.programs.simulator.population import MAX_NODES, MAX_SITES

DEFAULT_REGISTRY = "http://127.0.0.1:9999"
MAX_SPEED = 10_000
DESCRIPTION = "A simulated GPU mesh for a real registry."
EPILOG = """\
examples:
  aurora-simulator
      40 nodes at 3 sites, over HTTP, to the registry on this host
  aurora-simulator --incidents default
      and every kind of incident within 15 minutes
  aurora-simulator --nodes 10000 --sites 20 --event-bus redis://10.0.0.1/0
      two thirds of ten thousand nodes on the bus, the rest over HTTP
  aurora-simulator --incidents night.yaml --speed 10 --day 2h --leave-on-stop
      a script ten times quicker than written, and nothing stays behind

All durations are those of the simulated world: at --speed 10 a heartbeat
interval of 30s takes three seconds, and --duration 10m one minute.

exit status:
  0 it ended as asked; 1 the script is refused, or the registry takes a node
  in neither now nor later; 2 wrong usage
"""
_Formatter = partial(argparse.RawDescriptionHelpFormatter, width=79, max_help_position=28)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments; ends the program with status 2 where they cannot be understood, as argparse does."""
    parser = argparse.ArgumentParser(
        prog="aurora-simulator", description=DESCRIPTION, epilog=EPILOG, formatter_class=_Formatter, allow_abbrev=False
    )
    parser.add_argument(
        "--registry",
        metavar="URL",
        default=os.environ.get("AURORA_REGISTRY") or DEFAULT_REGISTRY,
        help=f"the registry (default: AURORA_REGISTRY from the environment, or {DEFAULT_REGISTRY})",
    )
    parser.add_argument(
        "--event-bus",
        metavar="URL",
        default=os.environ.get("AURORA_EVENT_BUS", ""),
        help="the Redis that it listens on (default: AURORA_EVENT_BUS, or none)",
    )
    parser.add_argument(
        "--transport",
        choices=("http", "bus", "both"),
        help="how heartbeats go (default: both with an event bus, else http)",
    )
    parser.add_argument("--nodes", type=_whole(1, MAX_NODES), default=40, metavar="N", help="how many (default: 40)")
    parser.add_argument("--sites", type=_whole(1, MAX_SITES), default=3, metavar="N", help="at how many (default: 3)")
    parser.add_argument("--incidents", metavar="FILE", help="a script, or `default` for the built-in one")
    _add_times(parser)
    parser.add_argument("--seed", type=_whole(0, 2**31), default=1, metavar="N", help="another mesh (default: 1)")
    parser.add_argument("--leave-on-stop", action="store_true", help="deregister all nodes at the end")
    parser.add_argument(
        "--log.level",
        dest="log_level",
        choices=("debug", "info", "warn", "error"),
        default="info",
        metavar="LEVEL",
        help="debug, info, warn or error (default: info)",
    )
    parser.add_argument("--version", action="version", version=f"aurora-simulator {__version__}")
    arguments = parser.parse_args(argv)
    if arguments.transport in {"bus", "both"} and not arguments.event_bus:
        parser.error(f"--transport {arguments.transport} needs --event-bus")
    arguments.transport = arguments.transport or ("both" if arguments.event_bus else "http")
    return arguments


def _add_times(parser: argparse.ArgumentParser) -> None:
    times = (
        ("--heartbeat-interval", "interval_ns", "30s", "between two heartbeats of a node (default: 30s)"),
        ("--day", "day_ns", "24h", "how long a day of the load takes (default: 24h)"),
        ("--duration", "duration_ns", None, "end after so long (default: never)"),
    )
    for flag, dest, default, text in times:
        parser.add_argument(flag, dest=dest, metavar="DURATION", type=_duration, default=default, help=text)
    parser.add_argument(
        "--speed", type=_speed, default=1.0, metavar="N", help="everything so many times quicker (default: 1)"
    )


def _duration(text: str) -> int:
    try:
        duration_ns = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not duration_ns:
        raise argparse.ArgumentTypeError(f"expected more than 0, got {shown(text)}")
    return duration_ns


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.001 <= speed <= MAX_SPEED:  # noqa: PLR2004 - a thousand times slower is slow enough
        raise argparse.ArgumentTypeError(f"expected a number from 0.001 to {MAX_SPEED}, got {shown(text)}")
    return speed


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse_whole(text: str) -> int:
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else -1  # noqa: PLR2004 - digits
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, got {shown(text)}")
        return number

    return parse_whole
