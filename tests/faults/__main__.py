"""`make faults`: plays every test that the table of faults names, and prints what held."""

from __future__ import annotations

import sys

import pytest

from tests.faults import summary
from tests.faults.table import FAULTS

if __name__ == "__main__":
    named = dict.fromkeys(f"{summary.TESTS}/{test}" for fault in FAULTS for test in fault.tests)
    sys.exit(pytest.main(["-v", *sys.argv[1:], *named], plugins=[summary]))
