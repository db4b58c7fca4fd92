"""Commands that read."""

from __future__ import annotations

import argparse

from exporter.domain.eventnames import CHANNEL
from exporter.programs.cli import kinds
from exporter.programs.cli.commands.command import Command, add_filters, add_name

SORTS = ("free_vram", "name", "role", "status", "site", "last_seen", "gpus")
DEFAULT_REFRESH = "2s"

NODES = """\
examples:
  aurora-cli nodes --status offline
  aurora-cli nodes --role compute --gpu --environment production
  aurora-cli nodes --min-free-vram-gb 24 --sort free_vram
      where a job that needs 24 GB fits, most room first
  aurora-cli nodes --wide --sort status --watch
      site and last heartbeat too, the worst first, again every 2 s
  aurora-cli nodes --json | jq -r '.nodes[].vpn_ip'
"""
NODE = """\
examples:
  aurora-cli node vengeance
  aurora-cli node vengeance --json | jq .capabilities
"""
WHY = """\
examples:
  aurora-cli why vengeance
  aurora-cli why vengeance --json | jq .next
"""
TOPOLOGY = """\
examples:
  aurora-cli topology
  aurora-cli topology --json > mesh.json
"""
STATS = """\
examples:
  aurora-cli stats
  aurora-cli stats --json | jq .active_vram_gb
"""
EVENTS = """\
examples:
  aurora-cli events
      everything that happens, as it happens
  aurora-cli events --site texas --type node_status_changed
  aurora-cli events --json | jq -r 'select(.data.to == "offline") | .data.node'
"""
TOP = """\
examples:
  aurora-cli top
      the mesh, live; q ends it
  aurora-cli top --once
      one look, for a script or a cron mail
"""
CHECK = """\
examples:
  aurora-cli check
      every node of the mesh that is in service
  aurora-cli check vengeance
  aurora-cli check --role compute --min-active-gpus 8

exit status, as monitoring plugins have it:
  0 OK; 1 WARNING; 2 CRITICAL: offline, or too few are active;
  3 UNKNOWN: no answer, no such node, or a status that is frozen since the
  registry does not receive; also wrong usage
"""
DIGEST = """\
examples:
  aurora-cli digest
  aurora-cli digest --since 7d
  aurora-cli digest --since 12h --json | jq .departures
"""
REHEARSE = """\
examples:
  aurora-cli rehearse --since 7d --warning-after 3m --offline-after 10m
      which messages of the last week these thresholds would have spared
"""
DOCTOR = """\
examples:
  aurora-cli doctor
      the registry, its store, its bus, a scrape
  aurora-cli doctor --prometheus http://127.0.0.1:9090 \\
      --alertmanager http://127.0.0.1:9093
      the whole way, down to the route of a test alert
  aurora-cli doctor --prometheus http://127.0.0.1:9090 --send
      the same, and a real message by the receiver that pages

exit status: 0 nothing is wrong (warnings may be); 1 something is
"""


def _add_nodes(parser: argparse.ArgumentParser) -> None:
    add_filters(parser)
    parser.add_argument("--sort", choices=SORTS, metavar="ORDER", help=", ".join(SORTS))
    parser.add_argument("--wide", action="store_true", help="site and last heartbeat as well")
    parser.add_argument(
        "--watch",
        dest="watch_ns",
        nargs="?",
        const=kinds.timeout(DEFAULT_REFRESH),
        metavar="DURATION",
        type=kinds.timeout,
        help=f"look again every so often (default: {DEFAULT_REFRESH})",
    )


def _add_events(parser: argparse.ArgumentParser) -> None:
    filters = parser.add_argument_group("filters", "An event must pass all that are given.")
    filters.add_argument("--role", help="of its node, such as compute")
    filters.add_argument("--site", help="of its node, such as home")
    filters.add_argument("--environment", help="of its node, such as production")
    filters.add_argument("--type", dest="types", action="append", metavar="TYPE", help="such as node_registered")
    parser.add_argument("--last-id", metavar="ID", default="", help="go on behind this event")
    parser.add_argument("--limit", metavar="COUNT", type=kinds.whole_number, default=0, help="end after so many")


def _add_top(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="print one look, and end")
    parser.add_argument(
        "--interval",
        dest="interval_ns",
        metavar="DURATION",
        type=kinds.timeout,
        default=DEFAULT_REFRESH,
        help=f"between two looks (default: {DEFAULT_REFRESH})",
    )


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NODE", nargs="?", type=kinds.node_name, help="only this node")
    parser.add_argument("--role", help="only nodes with this role")
    parser.add_argument("--environment", help="only nodes of this environment")
    parser.add_argument("--site", help="only nodes of this site")
    for thing in ("nodes", "gpus", "vram-gb"):
        parser.add_argument(
            f"--min-active-{thing}",
            metavar="COUNT",
            type=kinds.whole_number,
            help=f"critical below so many {thing.upper() if thing == 'gpus' else thing} that are active",
        )


def _add_digest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since", metavar="SINCE", default="24h", help="a duration or a time, within 7 days (default: 24h)"
    )
    parser.add_argument("--limit", metavar="COUNT", type=int, default=10_000, help="transitions at most")


def _add_rehearse(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since", metavar="SINCE", default="7d", help="a duration or a time, within 7 days (default: 7d)"
    )
    for name in ("warning", "offline"):
        parser.add_argument(
            f"--{name}-after",
            dest=f"{name}_after_ns",
            metavar="DURATION",
            type=kinds.duration,
            help=f"instead of the registry's own {name}_after",
        )
    parser.add_argument(
        "--for",
        dest="for_ns",
        metavar="DURATION",
        type=kinds.duration,
        default="1m",
        help="how long the rules wait before they fire (default: 1m)",
    )


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--event-bus", metavar="URL", help="publish a harmless event on this Redis")
    parser.add_argument("--channel", default=CHANNEL, help="where to publish it")
    parser.add_argument("--metrics-path", metavar="PATH", default="/metrics", help="where metrics are")
    parser.add_argument(
        "--prometheus", metavar="URL", type=kinds.prometheus, help="see whether it scrapes, and its rules"
    )
    parser.add_argument("--alertmanager", metavar="URL", type=kinds.alertmanager, help="send it a test alert")
    parser.add_argument("--send", action="store_true", help="let a real message arrive, by the receiver that pages")
    parser.add_argument("--severity", help="of the test alert (default: info; with --send: critical)")
    parser.add_argument(
        "--hold",
        dest="hold_ns",
        metavar="DURATION",
        type=kinds.timeout,
        default=0,
        help="keep the test alert firing so long; beyond group_wait its message is sent",
    )


LOOKING = (
    Command("nodes", "list the nodes, in order of registration", NODES, "nodes:list_all", _add_nodes),
    Command("node", "show all that the registry knows of a node", NODE, "nodes:show_one", add_name),
    Command("why", "explain the status of a node", WHY, "why:explain", add_name),
    Command("topology", "show which nodes reach which, and by what", TOPOLOGY, "overview:topology"),
    Command("stats", "add up nodes, GPUs and VRAM", STATS, "overview:stats"),
    Command("events", "follow what happens in the mesh", EVENTS, "events:follow", _add_events),
    Command("top", "show the mesh live", TOP, "top:watch", _add_top),
    Command("check", "test nodes as monitoring plugins do", CHECK, "check:check", _add_check, usage_status=3),
    Command("digest", "sum up the last day, and whose alerts are suppressed", DIGEST, "digest:digest", _add_digest),
    Command("rehearse", "replay what happened under other thresholds", REHEARSE, "rehearse:rehearse", _add_rehearse),
    Command("doctor", "check the whole way from heartbeat to alert", DOCTOR, "doctor.diagnosis:diagnose", _add_doctor),
)
