"""aurora-agent: runs on every node, registers it, and keeps saying that it lives."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.programs.agent.arguments import parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; the exit status, as `exporter.programs.agent.exits` has them."""
    arguments = parse(argv)
    # Neither --help nor a usage error has any use for an HTTP client.
    from exporter.programs.agent.run import run  # noqa: PLC0415

    return run(arguments)
