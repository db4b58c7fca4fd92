"""`python -m exporter.programs.cli`, for where the package is not installed."""

from __future__ import annotations

import sys

from exporter.programs.cli import main

sys.exit(main())
