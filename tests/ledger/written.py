"""Ledgers for tests, written by hand from the text of `docs/ledger.md`: nothing of fedcredit.

All keys are fixed and public. A writer appends, links, signs and has its checkpoints
cosigned as the text says; a test spoils what it likes before or after.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Final
from zipfile import ZipFile, ZipInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Table = dict[str, object]
START: Final = datetime(2026, 3, 1, tzinfo=UTC)
PLAN: Final = hashlib.sha256(b"a plan").hexdigest()
COSIGNED: Final = ("charge", "release", "agree", "reveal")


def key_of(label: str) -> Ed25519PrivateKey:
    """A key that everybody knows."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(label.encode()).digest())


def public_of(label: str) -> bytes:
    return key_of(label).public_key().public_bytes_raw()


def canonical(table: object) -> bytes:
    return json.dumps(table, sort_keys=True, separators=(",", ":")).encode()


def short_id(name: str, kind: int, label: str) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public_of(label)).digest()[:4]


def verifier_key(label: str, name: str = "") -> str:
    """The verifier key of the witness ``label``."""
    coded = base64.b64encode(b"\4" + public_of(label)).decode()
    name = name or f"{label}.example/witness"
    return f"{name}+{short_id(name, 4, label).hex()}+{coded}"


def signature_line(name: str, short: bytes, signature: bytes) -> str:
    return f"— {name} {base64.b64encode(short + signature).decode()}\n"


def cosignature(label: str, body: str, time: int, name: str = "") -> str:
    """A witness's signature line."""
    signature = key_of(label).sign(f"cosignature/v1\ntime {time}\n{body}".encode())
    name = name or f"{label}.example/witness"
    return signature_line(name, short_id(name, 4, label), struct.pack(">Q", time) + signature)


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The root over the hashes of leaves, as RFC 6962 defines it: by halves."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + tree_root(leaves[:half]) + tree_root(leaves[half:])).digest()


def cost_of(event: Mapping[str, object], honest: int) -> int:
    """What an event costs, in 1e-9 zCDP, by the formula in exact fractions."""
    squared, variance = event["sensitivity_squared"], event["variance"]
    assert isinstance(squared, int)
    assert isinstance(variance, int)
    ratio, tau = Fraction(squared, honest * variance), Fraction(10 * (honest - 1), 2**227)
    cross = tau * (math.isqrt(math.floor(ratio * 2**32)) + 1)
    return math.ceil(10**9 * (ratio / 2 + cross + tau * tau * 2**31))


ORDERS: Final = (*range(2, 65), 72, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 512)


@lru_cache(maxsize=256)
def divergences(
    squared: int, variance: int, honest: int, rate: int, persons: int = 1
) -> tuple[int, ...]:
    """What a sum over a sample costs at each order, in 1e-9, by the formula of the text.

    The sum over k runs from the large end, in logarithms: not how anybody else does it.
    """
    ratio, tau = (
        Fraction(persons**2 * squared, honest * variance),
        Fraction(10 * (honest - 1), 2**227),
    )
    cross = tau * (math.isqrt(math.floor(ratio * 2**32)) + 1)
    rho = ratio / 2 + cross + tau * tau * 2**31
    missed = math.floor(Fraction(2**20 - rate, 2**20) ** persons * 2**20)
    found = []
    with localcontext(prec=70, Emax=MAX_EMAX, Emin=MIN_EMIN):
        exact = Decimal(rho.numerator) / Decimal(rho.denominator)
        odds = (Decimal(2**20 - missed) / Decimal(missed)).ln() if missed else Decimal(0)
        for order in ORDERS:
            full = math.ceil(10**9 * order * rho)
            if not missed:
                found.append(full)
                continue
            logs = [
                Decimal(math.comb(order, k)).ln() + k * odds + k * (k - 1) * exact
                for k in range(order, -1, -1)
            ]
            top = max(logs)
            log = top + sum((one - top).exp() for one in logs).ln()  # type: ignore[union-attr]
            log += order * (Decimal(missed) / Decimal(2**20)).ln()
            found.append(min(math.ceil(10**9 * log / (order - 1)), full))
    return tuple(found)


def sampled_event(**changes: object) -> Table:
    """A sum over a sample of one record in 64: of all records it would cost about .016 rho."""
    usual = {"event": "sampled-gaussian-sum", "rate": 2**14, "variance": 180}
    return event(**{**usual, **changes})


def of_event(done: Mapping[str, object], honest: int, persons: int = 1) -> tuple[int, ...]:
    """The divergences of such a sum."""
    squared, variance, rate = done["sensitivity_squared"], done["variance"], done["rate"]
    assert isinstance(squared, int)
    assert isinstance(variance, int)
    assert isinstance(rate, int)
    return divergences(squared, variance, honest, rate, persons)


def most_of(sums: int, rounds: int, done: Table | None = None) -> Table:
    """The fields of a plan that may ask for so many such sums."""
    done = done or sampled_event()
    honest, rate = done["honest"], done["rate"]
    assert isinstance(honest, int)
    costs, alone = cost_of(done, honest), cost_of(done, 1)
    figures = {
        "rho": sums * costs, "rho_local": sums * alone,
        "person_rho": 9 * sums * costs, "person_rho_local": 3 * sums * alone,
    }  # fmt: skip
    curves = {
        "rho": of_event(done, honest), "rho_local": of_event(done, 1),
        "person_rho": of_event(done, honest, 3),
        "person_rho_local": [3 * one for one in of_event(done, 1)],
    }  # fmt: skip
    sampled = {key: [sums * one for one in curve] for key, curve in curves.items()}
    return {**figures, "rounds": rounds, "sampled": {"rates": [rate] * rounds, **sampled}}


def event(**changes: object) -> Table:
    """A sum over 23 features: about .001 rho where four are honest."""
    usual = {
        "dim": 8,
        "event": "gaussian-sum",
        "honest": 4,
        "name": "scorecard/1 histograms",
        "part": "train",
        "sensitivity_squared": 23,
        "variance": 2875,
    }
    return {**usual, **changes}


def policy(**changes: object) -> Table:
    """A policy under which ten such sums are allowed."""
    usual = {
        "delta": "1e-05",
        "persons": 3,
        "rho": 10_000_100,
        "rho_local": 40_000_400,
        "person_rho": 90_000_900,
        "person_rho_local": 120_001_200,
        "study_rho": 8_000_080,
        "automatic_rho": 7_000_070,
        "begins": "2026-01-01",
        "ends": "2027-01-01",
        "purposes": ["credit scoring"],
        "quorum": 2,
        "beside_coordinator": 1,
        "witnesses": [
            {"key": verifier_key("bank-b"), "role": "institution"},
            {"key": verifier_key("bank-c"), "role": "institution"},
            {"key": verifier_key("coordinator"), "role": "coordinator"},
        ],
    }
    return {**usual, **changes}


NOTHING: Final = policy(
    rho=0, rho_local=0, person_rho=0, person_rho_local=0, study_rho=0, automatic_rho=0,
    quorum=0, beside_coordinator=0, witnesses=[], purposes=[],
)  # fmt: skip


@dataclass
class Writer:
    """Writes one ledger; ``cosigners`` sign charges and whatever leaves."""

    institution: str = "bank-a"
    role: str = "institution"
    cosigners: tuple[str, ...] = ("bank-b", "coordinator")
    key: str = ""
    lines: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    cosign_time: Callable[[int], int] = lambda seq: int(START.timestamp()) + 10 * seq + 1

    def __post_init__(self) -> None:
        self.key = self.key or f"{self.institution} key"

    @property
    def origin(self) -> str:
        return f"fedcredit.example/delta/{self.institution}/ledger"

    @property
    def root(self) -> str:
        return f"{self.institution} root"

    @property
    def officer(self) -> str:
        return f"{self.institution} officer"

    def sign(self, label: str, *words: object) -> str:
        return key_of(label).sign("".join(f"{word}\n" for word in words).encode()).hex()

    def add(self, kind: str, /, **fields: object) -> int:
        """Append an entry, sign a checkpoint, and have it cosigned if it may lead out."""
        seq = len(self.lines)
        prev = hashlib.sha256(self.lines[-1]).hexdigest() if self.lines else "0" * 64
        time = (START + timedelta(seconds=10 * seq)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.put(
            canonical({"kind": kind, "seq": seq, "prev": prev, "time": time, **fields}) + b"\n"
        )
        self.note(cosigned=kind in COSIGNED and self.role == "institution")
        return seq

    def put(self, line: bytes) -> None:
        """Append a line as it is."""
        self.lines.append(line)
        self.leaves.append(hashlib.sha256(b"\0" + line).digest())

    def note(self, *, cosigned: bool) -> None:
        """Sign for all lines so far; with cosignatures the note comes a second time."""
        root = base64.b64encode(tree_root(self.leaves)).decode()
        body = f"{self.origin}\n{len(self.lines)}\n{root}\n"
        short = short_id(self.origin, 1, self.key)
        plain = (
            f"{body}\n{signature_line(self.origin, short, key_of(self.key).sign(body.encode()))}"
        )
        self.notes.append(plain)
        if cosigned and self.cosigners:
            time = self.cosign_time(len(self.lines))
            self.notes.append(plain + "".join(cosignature(w, body, time) for w in self.cosigners))

    def genesis(self, rules: Table | None = None, **changes: object) -> int:
        rules = rules or (policy() if self.role == "institution" else NOTHING)
        key, officer = public_of(self.key).hex(), public_of(self.officer).hex()
        grant = self.sign(self.root, "fedcredit/ledger/grant/1", self.origin, key, officer)
        fields = {
            "format": "fedcredit/ledger/1", "origin": self.origin, "role": self.role,
            "institution": self.institution, "root": public_of(self.root).hex(), "key": key,
            "officer": officer, "unit": "record", "adjacency": "add-remove", "policy": rules,
            "grant": grant,
        }  # fmt: skip
        return self.add("genesis", **{**fields, **changes})

    def plan(self, **changes: object) -> int:
        fields = {
            "plan": PLAN, "name": "first", "purpose": "credit scoring", "noise": "distributed",
            "institutions": 6, "threshold": 5, "colluders": 1, "rounds": 5, "retries": 2,
            "rho": 7_000_070, "rho_local": 28_000_280, "person_rho": 63_000_630,
            "person_rho_local": 84_000_840,
        }  # fmt: skip
        return self.add("plan", **{**fields, **changes})

    def approve(self, by: str = "policy", plan: str = PLAN) -> int:
        words = ("fedcredit/ledger/approve/1", self.origin, plan)
        second = self.sign(self.officer, *words) if by == "officer" else ""
        return self.add("approve", plan=plan, by=by, note="", second=second)

    def charge(self, turn: int = 0, attempt: int = 0, /, **changes: object) -> int:
        done = changes.pop("event", None) or event()
        assert isinstance(done, dict)
        costs: Table = {}
        if not {"rho", "rho_local"} <= changes.keys():
            costs = {"rho": cost_of(done, done["honest"]), "rho_local": cost_of(done, 1)}
        if "rate" in done:
            honest = done["honest"]
            assert isinstance(honest, int)
            lists = {"rho": list(of_event(done, honest)), "rho_local": list(of_event(done, 1))}
            costs["renyi"] = lists
        fields = {
            **self.turn(turn, attempt), "request": digest("request", turn, attempt), "event": done,
            **costs,
            "software": "fedcredit 0.1.0", "sampler": "discrete-gaussian/1",
        }  # fmt: skip
        return self.add("charge", **{**fields, **changes})

    def release(self, turn: int = 0, attempt: int = 0, /, **changes: object) -> int:
        reply = digest(self.institution, turn, attempt)
        fields = {**self.turn(turn, attempt), "charge": len(self.lines) - 1, "reply": reply}
        return self.add("release", **{**fields, **changes})

    def burn(self, turn: int = 0, attempt: int = 0, /, **changes: object) -> int:
        fields = {**self.turn(turn, attempt), "charge": len(self.lines) - 1, "why": "restarted"}
        return self.add("burn", **{**fields, **changes})

    def step(self, kind: str, turn: int = 0, attempt: int = 0, /, **changes: object) -> int:
        """An ``agree``, ``reveal`` or ``refuse``."""
        fields = {**self.turn(turn, attempt), "request": digest(kind, turn, attempt)}
        last = {"why": "plan"} if kind == "refuse" else {"reply": digest("reply", turn, attempt)}
        return self.add(kind, **{**fields, **last, **changes})

    def receipt(
        self, institution: str, turn: int = 0, attempt: int = 0, /, **changes: object
    ) -> int:
        reply = digest(institution, turn, attempt)
        fields = {**self.turn(turn, attempt), "institution": institution, "reply": reply}
        return self.add("receipt", **{**fields, **changes})

    def close(self, turn: int = 0, attempt: int = 0, /, **changes: object) -> int:
        fields = {**self.turn(turn, attempt), "outcome": "opened", "survivors": 1}
        return self.add("close", **{**fields, "transcript": digest("all"), **changes})

    def turn(self, turn: int, attempt: int) -> Table:
        return {"plan": PLAN, "round": turn, "attempt": attempt}

    def change(self, rules: Table, *, officer: bool, **changes: object) -> int:
        """A change of policy, signed by root, and by the officer if asked."""
        digest_of = hashlib.sha256(canonical(rules)).hexdigest()
        words = ("fedcredit/ledger/policy/1", self.origin, len(self.lines), digest_of)
        second = self.sign(self.officer, *words) if officer else ""
        fields = {"policy": rules, "root": self.sign(self.root, *words), "second": second}
        return self.add("policy_change", **{**fields, **changes})

    def rotate(self, label: str, *, old: str = "", root: str = "", **changes: object) -> int:
        """A change of key; the new one signs from here on."""
        key = public_of(label).hex()
        words = ("fedcredit/ledger/rotate/1", self.origin, len(self.lines), key)
        signed = {
            name: self.sign(by, *words) if by else "" for name, by in (("old", old), ("root", root))
        }
        self.key, fields = label, {"key": key, "proof": self.sign(label, *words), **signed}
        return self.add("key_rotate", **{**fields, **changes})

    def save(self, folder: Path) -> Path:
        """Write the ledger's folder below ``folder``, and return it."""
        path = folder / self.institution
        path.mkdir(parents=True, exist_ok=True)
        (path / "ledger.jsonl").write_bytes(b"".join(self.lines))
        (path / "checkpoints.note").write_text("".join(self.notes), "utf-8")
        return path


def digest(*words: object) -> str:
    return hashlib.sha256(repr(words).encode()).hexdigest()


def opened(writer: Writer) -> Writer:
    """A ledger with an approved plan."""
    writer.genesis()
    writer.plan()
    writer.approve()
    return writer


def story(institution: str = "bank-a") -> Writer:
    """Twenty entries: three rounds, one of them burned and asked again, and a refusal."""
    writer = opened(Writer(institution))
    for turn in (0, 1):
        writer.charge(turn)
        writer.release(turn)
        writer.step("agree", turn)
        writer.step("reveal", turn)
    writer.charge(2)
    writer.burn(2)
    writer.charge(2, 1)
    writer.release(2, 1)
    writer.step("reveal", 2, 1)
    writer.step("refuse", 9)
    writer.add("audit", what="canaries", result="no bound above the claim")
    writer.charge(3, event=event(part="held-out"))
    writer.release(3)
    return writer


def coordinator(*institutions: str) -> Writer:
    """The coordinator's side of `story`, for so many institutions."""
    writer = Writer("coordinator", "coordinator")
    writer.genesis()
    writer.plan(rho=0, rho_local=0, person_rho=0, person_rho_local=0)
    for turn in ((0, 0), (1, 0), (2, 1), (3, 0)):
        for one in institutions:
            writer.receipt(one, *turn)
        writer.close(*turn, survivors=len(institutions))
    return writer


def bundle(path: Path, *writers: Writer) -> Path:
    """A zip of ledgers: names sorted, times fixed."""
    with ZipFile(path, "w") as archive:
        for writer in sorted(writers, key=lambda one: one.institution):
            notes = "".join(writer.notes).encode()
            for name, data in (
                ("checkpoints.note", notes),
                ("ledger.jsonl", b"".join(writer.lines)),
            ):
                archive.writestr(ZipInfo(f"{writer.institution}/{name}"), data)
    return path
