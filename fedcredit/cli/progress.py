"""Progress of a study on standard error: rounds, institutions, epsilon spent, time left.

On a terminal one line that moves; anywhere else one line a round, fit for a log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:  # the federation imports numpy, which `--help` does not wait for
    from fedcredit.federation.simulate import Progress as Event
    from fedcredit.federation.simulate import RoundClosed

__all__ = ["Talk", "talking"]


class Talk:
    """What a command says while it works."""

    def __init__(self, console: Console, bar: Progress) -> None:
        self._console = console
        self._bar = bar

    def step(self, text: str) -> None:
        """Say what comes next."""
        self._console.print(text, style="dim", highlight=False, markup=False, soft_wrap=True)

    def watch(self, title: str, institutions: int) -> Callable[[Event], None]:
        """Follow a study.

        Args:
            title: what is under way.
            institutions: how many take part.

        Returns:
            What is to be told each event.
        """
        task = self._bar.add_task(title, total=None, note="")

        def told(event: Event) -> None:
            from fedcredit.federation.simulate import RoundOpened

            retry = f", retry {event.attempt}" if event.attempt else ""
            if isinstance(event, RoundOpened):
                note = f"{event.name}{retry}"
                self._bar.update(task, total=event.rounds, completed=event.number - 1, note=note)
                return
            note = f"{event.name}{retry}: {_answers(event, institutions)}"
            done = event.number if event.enough else event.number - 1
            self._bar.update(task, completed=done, note=note)
            if not self._console.is_terminal:
                self.step(f"{title}, round {event.number} of {event.rounds}, {note}")
            for name, reason in event.troubles:
                self.step(f"  {name}: {reason}")

        return told

    def count(self, title: str, total: int) -> Callable[[str], None]:
        """Follow some steps of equal length.

        Args:
            title: what is under way.
            total: how many steps there are.

        Returns:
            What is to be told the name of each step when it is done.
        """
        task = self._bar.add_task(title, total=total, note="")

        def told(name: str) -> None:
            self._bar.update(task, advance=1, note=name)
            if not self._console.is_terminal:
                self.step(f"{title}: {name}")

        return told


@contextmanager
def talking() -> Iterator[Talk]:
    """Talk on standard error while the block runs."""
    console = Console(stderr=True)
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
        console=console,
        disable=not console.is_terminal,
    )
    with bar:
        yield Talk(console, bar)


def _answers(event: RoundClosed, institutions: int) -> str:
    """Who answered, and what it cost so far."""
    spent = f"ε {event.epsilon:.2f}"
    return f"{len(event.answered)} of {institutions} answered, {spent}"
