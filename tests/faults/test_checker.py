"""The judge of the tests of faults catches each fault in evidence that was doctored for it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedcredit.ledger.entries import reply_digest
from tests.faults.checker import Capture, Ended, Evidence, digest_of, heads_of, judge, two_heads
from tests.faults.world import WitnessProcess, World, copied


@pytest.fixture(scope="module")
def turn(
    tmp_path_factory: pytest.TempPathFactory, template: Path, witnesses: list[WitnessProcess]
) -> World:
    """One turn without any fault; nothing is wrong with it."""
    world = copied(template, tmp_path_factory.mktemp("turn"), witnesses)
    node = world.start()
    world.turn(node.ask)
    assert world.verdict() == []
    assert [one.kind for one in world.evidence.captures] == [
        "prepare",
        "start",
        "survive",
        "reveal",
    ]
    return world


@pytest.fixture
def evidence(turn: World) -> Evidence:
    """Of that turn, to be doctored."""
    found = turn.evidence
    return replace(found, captures=[*found.captures], seen=[*found.seen], ended=[*found.ended])


@pytest.fixture
def key(turn: World) -> Ed25519PrivateKey:
    """Of the ledger: a writer that lies has it."""
    text = (turn.bank / "keys" / "ledger.key").read_text("ascii")
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(json.loads(text)["ed25519"]))


def started(evidence: Evidence) -> Capture:
    return next(one for one in evidence.captures if one.kind == "start")


def without_cosignatures(notes: bytes, most: int) -> bytes:
    """Notes of more than so many entries, with their writer's signature alone."""
    text = b""
    for head in heads_of(notes):
        signatures = head.signatures[: 1 if head.size > most else None]
        text += head.body + b"\n"
        text += b"".join(
            f"\N{EM DASH} {name} {base64.b64encode(value).decode()}\n".encode()
            for name, value in signatures
        )
    return text


def chained(tables: list[dict[str, object]]) -> bytes:
    """Lines that follow each other, whatever they say."""
    lines, prev = b"", "0" * 64
    for seq, table in enumerate(tables):
        table |= {"seq": seq, "prev": prev}
        line = json.dumps(table, sort_keys=True, separators=(",", ":")).encode() + b"\n"
        prev = sha256(line).hexdigest()
        lines += line
    return lines


def tables_of(evidence: Evidence) -> list[dict[str, object]]:
    return [json.loads(line) for line in evidence.lines.splitlines()]


def found(evidence: Evidence) -> set[str]:
    """The invariants that are broken."""
    return {one.partition(":")[0] for one in judge(evidence)}


CAPTURES: dict[str, Callable[[Capture], Capture]] = {
    "before the charge": lambda one: replace(
        one, lines=b"".join(one.lines.splitlines(keepends=True)[:3])
    ),
    "before the release": lambda one: replace(
        one, lines=b"".join(one.lines.splitlines(keepends=True)[:4])
    ),
    "without any quorum": lambda one: replace(one, notes=without_cosignatures(one.notes, 0)),
    "before the quorum of its release": lambda one: replace(
        one, notes=without_cosignatures(one.notes, 4)
    ),
    "with other bytes": lambda one: replace(one, reply=one.reply + b"!"),
    "in another turn": lambda one: replace(one, turn=(0, 1)),
}


@pytest.mark.parametrize("change", CAPTURES)
def test_bytes_that_left_too_early_are_found(change: str, evidence: Evidence) -> None:
    one = started(evidence)
    evidence.captures = [CAPTURES[change](one)]
    assert "I1" in found(evidence)


def test_a_cosignature_of_a_key_that_the_policy_does_not_name_does_not_count(
    evidence: Evidence, key: Ed25519PrivateKey
) -> None:
    one = started(evidence)
    notes = b""
    for head in heads_of(one.notes):
        signed = key.sign(b"cosignature/v1\ntime 9\n" + head.body)
        lines = [head.signatures[0], *((name, v[:12] + signed) for name, v in head.signatures[1:])]
        notes += head.body + b"\n"
        notes += b"".join(
            f"\N{EM DASH} {name} {base64.b64encode(value).decode()}\n".encode()
            for name, value in lines
        )
    evidence.captures = [replace(one, notes=notes)]
    assert "I1" in found(evidence)


def test_a_charge_above_a_cap_is_found(evidence: Evidence) -> None:
    tables = tables_of(evidence)
    policy = tables[0]["policy"]
    assert isinstance(policy, dict)
    for name in ("rho", "rho_local", "person_rho", "person_rho_local", "study_rho"):
        changed = [dict(one) for one in tables]
        changed[0]["policy"] = policy | {name: 1}
        wrong = judge(replace(evidence, lines=chained(changed)))
        assert any(one.startswith("I2") and f" {name} is" in one for one in wrong)


def test_a_charge_that_says_less_than_it_costs_is_found(evidence: Evidence) -> None:
    tables = tables_of(evidence)
    charge = next(one for one in tables if one["kind"] == "charge")
    charge["rho"] = 1
    assert "I2" in found(replace(evidence, lines=chained(tables)))


def test_lines_that_are_gone_are_found(evidence: Evidence) -> None:
    lines = b"".join(evidence.lines.splitlines(keepends=True)[:-1])
    assert {"I3", "I4"} <= found(replace(evidence, lines=lines))


def test_a_line_that_was_changed_is_found(evidence: Evidence) -> None:
    assert "I4" in found(replace(evidence, lines=evidence.lines.replace(b"policy", b"pocily")))


def test_a_second_head_of_one_size_is_found(evidence: Evidence, key: Ed25519PrivateKey) -> None:
    head = list(heads_of(evidence.notes))[-1]
    root = base64.b64encode(b"r" * 32).decode()
    body = f"{head.origin}\n{head.size}\n{root}\n".encode()
    value = base64.b64encode(head.signatures[0][1][:4] + key.sign(body)).decode()
    note = body + f"\n\N{EM DASH} {head.origin} {value}\n".encode()
    assert two_heads([evidence.notes]) == []
    assert len(two_heads([evidence.notes, note])) == 1
    evidence.seen = [note]
    assert "I4" in found(evidence)


def test_a_head_that_the_writer_has_not_signed_is_found(evidence: Evidence) -> None:
    head = list(heads_of(evidence.notes))[-1]
    false = f"\N{EM DASH} {head.origin} {base64.b64encode(bytes(68)).decode()}\n".encode()
    evidence.seen = [head.body + b"\n" + false]
    assert "I4" in found(evidence)


@pytest.mark.parametrize(
    "ended",
    [
        Ended(70, "error: an unexpected error\n  fix: report it\n"),
        Ended(1, "Traceback (most recent call last):\nerror: a\n  fix: b\n"),
        Ended(5, "error: what happened\n"),
        Ended(-11, ""),
    ],
)
def test_an_end_that_helps_nobody_is_found(ended: Ended, evidence: Evidence) -> None:
    evidence.ended.append(ended)
    assert found(evidence) == {"I7"}


def test_a_second_output_of_a_turn_is_found(evidence: Evidence) -> None:
    one = started(evidence)
    evidence.captures.append(replace(one, reply=one.reply[::-1]))
    assert "I9" in found(evidence)


@pytest.mark.parametrize("where", ["an error", "the wire", "a checkpoint", "the ledger"])
def test_a_value_of_a_record_is_found(where: str, evidence: Evidence) -> None:
    secret = evidence.secrets[7]
    if where == "an error":
        evidence.ended.append(Ended(1, f"error: row {secret}\n  fix: it\n"))
    elif where == "the wire":
        one = started(evidence)
        evidence.captures.append(replace(one, reply=one.reply + secret.encode()))
    elif where == "a checkpoint":
        evidence.notes = secret.encode() + evidence.notes
    else:
        evidence.lines += secret.encode()
    assert any(one.startswith("I10") and one.endswith(where) for one in judge(evidence))


def test_a_hash_under_a_name_is_the_products_own() -> None:
    assert digest_of("fedcredit/reply/1", b"bytes") == reply_digest(b"bytes")
