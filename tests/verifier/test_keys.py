"""Keys, cosignatures and the quorum: who signed, in whose name, and when."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from tests.ledger.written import (
    START,
    Table,
    Writer,
    opened,
    policy,
    public_of,
    story,
    verifier_key,
)
from tests.verifier.judged import broken, judge, problems, rows

FIRST = "bank-a key"


def roots(*names: str) -> str:
    """A trust file with the true roots."""
    return "".join(
        f'[[ledger]]\norigin = "fedcredit.example/delta/{name}/ledger"\n'
        f'root = "{public_of(f"{name} root").hex()}"\n'
        for name in names
    )


def test_a_stranger_s_ledger_in_the_true_name_is_by_an_unknown_key() -> None:
    class Stranger(Writer):
        root = "stranger root"
        officer = "stranger officer"

    forged = opened(Stranger(key="stranger key"))
    assert judge(forged)["exit"] == 0, "without a trust file nobody could know"
    findings = judge(forged, trust=roots("bank-a"))
    assert findings["exit"] == 5
    assert "unknown key: another root" in problems(findings)[0].what
    assert judge(story(), trust=roots("bank-a"))["exit"] == 0


def test_a_ledger_that_the_trust_file_does_not_name_is_by_an_unknown_key() -> None:
    findings = judge(story(), trust=roots("bank-b"))
    assert problems(findings)[0].what.endswith("unknown key: an origin not in it")


@pytest.mark.parametrize("size", [1, 4, 20])
def test_a_checkpoint_signed_again_by_a_stranger_is_found(size: int) -> None:
    writer = story()
    at = next(at for at, note in enumerate(writer.notes) if note.split("\n")[1] == str(size))
    stranger = Writer(key="stranger key")
    stranger.lines, stranger.leaves = writer.lines[:size], writer.leaves[:size]
    stranger.note(cosigned=False)
    writer.notes[at] = stranger.notes[0]
    broken(writer, size - 1, 5, "unknown key")


@pytest.mark.parametrize("change", [{"grant": "00" * 64}, {"root": "ab" * 32}])
def test_a_genesis_that_root_has_not_granted_is_refused(change: Table) -> None:
    writer = Writer()
    writer.genesis(None, **change)
    broken(writer, 0, 5, "the signature is not good")


def test_root_officer_and_key_are_three_keys() -> None:
    writer = Writer(key="bank-a root")
    writer.genesis()
    broken(writer, 0, 5, "not three different keys")


@pytest.mark.parametrize(
    "by", [{"old": FIRST}, {"root": "bank-a root"}, {"old": FIRST, "root": "bank-a root"}]
)
def test_a_key_may_be_changed_by_the_old_one_or_by_root(by: dict[str, str]) -> None:
    writer = story()
    writer.rotate("second key", **by)
    writer.add("note", text="by the new key")
    findings = judge(writer)
    assert findings["exit"] == 0, problems(findings)
    assert [(row["from"], row["to"]) for row in rows(rows(findings, "ledgers")[0], "keys")] == [
        (0, 20), (21, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("by", "change", "words"),
    [
        ({}, {}, "neither the old key nor root"),
        ({"old": "stranger key"}, {}, "the key in force: the signature is not good"),
        ({"root": "stranger key"}, {}, "root: the signature is not good"),
        ({"old": FIRST, "root": "stranger key"}, {}, "root: the signature is not good"),
        ({"old": FIRST}, {"proof": "00" * 64}, "the new key: the signature is not good"),
    ],
)
def test_a_change_of_key_that_nobody_vouches_for_is_refused(
    by: dict[str, str], change: dict[str, object], words: str
) -> None:
    writer = story()
    writer.rotate("second key", **by, **change)  # type: ignore[arg-type]
    broken(writer, 20, 5, words)


@pytest.mark.parametrize("key", [FIRST, "bank-a root", "bank-a officer"])
def test_a_key_that_was_used_before_is_not_taken_again(key: str) -> None:
    writer = story()
    writer.rotate(key, root="bank-a root")
    broken(writer, 20, 5, "a key that was used before")


def test_the_old_key_signs_nothing_after_it_was_replaced() -> None:
    writer = story()
    writer.rotate("second key", root="bank-a root")
    writer.key = FIRST
    writer.add("note", text="by the old key")
    broken(writer, 21, 5, "which was replaced")


def test_a_revoked_key_names_no_successor() -> None:
    writer = story()
    writer.rotate("second key", root="bank-a root")
    writer.rotate("third key", old=FIRST)
    broken(writer, 21, 5, "the key in force: the signature is not good")


def test_a_rotation_is_not_moved_to_another_place() -> None:
    writer, other = story(), story()
    other.rotate("second key", old=FIRST)
    writer.add("note", text="")
    writer.key = "second key"
    table = json.loads(other.lines[-1])
    for key in ("seq", "prev", "time", "kind"):
        del table[key]
    writer.add("key_rotate", **table)
    broken(writer, 21, 5, "the signature is not good")


@pytest.mark.parametrize(("field", "officer"), [("root", True), ("second", True)])
def test_a_change_of_policy_with_a_bad_signature_is_refused(field: str, officer: bool) -> None:
    writer = story()
    writer.change(policy(rho=1), officer=officer, **{field: "00" * 64})
    broken(writer, 20, 5, "the signature is not good")


@pytest.mark.parametrize(
    ("cosigners", "enough"),
    [
        (("bank-b", "coordinator"), True),
        (("bank-b", "bank-c"), True),
        (("bank-b", "bank-c", "coordinator"), True),
        (("bank-b",), False),
        (("coordinator",), False),
        ((), False),
    ],
)
def test_a_release_needs_the_quorum_before(cosigners: tuple[str, ...], enough: bool) -> None:
    writer = opened(Writer(cosigners=cosigners))
    writer.charge(0)
    writer.release(0)
    if enough:
        assert judge(writer)["exit"] == 0
    else:
        broken(writer, 4, 1, "no quorum had signed for its charge")


def test_enough_are_beside_the_coordinators() -> None:
    two = policy(witnesses=[
        {"key": verifier_key("bank-b"), "role": "coordinator"},
        {"key": verifier_key("coordinator"), "role": "coordinator"},
    ])  # fmt: skip
    writer = Writer()
    writer.genesis(two)
    writer.plan()
    writer.approve()
    writer.charge(0)
    writer.release(0)
    broken(writer, 4, 1, "no quorum")


def test_a_quorum_after_the_release_comes_too_late() -> None:
    writer = opened(Writer())
    writer.charge(0)
    del writer.notes[-1]
    writer.release(0)
    broken(writer, 4, 1, "no quorum")


def test_a_charge_that_was_never_signed_for_by_itself_is_no_charge_before() -> None:
    writer = opened(Writer())
    writer.charge(0)
    del writer.notes[-2:]
    writer.release(0)
    broken(writer, 4, 1, "no quorum")


def test_a_release_that_was_not_cosigned_itself_is_shown() -> None:
    writer = opened(Writer())
    writer.charge(0)
    writer.release(0)
    del writer.notes[-1]
    writer.step("agree")
    del writer.notes[-1]
    findings = judge(writer)
    assert findings["exit"] == 0
    shown = rows(findings, "ledgers")[0]["exceptions"]
    assert shown == [
        "entry 4: release was not cosigned at once, may not have left",
        "entry 5: agree was not cosigned at once, may not have left",
    ]


def test_a_cosigner_that_no_policy_names_is_unknown() -> None:
    writer = opened(Writer(cosigners=("bank-b", "coordinator", "stranger")))
    writer.charge(0)
    broken(writer, 3, 5, "unknown key: the checkpoint of size 4 is signed by stranger.example")


def test_a_trust_file_decides_who_is_a_witness() -> None:
    """A policy may name made-up witnesses; only those count that the auditor knows."""

    def witness(label: str, role: str) -> str:
        return f'[[witness]]\nkey = "{verifier_key(label)}"\nrole = "{role}"\n'

    both = witness("bank-b", "institution") + witness("coordinator", "coordinator")
    assert judge(story(), trust=both)["exit"] == 0
    findings = judge(story(), trust=witness("bank-b", "institution"))
    assert (findings["exit"], problems(findings)[0].seq) == (1, 4)
    false_role = witness("bank-b", "coordinator") + witness("coordinator", "coordinator")
    assert judge(story(), trust=false_role)["exit"] == 1


def test_a_witness_s_time_does_not_fall() -> None:
    start = int(START.timestamp())
    times = iter([start + 40, start + 39])
    writer = opened(Writer(cosign_time=lambda _: next(times)))
    writer.charge(0)
    writer.release(0)
    broken(writer, 4, 5, "the times of witness bank-b.example/witness fall")


def test_a_clock_ahead_of_the_witnesses_is_shown() -> None:
    writer = opened(Writer(cosign_time=lambda seq: int(START.timestamp()) + seq))
    writer.charge(0)
    assert "26 s ahead" in str(rows(judge(writer), "ledgers")[0]["exceptions"])


def test_a_checkpoint_of_another_ledger_is_refused() -> None:
    writer, other = story(), story("bank-b")
    writer.notes[5] = other.notes[5]
    broken(writer, 4, 5, "of another ledger")


def test_a_signature_that_stands_twice_is_refused() -> None:
    writer = story()
    body, signature = writer.notes[0].split("\n\n")
    writer.notes[0] = f"{body}\n\n{signature}{signature}"
    broken(writer, 0, 5, "unknown key")


def test_sizes_do_not_fall() -> None:
    writer = story()
    writer.notes.insert(4, writer.notes[0])
    broken(writer, 3, 5, "there is one of size 1")


def test_a_witness_under_two_names_is_one() -> None:
    body = {"key": verifier_key("bank-b"), "role": "institution"}
    again = {"key": verifier_key("bank-b", "bank-x.example/witness"), "role": "institution"}
    writer = Writer()
    writer.genesis(policy(witnesses=[body, again]))
    broken(writer, 0, 5, "a witness is named twice")


def test_witnesses_of_the_next_policy_are_known_from_its_entry_on() -> None:
    writer = story()
    more = [*policy()["witnesses"][:2], {"key": verifier_key("regulator"), "role": "regulator"}]  # type: ignore[index]
    writer.change(policy(witnesses=more), officer=True)
    writer.cosigners = ("bank-b", "regulator")
    writer.charge(4)
    writer.release(4)
    assert judge(writer)["exit"] == 0


@pytest.mark.parametrize("own", [FIRST, "bank-a root", "bank-a officer"])
def test_a_ledger_does_not_witness_itself(own: str) -> None:
    witnesses = [
        {"key": verifier_key(own, "bank-z.example/witness"), "role": "institution"},
        {"key": verifier_key("bank-b"), "role": "institution"},
    ]
    writer = Writer()
    writer.genesis(policy(witnesses=witnesses))
    broken(writer, 0, 1, "has a key of the ledger itself")
    writer = story()
    writer.change(policy(witnesses=witnesses), officer=True)
    broken(writer, 20, 1, "has a key of the ledger itself")


SMALL = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]


@pytest.mark.parametrize("key", SMALL)
def test_a_key_under_which_anybody_could_sign_is_refused(key: str) -> None:
    """Points of order 1, 2, 4 and 8, also in encodings that are not canonical."""
    for name in ("root", "officer", "key"):
        writer = Writer()
        writer.genesis(None, **{name: key})
        broken(writer, 0, 5, "of small order")
    public, name = bytes.fromhex(key), "bank-z.example/witness"
    short = hashlib.sha256(f"{name}\n\4".encode() + public).hexdigest()[:8]
    coded = base64.b64encode(b"\4" + public).decode()
    writer = Writer()
    witness = {"key": f"{name}+{short}+{coded}", "role": "institution"}
    writer.genesis(policy(quorum=0, beside_coordinator=0, witnesses=[witness]))
    broken(writer, 0, 5, "of small order")
