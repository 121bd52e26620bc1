"""Small studies without a federation: a learner's rounds on pooled records, with normal noise.

The noise is numpy's, rounded: these tests are about what is learned, and the law of the
product's own noise has its tests elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Final, Literal

import numpy as np

from fedcredit.codec import encode
from fedcredit.data.columns import Categorical, Numeric
from fedcredit.data.records import Records, in_memory
from fedcredit.data.schema import Schema
from fedcredit.learners.program import Learner, NoisyTotal, Program
from fedcredit.measures.measure import measure
from fedcredit.models.bins import bins_of
from fedcredit.models.odds import residual
from fedcredit.models.queries import NetworkGradient, Query
from fedcredit.models.released import Model, to_wire
from fedcredit.privacy.accounting import rho_for
from fedcredit.units import Bytes8, Ints
from tests.models.strategies import schema_of

__all__ = [
    "DIRECTED",
    "SEED",
    "UNDIRECTED",
    "Told",
    "bytes_of",
    "cells_of",
    "declaring",
    "fingerprint",
    "head_sum",
    "noise_of",
    "replay",
    "table",
    "tell",
    "told",
    "trained",
]

DIRECTED: Final = schema_of(
    Numeric("income", "EUR", 0.0, 8000.0, cells=64, special=(-9.0,), direction="risk-down"),
    Numeric("late", "payments", 0.0, 5.0, step=1.0, direction="risk-up"),
    Categorical("home", ("own", "rent", "family"), other=True),
    Numeric("age", "years", 18.0, 90.0, cells=120),
)
"""Two declared directions, a code, a category, and a feature with two levels of counts."""


def declaring(**directions: Literal["risk-up", "risk-down", "none"]) -> Schema:
    """The same contract with other directions of the named columns, and no other one."""
    columns = (
        replace(column, direction=directions.get(column.name, "none"))
        if isinstance(column, Numeric)
        else column
        for column in DIRECTED.columns
    )
    return replace(DIRECTED, columns=tuple(columns))


UNDIRECTED: Final = declaring()
SEED: Final = bytes(range(16))


def table(
    seed: int,
    rows: int,
    schema: Schema = DIRECTED,
    *,
    held_out: float = 0.2,
    shuffled: bool = False,
) -> Records:
    """Records whose risk follows three of four features, one of them with a bend.

    Args:
        seed: of everything.
        rows: how many.
        schema: `DIRECTED` or `UNDIRECTED`.
        held_out: share of the records.
        shuffled: labels that have nothing to do with the features.
    """
    rng = np.random.default_rng(seed)
    income, late, home, age = rng.normal(size=(4, rows))
    late -= 0.5 * income
    cells = [
        np.clip(32 + 12 * income, 0, 63),
        np.clip(np.exp(0.6 * late) - 0.5, 0, 5),
        np.where(home > 0.3, 1, np.where(home > -1, 0, 2)),
        np.clip(60 + 25 * age, 0, 119),
    ]
    columns = np.stack(cells).astype(np.uint8)
    columns[0, rng.random(rows) < 0.05] = 64  # missing
    columns[0, rng.random(rows) < 0.05] = 65  # the code
    columns[1, rng.random(rows) < 0.05] = 6
    columns[3, rng.random(rows) < 0.05] = 120
    good = 1.5 + 0.9 * income - 0.5 * late + 0.5 * (home > -1) - 0.6 * (np.abs(age) > 1.2)
    bad = (rng.random(rows) > 1 / (1 + np.exp(-good))).astype(np.uint8)
    if shuffled:
        bad = rng.permutation(bad)
    return in_memory(schema, columns, bad, rng.random(rows) < held_out)


def cells_of(records: Records) -> Bytes8:
    """The cells of all records."""
    return np.concatenate([batch.cells for batch in records.batches()], axis=1)


def noise_of(learner: Learner, epsilon: float) -> tuple[float, ...]:
    """Noise sd over sensitivity, step by step, where one institution's noise is all there is."""
    rho = rho_for(epsilon, 1e-5) / 10**9
    return tuple(math.sqrt(1 / (2 * rho * float(step.share))) for step in learner.steps)


def summed(records: Records, query: Query) -> Ints:
    """The exact sum, as an institution makes it."""
    return measure(records, query).value


def head_sum(records: Records, query: NetworkGradient) -> Ints:
    """The sum of clipped gradients of a network's head, without torch: row by row.

    It is the sum of real rows, rounded once; tests/neural holds the product's against it.
    """
    network, total = query.network, np.zeros(query.dim)
    assert query.learned == "head"
    for batch in records.batches():
        keep = ~batch.held_out
        cells = batch.cells[:, keep]
        units = network.units(bins_of(network.scorecard.bins, cells))
        rows = np.column_stack([units, np.ones(len(units))])
        rows *= -residual(network.log_odds(cells), batch.bad[keep])[:, None]
        norms = np.maximum(np.linalg.norm(rows, axis=1), 1e-300)
        total += (rows * np.minimum(1.0, query.clip / norms)[:, None]).sum(axis=0)
    return np.rint(total * query.steps / query.clip).astype(np.int64)


def tell(query: Query, records: Records, noise: float, rng: np.random.Generator) -> NoisyTotal:
    """A question's noisy answer."""
    exact = (
        head_sum(records, query) if isinstance(query, NetworkGradient) else summed(records, query)
    )
    sd = noise * math.sqrt(query.sensitivity_squared)
    variance = max(16, math.ceil(sd**2))
    drawn = np.rint(rng.normal(0.0, math.sqrt(variance), query.dim)).astype(np.int64)
    return NoisyTotal(exact + drawn, variance)


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """All that a program was told, and the programs that it went through."""

    totals: tuple[NoisyTotal, ...]
    programs: tuple[Program, ...]

    @property
    def model(self) -> Model:
        """What was learned."""
        return self.programs[-1].model()


def told(
    learner: Learner, records: Records, epsilon: float, seed: int = 0, public: bytes = SEED
) -> Told:
    """Run a study on pooled records."""
    noise, rng = noise_of(learner, epsilon), np.random.default_rng(seed)
    programs = [learner.start(records.schema, public, noise)]
    totals = []
    for one in noise:
        totals.append(tell(programs[-1].query(), records, one, rng))
        programs.append(programs[-1].fold(totals[-1]))
    return Told(tuple(totals), tuple(programs))


def trained(learner: Learner, records: Records, epsilon: float, seed: int = 0) -> Model:
    """The model of a study on pooled records."""
    return told(learner, records, epsilon, seed).model


def replay(
    learner: Learner, schema: Schema, noise: tuple[float, ...], totals: tuple[NoisyTotal, ...]
) -> Model:
    """The model that follows from totals alone: there are no records here."""
    program = learner.start(schema, SEED, noise)
    for total in totals:
        program = program.fold(total)
    return program.model()


def bytes_of(model: Model) -> bytes:
    """All of a model, to the bit."""
    return encode(to_wire(model))


def fingerprint(value: object) -> bytes:
    """All that a frozen value holds, to the bit."""
    return b"|".join(_pieces(value))


def _pieces(value: object) -> Iterator[bytes]:
    """Its parts, level by level."""
    if isinstance(value, np.ndarray):
        yield str(value.dtype).encode() + str(value.shape).encode() + value.tobytes()
    elif isinstance(value, Mapping):
        for key in sorted(value):
            yield from _pieces((key, value[key]))
    elif isinstance(value, tuple | list):
        yield f"({len(value)}".encode()
        for item in value:
            yield from _pieces(item)
    elif is_dataclass(value):
        yield type(value).__name__.encode()
        for field in fields(value):
            yield from _pieces(getattr(value, field.name))
    else:
        yield repr(value).encode()
