"""Asking the verifier about a ledger that a test has written."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple, cast

from fedcredit.verifier import verify
from tests.ledger.written import Writer

Findings = dict[str, object]


class Problem(NamedTuple):
    """One problem as the findings have it."""

    ledger: str
    seq: int | None
    kind: str
    what: str


def rows(findings: Findings, key: str) -> list[Findings]:
    """A list of objects of the findings."""
    return cast(list[Findings], findings[key])


def problems(findings: Findings) -> list[Problem]:
    return [Problem(**row) for row in rows(findings, "problems")]  # type: ignore[arg-type]


def judge(*writers: Writer, trust: str = "") -> Findings:
    """The findings about some ledgers in one folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "ledgers"
        for writer in writers:
            writer.save(folder)
        file = Path(name) / "trust.toml"
        file.write_text(trust, "utf-8")
        return verify([folder], file if trust else None)


def broken(writer: Writer, seq: int | None, status: int, words: str) -> None:
    """The first problem of a ledger is this one, and the status says so."""
    findings = judge(writer)
    first = problems(findings)[0]
    assert (first.seq, findings["exit"]) == (seq, status), problems(findings)
    assert words in first.what
    assert first.kind == ("rule" if status == 1 else "evidence")


def saved(writer: Writer) -> str:
    """A trust file with a ledger's head."""
    return f'[[saved]]\nnote = """\n{writer.notes[-1]}"""\n'
