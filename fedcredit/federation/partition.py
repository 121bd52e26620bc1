"""One table that plays several institutions: each record goes to exactly one of them.

For simulations only. Where a record goes follows from a public seed and the record's
place in the table, or from one of its cells; nothing else is drawn, so the same study
file gives the same institutions again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import numpy as np

from fedcredit.data.planted.draws import Draws
from fedcredit.data.records import Batch, Records, in_memory
from fedcredit.data.schema import Schema
from fedcredit.errors import ConfigError
from fedcredit.federation.plan import MOST_INSTITUTIONS
from fedcredit.units import Floats, InstitutionId, Ints

__all__ = [
    "ByCell",
    "Dirichlet",
    "Iid",
    "Rule",
    "numbered",
    "partition",
    "without_feature",
]

_NOT_IN_A_NAME: Final = re.compile(r"[^a-z0-9._-]+")


@runtime_checkable
class Rule(Protocol):
    """How records find their institution."""

    @property
    def institutions(self) -> tuple[InstitutionId, ...]:
        """Who takes part."""
        ...

    def places(self, batch: Batch, number: int) -> Ints:
        """Index of the institution of each record of batch ``number``, shape ``(n,)``."""
        ...


@dataclass(frozen=True, slots=True)
class Iid:
    """Each record goes to any institution alike.

    Attributes:
        institutions: who takes part.
        seed: public, any text.
    """

    institutions: tuple[InstitutionId, ...]
    seed: str

    def places(self, batch: Batch, number: int) -> Ints:
        """See `Rule`."""
        drawn = Draws(self.seed).uniform(f"place/{number}", batch.bad.size)
        return (drawn * len(self.institutions)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Dirichlet:
    """Goods and bads are shared out unevenly, each class by a Dirichlet draw of its own.

    Attributes:
        institutions: who takes part.
        seed: public, any text.
        concentration: of the draws; 0.5 is very uneven, 100 nearly even.

    Source: Hsu, Qi & Brown (2019), arXiv 1909.06335, section 3.
    """

    institutions: tuple[InstitutionId, ...]
    seed: str
    concentration: float

    def shares(self) -> Floats:
        """Share of each class that goes to each institution, shape ``(2, institutions)``."""
        return np.stack(
            [
                _dirichlet(Draws(self.seed).under(name), self.concentration, len(self.institutions))
                for name in ("goods", "bads")
            ]
        )

    def places(self, batch: Batch, number: int) -> Ints:
        """See `Rule`."""
        drawn = Draws(self.seed).uniform(f"place/{number}", batch.bad.size)
        ends = np.cumsum(self.shares(), axis=1)[:, :-1]  # the last one takes all that is left
        return np.asarray(
            np.where(
                batch.bad == 1,
                np.searchsorted(ends[1], drawn, side="right"),
                np.searchsorted(ends[0], drawn, side="right"),
            ),
            dtype=np.int64,
        )


@dataclass(frozen=True, slots=True)
class ByCell:
    """An institution for each cell of one feature.

    Attributes:
        institutions: one for each cell, named after it.
        row: place of the feature among the schema's features.
    """

    institutions: tuple[InstitutionId, ...]
    row: int

    @staticmethod
    def of(schema: Schema, column: str) -> ByCell:
        """Institutions for the cells of a feature.

        Raises:
            ConfigError: the schema has no such feature.
        """
        features = [feature.name for feature in schema.features]
        if column not in features:
            raise ConfigError(
                f"split: {column!r} is no feature of schema {schema.name!r}",
                remedy="name a column of the table that is neither label nor id",
            )
        row = features.index(column)
        return ByCell(_names(schema.features[row].cell_labels()), row)

    def places(self, batch: Batch, number: int) -> Ints:
        """See `Rule`."""
        del number
        return np.asarray(batch.cells[self.row], dtype=np.int64)


def numbered(institutions: int) -> tuple[InstitutionId, ...]:
    """Names for institutions that have none.

    >>> numbered(3)
    ('institution-1', 'institution-2', 'institution-3')
    """
    width = len(str(institutions))
    return tuple(InstitutionId(f"institution-{at + 1:0{width}}") for at in range(institutions))


def partition(records: Records, rule: Rule) -> dict[InstitutionId, Records]:
    """Give each record to one institution.

    Guarantee: every record is in exactly one part, and keeps its cells, its outcome and its
    side of the split. Parts are held in memory, as cells.

    Args:
        records: the whole table.
        rule: where each record goes.

    Returns:
        The records of each institution that has any, in the rule's order.

    Raises:
        ConfigError: fewer than 3, or too many, institutions have records.
    """
    kept: list[list[Batch]] = [[] for _ in rule.institutions]
    for number, batch in enumerate(records.batches()):
        places = rule.places(batch, number)
        for at in np.unique(places).tolist():
            rows = np.flatnonzero(places == at)
            cells = np.take(batch.cells, rows, axis=1)
            kept[at].append(Batch(cells, batch.bad[rows], batch.held_out[rows]))
    parts = {
        name: _joined(records.schema, batches)
        for name, batches in zip(rule.institutions, kept, strict=True)
        if batches
    }
    if not 3 <= len(parts) <= MOST_INSTITUTIONS:
        raise ConfigError(
            f"split: {len(parts)} institutions have records, expected 3 to {MOST_INSTITUTIONS}",
            remedy="split by another column, or iid into 3 or more",
        )
    return parts


def without_feature(records: Records, schema: Schema, row: int) -> Records:
    """Records of ``schema``, made from records that have one feature more.

    Args:
        records: their features are those of ``schema`` and one more.
        schema: the contract without it.
        row: place of the feature that goes.
    """
    batches = [
        Batch(np.delete(batch.cells, row, axis=0), batch.bad, batch.held_out)
        for batch in records.batches()
    ]
    return _joined(schema, batches)


def _joined(schema: Schema, batches: Sequence[Batch]) -> Records:
    """Batches as one table."""
    return in_memory(
        schema,
        np.concatenate([batch.cells for batch in batches], axis=1),
        np.concatenate([batch.bad for batch in batches]),
        np.concatenate([batch.held_out for batch in batches]),
    )


def _dirichlet(draws: Draws, concentration: float, size: int) -> Floats:
    """Shares that sum to 1.

    Gamma draws by rejection (Marsaglia & Tsang 2000) for concentration + 1, brought down by a
    power of a uniform draw; in logarithms, as small concentrations leave float64's range.
    """
    d = concentration + 2.0 / 3.0
    logs = np.full(size, np.nan)
    attempt = 0
    while np.isnan(logs).any():
        normal = draws.normal(f"normal/{attempt}", size)
        accept = np.log(draws.uniform(f"accept/{attempt}", size))
        v = np.maximum((1.0 + normal / math.sqrt(9.0 * d)) ** 3, 1e-300)
        fits = accept < 0.5 * normal**2 + d - d * v + d * np.log(v)
        logs = np.where(np.isnan(logs) & fits, np.log(d * v), logs)
        attempt += 1
    logs += np.log(draws.uniform("power", size)) / concentration
    shares = np.exp(logs - logs.max())
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def _names(labels: Sequence[str]) -> tuple[InstitutionId, ...]:
    """Labels of cells as names of institutions, each once."""
    names: list[str] = []
    for label in labels:
        name = _NOT_IN_A_NAME.sub("-", label.lower()).strip("-._")[:56] or "other"
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return tuple(map(InstitutionId, names))
