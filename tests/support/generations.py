"""The generations of Prometheus and Alertmanager that tests run against: the installed one, and the newest."""

from __future__ import annotations

import os

import pytest

from demo.servers import INSTALLED, NEWEST, Generation

GENERATIONS = (INSTALLED, NEWEST)
DEFAULT = NEWEST if NEWEST.available else INSTALLED
"""For tests that run against one alone."""


def required(generation: Generation) -> Generation:
    """The generation; the test is skipped where this machine does not have it, and fails where CI is set."""
    if not generation.available:
        missing = f"the {generation.name} Prometheus is not on this machine: run make servers"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return generation
