"""aurora-cli: the registry for people. It uses REST only, and knows no more than any other client."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.process.streams import open_closed_streams
from exporter.programs.cli.arguments import parse

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; the exit status.

    0: fine. 1: the registry said no, or what answers is no registry. 2: usage. 3: the registry cannot be reached.
    130: interrupted.
    """
    open_closed_streams()
    try:
        arguments = parse(argv)
        # The HTTP client is most of the start-up, and neither --help nor a usage error has any use for it.
        from exporter.programs.cli.run import run  # noqa: PLC0415

        return run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
