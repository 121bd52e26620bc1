"""`fedcredit study watch`: rounds as they close, who is in, who is late, and what was spent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:  # `--help` waits for none of these
    from fedcredit.adapters.studies import Studies

__all__ = ["watch"]

_LOOK_S: Final = 0.5


def watch(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The coordinator's.", file_okay=False)
    ],
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The beginning of its id.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Follow a study until it is over.

    A line for each attempt at a round: who was in, who was late or out and why, epsilon
    spent so far, and how long the rest will take at this pace. At the end, its AUC.

    Exit status: 0 done; 1 there is no such study; 75 it was stopped.

    Example: fedcredit study watch /srv/coordinator 4f1c
    """
    from fedcredit.adapters.overview import auc_of
    from fedcredit.adapters.studies import Studies

    studies = Studies(folder)
    place = studies.place(studies.find(study))
    for line in _lines(studies, study):
        typer.echo(json.dumps(line) if as_json else _words(line))
    state = studies.find(study)
    end: dict[str, object] = {"state": state.state, "why": state.why}
    auc = auc_of(place)
    if auc is not None:
        end |= {"auc": auc.value, "auc_low": auc.low, "auc_high": auc.high}
    typer.echo(json.dumps(end) if as_json else "  ".join(f"{k}: {v}" for k, v in end.items() if v))
    if state.state == "stopped":
        raise typer.Exit(75)


def _lines(studies: Studies, study: str) -> Iterator[dict[str, object]]:
    """The study's lines as they are written, until it is over."""
    from fedcredit.adapters.studies import PROGRESS

    seen, begun = 0, time.monotonic()
    while True:
        state = studies.find(study)
        path = studies.place(state) / PROGRESS
        there = path.read_text("ascii").splitlines() if path.exists() else []
        for text in there[seen:]:
            line: dict[str, object] = json.loads(text)
            yield line | {"left_s": _left(line, time.monotonic() - begun)}
        seen = len(there)
        if state.state in ("done", "stopped"):
            return
        time.sleep(_LOOK_S)


def _left(line: dict[str, object], taken_s: float) -> int:
    """Seconds that the rounds to come will take at this pace."""
    done, rounds = line["round"], line["rounds"]
    if not isinstance(done, int) or not isinstance(rounds, int):
        return 0
    return round(taken_s / max(done, 1) * (rounds - done))


def _words(line: dict[str, object]) -> str:
    """A line for people."""
    answered, troubles = line["answered"], line["troubles"]
    said = len(answered) if isinstance(answered, list) else 0
    out = "; ".join(f"{name}: {why}" for name, why in dict(troubles).items())  # type: ignore[call-overload]
    return (
        f"round {line['round']} of {line['rounds']}"
        + (f", attempt {line['attempt']}" if line["attempt"] else "")
        + f"  {line['name']:<24} {said} in"
        + (f" ({out})" if out else "")
        + f"  epsilon {line['epsilon']:.3f}"
        + ("" if line["opened"] else "  NOT OPENED")
        + f"  about {line['left_s']} s left"
    )
