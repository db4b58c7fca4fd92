"""The command that makes and exchanges tokens."""

from __future__ import annotations

import argparse
from pathlib import Path

from exporter.programs.cli.commands.command import Command

ACTIONS = ("create", "rotate", "show-file")
EPILOG = """\
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


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", metavar="create|rotate|show-file", choices=ACTIONS, help="what to do")
    parser.add_argument("file", metavar="FILE", type=Path, help="the file of the tokens")
    parser.add_argument("--label", default="", metavar="NAME", help="whose the new token is")
    parser.add_argument("--finish", action="store_true", help="with rotate: remove all but the newest")
    parser.add_argument("--reveal", action="store_true", help="with show-file: the tokens themselves")


TOKENS = Command("token", "make and exchange the tokens in a file", EPILOG, "tokens:token", _add, words=ACTIONS)
