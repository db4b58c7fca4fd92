"""The table of faults names tests that there are, and its summary says what came of them."""

from __future__ import annotations

import ast

import pytest

from tests.faults.summary import TESTS
from tests.faults.table import FAULTS


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.number)
def test_each_fault_is_injected_by_tests_that_there_are(fault):
    assert fault.tests
    for test in fault.tests:
        path, _, name = test.partition("::")
        module = ast.parse((TESTS / path).read_text())
        assert name in {each.name for each in module.body if isinstance(each, ast.FunctionDef)}, test


def test_all_faults_are_there_in_order():
    """28 that any such service must survive, and those that were played since."""
    expected = [*map(str, range(1, 29)), *(f"S{number}" for number in range(1, len(FAULTS) - 27))]
    assert [fault.number for fault in FAULTS] == expected


pytest_plugins = ["pytester"]
EXAMPLE = """
import pytest

@pytest.fixture
def measured(record_property):
    record_property("noticed", 1.5)

def test_held(measured):
    pass

def test_broke():
    assert False
"""


def test_the_summary_says_what_held(pytester, monkeypatch):
    """By the table's tests, with the longest seconds of each."""
    monkeypatch.syspath_prepend(str(TESTS.parent))
    pytester.makepyfile(test_example=EXAMPLE)
    pytester.makepyfile(
        short="""
        from tests.faults import summary
        from tests.faults.table import Fault

        summary.FAULTS = (
            Fault("1", "a fault", "all holds", ("test_example.py::test_held",)),
            Fault("2", "another", "all holds", ("test_example.py::test_held", "test_example.py::test_broke")),
            Fault("3", "a third", "all holds", ("test_example.py::test_nowhere",)),
        )
        """
    )
    shown = pytester.runpytest_subprocess("-p", "tests.faults.summary", "-p", "short").outlines
    lines = [line.split() for line in shown if line.strip()[:1] in {"1", "2", "3"} and "all holds" in line]
    assert lines == [
        ["1", "a", "fault", "held", "1.5", "s", "all", "holds"],
        ["2", "another", "NOT", "HELD", "1.5", "s", "all", "holds"],
        ["3", "a", "third", "not", "run", "all", "holds"],
    ]
