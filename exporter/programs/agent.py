"""`python -m exporter.programs.agent`: the agent beside the other programs of a checkout."""

from __future__ import annotations

import sys

from exporter.agent import main

if __name__ == "__main__":
    sys.exit(main())
