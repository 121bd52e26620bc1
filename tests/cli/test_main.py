"""Errors become exit statuses in one place, and never quote what they met."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click.exceptions import Abort
from typer.main import get_command

from fedcredit import errors
from fedcredit.cli import main as program
from fedcredit.cli.main import app, main
from fedcredit.errors import FedCreditError

ROOT = Path(__file__).resolve().parents[2]
ERRORS = [getattr(errors, name) for name in errors.__all__]


@pytest.fixture(autouse=True)
def _threads_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def failing(monkeypatch: pytest.MonkeyPatch, problem: BaseException) -> None:
    """Have every command meet a problem."""

    def run(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(program, "app", run)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_says_what_and_how_to_mend_it(
    kind: type[FedCreditError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both halves on standard error, the class's own status, nothing on standard output."""
    failing(monkeypatch, kind("threshold is 1", remedy="set threshold = 3"))
    assert main(["demo"]) == kind.exit_status
    shown = capsys.readouterr()
    assert shown.err == "error: threshold is 1\n  fix: set threshold = 3\n"
    assert shown.out == ""


def test_the_statuses_are_those_that_the_help_promises() -> None:
    """2 is click's own, and 70 is for what is none of these."""
    assert {kind.exit_status for kind in ERRORS} == {1, 3, 4, 5, 75}


def test_with_json_an_error_is_one_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, errors.DataError("no file", remedy="give one"))
    assert main(["demo", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error == {"what": "no file", "fix": "give one", "exit_status": 1}


@pytest.mark.parametrize("arguments", [["demo"], ["demo", "--json"]])
def test_an_unexpected_error_keeps_its_text_to_itself(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text, and that of its cause, could be a customer's row."""
    problem = ValueError("income of Jane Roe is 1234")
    problem.__cause__ = KeyError("Jane Roe")
    failing(monkeypatch, problem)
    assert main(arguments) == 70
    shown = capsys.readouterr()
    assert "Jane" not in shown.out + shown.err
    assert "1234" not in shown.out + shown.err
    assert "an unexpected error (ValueError) at fedcredit/cli/main.py:" in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), Abort()], ids=["key", "abort"])
def test_an_interrupt_is_no_error(
    problem: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, problem)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "stopped\n"


@pytest.mark.parametrize(
    "arguments", [["dmeo"], ["demo", "--sead", "3"], ["demo", "--seed", "x"], ["study"], []]
)
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("fedcredit")


def commands() -> list[list[str]]:
    """Every command, as the words that name it."""
    found: list[list[str]] = []

    def visit(command: object, words: list[str]) -> None:
        below = getattr(command, "commands", None)
        if below is None:
            found.append(words)
        else:
            for name, one in below.items():
                visit(one, [*words, name])

    visit(get_command(app), [])
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_says_its_statuses_and_gives_an_example(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Exit status: 0" in text
    assert f"Example: fedcredit {' '.join(words)}" in text


def test_the_commands_of_the_main_job_are_there() -> None:
    assert commands() == [
        ["demo"],
        ["score"],
        ["doctor"],
        ["study", "approve"],
        ["study", "propose"],
        ["study", "show"],
        ["study", "refuse"],
        ["study", "dryrun"],
        ["study", "start"],
        ["study", "stop"],
        ["study", "watch"],
        ["study", "result"],
        ["study", "list"],
        ["study", "simulate"],
        ["data", "synthesize"],
        ["data", "check"],
        ["data", "draft"],
        ["node", "keys"],
        ["node", "init"],
        ["node", "join"],
        ["node", "renew"],
        ["node", "leave"],
        ["node", "run"],
        ["node", "status"],
        ["node", "pause"],
        ["node", "resume"],
        ["node", "roster", "draft"],
        ["node", "roster", "show"],
        ["node", "roster", "sign"],
        ["coordinator", "init"],
        ["coordinator", "invite"],
        ["coordinator", "institutions"],
        ["coordinator", "approve"],
        ["coordinator", "revoke"],
        ["coordinator", "renew"],
        ["coordinator", "roster"],
        ["coordinator", "run"],
        ["coordinator", "page"],
        ["budget", "show"],
        ["budget", "set"],
        ["ledger", "init"],
        ["ledger", "show"],
        ["ledger", "rotate"],
        ["ledger", "bundle"],
        ["ledger", "verify"],
        ["ledger", "page"],
        ["ledger", "export"],
        ["witness", "key"],
        ["witness", "add"],
        ["witness", "run"],
    ]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fedcredit.cli.main", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_help_takes_less_than_half_a_second() -> None:
    """Of processor time, the best of three: what else the machine does is not our affair."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.5


def test_the_process_ends_with_the_status() -> None:
    """As a shell sees it."""
    done = run("score", "--model", "nowhere", "--in", "x.csv", "--out", "y.csv")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: nowhere holds no model: ")


def test_a_reader_that_goes_away_is_no_error() -> None:
    """`fedcredit --help | head -0` must not end in a traceback."""
    code = """
import sys
from fedcredit.cli import main as program
program.app = lambda *_, **__: print("x" * 10**7)
sys.exit(program.main([]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_threads_below_the_institutions_are_left_alone_if_somebody_set_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One each unless the environment says otherwise."""
    seen: list[str] = []

    def look(*_: object, **__: object) -> None:
        seen.append(os.environ["OMP_NUM_THREADS"])

    monkeypatch.setattr(program, "app", look)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    main(["demo"])
    monkeypatch.delenv("OMP_NUM_THREADS")
    main(["demo"])
    assert seen == ["3", "1"]
