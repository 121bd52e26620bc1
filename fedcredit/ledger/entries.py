"""The entries of a ledger: what each kind says.

An entry holds what its writer decides. What follows from that, and from earlier entries,
stands in its line as well, see `lines` and `account`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from fedcredit.codec import digest
from fedcredit.ledger.policy import BudgetPolicy
from fedcredit.privacy.costs import WHOSE, Cost, Whose
from fedcredit.privacy.events import RATE_ONE, GaussianSum
from fedcredit.units import NanoRho

__all__ = [
    "Approve",
    "Audit",
    "Burn",
    "Charge",
    "Close",
    "Entry",
    "Genesis",
    "KeyRotate",
    "Note",
    "Planned",
    "PolicyChange",
    "Receipt",
    "Refuse",
    "Release",
    "Sampled",
    "Step",
    "StepName",
    "Turn",
    "reply_digest",
]

Turn: TypeAlias = tuple[int, int]  # round and attempt, each from 0
StepName: TypeAlias = Literal["agree", "reveal"]


def reply_digest(data: bytes) -> str:
    """Name the exact bytes of an answer, hex."""
    return digest("fedcredit/reply/1", data).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """The first entry: whose ledger this is, and what it will be held to.

    Attributes:
        origin: name of the log, as checkpoints have it.
        institution: whose.
        role: ``institution`` or ``coordinator``.
        root: Ed25519 public key of the root, hex; kept offline.
        officer: of the second role that agrees when more may be spent, hex.
        key: that signs checkpoints, hex.
        policy: in force.
        grant: the root's signature under origin, key and officer, hex.
    """

    origin: str
    institution: str
    role: str
    root: str
    officer: str
    key: str
    policy: BudgetPolicy
    grant: str


@dataclass(frozen=True, slots=True)
class Sampled:
    """What a plan with sampled rounds says beside its figures in rho.

    Attributes:
        rates: of each round in parts of 2^-20, 2^20 where all records are asked.
        renyi: divergences at `renyi.ORDERS` in 1e-9, for each of `costs.WHOSE` in that order.
    """

    rates: tuple[int, ...]
    renyi: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A study was put before the institution.

    Attributes:
        plan: digest of the plan, hex.
        name: of the study.
        purpose: of the study.
        noise: of the study.
        institutions: how many take part.
        threshold: fewest in a sum.
        colluders: that the claim stands against.
        rounds: how many.
        retries: how many in reserve.
        rho: most that it can cost a record, in 1e-9 rho, with all retries.
        rho_local: the same with this institution's noise alone.
        person_rho: the same as ``rho``, for a person at the policy's m institutions.
        person_rho_local: the same as ``rho_local``, for such a person.
        sampled: rates, and the four figures as divergences; None where no round is sampled.
            The figures in rho then count every sampled round as if it were over all records.
    """

    plan: str
    name: str
    purpose: str
    noise: str
    institutions: int
    threshold: int
    colluders: int
    rounds: int
    retries: int
    rho: int
    rho_local: int
    person_rho: int
    person_rho_local: int
    sampled: Sampled | None = None

    def cost(self, whose: Whose) -> Cost:
        """One of the figures, as a cost."""
        at = WHOSE.index(whose)
        rho = (self.rho, self.rho_local, self.person_rho, self.person_rho_local)[at]
        return Cost(NanoRho(rho), self.sampled.renyi[at] if self.sampled else ())

    def rate(self, index: int) -> int:
        """Of a round in parts of 2^-20."""
        return RATE_ONE if self.sampled is None else self.sampled.rates[index]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """A plan may be charged for.

    Attributes:
        plan: digest of the plan, hex.
        by: ``policy`` or ``officer``.
        note: for people.
        second: signature of the officer, hex; empty where the policy approves by itself.
    """

    plan: str
    by: str
    note: str = ""
    second: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfTurn:
    """What belongs to one turn of one plan.

    Attributes:
        plan: digest of the plan, hex.
        round: index of the round.
        attempt: of that round.
    """

    plan: str
    round: int
    attempt: int

    @property
    def turn(self) -> Turn:
        """Round and attempt."""
        return self.round, self.attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge(_OfTurn):
    """The budget was charged for one turn of one plan.

    Attributes:
        request: `messages.request_digest` of the question, hex.
        event: what is done to the records, and so what it costs.
        software: name and version.
    """

    request: str
    event: GaussianSum
    software: str = "fedcredit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(_OfTurn):
    """The answer of one turn of one plan is fixed, and may leave.

    Attributes:
        reply: `reply_digest` of the exact bytes, hex.
    """

    reply: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(_OfTurn):
    """A later step of a turn was taken, and will not be taken again.

    The secrets that it took are elsewhere, in the vault. Should an older vault be put back,
    this entry is still here: what was signed or revealed once is not signed or revealed
    another way.

    Attributes:
        step: ``agree``: survivors were signed; ``reveal``: shares were revealed.
        request: `messages.request_digest` of what was asked, hex.
        reply: `reply_digest` of the exact bytes, hex.
    """

    step: StepName
    request: str
    reply: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn(_OfTurn):
    """A turn that was charged will never be released; its cost stays.

    Attributes:
        why: for people; public.
    """

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse(_OfTurn):
    """A question was refused, at no cost.

    Attributes:
        request: `messages.request_digest` of the question, hex.
        why: ``budget``, ``policy`` or ``plan``.
    """

    request: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange:
    """Another policy is in force from here on.

    Attributes:
        policy: the new one.
        root: signature of the root, hex.
        second: signature of the officer, hex; empty where nothing more may be spent.
    """

    policy: BudgetPolicy
    root: str
    second: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotate:
    """Checkpoints are signed by another key from here on.

    Attributes:
        key: the new one, hex.
        proof: signature of the new key, hex.
        old: signature of the key so far, hex; empty where it is lost.
        root: signature of the root, hex; empty where the old key has signed.
    """

    key: str
    proof: str
    old: str = ""
    root: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The outcome of a privacy audit.

    Attributes:
        what: was tried.
        result: was found.
    """

    what: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Whatever a person wants to have written down.

    Attributes:
        text: plain.
    """

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(_OfTurn):
    """The coordinator has got an institution's answer.

    Attributes:
        institution: whose.
        reply: `reply_digest` of the exact bytes, hex.
    """

    institution: str
    reply: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(_OfTurn):
    """The coordinator has ended a turn.

    Attributes:
        outcome: ``opened`` or ``aborted``.
        survivors: whose numbers are in the sum.
        transcript: names the turn's manifest and survivors, hex.
    """

    outcome: str
    survivors: int
    transcript: str


Entry: TypeAlias = (
    Genesis
    | Planned
    | Approve
    | Charge
    | Release
    | Step
    | Burn
    | Refuse
    | PolicyChange
    | KeyRotate
    | Audit
    | Note
    | Receipt
    | Close
)
