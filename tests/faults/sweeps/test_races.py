"""Two processes of two studies race for what is left of one budget."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from tests.faults.checker import Capture, Ended, Evidence, judge
from tests.faults.race import GRANTED, plan_of
from tests.faults.world import ROOT, environment

TRIALS: Final = 100


def test_row_9_exactly_as_much_is_granted_as_the_budget_holds(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.race", str(tmp_path), str(TRIALS)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=400,
        check=True,
    )
    trials = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(trials) == TRIALS
    shares = Counter[int]()
    for number, trial in enumerate(trials):
        folder = tmp_path / str(number)
        lines = (folder / "ledger" / "ledger.jsonl").read_bytes()
        notes = (folder / "ledger" / "checkpoints.note").read_bytes()
        assert trial["ended"] == {"one": 4, "two": 4}  # both were told that the budget is spent
        assert len(trial["left"]) == GRANTED
        assert lines.count(b'"kind":"charge"') == lines.count(b'"kind":"release"') == GRANTED
        captures = []
        for left in trial["left"]:
            name, _, index = left.partition("-")
            reply = (folder / "wire" / left).read_bytes()
            captures.append(
                Capture("start", plan_of(name).plan, (int(index), 0), reply, lines, notes)
            )
        refused = [Ended(4, "error: spent\n  fix: none\n")] * 2
        assert judge(Evidence(lines, notes, captures, ended=refused)) == []
        shares[sum(left.startswith("one") for left in trial["left"])] += 1
    print(f"\n{TRIALS} trials; by turns that the first study got: {dict(sorted(shares.items()))}")
    assert len(shares) > 2  # they did race
