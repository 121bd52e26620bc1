"""One line for each row of the table of faults; a conftest takes the two hooks from here.

A test is of the row that its name begins with: `test_row_13_...`.
"""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

_TIMES: dict[int, float] = defaultdict(float)
_FAILED: set[int] = set()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add a test to its row."""
    found = re.search(r"::test_row_(\d+)_", report.nodeid)
    if found:
        _TIMES[int(found[1])] += report.duration
        if report.failed:
            _FAILED.add(int(found[1]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each row."""
    for row, seconds in sorted(_TIMES.items()):
        verdict = "FAIL" if row in _FAILED else "PASS"
        terminalreporter.write_line(f"row {row} {verdict} {seconds:.1f}s")
