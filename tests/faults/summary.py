"""A plugin of pytest (`-p tests.faults.summary`): the table of faults, with what held and the seconds that were taken.

Tests note seconds with the fixture `measured`: `noticed`, from the fault until somebody notices, and `back`, from its
end until all is as before.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from tests.faults.table import FAULTS, Fault

TESTS = Path(__file__).parents[1]
SECONDS = ("noticed", "back")
_outcomes: dict[str, set[str]] = defaultdict(set)
_seconds: dict[tuple[str, str], float] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how the test ended, and what it measured."""
    name = report.nodeid.partition("[")[0].removeprefix("tests/")
    if report.when == "call" or report.outcome != "passed":
        _outcomes[name].add(report.outcome)
    for what, seconds in report.user_properties if report.when == "call" else ():
        if what in SECONDS and isinstance(seconds, float):
            _seconds[name, what] = max(seconds, _seconds.get((name, what), 0.0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table."""
    terminalreporter.section("faults")
    width = max(len(fault.injected) for fault in FAULTS)
    terminalreporter.write_line(f"{'':>3}  {'injected':<{width}}  {'':<8}  noticed    back  what has to hold")
    for fault in FAULTS:
        noticed, back = (_longest(fault, what) for what in SECONDS)
        line = (
            f"{fault.number:>3}  {fault.injected:<{width}}  {verdict(fault):<8}  {noticed:>7} {back:>7}  {fault.holds}"
        )
        terminalreporter.write_line(line, red=verdict(fault) == "NOT HELD")


def verdict(fault: Fault) -> str:
    """Whether it held, as far as its tests ran."""
    outcomes = {outcome for test in fault.tests for outcome in _outcomes.get(test, ())}
    if "failed" in outcomes:
        return "NOT HELD"
    if outcomes == {"skipped"} or not outcomes:
        return "not run"
    return "held"


def _longest(fault: Fault, what: str) -> str:
    found = [_seconds[test, what] for test in fault.tests if (test, what) in _seconds]
    return f"{max(found):.1f} s" if found else ""
