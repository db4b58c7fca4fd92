"""The arguments, and the text of `--help`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from exporter import __version__
from exporter.client.endpoint import DEFAULT_REGISTRY
from exporter.programs.cli import kinds
from exporter.programs.cli.commands.alerting import ALERTING
from exporter.programs.cli.commands.changing import CHANGING
from exporter.programs.cli.commands.command import Command
from exporter.programs.cli.commands.looking import LOOKING
from exporter.programs.cli.commands.writing import WRITING

DEFAULT_TIMEOUT = "10s"
COMMANDS = (*LOOKING, *CHANGING, ALERTING, *WRITING)
DESCRIPTION = "Ask an Aurora Node Registry about its nodes, and record what people decide."
EPILOG = """\
examples:
  aurora-cli nodes
      every node: role, status, address, GPUs
  aurora-cli why vengeance
      what the status of one node rests on, and what comes next
  aurora-cli maintenance vengeance --for 2h --reason "new fan"
      work on it without alerts
  AURORA_REGISTRY=10.0.0.1:9999 aurora-cli stats
      ask another registry

exit status:
  0 fine; 1 the registry said no, or the node is unknown; 2 wrong usage;
  3 the registry cannot be reached; 130 interrupted
  (check has its own: those of monitoring plugins)

`aurora-cli COMMAND --help` has the options and examples of a command.
"""
_Formatter = partial(
    argparse.RawDescriptionHelpFormatter, width=min(79, shutil.get_terminal_size().columns - 1), max_help_position=28
)


class Parser(argparse.ArgumentParser):
    """argparse's, with an exit status of one's own for wrong usage."""

    usage_status = 2

    def error(self, message: str) -> NoReturn:
        """End the program; the usage and the message go to stderr."""
        self.print_usage(sys.stderr)
        self.exit(self.usage_status, f"{self.prog}: error: {message}\n")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments: `command`, `handler`, `registry` (a URL), `timeout_ns`, `json`, and those of the command.

    Ends the program with status 2 (check: 3) where they cannot be understood, as argparse does.
    """
    parser = build()
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.usage_status = arguments.usage_status
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    del arguments.usage_status
    return arguments


def build() -> Parser:
    """The parser of the whole program."""
    parser = Parser(
        prog="aurora-cli",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=_Formatter,
        allow_abbrev=False,
        parents=[_common()],
    )
    parser.add_argument("--version", action="version", version=f"aurora-cli {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for command in COMMANDS:
        _add(commands, command)
    return parser


def _add(commands: Any, command: Command) -> None:
    parser = commands.add_parser(
        command.name,
        **({} if command.hidden else {"help": command.text}),
        description=f"{command.text[0].upper()}{command.text[1:]}.",
        epilog=command.epilog,
        formatter_class=_Formatter,
        allow_abbrev=False,
        # What stands before the command must not be undone by a default that stands behind it.
        parents=[_common(default=argparse.SUPPRESS)],
    )
    command.add(parser)
    parser.usage_status = command.usage_status
    parser.set_defaults(handler=command.handler, usage_status=command.usage_status)


def _common(default: str | None = None) -> argparse.ArgumentParser:
    # With a default it stands for all of them.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--registry",
        metavar="ADDRESS",
        type=kinds.registry,
        default=default or os.environ.get("AURORA_REGISTRY") or DEFAULT_REGISTRY,
        help=f"host, host:port or URL of the registry (default: AURORA_REGISTRY, or {DEFAULT_REGISTRY})",
    )
    common.add_argument(
        "--timeout",
        dest="timeout_ns",
        metavar="DURATION",
        type=kinds.timeout,
        default=default or DEFAULT_TIMEOUT,
        help=f"how long to wait for the registry, such as 500ms or 1m (default: {DEFAULT_TIMEOUT})",
    )
    common.add_argument("--json", action="store_true", default=default or False, help="print JSON, for programs")
    for option, variable, text in (
        ("--token-file", "AURORA_TOKEN_FILE or AURORA_TOKEN", "holds a token"),
        ("--ca-file", "AURORA_CA_FILE", "certificates to trust"),
        ("--cert-file", "AURORA_CERT_FILE", "our own certificate"),
        ("--key-file", "AURORA_KEY_FILE", "its key"),
    ):
        common.add_argument(option, metavar="FILE", default=default, help=f"{text} (or {variable})")
    return common
