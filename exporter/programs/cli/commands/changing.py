"""Commands that change something in the registry."""

from __future__ import annotations

import argparse

from exporter.programs.cli import kinds
from exporter.programs.cli.commands.command import Command, add_name

PHASE_WORDS = ("start", "end")
REGISTER = """\
examples:
  aurora-cli register vengeance --vpn-ip 10.0.0.4 --gpus 1 \\
      --gpu-type "RTX 4090" --gpu-memory 24 --site home
  aurora-cli register nas --role storage --metadata rack=2
  aurora-cli register --file node.json
      a registration as POST /nodes/register takes it; - is standard input

A registration counts as a heartbeat. What an earlier one said and this one
does not say is gone: with --update it stays.
"""
DEREGISTER = """\
examples:
  aurora-cli deregister vengeance
      it leaves on purpose: no alert, and its series end
"""
MAINTENANCE = """\
examples:
  aurora-cli maintenance vengeance --for 2h --reason "new fan"
  aurora-cli maintenance start vengeance runpod-tx --until 2025-10-06T18:00:00Z
  aurora-cli maintenance end vengeance

While it lasts the node's alerts are suppressed. At its end the node is in
service again if it is active; if not, AuroraMaintenanceOverdue fires.
"""
DRAIN = """\
examples:
  aurora-cli drain vengeance --for 30m --reason "moving to the new rack"
  aurora-cli drain end vengeance
"""
ACCEPT = """\
examples:
  aurora-cli accept vengeance
      a GPU was taken out on purpose: from now on the GPUs that the node
      reports are all that it should have, and AuroraNodeGpuMissing ends
  aurora-cli accept vengeance --gpus 0
"""


def _add_register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", type=kinds.node_name, help="the node's name")
    parser.add_argument("--file", metavar="FILE", help="a registration as JSON; - is standard input")
    parser.add_argument("--update", action="store_true", help="keep what is registered and not given here")
    facts = parser.add_argument_group("the node")
    facts.add_argument("--role", help="(default: compute)")
    facts.add_argument("--vpn-ip", metavar="ADDRESS", help="where other nodes reach it")
    facts.add_argument("--public-ip", metavar="ADDRESS", help="where the world reaches it, or `dynamic`")
    facts.add_argument("--node-id", metavar="ID", help="a stable machine id")
    facts.add_argument("--ttl", metavar="DURATION", type=kinds.duration_text, help="forget it after so long")
    facts.add_argument("--gpus", metavar="COUNT", type=kinds.whole_number, help="how many GPUs it has")
    facts.add_argument("--gpu-type", metavar="TYPE", help='such as "RTX 4090"')
    facts.add_argument("--gpu-memory", metavar="GB", type=kinds.amount, help="of all its GPUs together")
    facts.add_argument("--site", help="what fails together: a room, a provider's region")
    facts.add_argument("--environment", help="(default: production)")
    facts.add_argument("--os", help="such as ubuntu")
    facts.add_argument("--cost-per-hour", metavar="USD", type=kinds.amount, help="what it costs")
    facts.add_argument("--link", dest="links", action="append", metavar="TARGET:TYPE", help="a connection it states")
    for kind in ("capability", "metadata"):
        facts.add_argument(
            f"--{kind}", dest=f"more_{kind}", action="append", metavar="KEY=VALUE", help="anything else; JSON or text"
        )


def _add_accept(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    parser.add_argument(
        "--gpus", metavar="COUNT", type=kinds.whole_number, help="so many (default: as many as it reports)"
    )


def _add_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="+", type=kinds.node_name, help="the nodes' names")


def _add_lifecycle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names",
        metavar="[start|end] NAME",
        nargs="+",
        type=kinds.node_name,
        help="the nodes; start is meant where neither is given",
    )
    until = parser.add_mutually_exclusive_group()
    until.add_argument(
        "--for", dest="until", metavar="DURATION", type=kinds.duration_text, help="such as 2h (default: 24h)"
    )
    until.add_argument("--until", metavar="TIME", help="such as 2025-10-06T18:00:00Z")
    parser.add_argument("--reason", metavar="TEXT", type=kinds.reason, help="for those who look at the node")
    parser.add_argument("--end", action="store_true", help="put the nodes back in service")


CHANGING = (
    Command("register", "register a node, or change what it is", REGISTER, "changes:register", _add_register),
    Command("deregister", "take nodes out of the mesh", DEREGISTER, "changes:deregister", _add_names),
    Command("drain", "let nodes finish what they do", DRAIN, "changes:drain", _add_lifecycle, words=PHASE_WORDS),
    Command(
        "maintenance",
        "work on nodes without alerts",
        MAINTENANCE,
        "changes:maintenance",
        _add_lifecycle,
        words=PHASE_WORDS,
    ),
    Command(
        "accept", "take the GPUs that a node has now for all it should have", ACCEPT, "changes:accept", _add_accept
    ),
)
