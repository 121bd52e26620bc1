"""Benchmarks start beside Opacus, which brings a package `benchmarks` of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = [
    path for path in sorted((ROOT / "benchmarks").glob("*.py")) if "__main__" in path.read_text()
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: str(path.stem))
def test_it_says_how_it_is_run(program: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(program), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--json" in done.stdout
