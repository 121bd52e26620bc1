"""The disk: files that are whole or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from fedcredit.adapters.disk import write_file, write_folder
from fedcredit.errors import ConfigError


def test_a_folder_is_there_with_all_its_files(tmp_path: Path) -> None:
    write_folder(tmp_path / "run" / "one", {"plan.json": b"{}", "books/a.txt": b"a"})
    found = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"plan.json": b"{}", "a.txt": b"a"}
    write_folder(tmp_path / "empty", {})
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(ConfigError):
        write_folder(tmp_path / "run", {"plan.json": b"{}"})
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("name", ["../up.json", "a/../../up.json", "/tmp/up.json"])  # noqa: S108
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        write_folder(tmp_path / "run", {name: b""})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_could_not_be_finished_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write_folder(tmp_path / "run", {"plan.json": b"{}"})
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "report.html", b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_file(path, b"old")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]
