"""A command of aurora-cli, and options that several of them have."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exporter.programs.cli import kinds

STATUSES = ("active", "warning", "offline")
FILTERS = ("role", "status", "gpu", "environment", "site", "min_free_vram_gb", "min_gpus")
"""Options that are query parameters of `GET /nodes` of the same name."""


@dataclass(frozen=True, slots=True)
class Command:
    """`text` stands in the list of commands; `handler` is `module:function`, loaded only when it is used."""

    name: str
    text: str
    epilog: str
    handler: str
    add: Callable[[argparse.ArgumentParser], object] = lambda _: None
    usage_status: int = 2
    """The exit status for wrong usage."""
    words: tuple[str, ...] = ()
    """What a shell completes beside names and options."""
    hidden: bool = False


def add_name(parser: argparse.ArgumentParser) -> None:
    """One node."""
    parser.add_argument("name", metavar="NAME", type=kinds.node_name, help="the node's name")


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Which nodes."""
    filters = parser.add_argument_group("filters", "A node must pass all that are given.")
    filters.add_argument("--role", help="such as compute")
    filters.add_argument("--status", choices=STATUSES, metavar="STATUS", help=", ".join(STATUSES))
    filters.add_argument("--gpu", action=argparse.BooleanOptionalAction, help="with, or without, a GPU")
    filters.add_argument("--environment", help="such as production")
    filters.add_argument("--site", help="such as home")
    filters.add_argument("--min-free-vram-gb", metavar="GB", type=float, help="this much VRAM is free now")
    filters.add_argument("--min-gpus", metavar="COUNT", type=int, help="this many GPUs")


def add_output(parser: argparse.ArgumentParser, default: str) -> None:
    """Where files go."""
    parser.add_argument(
        "--output", metavar="DIR", type=Path, default=Path(default), help=f"where to write to (default: {default})"
    )
    parser.add_argument("--force", action="store_true", help="overwrite files that are there already")
