"""One line for each row of docs/faults.md; tests/conftest.py takes the two hooks from here.

The page says which files hold a row's tests. In a file that numbers its tests, a test is of
the row that its name begins with: `test_row_13_...`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs/faults.md"

_TIMES: dict[int, float] = defaultdict(float)
_FAILED: set[int] = set()


def files_of(text: str) -> dict[str, list[int]]:
    """Which rows a page names each file of tests for."""
    found: dict[str, list[int]] = defaultdict(list)
    for numbers, links in re.findall(r"(?m)^\| ([0-9, ]+) \|.*\| (.*) \|$", text):
        for file in re.findall(r"\]\(\.\./([^)]+)\)", links):
            found[file] += [int(number) for number in numbers.split(",")]
    return dict(found)


FILES: Final = files_of(PAGE.read_text("utf-8"))
NUMBERED: Final = {file for file in FILES if "def test_row_" in (ROOT / file).read_text("utf-8")}


def rows_of(test: str) -> list[int]:
    """The rows that a test, named as pytest names it, is of."""
    file, _, name = test.partition("::")
    numbered = re.match(r"test_row_(\d+)_", name)
    if numbered:
        return [int(numbered[1])]
    return [] if file in NUMBERED else FILES.get(file, [])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add a test to its rows."""
    for row in rows_of(report.nodeid):
        _TIMES[row] += report.duration
        if report.failed:
            _FAILED.add(row)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each row that ran."""
    for row, seconds in sorted(_TIMES.items()):
        verdict = "FAIL" if row in _FAILED else "PASS"
        terminalreporter.write_line(f"row {row} {verdict} {seconds:.1f}s")
