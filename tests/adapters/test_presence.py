"""One process for a node's folder, and what it was there as."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fedcredit.adapters.presence import DiskPresence
from fedcredit.errors import LocalError


def test_what_was_kept_last_is_known_after_a_restart(tmp_path: Path) -> None:
    first = DiskPresence(tmp_path)
    assert first.last() is None
    first.keep(2**64 - 1)
    first.keep(7)
    first.close()
    again = DiskPresence(tmp_path)
    assert again.last() == 7
    again.close()


def test_a_copy_of_a_folder_knows_nothing(tmp_path: Path) -> None:
    """Or it would put out the node that it was copied from."""
    (tmp_path / "first").mkdir()
    first = DiskPresence(tmp_path / "first")
    first.keep(7)
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    copy = DiskPresence(tmp_path / "copy")
    assert copy.last() is None
    copy.close()
    first.close()


@pytest.mark.parametrize("text", ["", "7", "7 x\n", "\xff\n", "7 " * 40])
def test_a_file_that_says_nothing_is_no_harm(tmp_path: Path, text: str) -> None:
    (tmp_path / "running").write_text(text, "latin-1")
    found = DiskPresence(tmp_path)
    assert found.last() is None
    found.close()


def test_one_process_at_a_time_has_a_folder(tmp_path: Path) -> None:
    first = DiskPresence(tmp_path)
    with pytest.raises(LocalError, match=r"runs in .* already"):
        DiskPresence(tmp_path)
    first.close()
    DiskPresence(tmp_path).close()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot be written"):
        DiskPresence(tmp_path / "none")
