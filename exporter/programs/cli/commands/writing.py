"""Commands that write files, or text for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from exporter.programs.cli import kinds
from exporter.programs.cli.commands.command import Command, add_filters, add_output

SHELLS = ("bash", "zsh", "fish")
TOKEN_ACTIONS = ("create", "rotate", "show-file")
PARTS = ("rules", "dashboards", "provisioning", "runbooks", "alertmanager", "prometheus", "config")

TOKENS = """\
examples:
  aurora-cli token create join-token
      a new file with a new token, which only you can read
  aurora-cli token create operator-token --label alice
      the audit shows whose it is
  aurora-cli token rotate join-token
      a new token before the old ones, which stay good
  aurora-cli token rotate join-token --finish
      only the newest stays: who has an older one is out
  aurora-cli token show-file join-token
      how many there are, and whose; the tokens themselves with --reveal

Works on files alone, on the machine where they lie; a registry reads them
again within seconds. docs/security.md says which token may do what.
"""

FILES = """\
examples:
  aurora-cli files --output=/etc/aurora
      rules, dashboards, runbooks, and configurations to start from
  aurora-cli files rules prometheus --output=/etc/prometheus
  aurora-cli files --list
"""
RULES = """\
examples:
  aurora-cli rules --output=/etc/prometheus/aurora
      the rules for the defaults
  aurora-cli rules --config.file=config.yaml --output=rules --force
      waits that fit this configuration's thresholds, over older files
"""
DASHBOARDS = """\
examples:
  aurora-cli dashboards --output=/var/lib/grafana/aurora
      dashboards/*.json to import, provisioning/ to have Grafana read them
"""
JOIN = """\
examples:
  aurora-cli join
      the line that adds a node: paste it on the new machine, as root
  aurora-cli join --registry 10.0.0.1:9999 -- --site home
"""
INVENTORY = """\
examples:
  aurora-cli inventory --list
  printf '#!/bin/sh\\nexec aurora-cli inventory "$@"\\n' > mesh.sh
  chmod +x mesh.sh; ansible -i mesh.sh role_compute -m ping
"""
SSH_CONFIG = """\
examples:
  aurora-cli ssh-config --user ubuntu > ~/.ssh/aurora
      then `Include ~/.ssh/aurora` at the top of ~/.ssh/config
"""
COMPLETION = """\
examples:
  aurora-cli completion bash >> ~/.bash_completion
  aurora-cli completion zsh > "${fpath[1]}/_aurora-cli"
  aurora-cli completion fish > ~/.config/fish/completions/aurora-cli.fish
"""


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config.file",
        dest="config_file",
        metavar="FILE",
        type=Path,
        help="the registry's configuration (default: its defaults, and the environment)",
    )


def _add_rules(parser: argparse.ArgumentParser) -> None:
    _add_config(parser)
    add_output(parser, "alerts")
    parser.add_argument(
        "--min-active-vram-gb",
        metavar="GB",
        type=kinds.gigabytes,
        default=0,
        help="alert when active nodes have less VRAM than this together (default: no such alert)",
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("parts", metavar="PART", nargs="*", help=f"{', '.join(PARTS)} (default: all)")
    add_output(parser, "aurora")
    parser.add_argument("--list", dest="list_only", action="store_true", help="only say what there is")


def _add_join(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("options", metavar="-- OPTION", nargs="*", help="for the agent, such as --site home")


def _add_inventory(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--list", dest="list_all", action="store_true", help="all groups and hosts (default)")
    which.add_argument("--host", metavar="NAME", help="the variables of one host")
    add_filters(parser)


def _add_ssh_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", help="the name to log in with")
    parser.add_argument("--prefix", default="", help="put this before each name, such as mesh-")
    parser.add_argument("--identity-file", metavar="FILE", help="the key to use")
    add_filters(parser)


def _add_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def _add_token(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", metavar="create|rotate|show-file", choices=TOKEN_ACTIONS, help="what to do")
    parser.add_argument("file", metavar="FILE", type=Path, help="the file of the tokens")
    parser.add_argument("--label", default="", metavar="NAME", help="whose the new token is")
    parser.add_argument("--finish", action="store_true", help="with rotate: remove all but the newest")
    parser.add_argument("--reveal", action="store_true", help="with show-file: the tokens themselves")


WRITING = (
    Command("token", "make and exchange the tokens in a file", TOKENS, "tokens:token", _add_token, words=TOKEN_ACTIONS),
    Command(
        "files",
        "write out rules, dashboards, runbooks, configurations",
        FILES,
        "files:write_files",
        _add_files,
        words=PARTS,
    ),
    Command("rules", "write Prometheus' rule files for a configuration", RULES, "files:write_rules", _add_rules),
    Command(
        "dashboards",
        "write Grafana's dashboards and provisioning",
        DASHBOARDS,
        "files:write_dashboards",
        lambda parser: add_output(parser, "grafana"),
    ),
    Command("join", "print the line that adds a node", JOIN, "lists:join", _add_join),
    Command("inventory", "list the nodes for Ansible", INVENTORY, "lists:inventory", _add_inventory),
    Command("ssh-config", "list the nodes for ssh", SSH_CONFIG, "lists:ssh_config", _add_ssh_config),
    Command("completion", "complete commands and names in a shell", COMPLETION, "completion:script", _add_completion),
    Command("complete-names", "names for a shell to complete", "", "completion:names", hidden=True),
)
