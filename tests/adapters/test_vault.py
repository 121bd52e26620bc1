"""The vault on the disk: replaced whole, and what it replaced is gone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fedcredit.adapters.vault import DiskVault
from fedcredit.errors import IntegrityError, LocalError
from fedcredit.secagg.states import InMemoryVault, Vault

SESSION = bytes(range(32))


class VaultContract:
    """What any vault keeps to."""

    def vault(self, folder: Path) -> Vault:
        raise AssertionError

    def test_it_holds_nothing_at_first(self, tmp_path: Path) -> None:
        assert self.vault(tmp_path).load(SESSION) == b""

    def test_it_gives_back_what_was_kept_last(self, tmp_path: Path) -> None:
        vault = self.vault(tmp_path)
        for data in (b"one", b"two, and longer", b""):
            vault.keep(SESSION, data)
            assert vault.load(SESSION) == data

    def test_sessions_do_not_mix(self, tmp_path: Path) -> None:
        vault = self.vault(tmp_path)
        vault.keep(SESSION, b"one")
        vault.keep(bytes(32), b"two")
        assert (vault.load(SESSION), vault.load(bytes(32))) == (b"one", b"two")


class TestInMemoryVault(VaultContract):
    def vault(self, folder: Path) -> Vault:
        return InMemoryVault()


class TestDiskVault(VaultContract):
    def vault(self, folder: Path) -> Vault:
        return DiskVault(folder / "vault")


def test_it_outlives_the_process_for_its_owners_eyes(tmp_path: Path) -> None:
    DiskVault(tmp_path / "vault").keep(SESSION, b"secret")
    assert DiskVault(tmp_path / "vault").load(SESSION) == b"secret"
    (path,) = (tmp_path / "vault").iterdir()
    assert path.stat().st_mode & 0o077 == 0


def test_what_is_replaced_is_overwritten(tmp_path: Path) -> None:
    """Seen through a second name of the old file."""
    vault = DiskVault(tmp_path / "vault")
    vault.keep(SESSION, b"secret shares")
    (path,) = (tmp_path / "vault").iterdir()
    os.link(path, tmp_path / "old")
    vault.keep(SESSION, b"new")
    assert (tmp_path / "old").read_bytes() == bytes(32 + len(b"secret shares"))
    assert vault.load(SESSION) == b"new"


@pytest.mark.parametrize("step", ["fsync", "open"])
def test_an_error_of_the_disk_loses_nothing(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old state is still there, and the step is not taken."""
    vault = DiskVault(tmp_path / "vault")
    vault.keep(SESSION, b"old")

    def fails(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fails)
    with pytest.raises(LocalError, match="No space left"):
        vault.keep(SESSION, b"new")
    monkeypatch.undo()
    assert vault.load(SESSION) == b"old"


def test_a_turned_bit_is_noticed(tmp_path: Path) -> None:
    """At every byte; and another session's file is not taken for this one's."""
    vault = DiskVault(tmp_path)
    vault.keep(SESSION, b"secret")
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(IntegrityError, match="not what was kept"):
            vault.load(SESSION)
    path.rename(tmp_path / f"{bytes(32).hex()}.bin")
    with pytest.raises(IntegrityError):
        vault.load(bytes(32))


def test_a_folder_that_cannot_be_made_or_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalError, match="the vault in"):
        DiskVault(tmp_path / "file" / "vault")
    vault = DiskVault(tmp_path / "vault")
    (tmp_path / "vault" / f"{SESSION.hex()}.bin").mkdir()
    with pytest.raises(LocalError, match="the vault in"):
        vault.load(SESSION)
