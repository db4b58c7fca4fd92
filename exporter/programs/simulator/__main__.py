"""`python -m exporter.programs.simulator`, for where the package is not installed."""

from __future__ import annotations

import sys

from exporter.programs.simulator import main

sys.exit(main())
