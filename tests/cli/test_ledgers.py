"""`fedcredit ledger init|show|bundle|rotate`: from an empty folder to an auditor's hands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from fedcredit.adapters.ledgers import CHECKPOINTS, LINES, open_ledger, open_store
from fedcredit.adapters.policies import read_policy
from fedcredit.cli.main import main
from fedcredit.ledger.chain import Chain
from fedcredit.ledger.entries import KeyRotate
from fedcredit.ledger.signatures import PLAIN, read_key
from fedcredit.verifier import main as verify
from tests.adapters.founded import CENTRE, POLICY
from tests.ledger.bank import charge, planned, release, reply

NODE = 'institution = "{name}"\ntable = "table.csv"\n'


@pytest.fixture(autouse=True)
def _threads_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def folder_of(path: Path, name: str = "bank") -> Path:
    """A folder whose ledger is still to be begun."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "node.toml").write_text(NODE.format(name=name), "utf-8")
    text = POLICY.format(name=name, epsilon=4.0, automatic=4.0)
    (path / "policy.toml").write_text(text, "utf-8")
    return path


@pytest.fixture
def bank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    folder = folder_of(tmp_path / "bank")
    assert main(["ledger", "init", str(folder)]) == 0
    capsys.readouterr()
    return folder


def chain_of(folder: Path) -> Chain:
    made = Chain()
    for line in (folder / "ledger" / LINES).read_bytes().splitlines(keepends=True):
        made.take(line)
    return made


def a_turn(folder: Path) -> None:
    with open_ledger(folder, read_policy(folder / "policy.toml")) as ledger:
        ledger.propose(planned())
        ledger.charge(charge())
        ledger.release(release(), reply())


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def test_a_ledger_is_begun_with_three_keys_that_are_shown_as_public_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path / "bank")
    assert main(["ledger", "init", str(folder)]) == 0
    shown = capsys.readouterr()
    origin, root, key = shown.out.splitlines()
    assert origin == "test.example/bank"
    genesis = chain_of(folder).account.genesis
    assert root == f"root    {genesis.root}"
    writer = read_key(key.split()[1])
    assert (writer.name, writer.kind, writer.public.hex()) == (origin, PLAIN, genesis.key)
    assert "take keys/root.key and keys/officer.key away" in " ".join(shown.err.split())
    for name in ("root", "officer", "ledger"):
        path = folder / "keys" / f"{name}.key"
        assert path.stat().st_mode & 0o777 == 0o600
        assert json.loads(path.read_text("utf-8"))["ed25519"] not in shown.out + shown.err
    assert (folder / "ledger").stat().st_mode & 0o777 == 0o700


def test_a_ledger_is_begun_once(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = everything(bank)
    assert main(["ledger", "init", str(bank)]) == 1
    assert "there is a ledger" in capsys.readouterr().err
    assert everything(bank) == before


def test_a_key_that_is_there_is_kept_and_no_ledger_begun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path / "bank")
    (folder / "keys").mkdir()
    (folder / "keys" / "ledger.key").write_text("a key", "utf-8")
    assert main(["ledger", "init", str(folder)]) == 1
    assert "exists" in capsys.readouterr().err
    assert (folder / "keys" / "ledger.key").read_text("utf-8") == "a key"
    assert (folder / "ledger" / LINES).read_bytes() == b""


@pytest.mark.parametrize(
    ("name", "change", "status"),
    [
        ("node.toml", None, 1),
        ("policy.toml", None, 1),
        ("policy.toml", ("epsilon = 4.0", "epsilon = 0.0"), 4),
        ("policy.toml", ("witnesses = 0", "witnesses = 2"), 4),
        ("policy.toml", ("[study]", "[studie]"), 1),
        ("policy.toml", ("test.example/bank", "with a space"), 5),
        ("node.toml", ('"bank"', '"../up"'), 5),
    ],
)
def test_what_could_not_be_kept_is_not_begun(
    name: str, change: tuple[str, str] | None, status: int, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "bank")
    path = folder / name
    if change is None:
        path.unlink()
    else:
        path.write_text(path.read_text("utf-8").replace(*change), "utf-8")
    assert main(["ledger", "init", str(folder)]) == status
    found = folder / "ledger" / LINES
    assert not found.exists() or found.read_bytes() == b""


def test_a_coordinator_keeps_a_ledger_without_a_budget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy.toml").write_text(CENTRE, "utf-8")
    assert main(["ledger", "init", str(tmp_path), "--coordinator"]) == 0
    genesis = chain_of(tmp_path).account.genesis
    assert (genesis.role, genesis.institution) == ("coordinator", "coordinator")
    assert genesis.policy.allows_nothing
    assert main(["ledger", "rotate", str(tmp_path)]) == 0
    assert len(chain_of(tmp_path).account.keys) == 2
    capsys.readouterr()


def test_what_stands_in_a_ledger_is_shown_from_a_day_on(
    bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_turn(bank)
    assert main(["ledger", "show", str(bank)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 5
    assert [row.split()[0] for row in rows] == list("01234")
    assert [row.split()[2].rstrip(":") for row in rows] == [
        "genesis", "plan", "approve", "charge", "release",
    ]  # fmt: skip
    assert main(["ledger", "show", str(bank), "--json"]) == 0
    assert capsys.readouterr().out.encode() == (bank / "ledger" / LINES).read_bytes()
    day = chain_of(bank).written[0].time[:10]
    assert main(["ledger", "show", str(bank), "--since", day]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert main(["ledger", "show", str(bank), "--since", "2999-01-01"]) == 0
    assert capsys.readouterr().out == ""


def cut_back(folder: Path) -> None:
    path = folder / "ledger" / LINES
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def altered(folder: Path) -> None:
    path = folder / "ledger" / LINES
    path.write_bytes(path.read_bytes().replace(b'"kind":"charge"', b'"kind":"refuse"'))


def emptied(folder: Path) -> None:
    (folder / "ledger" / LINES).write_bytes(b"")


READERS: tuple[Callable[[Path], list[str]], ...] = (
    lambda folder: ["ledger", "show", str(folder)],
    lambda folder: ["ledger", "bundle", str(folder), "-o", str(folder / "out.zip")],
    lambda folder: ["budget", "show", str(folder)],
    lambda folder: ["budget", "show", str(folder), "--json"],
)


@pytest.mark.parametrize("words", READERS, ids=["show", "bundle", "budget", "budget --json"])
@pytest.mark.parametrize("damage", [cut_back, altered, emptied])
def test_a_damaged_ledger_is_status_5_and_no_figure_of_it_is_shown(
    words: Callable[[Path], list[str]],
    damage: Callable[[Path], None],
    bank: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    a_turn(bank)
    damage(bank)
    assert main(words(bank)) == 5
    assert "damaged" in capsys.readouterr().err
    assert not (bank / "out.zip").exists()


@pytest.mark.parametrize("words", READERS, ids=["show", "bundle", "budget", "budget --json"])
def test_where_there_is_no_ledger_the_status_is_1(
    words: Callable[[Path], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(tmp_path)) == 1
    assert "there is no ledger" in capsys.readouterr().err
    with open_store(tmp_path / "ledger"):
        pass  # as a crash in the middle of `init` leaves it
    assert main(words(tmp_path)) == 1
    assert "no checkpoint yet" in capsys.readouterr().err


def test_a_ledger_that_is_open_elsewhere_is_read_and_not_written(
    bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(bank)
    with open_store(bank / "ledger"):
        for words in READERS:
            assert main(words(bank)) == 0
        (bank / "out.zip").unlink()
        capsys.readouterr()
        assert main(["ledger", "init", str(bank)]) == 5
        assert main(["ledger", "rotate", str(bank)]) == 5
        assert "open in another process" in capsys.readouterr().err
    after = everything(bank)
    after.pop("keys/ledger.next.key")
    assert after == before


def test_a_bundle_holds_for_an_auditor(
    bank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And it has entries and checkpoints only; an existing file stays."""
    a_turn(bank)
    shop = folder_of(tmp_path / "shop", "shop")
    assert main(["ledger", "init", str(shop)]) == 0
    out = tmp_path / "audit.zip"
    words = ["ledger", "bundle", str(bank), str(shop), "-o", str(out)]
    assert main(words) == 0
    with ZipFile(out) as file:
        assert file.namelist() == [
            f"{name}/{part}" for name in ("bank", "shop") for part in (CHECKPOINTS, LINES)
        ]
        assert file.read(f"bank/{LINES}") == (bank / "ledger" / LINES).read_bytes()
    before = out.read_bytes()
    assert main(words) == 1
    assert out.read_bytes() == before
    assert main(["ledger", "bundle", str(bank), str(bank), "-o", str(tmp_path / "two.zip")]) == 1
    assert "two ledgers of 'bank'" in capsys.readouterr().err
    assert not (tmp_path / "two.zip").exists()


def test_a_key_is_rotated_and_the_old_one_is_of_no_use(
    bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_turn(bank)
    before = (bank / "keys" / "ledger.key").read_bytes()
    assert main(["ledger", "rotate", str(bank)]) == 0
    said = read_key(capsys.readouterr().out.split()[1])
    made = chain_of(bank)
    last = made.written[-1].entry
    assert isinstance(last, KeyRotate)
    assert made.account.keys[-1] == said.public.hex() == last.key
    assert last.old
    assert not last.root
    assert not (bank / "keys" / "ledger.next.key").exists()
    a_turn_later(bank)
    (bank / "keys" / "ledger.key").write_bytes(before)
    assert main(["budget", "set", str(bank), "--root", str(bank / "keys" / "root.key")]) == 5
    assert "another key than ours" in capsys.readouterr().err


def a_turn_later(folder: Path) -> None:
    with open_ledger(folder, read_policy(folder / "policy.toml")) as ledger:
        ledger.propose(planned("bb" * 32))


def test_the_root_hands_over_where_the_key_is_lost(
    bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bank / "keys" / "ledger.key").unlink()
    assert main(["ledger", "rotate", str(bank)]) == 1
    assert "ledger.key" in capsys.readouterr().err
    root = bank / "keys" / "root.key"
    assert main(["ledger", "rotate", str(bank), "--root", str(root)]) == 0
    last = chain_of(bank).written[-1].entry
    assert isinstance(last, KeyRotate)
    assert last.root
    assert not last.old
    a_turn(bank)


@pytest.mark.parametrize("wrong", ["officer.key", "ledger.key", "none.key"])
def test_a_root_that_is_none_costs_no_key(
    wrong: str, bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A slip in the name of a file must not destroy the key that is in force."""
    before = everything(bank)
    status = main(["ledger", "rotate", str(bank), "--root", str(bank / "keys" / wrong)])
    assert status == (1 if wrong == "none.key" else 5)
    after = everything(bank)
    after.pop("keys/ledger.next.key")
    assert after == before
    a_turn(bank)
    capsys.readouterr()
    assert main(["ledger", "rotate", str(bank)]) == 0


@pytest.mark.parametrize("lost", [False, True])
def test_a_crash_between_rotation_and_rename_is_made_good_by_rotating_again(
    lost: bool, bank: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With either way to hand over; nothing is rotated twice."""
    words = ["ledger", "rotate", str(bank)]
    if lost:
        words += ["--root", str(bank / "keys" / "root.key")]

    def crash(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", crash)
        assert main(words) == 130
    key = capsys.readouterr().out
    assert len(chain_of(bank).account.keys) == 2
    assert main(["budget", "set", str(bank), "--root", str(bank / "keys" / "root.key")]) == 5
    capsys.readouterr()
    assert main(words) == 0
    assert capsys.readouterr().out == key
    assert len(chain_of(bank).account.keys) == 2
    a_turn(bank)


def test_a_crash_before_the_rotation_leaves_the_old_key_in_force(
    bank: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(self: object, new: object, root: object = None) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("fedcredit.ledger.ledger.Ledger.rotate", crash)
        assert main(["ledger", "rotate", str(bank)]) == 130
    a_turn(bank)
    assert main(["ledger", "rotate", str(bank)]) == 0
    assert len(chain_of(bank).account.keys) == 2


def test_where_there_is_no_ledger_no_key_is_rotated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path / "bank")
    (folder / "keys").mkdir()
    assert main(["ledger", "rotate", str(folder)]) == 1
    assert "there is no ledger" in capsys.readouterr().err


def test_a_rotated_ledger_holds_for_an_auditor(bank: Path, tmp_path: Path) -> None:
    a_turn(bank)
    assert main(["ledger", "rotate", str(bank)]) == 0
    a_turn_later(bank)
    out = tmp_path / "audit.zip"
    assert main(["ledger", "bundle", str(bank), "-o", str(out)]) == 0
    assert verify([str(out)]) == 0
