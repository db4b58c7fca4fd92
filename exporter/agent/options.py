"""The agent's options, and the text of `--help`. Every line fits 80 columns."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from exporter import __version__
from exporter.agent.checks import shown
from exporter.agent.logs import FORMATS, LEVELS

DEFAULT_REGISTRY = "http://127.0.0.1:9999"
DEFAULT_ROLE, DEFAULT_ENVIRONMENT = "compute", "production"
CREDENTIALS = {"AURORA_TOKEN_FILE": "join-token", "AURORA_CERT_FILE": "cert.pem", "AURORA_KEY_FILE": "key.pem"}
"""Files that systemd hands on, by the variables that name them elsewhere."""
DESCRIPTION = "Register this node with an Aurora Node Registry, and send its heartbeats."
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
      report that the node will sleep now, from a laptop's sleep hook
  aurora-agent --on-signal USR1=draining
      a preemption notice of a rented machine, passed on

Each option may also come from the environment: AURORA_REGISTRY,
AURORA_EVENT_BUS, AURORA_NODE_NAME, AURORA_LOG_LEVEL, ... An option wins.

exit status:
  0 asked to stop, or done; 1 the registry refused; 2 wrong usage;
  3 the registry cannot be reached (--once and --send-status only);
  4 the name belongs to another machine (--once only);
  5 the node was deregistered
"""
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"", "0", "false", "no", "off"})
_UNITS = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_DURATION = re.compile(r"(?:\d{1,9}(?:ms|[ywdhms]))+", re.ASCII)
_PART = re.compile(r"(\d+)(ms|[ywdhms])", re.ASCII)
_SIGNAL = re.compile(r"(USR1|USR2|HUP|PWR)=(active|draining|sleeping|leave)")


class _NoColours:
    """In place of a theme of argparse's."""

    def __getattr__(self, name: str) -> str:
        return ""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=79, max_help_position=28)

    if sys.version_info[:2] == (3, 14):

        def _set_color(self, *_: object, **__: object) -> None:
            # That Python calls it for each option, and it loads what stays as large as a fifth of the agent.
            self._theme = _NoColours()
            self._decolor = str


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments, those of the environment filled in; `heartbeat_interval` is None where the registry says.

    Ends the program with status 2 where they cannot be understood, as argparse does.
    """
    _read_settings()
    parser = argparse.ArgumentParser(
        prog="aurora-agent",
        usage="aurora-agent [OPTION]...",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"aurora-agent {__version__}")
    way = parser.add_argument_group("the way to the registry")
    _add(way, "--registry", "URL", f"over HTTP (default, without a bus: {DEFAULT_REGISTRY})")
    _add(way, "--event-bus", "URL", "send heartbeats over this Redis; without --registry, everything else too")
    _add(way, "--event-bus-channel", "NAME", "the bus's channel", default="aurora:events:global")
    _add(way, "--heartbeat-interval", "DURATION", "such as 30s (default: as the registry says)", kind=_interval)
    _add(way, "--token-file", "FILE", "a join token, for a registry that asks for one")
    _add(way, "--ca-file", "FILE", "certificates of the authority that signed the registry's")
    _add(way, "--cert-file", "FILE", "our own certificate, for a registry that asks for one")
    _add(way, "--key-file", "FILE", "its key")
    node = parser.add_argument_group("the node")
    _add(node, "--node-name", "NAME", "unique in the mesh (default: the host name)")
    _add(node, "--role", "ROLE", f"(default: {DEFAULT_ROLE})", default=DEFAULT_ROLE)
    _add(node, "--vpn-ip", "ADDRESS", "where other nodes reach it")
    _add(node, "--public-ip", "ADDRESS", "where the world reaches it, or `dynamic`")
    _add(node, "--site", "NAME", "what fails together: a room, a provider's region")
    _add(node, "--environment", "NAME", f"(default: {DEFAULT_ENVIRONMENT})")
    _add(node, "--cost-per-hour", "USD", "what an hour of it costs", kind=_number("US dollars such as 0.79"))
    gpus = parser.add_argument_group("its GPUs")
    _add(gpus, "--gpus", "NUMBER", "how many there are: a statement, whatever the driver says", kind=_count)
    _add(gpus, "--gpu-memory", "GB", "of all GPUs together, where no driver reports it", kind=_number("GB such as 24"))
    _add(gpus, "--gpu-readings", "WHEN", "on, off, or at most every DURATION (default: on)", kind=_readings)
    _add(gpus, "--gpu-source", "URL", "read them from another exporter on this node")
    life = parser.add_argument_group("its life")
    _add_flag(life, parser, "--leave-on-stop", "deregister when asked to stop: for nodes that do not come back")
    life.add_argument(
        "--on-signal",
        metavar="SIGNAL=WHAT",
        action="append",
        type=_on_signal,
        help="USR1, USR2, HUP or PWR = active, draining, sleeping or leave",
    )
    _add_flag(life, parser, "--self-upgrade", "take the agent that a newer registry offers")
    _add(life, "--state-dir", "DIR", "what the agent remembers over a restart (default: XDG's, or systemd's)")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--once", action="store_true", help="register, send one heartbeat, end")
    other.add_argument("--send-status", choices=("active", "draining", "sleeping"), help="send this status, end")
    other.add_argument("--dry-run", action="store_true", help="print the registration as JSON, send nothing")
    _add(parser, "--log.level", "LEVEL", "debug, info, warn or error (default: info)", _one_of(LEVELS), default="info")
    _add(parser, "--log.format", "FORMAT", "logfmt or json (default: logfmt)", _one_of(FORMATS), default="logfmt")
    arguments = parser.parse_args(argv)
    if not arguments.registry and not arguments.event_bus:
        arguments.registry = DEFAULT_REGISTRY
    if arguments.on_signal is None:
        texts = filter(None, os.environ.get("AURORA_ON_SIGNAL", "").split(","))
        try:
            arguments.on_signal = [_on_signal(text.strip()) for text in texts]
        except argparse.ArgumentTypeError as error:
            parser.error(f"AURORA_ON_SIGNAL: {error}")
    return arguments


def _read_settings() -> None:
    """A file of settings fills in what the environment does not say."""
    path = os.environ.get("AURORA_SETTINGS", "")
    if path:
        from exporter.agent.places import read_settings  # noqa: PLC0415 - only of use beside such a file

        for name, value in read_settings(Path(path)).items():
            os.environ.setdefault(name, value)
    credentials = os.environ.get("CREDENTIALS_DIRECTORY", "")
    for variable, name in CREDENTIALS.items():
        # A setting that names another file was changed since, and stands.
        if credentials and Path(os.environ.get(variable) or name).name == name and (Path(credentials) / name).exists():
            os.environ[variable] = str(Path(credentials) / name)


def _add(
    parser: Any, flag: str, metavar: str, text: str, kind: Callable[[str], Any] = str, *, default: str = ""
) -> None:
    # argparse gives a default that is text to `kind` as well, so a variable is checked as its option is.
    target = flag[2:].replace("-", "_").replace(".", "_")
    value = os.environ.get("AURORA_" + target.upper()) or default
    parser.add_argument(flag, dest=target, metavar=metavar, type=kind, default=value, help=text)


def _add_flag(group: Any, parser: argparse.ArgumentParser, flag: str, text: str) -> None:
    variable = "AURORA_" + flag[2:].upper().replace("-", "_")
    given = os.environ.get(variable, "")
    if given.lower() not in _TRUE | _FALSE:
        parser.error(f"{variable}: expected true or false, got {shown(given)}")
    group.add_argument(flag, action=argparse.BooleanOptionalAction, default=given.lower() in _TRUE, help=text)


def _one_of(choices: Sequence[str] | dict[str, int]) -> Callable[[str], str]:
    def kind(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"expected one of {', '.join(choices)}, got {shown(text)}")
        return text

    return kind


def duration(text: str) -> float:
    """Seconds of a duration as Prometheus writes it; raises ValueError."""
    if _DURATION.fullmatch(text) is None:
        raise ValueError(f"expected a duration as Prometheus writes it, such as 90s, 2m or 1h30m, got {shown(text)}")
    return sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(text))


def _interval(text: str) -> float | None:
    if not text:
        return None
    try:
        seconds = duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 0.1 <= seconds <= 3600:  # noqa: PLR2004 - as the message says
        raise argparse.ArgumentTypeError(f"expected a duration from 100ms to 1h, got {shown(text)}")
    return seconds


def _readings(text: str) -> float | None:
    """Seconds between two looks at least; None for none at all."""
    if text.lower() in {"", "on"}:
        return 0.0
    if text.lower() == "off":
        return None
    try:
        return duration(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected on, off or a duration such as 10m, got {shown(text)}") from None


def _number(expected: str) -> Callable[[str], float | None]:
    def kind(text: str) -> float | None:
        try:
            number = float(text) if text else None
        except ValueError:
            number = -1.0
        if number is not None and not 0 <= number <= 1e9:  # noqa: PLR2004 - the registry's own limit
            raise argparse.ArgumentTypeError(f"expected {expected}, got {shown(text)}")
        return number

    return kind


def _count(text: str) -> int | None:
    if text and not (text.isascii() and text.isdecimal() and int(text) <= 1_000_000):  # noqa: PLR2004 - as above
        raise argparse.ArgumentTypeError(f"expected a number of GPUs, got {shown(text)}")
    return int(text) if text else None


def _on_signal(text: str) -> tuple[str, str]:
    match = _SIGNAL.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"expected USR1, USR2, HUP or PWR, then = and active, draining, sleeping or leave, got {shown(text)}"
        )
    return match[1], match[2]
