"""What may be asked, and how `--help` tells of it. Every line fits 80 columns."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from exporter import __version__
from exporter.domain.clock import SECOND
from exporter.domain.duration import parse_duration
from exporter.domain.text import NAME_EXPECTED, is_name, shown

DEFAULT_REGISTRY = "http://127.0.0.1:9999"
DEFAULT_TIMEOUT = "10s"
STATUSES = ("active", "warning", "offline")
FILTERS = ("role", "status", "gpu", "environment", "site", "min_free_vram_gb", "min_gpus", "sort")
"""Options of `nodes` that are query parameters of the same name."""

DESCRIPTION = "Ask an Aurora Node Registry about its nodes."
EPILOG = """\
examples:
  aurora-cli nodes
      every node: role, status, address, GPUs
  aurora-cli why vengeance
      how the status of one node came about, and what comes next
  AURORA_REGISTRY=http://10.0.0.1:9999 aurora-cli stats
      ask another registry

exit status:
  0 fine; 1 the registry said no, or the node is unknown; 2 wrong usage;
  3 the registry cannot be reached

`aurora-cli COMMAND --help` has the options and examples of a command.
"""
NODES_EPILOG = """\
examples:
  aurora-cli nodes --status offline
  aurora-cli nodes --role compute --gpu --environment production
  aurora-cli nodes --min-free-vram-gb 24 --sort free_vram
      where a job that needs 24 GB fits, most room first
  aurora-cli nodes --json | jq -r '.nodes[].vpn_ip'
"""
NODE_EPILOG = """\
examples:
  aurora-cli node vengeance
  aurora-cli node vengeance --json | jq .capabilities
"""
WHY_EPILOG = """\
examples:
  aurora-cli why vengeance
  aurora-cli why vengeance --json | jq .next
"""
TOPOLOGY_EPILOG = """\
examples:
  aurora-cli topology
  aurora-cli topology --json > mesh.json
"""
STATS_EPILOG = """\
examples:
  aurora-cli stats
  aurora-cli stats --json | jq .active_vram_gb
"""
RULES_EPILOG = """\
examples:
  aurora-cli rules --output=/etc/prometheus/aurora
      the rules for the defaults
  aurora-cli rules --config.file=config.yaml --output=rules --force
      waits that fit this configuration's thresholds, over older files
"""
DASHBOARDS_EPILOG = """\
examples:
  aurora-cli dashboards --output=/var/lib/grafana/aurora
      dashboards/*.json to import, provisioning/ to have Grafana read them
"""
DIGEST_EPILOG = """\
examples:
  aurora-cli digest
  aurora-cli digest --since 7d
  aurora-cli digest --since 12h --json | jq .departures
"""
DOCTOR_EPILOG = """\
examples:
  aurora-cli doctor
      the registry, its store, its bus, a scrape
  aurora-cli doctor --prometheus http://127.0.0.1:9090 \\
      --alertmanager http://127.0.0.1:9093
      the whole way, down to the route of a test alert
  aurora-cli doctor --alertmanager http://127.0.0.1:9093 \\
      --severity critical --hold 1m
      let the receiver's message really be sent

exit status: 0 nothing is wrong (warnings may be); 1 something is
"""

_Formatter = partial(argparse.RawDescriptionHelpFormatter, width=79, max_help_position=28)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments: `command`, `registry` (a URL), `timeout_ns`, `json`, and those of the command.

    Ends the program with status 2 where they cannot be understood, as argparse does.
    """
    parser = argparse.ArgumentParser(
        prog="aurora-cli",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=_Formatter,
        allow_abbrev=False,
        parents=[_common()],
    )
    parser.add_argument("--version", action="version", version=f"aurora-cli {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")

    def command(name: str, text: str, epilog: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=epilog,
            formatter_class=_Formatter,
            allow_abbrev=False,
            # What stands before the command must not be undone by a default that stands behind it.
            parents=[_common(default=argparse.SUPPRESS)],
        )

    _add_filters(command("nodes", "list the nodes, in order of registration", NODES_EPILOG))
    _add_name(command("node", "show all that the registry knows of a node", NODE_EPILOG))
    _add_name(command("why", "tell how the status of a node came about", WHY_EPILOG))
    command("topology", "show who reaches whom, and by what", TOPOLOGY_EPILOG)
    command("stats", "add up nodes, GPUs and VRAM", STATS_EPILOG)
    _add_rules(command("rules", "write Prometheus' rule files for a configuration", RULES_EPILOG))
    _add_output(command("dashboards", "write Grafana's dashboards and provisioning", DASHBOARDS_EPILOG), "grafana")
    _add_digest(command("digest", "tell what happened lately, and who is quiet now", DIGEST_EPILOG))
    _add_doctor(command("doctor", "check the whole way from heartbeat to alert", DOCTOR_EPILOG))
    return parser.parse_args(argv)


def _common(default: str | None = None) -> argparse.ArgumentParser:
    # With a default it stands for all of them.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--registry",
        metavar="URL",
        type=_registry,
        default=default or os.environ.get("AURORA_REGISTRY") or DEFAULT_REGISTRY,
        help=f"the registry to ask (default: AURORA_REGISTRY from the environment, or {DEFAULT_REGISTRY})",
    )
    common.add_argument(
        "--timeout",
        dest="timeout_ns",
        metavar="DURATION",
        type=_timeout,
        default=default or DEFAULT_TIMEOUT,
        help=f"how long to wait for the registry, such as 500ms or 1m (default: {DEFAULT_TIMEOUT})",
    )
    common.add_argument("--json", action="store_true", default=default or False, help="print the registry's own answer")
    return common


def _add_filters(parser: argparse.ArgumentParser) -> None:
    filters = parser.add_argument_group("filters", "A node must pass all that are given.")
    filters.add_argument("--role", help="such as compute")
    filters.add_argument("--status", choices=STATUSES, metavar="STATUS", help=", ".join(STATUSES))
    filters.add_argument("--gpu", action=argparse.BooleanOptionalAction, help="with, or without, a GPU")
    filters.add_argument("--environment", help="such as production")
    filters.add_argument("--site", help="such as home")
    filters.add_argument("--min-free-vram-gb", metavar="GB", type=float, help="this much VRAM is free now")
    filters.add_argument("--min-gpus", metavar="COUNT", type=int, help="this many GPUs")
    parser.add_argument("--sort", choices=("free_vram",), metavar="ORDER", help="free_vram: most free VRAM first")


def _add_digest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since", metavar="SINCE", default="24h", help="a duration or a time, within 7 days (default: 24h)"
    )
    parser.add_argument("--limit", metavar="COUNT", type=int, default=10_000, help="transitions at most")


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--event-bus", metavar="URL", help="publish a harmless event on this Redis")
    parser.add_argument("--channel", default="aurora:events:global", help="where to publish it")
    parser.add_argument("--metrics-path", metavar="PATH", default="/metrics", help="where metrics are")
    parser.add_argument("--prometheus", metavar="URL", type=_registry, help="see whether it scrapes, and its rules")
    parser.add_argument("--alertmanager", metavar="URL", type=_registry, help="send it a test alert")
    parser.add_argument("--severity", default="info", help="of the test alert (default: info)")
    parser.add_argument(
        "--hold",
        dest="hold_ns",
        metavar="DURATION",
        type=_timeout,
        default=0,
        help="keep the test alert firing so long; beyond group_wait its message is sent",
    )


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", type=_name, help="the node's name")


def _add_rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config.file",
        dest="config_file",
        metavar="FILE",
        type=Path,
        help="the registry's configuration (default: its defaults, and the environment)",
    )
    _add_output(parser, "alerts")
    parser.add_argument(
        "--min-active-vram-gb",
        metavar="GB",
        type=_gigabytes,
        default=64,
        help="less VRAM of active nodes is low capacity; 0 means never (default: 64)",
    )


def _add_output(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--output", metavar="DIR", type=Path, default=Path(default), help=f"where to write to (default: {default})"
    )
    parser.add_argument("--force", action="store_true", help="overwrite files that are there already")


def _gigabytes(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):  # noqa: PLR2004 - an exabyte is enough
        raise argparse.ArgumentTypeError(f"expected a whole number of GB, 0 or more, got {shown(text)}")
    return int(text)


def _name(text: str) -> str:
    if not is_name(text):
        raise argparse.ArgumentTypeError(f"expected {NAME_EXPECTED}, got {shown(text)}")
    return text


def _timeout(text: str) -> int:
    try:
        timeout_ns = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 0 < timeout_ns <= 3600 * SECOND:
        raise argparse.ArgumentTypeError(f"expected a duration from 1ms to 1h, got {shown(text)}")
    return timeout_ns


def _registry(text: str) -> str:
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        understood = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        understood = False
    if not understood or parts.query or parts.fragment or not url.isprintable() or " " in url:
        # The value is not repeated: it may hold a password.
        raise argparse.ArgumentTypeError(f"expected a URL such as {DEFAULT_REGISTRY} (here or in AURORA_REGISTRY)")
    return url.rstrip("/")
