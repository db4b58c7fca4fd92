"""aurora-simulator: a GPU mesh of any number of nodes, for alert routes, for sizes, for rehearsals."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.programs.simulator.arguments import parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; the exit status: 0 ended as asked, 1 refused, 2 usage."""
    arguments = parse(argv)
    # Neither --help nor a usage error has any use for event loop and clients.
    from exporter.programs.simulator.run import run  # noqa: PLC0415

    return run(arguments)
