"""Bundles: zips and folders, read without trust, and never unpacked to disk."""

from __future__ import annotations

import stat
import struct
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile, ZipInfo

import pytest

from fedcredit import verifier
from fedcredit.verifier import UsageProblem, verify
from tests.ledger.written import bundle, coordinator, story
from tests.verifier.judged import problems, rows


def test_a_zip_a_folder_of_ledgers_and_one_ledger_s_folder_say_the_same(tmp_path: Path) -> None:
    folder = story().save(tmp_path / "folder")
    (folder / "lock").touch()
    found = [
        verify([path])
        for path in (bundle(tmp_path / "a.zip", story()), tmp_path / "folder", folder)
    ]
    for one in found:
        assert one["exit"] == 0
        rows(one, "ledgers")[0].pop("where")
    assert found[0] == found[1] == found[2]


def test_several_bundles_are_read_together(tmp_path: Path) -> None:
    first = bundle(tmp_path / "a.zip", story())
    second = bundle(tmp_path / "b.zip", story("bank-b"), coordinator("bank-a", "bank-b"))
    findings = verify([first, second])
    names = [row["institution"] for row in rows(findings, "ledgers")]
    assert (findings["exit"], names) == (0, ["bank-a", "bank-b", "coordinator"])


def test_nothing_is_written_and_the_bundle_is_closed(tmp_path: Path) -> None:
    path = bundle(tmp_path / "a.zip", story())
    before = path.read_bytes()
    verify([path])
    assert [one.name for one in tmp_path.iterdir()] == ["a.zip"]
    assert path.read_bytes() == before


def _member(name: str, data: bytes = b"x", mode: int = 0) -> Callable[[ZipFile], None]:
    def add(archive: ZipFile) -> None:
        info = ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, data)

    return add


@pytest.mark.parametrize(
    ("add", "words"),
    [
        (_member("../bank-z/ledger.jsonl"), "no file of a ledger"),
        (_member("/bank-z/ledger.jsonl"), "no file of a ledger"),
        (_member("bank-z\\ledger.jsonl"), "no file of a ledger"),
        (_member("bank-z/../bank-a/ledger.jsonl"), "no file of a ledger"),
        (_member("bank-z/"), "no file of a ledger"),
        (_member("bank-z/other"), "no file of a ledger"),
        (_member("deep/bank-z/ledger.jsonl"), "no file of a ledger"),
        (_member("Bank-Z/ledger.jsonl"), "no file of a ledger"),
        (_member("bank-z/ledger.jsonl", b"/etc/passwd", stat.S_IFLNK | 0o777), "no file of a"),
        (_member("bank-z/ledger.jsonl", b"", stat.S_IFIFO | 0o600), "no file of a ledger"),
        (_member("bank-z/ledger.jsonl"), "only one of bank-z's two files"),
    ],
    ids=[
        "up", "root", "backslash", "round about", "a folder", "another file", "deep",
        "upper case", "a link", "a pipe", "half a ledger",
    ],
)  # fmt: skip
def test_a_zip_with_anything_else_in_it_is_not_read(
    add: Callable[[ZipFile], None], words: str, tmp_path: Path
) -> None:
    path = bundle(tmp_path / "a.zip", story())
    with ZipFile(path, "a") as archive:
        add(archive)
    findings = verify([path])
    assert findings["exit"] == 5
    assert words in problems(findings)[0].what
    assert rows(findings, "ledgers") == []


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_twice_is_not_chosen_from(tmp_path: Path) -> None:
    path = bundle(tmp_path / "a.zip", story())
    with ZipFile(path, "a") as archive:
        archive.writestr("bank-a/ledger.jsonl", b"")
    assert "twice" in problems(verify([path]))[0].what


def test_a_zip_bomb_ends_at_the_limit_by_bytes_that_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes that a zip declares are not believed: here both say a hundred bytes."""
    monkeypatch.setattr(verifier, "MOST_BYTES", 100_000)
    path = tmp_path / "bomb.zip"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("bank-a/ledger.jsonl", b"".join(story().lines) * 50)
        archive.writestr("bank-a/checkpoints.note", "".join(story().notes * 50))
    findings = verify([path])
    assert findings["exit"] == 5
    monkeypatch.setattr(verifier, "MOST_BYTES", 1000)
    assert "unpacks to more than 1000 bytes" in problems(verify([path]))[0].what


def test_a_zip_with_too_many_ledgers_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "MOST_LEDGERS", 1)
    path = bundle(tmp_path / "a.zip", story(), story("bank-b"))
    assert "holds 2 ledgers" in problems(verify([path]))[0].what


def test_a_list_of_members_too_long_to_hold_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with ZipFile(path, "w") as archive:
        for number in range(12_000):
            archive.writestr(f"bank-{number}/{'x' * 60}", b"")
    assert "list of members is too long" in problems(verify([path]))[0].what


@pytest.mark.parametrize("offset", [8, 10])
def test_any_byte_of_a_zip_s_data_is_covered_by_a_checksum_or_by_the_ledger(
    offset: int, tmp_path: Path
) -> None:
    path = bundle(tmp_path / "a.zip", story())
    data = bytearray(path.read_bytes())
    data[len(data) // 2 + offset] ^= 1
    path.write_bytes(bytes(data))
    assert verify([path])["exit"] == 5


@pytest.mark.parametrize("packing", [ZIP_STORED, ZIP_DEFLATED])
def test_stored_and_deflated_members_read_the_same(packing: int, tmp_path: Path) -> None:
    assert verify([packed(tmp_path, packing)])["exit"] == 0


@pytest.mark.parametrize("packing", [ZIP_LZMA, ZIP_BZIP2])
def test_a_way_of_packing_that_unpacks_without_a_limit_is_refused(
    packing: int, tmp_path: Path
) -> None:
    findings = verify([packed(tmp_path, packing)])
    assert (findings["exit"], rows(findings, "ledgers")) == (5, [])


def packed(folder: Path, packing: int) -> Path:
    path = folder / "a.zip"
    with ZipFile(path, "w", packing) as archive:
        archive.writestr("bank-a/ledger.jsonl", b"".join(story().lines))
        archive.writestr("bank-a/checkpoints.note", "".join(story().notes))
    return path


def test_an_unknown_way_of_packing_is_refused(tmp_path: Path) -> None:
    path = bundle(tmp_path / "a.zip", story())
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\1\2")
    data[at + 10 : at + 12] = struct.pack("<H", 99)
    path.write_bytes(bytes(data))
    findings = verify([path])
    assert (findings["exit"], rows(findings, "ledgers")) == (5, [])


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = bundle(tmp_path / "a.zip", story())
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(bytes(data))
    assert verify([path])["exit"] == 5


@pytest.mark.parametrize("data", [b"", b"PK", b"hello " * 100, b"PK\5\6" + bytes(18) + b"comment"])
def test_a_file_that_is_no_zip_is_wrong_usage(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with pytest.raises(UsageProblem, match="neither a folder nor a plain zip"):
        verify([path])


def test_what_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="cannot be read"):
        verify([tmp_path / "none.zip"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageProblem, match="0 ledgers"):
        verify([tmp_path / "empty"])


@pytest.mark.parametrize("name", ["ledger.jsonl", "checkpoints.note", ""])
def test_a_link_in_a_folder_is_not_followed(name: str, tmp_path: Path) -> None:
    folder = story().save(tmp_path / "folder")
    target = folder / name if name else folder
    moved = tmp_path / "moved"
    target.rename(moved)
    target.symlink_to(moved)
    findings = verify([tmp_path / "folder"])
    assert findings["exit"] == 5
    assert "not a plain" in problems(findings)[0].what


def test_a_ledger_in_another_one_s_folder_is_refused(tmp_path: Path) -> None:
    story().save(tmp_path / "folder").rename(tmp_path / "folder" / "bank-b")
    assert "lies in folder bank-b" in problems(verify([tmp_path / "folder"]))[0].what


@pytest.mark.parametrize("name", ["ledger.jsonl", "checkpoints.note"])
def test_an_empty_file_is_broken_evidence(name: str, tmp_path: Path) -> None:
    folder = story().save(tmp_path)
    (folder / name).write_bytes(b"")
    assert verify([folder])["exit"] == 5


def test_a_name_with_a_zero_byte_is_not_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with ZipFile(path, "w") as archive:
        archive.writestr("bank-a/ledger.jsonl", b"".join(story().lines))
        archive.writestr("bank-a/checkpoints.note-x", "".join(story().notes))
    path.write_bytes(path.read_bytes().replace(b"note-x", b"note\0x"))
    assert "no file of a ledger" in problems(verify([path]))[0].what
