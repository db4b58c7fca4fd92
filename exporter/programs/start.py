"""Entry points of programs whose packages may be missing: the base installation has no server packages."""

from __future__ import annotations

import signal
import sys
from importlib import import_module

from exporter.process.streams import open_closed_streams

INSTALL = "pip install 'aurora-node-registry[registry]'"


def registry() -> int:
    """aurora-registry. A reload that is asked for while it starts waits until it can be carried out."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    return _run("aurora-registry", "exporter.programs.registry")


def simulator() -> int:
    """aurora-simulator."""
    return _run("aurora-simulator", "exporter.programs.simulator")


def _run(name: str, module: str) -> int:
    # Before anything is imported that opens a file.
    open_closed_streams()
    try:
        main = import_module(module).main
        return int(main())
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "exporter":
            raise
        print(f"{name}: {error.name} is not installed. Install what it needs: {INSTALL}", file=sys.stderr)
        return 1
