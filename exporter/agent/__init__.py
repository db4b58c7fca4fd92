"""aurora-agent: runs on every node, registers it, and sends its heartbeats.

A program of its own: CPython from 3.9 and its standard library are all that it needs, so that it runs on machines that
nobody prepared, as one file. It imports nothing of the registry's, but for the signing of events.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from exporter.process.streams import open_closed_streams


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; the exit status, as `exporter.agent.exits` has them."""
    open_closed_streams()
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] in (["install"], ["uninstall"]):
        from exporter.agent.install import run as install  # noqa: PLC0415 - only needed here

        return install(given[1:] + ["--uninstall"] * (given[0] == "uninstall"))
    from exporter.agent.lean import one_heap, without_openssl  # noqa: PLC0415 - before anything that hashes

    one_heap()
    without_openssl()
    from exporter.agent.options import parse  # noqa: PLC0415 - --help needs no more than this
    from exporter.agent.program import run  # noqa: PLC0415

    return run(parse(given))
