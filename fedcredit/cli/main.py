"""The program `fedcredit`, and the one place where an error becomes an exit status.

Results go to standard output, talk to standard error. An error of ours says what was
found and what to do. Any other error could quote a customer's row, so only its kind and
the line of ours where it arose are shown, never its text and never a traceback.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from click.exceptions import Abort, ClickException

from fedcredit.cli.budget import budget
from fedcredit.cli.data import data
from fedcredit.cli.demo import demo
from fedcredit.cli.doctor import doctor
from fedcredit.cli.enrol import coordinator, node_init, node_join, node_leave, node_renew
from fedcredit.cli.ledger import ledger
from fedcredit.cli.node import node
from fedcredit.cli.page import coordinator_page
from fedcredit.cli.running import (
    coordinator_roster,
    coordinator_run,
    node_pause,
    node_resume,
    node_run,
    node_status,
)
from fedcredit.cli.score import score
from fedcredit.cli.study import study
from fedcredit.cli.witness import witness
from fedcredit.errors import FedCreditError

__all__ = ["app", "main"]

_UNEXPECTED: Final = 70  # EX_SOFTWARE of sysexits.h
_INTERRUPTED: Final = 130  # as a shell reports a process that was interrupted
_CLOSED: Final = 141  # as a shell reports a process whose reader went away
_HERE: Final = Path(__file__).resolve().parents[1]

app = typer.Typer(
    name="fedcredit",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done; 1 a table or file breaks a rule; 2 wrong usage; 3 somebody "
    "cannot be reached; 4 refused, to keep the privacy promised; 5 a file is not what its digest "
    "says; 70 a fault of ours; 75 too few institutions answered, try again.",
)
app.command("demo")(demo)
app.command("score")(score)
app.command("doctor")(doctor)
app.add_typer(study, name="study")
app.add_typer(data, name="data")
node.command("init")(node_init)
node.command("join")(node_join)
node.command("renew")(node_renew)
node.command("leave")(node_leave)
node.command("run")(node_run)
node.command("status")(node_status)
node.command("pause")(node_pause)
node.command("resume")(node_resume)
coordinator.command("roster")(coordinator_roster)
coordinator.command("run")(coordinator_run)
coordinator.command("page")(coordinator_page)
app.add_typer(node, name="node")
app.add_typer(coordinator, name="coordinator")
app.add_typer(budget, name="budget")
app.add_typer(ledger, name="ledger")
app.add_typer(witness, name="witness")


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer hands an option over like this
    """Print the version and stop."""
    if asked:
        from fedcredit.cli.version import program_version

        typer.echo(program_version())
        raise typer.Exit


@app.callback()
def _program(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Institutions train one private credit model together; nobody shows anyone a customer."""
    del version


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: what stands after the program's name; the process's own if not given.

    Returns:
        The exit status.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Institutions of a simulation work side by side; threads of numpy's own below them only get
    # in each other's way and take three times the processor time. Read when numpy is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        status = app(words, prog_name="fedcredit", standalone_mode=False)
        sys.stdout.flush()
    except FedCreditError as problem:
        return _say(problem.what, problem.remedy, problem.exit_status, words)
    except ClickException as problem:
        problem.show(sys.stderr)
        return problem.exit_code
    except (Abort, KeyboardInterrupt):
        typer.echo("stopped", err=True)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; let the last flush of the interpreter pass too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _CLOSED
    except Exception as problem:  # noqa: BLE001 - its text could hold a row
        what = f"an unexpected error ({type(problem).__name__}) at {_place_of(problem)}"
        remedy = "report it with this line and the command; no value of a row is in it"
        return _say(what, remedy, _UNEXPECTED, words)
    return status if isinstance(status, int) else 0


def _say(what: str, remedy: str, status: int, words: Sequence[str]) -> int:
    """Show an error to people, and with ``--json`` to programs too."""
    typer.echo(f"error: {what}\n  fix: {remedy}", err=True)
    if "--json" in words:
        error = {"what": what, "fix": remedy, "exit_status": status}
        typer.echo(json.dumps({"error": error}, ensure_ascii=False))
    return status


def _place_of(problem: BaseException) -> str:
    """The innermost line of ours that an error passed through."""
    places = [
        f"{Path(frame.filename).relative_to(_HERE.parent)}:{frame.lineno}"
        for frame in traceback.extract_tb(problem.__traceback__)
        if Path(frame.filename).is_relative_to(_HERE)
    ]
    return places[-1]


if __name__ == "__main__":
    sys.exit(main())
