"""A witness's folder: its key, its ledgers, and what it has signed."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from fedcredit.adapters import witness_folder
from fedcredit.adapters.witness_folder import (
    ACCUSED_LIMIT,
    DiskWitnessStore,
    add_ledger,
    ledgers,
    new_key,
    open_witness,
    witness_key,
)
from fedcredit.errors import ConfigError, IntegrityError, LocalError
from fedcredit.ledger.notes import read_note
from fedcredit.ledger.signatures import COSIGNATURE
from fedcredit.ledger.witness import WitnessStore
from tests.ledger.made import SHOP, Copy, Pair, witness
from tests.ledger.test_witness import BANK, FORK, TRUE, WitnessStoreContract

WRITER = Pair(BANK).writer


class TestDiskWitnessStore(WitnessStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> WitnessStore:
        return DiskWitnessStore(tmp_path / "witness")


def seen(folder: Path) -> Path:
    """The one file of what was signed."""
    (path,) = (folder / "seen").iterdir()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A witness that knows the bank's ledger."""
    new_key(tmp_path, SHOP.name)
    add_ledger(tmp_path, BANK, WRITER)
    return tmp_path


def test_what_was_signed_outlives_a_restart(folder: Path) -> None:
    first = open_witness(folder).add_checkpoint(TRUE.request(0, 5))
    assert first.status == 200
    for _ in range(2):
        assert open_witness(folder).add_checkpoint(TRUE.request(5, 5)) == first
        assert open_witness(folder).add_checkpoint(FORK.request(5, 5)).status == 409
        assert open_witness(folder).add_checkpoint(FORK.request(5, 8)).status == 422
        assert open_witness(folder).add_checkpoint(TRUE.request(3, 4)).body == b"5\n"


def test_what_is_kept_is_a_note_that_anybody_can_check(folder: Path) -> None:
    open_witness(folder).add_checkpoint(TRUE.request(0, 5))
    note = read_note(seen(folder).read_bytes())
    assert note.body == TRUE.note(5).body
    assert seen(folder).stat().st_mode & 0o777 == 0o600
    key = witness_key(folder)
    assert key.time_of(note.body, note.signatures[1]) is not None


def test_a_damaged_file_stops_the_signing_for_this_ledger(folder: Path) -> None:
    open_witness(folder).add_checkpoint(TRUE.request(0, 5))
    path = seen(folder)
    whole = path.read_bytes()
    for data in (b"", whole[:-1], whole[: len(whole) // 2], whole + b"x", bytes(1 << 17)):
        path.write_bytes(data)
        with pytest.raises(IntegrityError, match="is damaged"):
            open_witness(folder).add_checkpoint(TRUE.request(5))
    flipped = bytearray(whole)
    flipped[whole.index(b"\n5\n") + 1] = ord("4")  # as if it had signed for less
    path.write_bytes(bytes(flipped))
    with pytest.raises(IntegrityError, match="is not its signature"):
        open_witness(folder).add_checkpoint(TRUE.request(4))
    path.write_bytes(whole)
    assert open_witness(folder).add_checkpoint(TRUE.request(5)).status == 200


def test_an_error_of_the_disk_gives_no_signature_and_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_witness(folder).add_checkpoint(TRUE.request(0, 5))
    before = seen(folder).read_bytes()
    one = open_witness(folder)

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(LocalError, match="No space left"):
            one.add_checkpoint(TRUE.request(5, 8))
    assert seen(folder).read_bytes() == before
    assert one.add_checkpoint(TRUE.request(5, 8)).status == 200


def test_an_answer_follows_what_is_on_the_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File and folder are both forced to the disk before there is an answer, every time."""
    synced: list[str] = []
    real = os.fsync

    def sync(file: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{file}").readlink()))
        real(file)

    one = open_witness(folder)
    monkeypatch.setattr(os, "fsync", sync)
    for _ in range(2):
        old = 0 if not synced else 5
        synced.append("asked")
        assert one.add_checkpoint(TRUE.request(old, 5)).status == 200
        last = synced[len(synced) - synced[::-1].index("asked") :]
        assert last[0].endswith(".part")
        assert last[-1] == str(folder / "seen")


def test_what_a_crash_left_half_written_is_swept_away(folder: Path) -> None:
    open_witness(folder).add_checkpoint(TRUE.request(0, 5))
    part = folder / "seen" / ".x.note.y.part"
    part.write_bytes(b"half")
    assert open_witness(folder).add_checkpoint(TRUE.request(5)).status == 200
    assert not part.exists()


def test_a_fork_is_set_aside_up_to_a_limit(folder: Path) -> None:
    one = open_witness(folder)
    one.add_checkpoint(TRUE.request(0, 5))
    one.add_checkpoint(FORK.request(5, 5))
    one.add_checkpoint(FORK.request(5, 5))
    (path,) = (folder / "accused").iterdir()
    assert read_note(path.read_bytes()) == FORK.note(5)
    for number in range(ACCUSED_LIMIT + 3):
        copy = Copy("a", "b", "c", "d", f"forged {number}")
        assert one.add_checkpoint(copy.request(5, 5)).status == 409
    assert len(list((folder / "accused").iterdir())) == ACCUSED_LIMIT


def test_evidence_that_cannot_be_written_changes_no_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = open_witness(folder)
    one.add_checkpoint(TRUE.request(0, 5))

    def fail(path: Path, data: bytes) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(witness_folder, "write_file", fail)
    assert one.add_checkpoint(FORK.request(5, 5)).status == 409


def test_a_key_is_for_its_owner_and_is_never_replaced(tmp_path: Path) -> None:
    key = new_key(tmp_path / "witness", "shop.example/witness")
    path = tmp_path / "witness" / "key.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "witness").stat().st_mode & 0o777 == 0o700
    assert witness_key(tmp_path / "witness") == key == open_witness(tmp_path / "witness").key
    assert key.kind == COSIGNATURE
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="exists"):
        new_key(tmp_path / "witness", "shop.example/witness")
    assert path.read_bytes() == before
    assert json.loads(before)["secret"] not in str(key)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=r"0640.*others may read"):
        open_witness(tmp_path / "witness")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "é"])
def test_a_name_that_is_none_makes_no_key(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a witness's name"):
        new_key(tmp_path / "witness", name)
    assert not (tmp_path / "witness").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(ConfigError, match="cannot be written"):
        new_key(tmp_path / "file" / "witness", "a")
    with pytest.raises(LocalError, match="failed"):
        DiskWitnessStore(tmp_path / "file" / "witness")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}",
        '{"name": "a", "secret": ""}',
        '{"name": "a", "secret": "zz"}',
        '{"name": 1, "secret": 2}',
        '{"name": "a b", "secret": "' + "00" * 32 + '"}',
        '{"name": "a", "secret": "' + "00" * 31 + '"}',
        '{"name": "a", "secret": "' + "00" * 32 + '", "more": 1}',
    ],
)
def test_a_malformed_key_is_refused_and_not_quoted(text: str, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigError) as problem:
        witness_key(tmp_path)
    assert "00" not in problem.value.what.replace(str(tmp_path), "")


def test_a_folder_without_a_key_is_no_witness(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        witness_key(tmp_path)


def test_keys_of_a_ledger_are_added_while_the_witness_runs(folder: Path) -> None:
    """And those that were stolen are forgotten."""
    one, second = open_witness(folder), Pair(BANK, "second")
    new = Copy("a", "b", pair=second)
    assert one.add_checkpoint(new.request(0, 1)).status == 403
    add_ledger(folder, BANK, second.writer)
    add_ledger(folder, BANK, second.writer)
    assert ledgers(folder) == {BANK: (WRITER, second.writer)}
    assert one.add_checkpoint(new.request(0, 1)).status == 200
    add_ledger(folder, BANK, second.writer, only=True)
    assert ledgers(folder) == {BANK: (second.writer,)}
    assert one.add_checkpoint(Copy("a", "b").request(1, 2)).status == 403


def test_only_a_writer_is_added(folder: Path) -> None:
    for origin, key in (("a b", WRITER), ("", WRITER), (BANK, SHOP.witness)):
        with pytest.raises(ConfigError, match="a ledger has an origin"):
            add_ledger(folder, origin, key)
    assert ledgers(folder) == {BANK: (WRITER,)}
    with pytest.raises(LocalError, match="failed"):
        add_ledger(folder / "nowhere", BANK, WRITER)


@pytest.mark.parametrize("text", ["", "[]", '{"a": "b"}', '{"a": [1]}', '{"a": ["b"]}'])
def test_a_malformed_list_of_ledgers_is_refused_at_the_start(text: str, folder: Path) -> None:
    (folder / "ledgers.json").write_text(text, "utf-8")
    with pytest.raises(ConfigError):
        open_witness(folder)


def test_two_stores_in_one_folder_are_one(folder: Path) -> None:
    """As two processes that were started by mistake."""
    one, other = (witness(DiskWitnessStore(folder)) for _ in range(2))
    assert one.add_checkpoint(TRUE.request(0, 5)).status == 200
    assert other.add_checkpoint(FORK.request(0, 5)).body == b"5\n"
    assert other.add_checkpoint(TRUE.request(5, 8)).status == 200
    assert one.add_checkpoint(TRUE.request(8, 8)).status == 200
