"""A coordinator's folder in the middle of its day: studies in every state, members, a ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from fedcredit.adapters.disk import write_folder
from fedcredit.adapters.studies import Answered, Studies, StudyState
from tests.adapters.enrolled import Consortium
from tests.adapters.founded import found_centre

RUNNING, DONE, NEW, STOPPED = "a" * 64, "b" * 64, "c" * 64, "d" * 64
NASTY = "<script>document.title = 'owned'</script><img src=x onerror=alert(1)>"
NAMES = ("bank", "shop", "telco")


def line(number: int, second: int, answered: tuple[str, ...], **rest: object) -> dict[str, object]:
    """A line of progress."""
    return {
        "answered": answered,
        "at": f"2026-11-25T12:00:{second:02d}Z",
        "attempt": 0,
        "epsilon": 0.1 * number,
        "name": "histograms",
        "opened": True,
        "round": number,
        "rounds": 9,
        "troubles": {},
    } | rest


LINES = (
    line(1, 0, NAMES),
    line(2, 5, ("bank", "shop"), troubles={"telco": "no answer"}),
    line(3, 10, ("bank",), troubles={"shop": f"refused: {NASTY}", "telco": "no answer"}),
)


def study(folder: Path, plan: str, at: str, **rest: object) -> Path:
    """A study's folder, with its state alone."""
    state = StudyState(
        plan=plan, name=f"study {plan[0]}", institutions=NAMES, threshold=2, proposed_at=at
    )
    table: Mapping[str, object] = asdict(state) | rest
    place = Studies(folder).folder / state.id
    write_folder(place, {"state.json": json.dumps(table).encode()})
    return place


def progress(place: Path, *lines: Mapping[str, object]) -> None:
    """Write a study's progress."""
    text = "".join(json.dumps(one) + "\n" for one in lines)
    (place / "progress.jsonl").write_text(text, "ascii")


def centre(base: Path) -> Path:
    """The folder."""
    made = Consortium(base).found()
    for name in NAMES:
        made.member(name)
    found_centre(made.folder)
    said = {
        "bank": asdict(Answered(word="approved", at="2026-11-25T11:00:00Z")),
        "telco": asdict(Answered(word="waiting", note=NASTY, at="2026-11-25T11:30:00Z")),
    }
    running = study(made.folder, RUNNING, "2026-11-25T10:00:00Z", state="started", answers=said)
    progress(running, *LINES)
    done = study(made.folder, DONE, "2026-11-24T10:00:00Z", state="done")
    progress(done, *(line(number, number, NAMES) for number in range(1, 10)))
    metrics = {"metrics": {"auc": 0.83, "auc_se": 0.01}}
    write_folder(done / "run", {"metrics.json": json.dumps(metrics).encode()})
    study(made.folder, NEW, "2026-11-25T11:00:00Z")
    study(made.folder, STOPPED, "2026-11-23T10:00:00Z", state="stopped", why="too few answered")
    return made.folder
