"""`python -m exporter.programs.agent`, for where the package is not installed."""

from __future__ import annotations

import sys

from exporter.programs.agent import main

sys.exit(main())
