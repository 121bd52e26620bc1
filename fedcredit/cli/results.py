"""Results of a study for people: claims, metrics and the tables of the demo, on standard output."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:  # these import numpy, which `--help` does not wait for
    from collections.abc import Sequence
    from pathlib import Path

    from fedcredit.learners.evaluation import Evaluation
    from fedcredit.report.record import OwnFigures
    from fedcredit.scoring.breakdown import Breakdown
    from fedcredit.scoring.model import ReleasedModel

__all__ = ["Results"]


class Results:
    """Prints to standard output, in full even where lines would be cut to a terminal's width."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)

    def line(self, text: str = "") -> None:
        """One line of text."""
        self._console.print(text, markup=False)

    def own(self, figures: Sequence[OwnFigures]) -> None:
        """AUC alone and together, by institution."""
        table = _table("institution", "AUC alone", "AUC together", "gain")
        for one in figures:
            gain = one.together - one.alone
            table.add_row(
                one.institution,
                f"{one.alone:.3f}",
                f"{one.together:.3f}",
                f"[{'green' if gain >= 0 else 'red'}]{gain:+.3f}[/]",
            )
        self._console.print(table)

    def claims(self, released: ReleasedModel) -> None:
        """Epsilon of a record and of a person, the figure in force first."""
        claim = released.claim
        people = [f"m = {one.institutions}" for one in claim.persons]
        people[:1] = [f"person: {name}" for name in people[:1]]
        table = _table(f"epsilon at delta {claim.delta:g}".replace("e-0", "e-"), "record", *people)
        local = [claim.epsilon_local, *(one.epsilon_local for one in claim.persons)]
        masked = [claim.epsilon, *(one.epsilon for one in claim.persons)]
        if released.in_force == "local":
            rows = [("in force: sums are opened one by one", local), ("with masks", masked)]
        else:
            rows = [
                ("in force: only totals are opened", masked),
                ("if all masks were broken", local),
            ]
        for at, (name, figures) in enumerate(rows):
            style = "" if at else "bold"
            table.add_row(name, *(f"{figure:.2f}" for figure in figures), style=style)
        self._console.print(table)
        self.line("  m is the number of institutions that hold a record of the same person")

    def seen(self, sentences: Sequence[str]) -> None:
        """What the coordinator could see."""
        self.line("What the coordinator could see:")
        for text in sentences:
            self.line(f"  {text}")

    def metrics(self, found: Sequence[Evaluation]) -> None:
        """What the held-out records say, with 95 % ranges."""
        for one in found:
            self.line(
                f"AUC {one.auc:.3f} ± {1.96 * one.auc_se:.3f}, Gini {one.gini:.3f}, "
                f"KS {one.ks:.3f} ± {1.96 * one.ks_se:.3f}, Brier {one.brier:.4f}, "
                f"log loss {one.log_loss:.4f}"
            )
            self.line(
                "  measured privately on all held-out records, one charged release; ± is 95 %, "
                "noise included"
            )

    def applicant(self, one: Breakdown) -> None:
        """A sample applicant's score."""
        self.line(f"A sample applicant: {one.score} points, {one.tier}, PD {one.pd:.1%}")

    def files(self, folder: Path) -> None:
        """What is left behind for people, and how to check it."""
        audit = folder / "audit.zip"
        self.line(f"The report: {folder / 'report.html'}")
        self.line(
            f"The ledgers: {audit}  (check them: fedcredit ledger verify {shlex.quote(str(audit))})"
        )


def _table(first: str, *others: str) -> Table:
    """A table whose first column is text and whose others are numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table
