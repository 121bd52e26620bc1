"""The auditor's page and the registry's form are written from what the verifier found."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest
import typer
from click.exceptions import BadParameter

from fedcredit.cli.audit import export, page
from fedcredit.errors import ConfigError, IntegrityError
from fedcredit.report.audit_page import audit_page
from tests.report import audited
from tests.report.audited import Findings

APP = typer.Typer()
APP.command("page")(page)
APP.command("export")(export)


class Verifier(ModuleType):
    """A verifier that finds what it is told to find, and remembers what it was asked."""

    class UsageProblem(Exception):
        """A path cannot be read."""

    found: Findings
    asked: list[tuple[list[Path], Path | None]]

    def verify(self, paths: Sequence[Path], trust: Path | None = None) -> Findings:
        self.asked.append((list(paths), trust))
        if not self.found:
            raise self.UsageProblem(f"{paths[0]} cannot be read (No such file or directory)")
        return self.found


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch) -> Verifier:
    made = Verifier("fedcredit.verifier")
    made.found, made.asked = audited.holds(), []
    monkeypatch.setitem(sys.modules, "fedcredit.verifier", made)
    return made


def run(*words: str) -> int:
    status = APP(list(words), standalone_mode=False)
    assert isinstance(status, int)
    return status


@pytest.mark.parametrize(
    ("story", "status"),
    [(audited.holds, 0), (audited.rule_broken, 1), (audited.evidence_broken, 5)],
)
def test_the_page_is_written_whatever_the_verdict(
    story: Callable[[], Findings], status: int, verifier: Verifier, tmp_path: Path
) -> None:
    verifier.found = story()
    out = tmp_path / "audit.html"
    assert run("page", "a.zip", "b.zip", "--trust", "trust.toml", "--out", str(out)) == status
    assert out.read_text("utf-8") == audit_page(story())
    assert verifier.asked == [([Path("a.zip"), Path("b.zip")], Path("trust.toml"))]


def test_a_verdict_without_a_status_is_no_success(verifier: Verifier, tmp_path: Path) -> None:
    del verifier.found["exit"]
    assert run("page", "a.zip", "--out", str(tmp_path / "audit.html")) == 5


def test_a_path_that_cannot_be_read_is_wrong_usage(verifier: Verifier, tmp_path: Path) -> None:
    verifier.found = {}
    out = tmp_path / "audit.html"
    with pytest.raises(BadParameter, match=r"a\.zip cannot be read"):
        run("page", "a.zip", "--out", str(out))
    assert not out.exists()


def test_a_page_that_cannot_be_written_says_so(verifier: Verifier, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        run("page", "a.zip", "--out", str(tmp_path / "absent" / "audit.html"))


def test_an_entry_goes_to_standard_output_and_talk_beside_it(
    verifier: Verifier, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("export", "a.zip", "--format", "dp-registry") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["tier"] == 3
    assert "deployment.basic.data_product_region" in err


def test_an_entry_is_written_to_a_file(verifier: Verifier, tmp_path: Path) -> None:
    verifier.found = audited.rule_broken()
    out = tmp_path / "entry.json"
    assert run("export", "a.zip", "--out", str(out)) == 1
    assert json.loads(out.read_text("utf-8"))["status"] == "Draft"


def test_nothing_is_exported_from_broken_evidence(verifier: Verifier, tmp_path: Path) -> None:
    verifier.found = audited.evidence_broken()
    out = tmp_path / "entry.json"
    with pytest.raises(IntegrityError, match="nothing can be claimed"):
        run("export", "a.zip", "--out", str(out))
    assert not out.exists()


def test_an_unknown_form_is_wrong_usage(verifier: Verifier) -> None:
    with pytest.raises(BadParameter, match="none of dp-registry"):
        run("export", "a.zip", "--format", "csv")
    assert verifier.asked == []
