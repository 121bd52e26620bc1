"""What all tests share: how hypothesis draws its examples, and the lines of docs/faults.md.

Tests give the same answer on every run, so examples are derived from the test
itself. To search further: `HYPOTHESIS_PROFILE=explore make one T=tests/...`.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

from tests.rows import pytest_runtest_logreport, pytest_terminal_summary

__all__ = ["pytest_runtest_logreport", "pytest_terminal_summary"]

settings.register_profile(
    "deterministic",
    derandomize=True,
    database=None,
    deadline=None,  # a time limit fails on a busy machine and proves nothing
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],  # the same: it measures the machine
)
settings.register_profile(
    "explore", settings.get_profile("deterministic"), derandomize=False, max_examples=2_000
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "deterministic"))
