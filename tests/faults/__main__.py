"""`make faults`: plays every test that the table of faults names, and prints what held."""

from __future__ import annotations

import sys

import pytest

from tests.faults.summary import TESTS
from tests.faults.table import FAULTS

if __name__ == "__main__":
    named = dict.fromkeys(f"{TESTS}/{test}" for fault in FAULTS for test in fault.tests)
    sys.exit(pytest.main(["-v", "-p", "tests.faults.summary", *sys.argv[1:], *named]))
