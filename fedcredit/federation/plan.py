"""The plan of a study: frozen, public, hashed, and the same on every side.

Everything that decides what a round costs stands here, so an institution computes the
noise of every round itself and believes no number that it is sent. Private things are
never part of a plan: records, keys and randomness are arguments of a call.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal, Protocol, TypeAlias, runtime_checkable

from fedcredit.codec import digest, encode
from fedcredit.data.schema import RECORDS_OF, Schema, require_confirmed
from fedcredit.errors import ConfigError
from fedcredit.privacy.accounting import check_delta, rho_for, variance_for
from fedcredit.privacy.curves import FINE, order_for, sampled_variance_for, whole_rho
from fedcredit.privacy.events import (
    MAX_SENSITIVITY_SQUARED,
    MIN_VARIANCE,
    PARTS,
    RATE_ONE,
    GaussianSum,
    Part,
    SampledGaussianSum,
    whole,
)
from fedcredit.units import InstitutionId, NanoRho

__all__ = [
    "MOST_INSTITUTIONS",
    "Noise",
    "Question",
    "Round",
    "StudyPlan",
    "alone",
    "check_name",
    "default_colluders",
    "default_threshold",
    "shared_rho",
]

Noise: TypeAlias = Literal["distributed", "local", "alone"]

MOST_INSTITUTIONS: Final = 1000
_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2}){8,64}")
_NANO: Final = 10**9
_MOST_NUMBER: Final = 1 << 52  # a thousand of it, and their noise, fit a ring of 64 bits


@runtime_checkable
class Question(Protocol):
    """What the accounting needs to know of a query; see `models.queries`."""

    @property
    def part(self) -> str:
        """Which records it is about."""
        ...

    @property
    def dim(self) -> int:
        """Length of its sum."""
        ...

    @property
    def sensitivity_squared(self) -> int:
        """Largest squared l2 change of its sum by one record, in grid steps squared."""
        ...


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a study.

    Attributes:
        name: what is asked.
        part: which records are asked about: ``"train"`` or ``"held-out"``.
        rho: what a record of that part pays for it, in 1e-9 zCDP, with everybody's noise;
            for a sampled round up to the plan's order only, see `privacy.curves`.
        rate: at which each record is in the round's secret sample, in parts of 2^-20, 1 to
            2^20 - 1; None where all records are asked.

    Raises:
        PrivacyError: the rate is no such integer.
    """

    name: str
    part: Part
    rho: NanoRho
    rate: int | None = None

    def __post_init__(self) -> None:
        """Refuse a rate of none, of more than all, or that is no exact number."""
        if self.rate is not None:
            whole("rate", self.rate, low=1, high=RATE_ONE - 1)

    def table(self) -> dict[str, str | int]:
        """The round as it is hashed and written: no rate where there is none."""
        rate = {} if self.rate is None else {"rate": self.rate}
        return {"name": self.name, "part": self.part, "rho": self.rho, **rate}


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """A study, wholly public.

    Attributes:
        name: short name of the study.
        purpose: what the model is for, in a sentence that an institution can agree to.
        learner: name of the learner.
        schema: the data contract, with every column confirmed.
        epsilon: what a record pays if no round is retried: against whoever sees sums only
            for ``distributed`` noise, against everyone for ``local`` noise.
        delta: the delta of every epsilon.
        noise: ``distributed``: the noises of ``threshold - colluders`` institutions together
            are enough; ``local``: every institution's noise is enough by itself;
            ``alone``: one institution, for itself.
        institutions: who takes part, in ascending order.
        threshold: fewest answers that may be added up.
        colluders: institutions that may pool what they know without weakening the claim.
        retries: rounds, over the whole study, that may be asked again.
        deadline_s: seconds an institution has to answer a round.
        salt: public, hex; decides with a person's id whether a record is held out.
        seed: public, hex; randomness for the structure of a model, never for noise.
        rounds: the rounds in order; those on held-out records, if any, come last.

    Raises:
        ConfigError: the fields do not make a study.
    """

    name: str
    purpose: str
    learner: str
    schema: Schema
    epsilon: float
    delta: float
    noise: Noise
    institutions: tuple[InstitutionId, ...]
    threshold: int
    colluders: int
    retries: int
    deadline_s: float
    salt: str
    seed: str
    rounds: tuple[Round, ...]

    def __post_init__(self) -> None:
        """Refuse a study that could not keep its own claim."""
        require_confirmed(self.schema)
        _check_texts(self)
        _check_members(self)
        _check_budget(self)
        if not 0 <= self.retries <= 100 or not 0 < self.deadline_s < math.inf:
            raise ConfigError(
                f"retries is {self.retries} and deadline_s {self.deadline_s}",
                remedy="set retries from 0 to 100 and deadline_s to seconds above 0",
            )

    @property
    def honest(self) -> int:
        """h: institutions whose noise the claim of the plan's epsilon rests on."""
        return self.threshold - self.colluders if self.noise == "distributed" else 1

    @property
    def evaluates(self) -> bool:
        """Whether held-out records are asked about."""
        return any(one.part == "held-out" for one in self.rounds)

    @property
    def noise_levels(self) -> tuple[float, ...]:
        """For each round, one institution's noise sd over the question's sensitivity."""
        return tuple(
            math.sqrt(_NANO / (2 * self.honest * one.rho))
            if one.rate is None
            else math.sqrt(self._fine_variance(index) / FINE)
            for index, one in enumerate(self.rounds)
        )

    @property
    def samples(self) -> bool:
        """Whether a round is over a sample of the records."""
        return any(one.rate is not None for one in self.rounds)

    def _fine_variance(self, index: int) -> int:
        """One institution's variance in a sampled round, for a squared sensitivity of `FINE`."""
        planned = self.rounds[index]
        order = order_for(_total_rho(self.epsilon, self.delta), self.delta)
        rate = planned.rate or RATE_ONE
        return sampled_variance_for(planned.rho, rate, self.honest, order)

    def event(self, index: int, question: Question) -> GaussianSum:
        """What asking ``question`` in round ``index`` does to an institution's records.

        Guarantee: it costs at most what the round may cost, whatever the question.

        Args:
            index: of the round, from 0.
            question: a question about the round's part of the records.

        Returns:
            The event, with the variance of one institution's noise.

        Raises:
            PrivacyError: no noise that can be drawn is enough.
        """
        return self._event(index, question.dim, question.sensitivity_squared)

    def dearest(self, index: int) -> GaussianSum:
        """An event that costs all that round ``index`` may cost, for admission in advance."""
        planned = self.rounds[index]
        if planned.rate is not None:
            return self._event(index, 1, FINE)
        # On a grid so fine that rounding the variance up saves less than one step of rho.
        fine = 2 * self.honest * 2**38 * planned.rho // _NANO
        return self._event(index, 1, min(max(fine, 1), MAX_SENSITIVITY_SQUARED))

    def _event(self, index: int, dim: int, squared: int) -> GaussianSum:
        """What a round does with a question of so many numbers and this sensitivity."""
        planned, name = self.rounds[index], f"{self.learner}/{index + 1} {self.rounds[index].name}"
        if planned.rate is None:
            return GaussianSum(
                name=name[:64],
                part=planned.part,
                dim=dim,
                sensitivity_squared=squared,
                variance=variance_for(planned.rho, squared, self.honest),
                honest=self.honest,
            )
        # Noise in proportion costs no more at any order than at the fine sensitivity.
        variance = max(-(-squared * self._fine_variance(index) // FINE), MIN_VARIANCE)
        return SampledGaussianSum(
            name=name[:64],
            part=planned.part,
            dim=dim,
            sensitivity_squared=squared,
            variance=variance,
            honest=self.honest,
            rate=planned.rate,
        )

    def bound(self, event: GaussianSum) -> int:
        """B: the largest absolute value of one institution's number, before noise.

        Public: what four times the records of the declared size class could come to, if
        every one of them moved the same number as far as it can. A table beyond that is
        clamped, which costs accuracy and not privacy.
        """
        most = 4 * RECORDS_OF[self.schema.size_class] * math.isqrt(event.sensitivity_squared)
        return min(most, _MOST_NUMBER)

    def digest(self) -> bytes:
        """32 bytes that name the plan: every field, and the schema by its own digest."""
        return _digest_of(self)


@lru_cache(maxsize=64)  # every message of a study names it
def _digest_of(plan: StudyPlan) -> bytes:
    """See `StudyPlan.digest`."""
    fields = {key: getattr(plan, key) for key in plan.__dataclass_fields__}
    fields["schema"] = plan.schema.digest()
    fields["rounds"] = tuple(one.table() for one in plan.rounds)
    return digest("fedcredit/plan/1", encode(fields))


def default_colluders(institutions: int) -> int:
    """c: at least 1, because every institution knows its own noise and sees the sum."""
    return max(1, institutions // 10)


def default_threshold(institutions: int, colluders: int) -> int:
    """t: more than half of all honest ones, and at least four in five of all.

    >>> [default_threshold(n, default_colluders(n)) for n in (3, 5, 6, 10, 20, 100)]
    [3, 4, 5, 8, 16, 80]
    """
    return max((institutions + colluders) // 2 + 1, -(-4 * institutions // 5))


def check_name(institution: InstitutionId) -> InstitutionId:
    """Return a name that can be a file's, and refuse any other.

    Raises:
        ConfigError: it is too long, or holds other signs.
    """
    if not _ID.fullmatch(institution):
        raise ConfigError(
            f"institution {institution!r} has a name that cannot be a file's",
            remedy="use at most 64 of a-z, 0-9, dot, dash and underscore",
        )
    return institution


def alone(plan: StudyPlan, institution: InstitutionId) -> StudyPlan:
    """The same study at the same epsilon, by one institution with nobody's help."""
    return replace(plan, noise="alone", institutions=(institution,), threshold=1, colluders=0)


def _total_rho(epsilon: float, delta: float) -> NanoRho:
    """All that a record may pay."""
    check_delta(delta)
    return rho_for(epsilon, delta)


def shared_rho(epsilon: float, delta: float, *, sampled: bool) -> NanoRho:
    """What the rounds on one part of the records may cost together, in 1e-9 rho.

    Args:
        epsilon: of the plan.
        delta: of the plan.
        sampled: whether any of its rounds is sampled; then a little less, because only
            whole orders are listed.

    Raises:
        PrivacyError: epsilon or delta is out of range.
    """
    total = _total_rho(epsilon, delta)
    return whole_rho(total, delta) if sampled else total


def _check_texts(plan: StudyPlan) -> None:
    """Names are for one line of print; salt and seed are hex of 8 to 64 bytes."""
    for key in ("name", "purpose", "learner"):
        text = getattr(plan, key)
        if not text.strip() or not text.isprintable() or len(text) > 400:
            raise ConfigError(
                f"{key} is empty, too long or not printable", remedy=f"set {key} to one line"
            )
    for key in ("salt", "seed"):
        if not _HEX.fullmatch(getattr(plan, key)):
            raise ConfigError(
                f"{key} is not hex of 8 to 64 bytes",
                remedy=f"set {key} to 16 or more digits 0-9 and a-f, drawn at random, in pairs",
            )


def _check_members(plan: StudyPlan) -> None:
    """Enough institutions, and enough of them honest, in every sum."""
    members, t, c = len(plan.institutions), plan.threshold, plan.colluders
    for one in plan.institutions:
        check_name(one)
    if list(plan.institutions) != sorted(set(plan.institutions)):
        raise ConfigError("institutions are not in ascending order", remedy="list each one once")
    if plan.noise == "alone":
        if (members, t, c) != (1, 1, 0):
            raise ConfigError(
                f"noise is 'alone' with {members} institutions", remedy="name one institution"
            )
        return
    if not 3 <= members <= MOST_INSTITUTIONS:
        raise ConfigError(
            f"{members} institutions, expected 3 to {MOST_INSTITUTIONS}",
            remedy="with 2, each could subtract its own sum and read the other's",
        )
    if c < 1 or not (members + c) // 2 + 1 <= t <= members or t - c < 2:
        raise ConfigError(
            f"threshold is {t} and colluders {c}, for {members} institutions",
            remedy="set colluders to 1 or more, and threshold from (institutions + colluders) / 2 "
            "+ 1 to all institutions and at least colluders + 2; or leave both out",
        )


def _check_budget(plan: StudyPlan) -> None:
    """The rounds of each part cost at most the plan's epsilon; evaluation comes last."""
    if plan.noise not in ("distributed", "local", "alone"):
        raise ConfigError(
            f"noise is {plan.noise!r}", remedy='set noise to "distributed" or "local"'
        )
    total = shared_rho(plan.epsilon, plan.delta, sampled=plan.samples)
    parts = [one.part for one in plan.rounds]
    if "train" not in parts or parts != sorted(parts, key=PARTS.index):
        raise ConfigError(
            "the rounds do not begin with training", remedy="evaluate after the last one"
        )
    for part in PARTS:
        costs = [one.rho for one in plan.rounds if one.part == part]
        if min(costs, default=1) < 1 or sum(costs) > total:
            raise ConfigError(
                f"the rounds on {part} records cost rho {sum(costs)}e-9, "
                f"epsilon {plan.epsilon} at delta {plan.delta} allows {total}e-9",
                remedy="set a larger epsilon, or take the rounds from the learner",
            )
