"""aurora-agent: runs on every node, registers it, and sends its heartbeats.

A program of its own: CPython from 3.9 and its standard library are all that it needs, so that it runs on machines that
nobody prepared, as one file. It imports nothing of the registry's, but for the signing of events.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; the exit status, as `exporter.agent.exits` has them."""
    from exporter.agent.options import parse  # noqa: PLC0415 - --help needs no more than this
    from exporter.agent.program import run  # noqa: PLC0415

    return run(parse(argv))
