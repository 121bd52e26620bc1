"""A plan as text: what a run folder keeps, and what an institution is given to agree to."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Literal

from fedcredit.data.schema import Schema
from fedcredit.data.strict import build
from fedcredit.errors import ConfigError, IntegrityError
from fedcredit.federation.plan import Round, StudyPlan
from fedcredit.privacy.events import RATE_ONE
from fedcredit.units import InstitutionId, NanoRho

__all__ = ["plan_from_json", "plan_to_json"]


def plan_to_json(plan: StudyPlan) -> str:
    """Write a plan: every field, the schema by its digest, and the plan's own digest.

    Returns:
        JSON with sorted keys, for people and for `plan_from_json`.
    """
    table: dict[str, object] = {one.name: getattr(plan, one.name) for one in fields(plan)}
    table["schema"] = plan.schema.digest()
    table["rounds"] = [one.table() for one in plan.rounds]
    table["digest"] = plan.digest().hex()
    return json.dumps(table, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def plan_from_json(text: str, where: str, schema: Schema) -> StudyPlan:
    """Read a plan; the inverse of `plan_to_json`.

    Args:
        text: what was written.
        where: the file's name, for errors.
        schema: the data contract that the plan names by digest.

    Returns:
        The plan.

    Raises:
        ConfigError: the text is not a plan, or not one that can keep its claim.
        PrivacyError: a round's rate is none of records.
        IntegrityError: it is a plan about another schema, or its digest is not its own.
    """
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise ConfigError(f"{where} is not JSON: {problem}", remedy="write it anew") from None
    if not isinstance(table, dict):
        raise ConfigError(f"{where} holds no plan", remedy="write it anew")
    written = build(_Written, table, where)
    if written.schema != schema.digest():
        raise IntegrityError(
            f"{where} is about another schema than {schema.name!r} version {schema.version}",
            remedy="read it beside the schema that it was drawn up with",
        )
    plan = StudyPlan(
        **{
            **{one.name: getattr(written, one.name) for one in fields(StudyPlan)},
            "schema": schema,
            "rounds": tuple(
                Round(one.name, one.part, one.rho, None if one.rate == RATE_ONE else one.rate)
                for one in written.rounds
            ),
        }
    )
    if plan.digest().hex() != written.digest:
        raise IntegrityError(
            f"{where} was changed: its digest is not its own",
            remedy="ask the coordinator for the plan again",
        )
    return plan


def _round(written: _WrittenRound) -> Round:
    """A round; a rate of all records is none."""
    rate = None if written.rate == RATE_ONE else written.rate
    return Round(written.name, written.part, written.rho, rate)


@dataclass(frozen=True, slots=True)
class _WrittenRound:
    """A round as it is written."""

    name: str
    part: Literal["train", "held-out"]
    rho: NanoRho
    rate: int = RATE_ONE


@dataclass(frozen=True, slots=True)
class _Written:
    """A plan as it is written: `StudyPlan`'s fields and a digest."""

    name: str
    purpose: str
    learner: str
    schema: str
    epsilon: float
    delta: float
    noise: Literal["distributed", "local", "alone"]
    institutions: tuple[InstitutionId, ...]
    threshold: int
    colluders: int
    retries: int
    deadline_s: float
    salt: str
    seed: str
    rounds: tuple[_WrittenRound, ...]
    digest: str
