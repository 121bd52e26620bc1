"""One line for each row of the table of faults."""

from __future__ import annotations

from tests.faults.rows import pytest_runtest_logreport, pytest_terminal_summary

__all__ = ["pytest_runtest_logreport", "pytest_terminal_summary"]
