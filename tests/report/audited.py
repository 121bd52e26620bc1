"""Findings of the verifier, written by hand, for tests of what is made from them."""

from __future__ import annotations

import base64
import hashlib
from typing import Final, TypeAlias

__all__ = [
    "Findings",
    "evidence_broken",
    "findings",
    "hexed",
    "holds",
    "ledger",
    "long",
    "many",
    "no_coordinator",
    "no_dp_accounting",
    "rule_broken",
]

Findings: TypeAlias = dict[str, object]

PLAN: Final = "5c" * 32
KINDS: Final = ("genesis", "plan", "approve", "charge", "release")
POLICY: Final[Findings] = {
    "automatic_rho": 5_000_000,
    "begins": "2026-01-01",
    "beside_coordinator": 1,
    "delta": "1e-05",
    "ends": "2027-01-01",
    "person_rho": 300_000_000,
    "person_rho_local": 900_000_000,
    "persons": 3,
    "purposes": ["default within 12 months", "fraud"],
    "quorum": 2,
    "rho": 30_560_000,
    "rho_local": 250_000_000,
    "study_rho": 30_560_000,
    "witnesses": [{"key": "bank-b+0a1b2c3d+BAAA", "role": "institution"}],
}


def hexed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def entry(institution: str, seq: int, kind: str, what: str) -> Findings:
    return {
        "seq": seq,
        "kind": kind,
        "time": f"2026-11-{seq % 28 + 1:02}T14:{seq % 60:02}:40Z",
        "what": what,
        "leaf": hexed(f"{institution}/{seq}"),
    }


def story(institution: str) -> list[object]:
    """A short ledger: a study with a burn, a refusal, and changes of key and policy."""
    told = (
        ("genesis", f"ledger of {institution} begins"),
        ("plan", "plan 'consumer PD 12m' for default within 12 months"),
        ("approve", "approved by the officer"),
        ("charge", "round 0 attempt 0 is charged 10000000"),
        ("release", "round 0 attempt 0 is released"),
        ("charge", "round 0 attempt 1 is charged 10000000"),
        ("burn", "round 0 attempt 1 was not released: too few answered"),
        ("refuse", "round 1 attempt 0 is refused: budget"),
        ("key_rotate", "the ledger key changes, signed by the old key and by root"),
        ("policy_change", "an end is brought forward, signed by root"),
        ("audit", "one-run audit: epsilon at least 0.12 at 95 %"),
    )
    return [entry(institution, seq, kind, what) for seq, (kind, what) in enumerate(told)]


def ledger(institution: str) -> Findings:
    """One institution's ledger, in order and within its caps."""
    return {
        "institution": institution,
        "origin": f"fedcredit/{institution}",
        "role": "institution",
        "size": 11,
        "root": base64.b64encode(hashlib.sha256(institution.encode()).digest()).decode(),
        "time": "2026-11-23T16:00:00Z",
        "where": "C:/audits/secret-folder",
        "whole": True,
        "cosigned_size": 11,
        "cosigned": [
            {"name": "bank-b", "role": "institution", "time": "2026-11-23T16:00:01Z"},
            {"name": "consortium", "role": "coordinator", "time": "2026-11-23T16:00:02Z"},
        ],
        "policy": dict(POLICY),
        "keys": [
            {"key": hexed(f"{institution} first"), "from": 0, "to": 8},
            {"key": hexed(f"{institution} second"), "from": 9, "to": None},
        ],
        "software": ["fedcredit 0.1.0"],
        "spent": {
            "rho": 20_000_000,
            "rho_local": 120_000_000,
            "person_rho": 180_000_000,
            "person_rho_local": 360_000_000,
            "epsilon": 0.7912,
            "epsilon_local": 2.1004,
            "person_epsilon": 2.6431,
            "person_epsilon_local": 3.9218,
        },
        "caps": {
            "rho": 30_560_000,
            "rho_local": 250_000_000,
            "person_rho": 300_000_000,
            "person_rho_local": 900_000_000,
            "epsilon": 1.0,
            "epsilon_local": 3.1707,
            "person_epsilon": 3.5268,
            "person_epsilon_local": 6.6418,
        },
        "lifetime": {
            "rho": 25_000_000,
            "rho_local": 150_000_000,
            "epsilon": 0.8956,
            "epsilon_local": 2.3842,
        },
        "plans": [
            {
                "plan": PLAN,
                "name": "consumer PD 12m",
                "purpose": "default within 12 months",
                "noise": "distributed",
                "institutions": 5,
                "threshold": 3,
                "colluders": 1,
                "rounds": 10,
                "retries": 2,
                "rho": 30_560_000,
                "spent_rho": 20_000_000,
                "spent_rho_local": 120_000_000,
                "approved_by": "officer",
                "approved_at": "2026-11-03T14:02:40Z",
                "charges": 2,
                "releases": 1,
                "burns": 1,
            }
        ],
        "recompute": [
            {"at": 9, "events": 2, "epsilon": 0.7911, "rdp": 0.79118, "pld": None},
            {"at": 10, "events": 2, "epsilon": 0.7911, "rdp": 0.79118, "pld": 0.7433},
        ],
        "refusals": 1,
        "burns": 1,
        "exceptions": ["entry 6 is a burn: charged and not released"],
        "entries": story(institution),
    }


def coordinator(institution: str = "consortium") -> Findings:
    """A coordinator's ledger: it spends nothing."""
    told = (
        ("genesis", "ledger of the coordinator begins"),
        ("plan", "plan 'consumer PD 12m'"),
        ("receipt", "round 0 attempt 0: an answer of bank-a"),
        ("close", "round 0 attempt 0 is opened over 5 institutions"),
    )
    return ledger(institution) | {
        "role": "coordinator",
        "size": 4,
        "policy": {"delta": "1e-05", "rho": 0},
        "software": [],
        "spent": {},
        "caps": {},
        "lifetime": {},
        "plans": [],
        "recompute": [],
        "refusals": 0,
        "burns": 0,
        "exceptions": [],
        "entries": [entry(institution, seq, *one) for seq, one in enumerate(told)],
    }


def findings(*ledgers: Findings) -> Findings:
    """Findings about these ledgers, all in order."""
    return {
        "format": "fedcredit/findings/1",
        "verdict": "holds",
        "exit": 0,
        "problems": [],
        "ledgers": list(ledgers),
        "coordinator": {
            "present": True,
            "receipts": 1,
            "matched": 1,
            "unmatched": [],
            "releases_without_receipt": [],
        },
        "persons": [
            {"institutions": 1, "epsilon": 0.7912, "epsilon_local": 2.1004, "delta": "1e-05"},
            {"institutions": 2, "epsilon": 1.6604, "epsilon_local": 3.1172, "delta": "1e-05"},
            {"institutions": 3, "epsilon": 2.6431, "epsilon_local": 3.9218, "delta": "1e-05"},
        ],
        "verified": ["grammar and chain of 3 ledgers", "signatures of 26 checkpoints"],
        "not_verified": ["that the software named is the software that ran"],
        "versions": {"python": "3.11.2", "cryptography": "46.0.3", "dp_accounting": "0.6.0"},
    }


def holds() -> Findings:
    return findings(ledger("bank-a"), ledger("bank-b"), coordinator())


def rule_broken() -> Findings:
    """Well signed, and beyond a cap."""
    over = ledger("bank-b")
    over["spent"] = {**_of(over, "spent"), "rho": 31_000_000, "epsilon": 1.0079}
    what = "after this charge a record has paid 31000000, above the cap of 30560000"
    return findings(ledger("bank-a"), over, coordinator()) | {
        "verdict": "rule broken",
        "exit": 1,
        "problems": [{"ledger": "bank-b", "seq": 5, "kind": "rule", "what": what}],
    }


def evidence_broken() -> Findings:
    """A line was changed after it was signed: the ledger is not read on."""
    cut = ledger("bank-b") | {"size": 5, "cosigned": [], "recompute": [], "whole": False}
    cut["entries"] = story("bank-b")[:5]
    del cut["spent"], cut["caps"], cut["lifetime"], cut["refusals"], cut["root"]
    return findings(ledger("bank-a"), cut, coordinator()) | {
        "verdict": "evidence broken",
        "exit": 5,
        "problems": [
            {"ledger": "bank-a", "seq": None, "kind": "rule", "what": "a quorum is missing"},
            {
                "ledger": "bank-b",
                "seq": 5,
                "kind": "evidence",
                "what": "line 6: prev is not the hash of the line before",
            },
        ],
        "coordinator": {
            "present": True,
            "receipts": 2,
            "matched": 0,
            "unmatched": ["bank-b: 5c5c, round 0, attempt 0"],
            "releases_without_receipt": ["bank-a: 5c5c, round 0, attempt 0"],
        },
    }


def no_coordinator() -> Findings:
    absent = {"present": False, "receipts": 0, "matched": 0, "unmatched": []}
    return findings(ledger("bank-a")) | {
        "coordinator": absent | {"releases_without_receipt": []},
        "not_verified": ["receipts: no coordinator's ledger was given"],
    }


def no_dp_accounting() -> Findings:
    """The second accountant is not there, so its figures are missing."""
    alone = ledger("bank-a")
    alone["recompute"] = [{"at": 10, "events": 2, "epsilon": 0.7911, "rdp": None, "pld": None}]
    return findings(alone, coordinator()) | {
        "not_verified": ["totals by a second accountant: dp-accounting is not installed"],
        "versions": {"python": "3.11.2", "cryptography": "46.0.3", "dp_accounting": None},
    }


def many(count: int = 40) -> Findings:
    return findings(*(ledger(f"institution-{at:03}") for at in range(count)), coordinator())


def long(plans: int = 12, rounds: int = 30, *, named: bool = True) -> Findings:
    """A ledger of many plans; ``named``: whether entries say which plan they belong to."""
    big = ledger("bank-a")
    entries: list[Findings] = [entry("bank-a", 0, "genesis", "ledger of bank-a begins")]
    listed: list[Findings] = []
    for plan in range(plans):
        digest = hexed(f"plan {plan}")
        listed.append({"plan": digest, "name": f"study {plan}", "purpose": "fraud"})
        told = [("plan", f"plan study {plan}"), ("approve", "approved by policy")]
        for at in range(rounds):
            told += [("charge", f"round {at}"), ("release", f"round {at}")]
        for kind, what in told:
            one = entry("bank-a", len(entries), kind, what)
            entries.append(one | {"plan": digest} if named else one)
    return findings(big | {"size": len(entries), "entries": entries, "plans": listed})


def _of(whole: Findings, key: str) -> Findings:
    """The object under a key."""
    value = whole[key]
    assert isinstance(value, dict)
    return value
