"""The pages as their commands write them, and the browser that shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from fedcredit.cli.main import main
from fedcredit.report.audit_page import audit_page
from tests.browser.viewer import Viewer, viewer
from tests.report import audited
from tests.report.audited import Findings

BY_HAND: Final[Mapping[str, Callable[[], Findings]]] = {
    "rule broken": audited.rule_broken,
    "evidence broken": audited.evidence_broken,
    "long": lambda: audited.long(plans=4, rounds=6),
}


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The auditor's page and the report of a small study, and pages of findings by hand."""
    folder = tmp_path_factory.mktemp("pages")
    run = folder / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        assert main(["demo", "--scale", "0.1", "--keep", str(run)]) == 0
        study = folder / "study.html"
        assert main(["ledger", "page", str(run / "audit.zip"), "--out", str(study)]) == 0
    found = {"study": study, "report": run / "report.html"}
    for name, findings in BY_HAND.items():
        found[name] = folder / f"{name}.html"
        found[name].write_text(audit_page(findings()), "utf-8")
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    """One Chromium for the tests of a file: another file may start its own."""
    with viewer(tmp_path_factory.mktemp("profile")) as started:
        yield started
