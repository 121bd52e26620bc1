"""The same attacks win where the check that stops them is taken out: so it is that check."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from fedcredit import verifier
from fedcredit.verifier import UsageProblem, verify
from tests.ledger.written import (
    START,
    Writer,
    bundle,
    event,
    key_of,
    opened,
    policy,
    short_id,
    signature_line,
    story,
    tree_root,
)
from tests.verifier.judged import judge

Patch = pytest.MonkeyPatch


def _forged_cosignature() -> Writer:
    """A stranger signs in the names, and under the key ids, of two witnesses."""
    writer = opened(Writer(cosigners=()))
    writer.charge(0)
    body, lines = writer.notes[-1].split("\n\n")[0] + "\n", ""
    for label in ("bank-b", "coordinator"):
        name, time = f"{label}.example/witness", int(START.timestamp()) + 99
        signature = key_of("stranger").sign(f"cosignature/v1\ntime {time}\n{body}".encode())
        data = struct.pack(">Q", time) + signature
        lines += signature_line(name, short_id(name, 4, label), data)
    writer.notes.append(writer.notes[-1] + lines)
    writer.release(0)
    return writer


def _no_quorum() -> Writer:
    writer = opened(Writer(cosigners=("bank-b",)))
    writer.charge(0)
    writer.release(0)
    return writer


def _cheap_charge() -> Writer:
    writer = opened(Writer())
    writer.charge(0, rho=1, rho_local=1)
    return writer


def _dear() -> Writer:
    writer = Writer()
    writer.genesis(policy(rho=1))
    writer.plan()
    writer.approve()
    writer.charge(0)
    return writer


def _many_honest() -> Writer:
    writer = opened(Writer())
    writer.charge(0, event=event(honest=2**20))
    return writer


def _altered_head() -> Writer:
    """The last entry is altered, and its checkpoint stays: no later line links to it."""
    writer = story()
    writer.lines[-1] = writer.lines[-1].replace(b'"time":"2026-03-01', b'"time":"2026-03-02')
    return writer


def _as_it_says(patch: Patch) -> None:
    patch.setattr(verifier, "event_cost", lambda *_: 1)


@pytest.mark.parametrize(
    ("attack", "bug"),
    [
        (_forged_cosignature, lambda patch: patch.setattr(verifier, "signed", lambda *_: True)),
        (_no_quorum, lambda patch: patch.setattr(verifier, "_quorum", lambda _: True)),
        (_cheap_charge, _as_it_says),
        (_dear, lambda patch: patch.setattr(verifier, "_check_caps", lambda *_: None)),
        (_many_honest, lambda patch: patch.setattr(verifier, "_check_turn", lambda *_: None)),
    ],
    ids=["signature", "quorum", "cost", "cap", "honest"],
)
def test_an_attack_fails_and_wins_without_its_check(
    attack: Callable[[], Writer], bug: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    assert judge(attack())["exit"] in (1, 5)
    bug(monkeypatch)
    assert judge(attack())["exit"] == 0


def test_an_altered_head_wins_only_without_the_tree(monkeypatch: Patch) -> None:
    assert judge(_altered_head())["exit"] == 5
    leaves = story().leaves
    monkeypatch.setattr(verifier.Tree, "root", lambda tree: tree_root(leaves[: tree.size]))
    assert judge(_altered_head())["exit"] == 0


def test_no_byte_of_a_zip_does_more_than_make_it_refused(tmp_path: Path) -> None:
    """What stands in a ledger cannot change; what a zip says of time and system may."""
    path, spoiled = bundle(tmp_path / "a.zip", story()), tmp_path / "b.zip"
    data, passed = path.read_bytes(), 0
    ends = range(len(data) - 260, len(data))
    for at in [*range(60), *range(60, len(data), 501), *ends]:
        copy = bytearray(data)
        copy[at] ^= 0x41
        spoiled.write_bytes(bytes(copy))
        try:
            passed += verify([spoiled], entries=False)["exit"] == 0
        except UsageProblem:
            continue
    assert 0 < passed < 100
