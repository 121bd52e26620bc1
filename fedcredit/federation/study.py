"""The study file: what somebody wants to learn, from whom, at what price.

A study is drawn up into a plan (`plan.StudyPlan`) once its schema has been read and its
institutions are known; noise and rounds are computed, never asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fedcredit.data.schema import Schema
from fedcredit.data.strict import build, parse_toml
from fedcredit.errors import ConfigError
from fedcredit.federation.plan import (
    MOST_INSTITUTIONS,
    Round,
    StudyPlan,
    default_colluders,
    default_threshold,
    shared_rho,
)
from fedcredit.learners.program import Learner
from fedcredit.privacy.accounting import check_delta, share_of
from fedcredit.units import InstitutionId

__all__ = ["Source", "Split", "Study", "Target", "draw_up", "read_study"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The price: what one record of one institution may pay.

    Attributes:
        epsilon: with the noise that `Study.noise` names.
        delta: well below 1 / number of persons.
    """

    epsilon: float = 1.0
    delta: float = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An institution with a table of its own.

    Attributes:
        name: of the institution: a-z, 0-9, dot, dash and underscore.
        table: path, or pattern of paths, of CSV or Parquet files.
    """

    name: InstitutionId
    table: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One table that plays several institutions.

    Attributes:
        table: path, or pattern of paths; "" when institutions have their own.
        by: ``column``: an institution for each value of one column; ``iid``: each record
            goes to any institution alike; ``dirichlet``: goods and bads are shared out
            unevenly, as a Dirichlet draw says.
        column: for ``column``.
        institutions: how many, for the other two.
        concentration: of the Dirichlet draw; the smaller, the more uneven.
    """

    table: str = ""
    by: Literal["column", "iid", "dirichlet"] = "iid"
    column: str = ""
    institutions: int = 6
    concentration: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a split that nobody could carry out."""
        problem = ""
        if not 3 <= self.institutions <= MOST_INSTITUTIONS:
            problem = f"institutions is {self.institutions}, expected 3 to {MOST_INSTITUTIONS}"
        elif self.concentration <= 0:
            problem = f"concentration is {self.concentration}, expected above 0"
        elif self.table and bool(self.column) != (self.by == "column"):
            problem = f"by is {self.by!r} and column {self.column!r}"
        if problem:
            raise ConfigError(
                f"split: {problem}", remedy='name a column for by = "column", and only then'
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study as somebody writes it down.

    Attributes:
        name: short name.
        purpose: what the model is for, in a sentence that an institution can agree to.
        learner: see `learners.registry`.
        salt: public, hex; decides with a person's id whether a record is held out.
        seed: public, hex; randomness for the structure of a model, never for noise.
        schema: path of the data contract.
        target: the price.
        noise: ``distributed``: the institutions' noises are enough together; ``local``:
            each is enough by itself.
        threshold: fewest answers that may be added up; 0 for the default.
        colluders: institutions that may pool what they know; 0 for the default.
        retries: rounds, over the whole study, that may be asked again.
        deadline_s: seconds an institution has to answer a round.
        evaluate: whether held-out records are asked about at the end.
        institutions: those with tables of their own; or none, and ``split``.
        split: one table for all.
    """

    name: str
    purpose: str
    learner: str
    salt: str
    seed: str
    schema: str = ""
    target: Target = Target()
    noise: Literal["distributed", "local"] = "distributed"
    threshold: int = 0
    colluders: int = 0
    retries: int = 2
    deadline_s: float = 300.0
    evaluate: bool = True
    institutions: tuple[Source, ...] = ()
    split: Split = Split()

    def __post_init__(self) -> None:
        """Refuse two origins of records."""
        if self.institutions and self.split.table:
            raise ConfigError(
                "the study names tables of institutions and a table to split",
                remedy="keep either [[institutions]] or [split]",
            )


def read_study(text: str, where: str, *, records: bool = True) -> Study:
    """Read a study file, strictly.

    Args:
        text: TOML.
        where: the file's name, for errors.
        records: whether it must say where they are; not where institutions have their own.

    Returns:
        The study.

    Raises:
        ConfigError: a key is unknown, missing or of the wrong type; or no records are named.

    >>> read_study("purpos = 'default in 12 months'", "study.toml")
    Traceback (most recent call last):
    fedcredit.errors.ConfigError: study.toml: unknown key 'purpos'
      fix: did you mean 'purpose'? ...
    """
    study = build(Study, parse_toml(text, where), where)
    if records and not study.institutions and not study.split.table:
        raise ConfigError(
            f"{where} names no records",
            remedy="add [[institutions]] with name and table, or [split] with table",
        )
    if not study.schema:
        raise ConfigError(f"{where} names no schema", remedy="add schema = with the file's path")
    return study


def draw_up(
    study: Study, learner: Learner, schema: Schema, institutions: Sequence[InstitutionId]
) -> StudyPlan:
    """Make the plan of a study: the learner's rounds, and one on held-out records if asked.

    The training rounds share the rho of the target epsilon as the learner says. The
    evaluation spends the same rho again, on records that no training round has seen, so a
    record pays for one of the two only.

    Args:
        study: what is wanted.
        learner: the study's.
        schema: the study's, read.
        institutions: who takes part, in any order.

    Returns:
        The plan.

    Raises:
        ConfigError: the parts do not make a study.
        PrivacyError: epsilon or delta is out of range.
    """
    check_delta(study.target.delta)
    samples = any(step.rate is not None for step in learner.steps)
    total = shared_rho(study.target.epsilon, study.target.delta, sampled=samples)
    rounds = [
        Round(step.name, "train", share_of(total, step.share), step.rate) for step in learner.steps
    ]
    if study.evaluate:
        rounds.append(Round("score histogram", "held-out", total))
    colluders = study.colluders or default_colluders(len(institutions))
    return StudyPlan(
        name=study.name,
        purpose=study.purpose,
        learner=learner.name,
        schema=schema,
        epsilon=study.target.epsilon,
        delta=study.target.delta,
        noise=study.noise,
        institutions=tuple(sorted(institutions)),
        threshold=study.threshold or default_threshold(len(institutions), colluders),
        colluders=colluders,
        retries=study.retries,
        deadline_s=study.deadline_s,
        salt=study.salt,
        seed=study.seed,
        rounds=tuple(rounds),
    )
