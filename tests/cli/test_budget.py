"""`fedcredit budget show|set`: what was spent, and the policy that says what may be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedcredit.adapters.ledgers import open_ledger, open_store, read_chain
from fedcredit.adapters.policies import read_policy
from fedcredit.cli.main import main
from fedcredit.ledger.entries import PolicyChange
from fedcredit.privacy.accounting import epsilon_of, rho, rho_local
from fedcredit.privacy.costs import WHOSE
from tests.adapters.founded import POLICY, found, found_centre
from tests.ledger.bank import OTHER, charge, event, planned, release, reply, sampled, samples
from tests.ledger.made import Pair


@pytest.fixture(autouse=True)
def _threads_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """One turn of an approved study, and a study that waits."""
    folder = tmp_path / "bank"
    folder.mkdir()
    found(folder, "bank", epsilon=4.0, automatic=1.0)
    with open_ledger(folder, read_policy(folder / "policy.toml")) as ledger:
        ledger.propose(planned())
        ledger.charge(charge())
        ledger.release(release(), reply())
        ledger.write(planned(OTHER, name="another study", rho=ledger.policy.automatic_rho + 1))
    return folder


def rewrite(folder: Path, *changes: tuple[str, str]) -> None:
    text = POLICY.format(name="bank", epsilon=4.0, automatic=1.0)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "policy.toml").write_text(text, "utf-8")


def put_in_force(folder: Path, *keys: str) -> int:
    words = ["budget", "set", str(folder)]
    for name in keys:
        option, _, path = name.partition("=")
        words += [f"--{option}", str(folder / "keys" / f"{path or option}.key")]
    return main(words)


def test_what_was_paid_is_shown_with_its_caps(
    bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["budget", "show", str(bank), "--json"]) == 0
    found_ = json.loads(capsys.readouterr().out)
    assert (found_["institution"], found_["delta"], found_["persons"]) == ("bank", 1e-5, 3)
    assert (found_["begins"], found_["ends"]) == ("2020-01-01", "2100-01-01")
    cost, alone = rho(event()), rho_local(event())
    caps = read_policy(bank / "policy.toml").policy.caps
    assert [(one["rho"], one["rho_cap"]) for one in found_["figures"]] == [
        (cost, caps.rho_cap),
        (alone, caps.rho_local_cap),
        (9 * cost, caps.person_rho_cap),
        (3 * alone, caps.person_rho_local_cap),
    ]
    assert found_["figures"][0]["epsilon"] == epsilon_of(cost, 1e-5)
    assert [one["epsilon_cap"] for one in found_["figures"]] == pytest.approx(
        [4.0, 12.0, 30.0, 60.0], rel=1e-3
    )
    studies = found_["studies"]
    assert [(one["name"], one["approved"], one["rho"]) for one in studies] == [
        ("a study", True, cost),
        ("another study", False, 0),
    ]


def test_what_was_paid_is_shown_to_people(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["budget", "show", str(bank)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("bank, from 2020-01-01 to 2100-01-01, delta 1e-05\n")
    assert "a record, where only sums are seen" in shown
    assert "a person at 3, each noise alone" in shown
    assert f"a study: {rho(event())}e-9 rho of at most" in shown
    assert "another study: 0e-9 rho of at most" in shown
    assert shown.rstrip().endswith("waits for the officer")
    assert "Traceback" not in shown


def test_a_cap_of_nothing_is_shown_as_used_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found_centre(tmp_path)
    assert main(["budget", "show", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert shown.count(f"[{'#' * 20}]") == 4


def test_the_policy_in_force_is_not_written_again(
    bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(read_chain(bank / "ledger").written)
    assert put_in_force(bank, "root") == 0
    assert "nothing to change" in capsys.readouterr().err
    assert len(read_chain(bank / "ledger").written) == before


def test_lower_caps_need_the_root_alone(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(bank, ("epsilon_local = 12.0", "epsilon_local = 6.0"))
    assert put_in_force(bank, "root") == 0
    made = read_chain(bank / "ledger")
    last = made.written[-1].entry
    assert isinstance(last, PolicyChange)
    assert not last.second
    assert capsys.readouterr().out == f"in force from entry {len(made.written) - 1} on\n"
    assert made.account.spent.rho == rho(event()), "what was spent stays spent"


MORE: tuple[tuple[str, str], ...] = (
    ("epsilon_local = 12.0", "epsilon_local = 13.0"),
    ("automatic_epsilon = 1.0", "automatic_epsilon = 2.0"),
    ('begins = "2020-01-01"\nends = "2100-01-01"', 'begins = "2100-01-01"\nends = "2101-01-01"'),
    ("[period]", "delta = 1e-4\n[period]"),
    ("[period]", "institutions = 2\n[period]"),
    (
        "beside_coordinator = 0\n",
        f'beside_coordinator = 0\n[[witness]]\nkey = "{Pair("w").witness}"\nurl = "http://w"\n',
    ),
)


@pytest.mark.parametrize("change", MORE)
def test_more_needs_the_officer_too(
    change: tuple[str, str], bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_chain(bank / "ledger")
    rewrite(bank, change)
    assert put_in_force(bank, "root") == 4
    assert "have the privacy officer sign it too" in capsys.readouterr().err
    assert put_in_force(bank, "root", "officer=root") == 5
    assert put_in_force(bank, "root", "officer=ledger") == 5
    assert put_in_force(bank, "root=officer", "officer") == 5
    assert put_in_force(bank, "root=ledger", "officer") == 5
    assert len(read_chain(bank / "ledger").written) == len(before.written)
    assert put_in_force(bank, "root", "officer") == 0
    made = read_chain(bank / "ledger").account
    assert made.policy == read_policy(bank / "policy.toml").policy
    assert made.lifetime == before.account.lifetime


def test_a_period_is_not_redone_whoever_signs(
    bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for begins, ends in (("2019-01-01", "2100-01-01"), ("2020-01-01", "2100-01-02")):
        rewrite(bank, ('"2020-01-01"', f'"{begins}"'), ('"2100-01-01"', f'"{ends}"'))
        assert put_in_force(bank, "root", "officer") == 4
        assert "begin" in capsys.readouterr().err


def test_a_quorum_that_does_not_answer_leaves_the_change_written_and_is_status_3(
    bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was agreed stands; nothing is spent before a witness has signed for it."""
    witness = f'[[witness]]\nkey = "{Pair("w").witness}"\nurl = "http://127.0.0.1:9"\n'
    rewrite(
        bank,
        ("witnesses = 0", "witnesses = 1"),
        ("beside_coordinator = 0\n", f"beside_coordinator = 0\n{witness}"),
    )
    assert put_in_force(bank, "root", "officer") == 3
    assert "0 of 1 witnesses have signed" in capsys.readouterr().err
    made = read_chain(bank / "ledger")
    assert isinstance(made.written[-1].entry, PolicyChange)
    assert put_in_force(bank, "root", "officer") == 0, "it is in force"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--root", "none.key"], 1),
        (["--root", "policy.toml"], 1),
        ([], 2),
    ],
)
def test_without_a_key_nothing_is_changed(words: list[str], status: int, bank: Path) -> None:
    rewrite(bank, ("epsilon_local = 12.0", "epsilon_local = 6.0"))
    before = len(read_chain(bank / "ledger").written)
    files = [str(bank / one) if "." in one else one for one in words]
    assert main(["budget", "set", str(bank), *files]) == status
    assert len(read_chain(bank / "ledger").written) == before


def test_a_malformed_policy_is_status_1_and_one_that_cannot_be_kept_4(
    bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(bank, ("[study]", "[studie]"))
    assert put_in_force(bank, "root") == 1
    rewrite(bank, ("witnesses = 0", "witnesses = 5"))
    assert put_in_force(bank, "root") == 4
    (bank / "policy.toml").unlink()
    assert put_in_force(bank, "root") == 1
    assert "cannot be read" in capsys.readouterr().err


def test_a_ledger_that_is_open_elsewhere_is_not_changed(
    bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(bank, ("epsilon_local = 12.0", "epsilon_local = 6.0"))
    with open_store(bank / "ledger"):
        assert put_in_force(bank, "root") == 5
    assert "open in another process" in capsys.readouterr().err
    assert put_in_force(bank, "root") == 0


def test_sampled_rounds_are_shown_as_shares_of_the_caps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rho of the cap's own order, and the epsilon of the divergences; not of all records."""
    folder = tmp_path / "bank"
    folder.mkdir()
    found(folder, "bank", epsilon=4.0, automatic=1.0)
    with open_ledger(folder, read_policy(folder / "policy.toml")) as ledger:
        ledger.propose(samples())
        ledger.charge(charge(event=sampled()))
        ledger.release(release(), reply())
        spent, policy = ledger.account.spent, ledger.policy

    assert main(["budget", "show", str(folder), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    caps, m = policy.caps, policy.caps.institutions
    for row, whose in zip(shown["figures"], WHOSE, strict=True):
        cost, cap = spent.cost(whose, m), getattr(caps, f"{whose}_cap")
        assert row["rho"] == cost.under(cap, caps.delta)
        assert row["epsilon"] == cost.epsilon(caps.delta)
    assert 0 < shown["figures"][0]["rho"] < rho(sampled()) // 2
    (study,) = shown["studies"]
    assert study["rho"] < study["rho_at_most"] < rho(sampled()) * 3
