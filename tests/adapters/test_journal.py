"""The coordinator's journal on the disk: whole pages, and none that was altered."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcredit.adapters.journal import DiskJournal
from fedcredit.errors import IntegrityError, LocalError
from fedcredit.federation.journal import InMemoryJournal, Journal


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_page_is_kept_and_replaced(kind: str, tmp_path: Path) -> None:
    journal: Journal = InMemoryJournal() if kind == "memory" else DiskJournal(tmp_path / "j")
    assert journal.kept("a") == b""
    for data in (b"one", b"", b"two"):
        journal.keep("a", data)
        assert journal.kept("a") == data
    assert journal.kept("b") == b""


def test_a_page_outlives_the_process(tmp_path: Path) -> None:
    DiskJournal(tmp_path).keep("0000.00.result", b"data")
    assert DiskJournal(tmp_path).kept("0000.00.result") == b"data"


def test_a_page_that_was_altered_or_moved_is_refused(tmp_path: Path) -> None:
    journal = DiskJournal(tmp_path)
    journal.keep("a", b"data")
    whole = (tmp_path / "a").read_bytes()
    for at in range(len(whole)):
        (tmp_path / "a").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(IntegrityError, match="damaged"):
            journal.kept("a")
    (tmp_path / "b").write_bytes(whole)
    with pytest.raises(IntegrityError):
        journal.kept("b")


def test_a_disk_that_fails_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(LocalError, match="failed"):
        DiskJournal(tmp_path / "file" / "j")
    journal = DiskJournal(tmp_path / "j")
    (tmp_path / "j" / "a").mkdir()
    with pytest.raises(LocalError, match="failed"):
        journal.kept("a")
