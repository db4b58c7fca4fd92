"""`python -m exporter.agent`, and the entry of aurora-agent.pyz."""

from __future__ import annotations

import sys

from exporter.agent import main

sys.exit(main())
