"""A made-up consortium: six institutions, their customers, and the truth about them.

Three banks, a telco, a utility and a shop lend to people, many of whom are
customers of several, and to small companies. Everything follows from a seed,
nobody real stands behind any row, and what is planted is documented
(`fedcredit.data.planted`), so a test can tell what a learner should find.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Generic, Literal, Protocol, TypeAlias, TypeVar

import numpy as np

from fedcredit.data.planted.companies import (
    COMPANIES,
    COMPANY_OUTCOME,
    Companies,
    draw_companies,
    draw_loans,
)
from fedcredit.data.planted.consumers import CONSUMER_OUTCOME, CONSUMERS, FIRST_VINTAGE, MONTHS
from fedcredit.data.planted.draws import Draws
from fedcredit.data.planted.effects import Cohort, ColumnValues, Outcome, Texts
from fedcredit.data.planted.institutions import PROFILES, Profile, Taste
from fedcredit.data.planted.people import People, draw_people, draw_records
from fedcredit.data.planted.reference import Reference, to_cells
from fedcredit.data.planted.truth import Truth, ground_truth
from fedcredit.data.records import Records, in_memory
from fedcredit.data.schema import Schema
from fedcredit.data.split import held_out
from fedcredit.errors import ConfigError
from fedcredit.units import Flags, Floats, Ints

__all__ = [
    "DEFAULT_RECORDS",
    "Consortium",
    "Portfolio",
    "SyntheticInstitution",
    "Table",
    "consortium",
    "records_of",
    "reference",
    "sample_applicant",
    "truth_of",
]

Table: TypeAlias = Literal["consumer", "sme"]

DEFAULT_RECORDS: Final = sum(profile.books["consumer"].records for profile in PROFILES)
_LARGEST_SCALE: Final = 50.0  # ids have seven digits
_FEWEST: Final = 50  # records of an institution, however small the scale
_FEWEST_CLIENTS: Final = 2_000
_REFERENCE_SCALE: Final[Mapping[Table, float]] = {"consumer": 2.0, "sme": 20.0}


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticInstitution:
    """One institution's made-up table.

    Attributes:
        name: the institution.
        kind: "bank", "telco", "utility" or "shop".
        columns: the table, ids and label included, NaN and "" for missing, shape ``(n,)`` each.
        cohort: what the outcomes depend on.
        bad_probability: of each record; known because it is made up, shape ``(n,)``.
    """

    name: str
    kind: str
    columns: Mapping[str, ColumnValues]
    cohort: Cohort
    bad_probability: Floats

    @property
    def rows(self) -> int:
        """Number of records."""
        return len(self.bad_probability)

    @property
    def thin(self) -> Flags:
        """True where a record has no credit history, shape ``(n,)``."""
        return self.cohort.thin


@dataclass(frozen=True, slots=True, eq=False)
class Portfolio:
    """All institutions' tables of one kind of client.

    Attributes:
        table: "consumer" or "sme".
        schema: their common contract.
        institutions: one table each, in a fixed order.
    """

    table: Table
    schema: Schema
    institutions: tuple[SyntheticInstitution, ...]

    @property
    def truth(self) -> Truth:
        """What is planted; the same for every seed."""
        return truth_of(self.table)


@dataclass(frozen=True, slots=True, eq=False)
class Consortium:
    """A made-up consortium.

    Attributes:
        seed: what it was drawn from.
        consumer: the consumers' tables.
        sme: the small companies' tables.
    """

    seed: int
    consumer: Portfolio
    sme: Portfolio

    @property
    def institutions(self) -> tuple[SyntheticInstitution, ...]:
        """The consumers' tables."""
        return self.consumer.institutions

    @property
    def schema(self) -> Schema:
        """The consumers' contract."""
        return self.consumer.schema

    @property
    def truth(self) -> Truth:
        """What is planted in the consumers' tables."""
        return self.consumer.truth


def consortium(seed: int, scale: float = 1.0) -> Consortium:
    """Draw the made-up consortium.

    Guarantee: the same seed and scale give the same tables, whatever numpy's version.

    Args:
        seed: any whole number.
        scale: size; 1 is 120,000 consumer and 12,000 company records. Above 0, at most 50.
            An institution has at least 50 records.

    Returns:
        The tables of six institutions.

    Raises:
        ConfigError: ``scale`` is out of range.

    >>> [one.name for one in consortium(7, scale=0.01).institutions]
    ['north-bank', 'south-bank', 'direct-bank', 'telco', 'utility', 'shop']
    """
    if not 0 < scale <= _LARGEST_SCALE:
        raise ConfigError(
            f"scale is {scale}, expected above 0 and at most {_LARGEST_SCALE:g}",
            remedy=f"1 gives {DEFAULT_RECORDS} consumer records",
        )
    draws = Draws(str(int(seed)))
    return Consortium(seed, _portfolio("consumer", draws, scale), _portfolio("sme", draws, scale))


def records_of(institution: SyntheticInstitution, schema: Schema, salt: bytes) -> Records:
    """Read a made-up table as an institution's records, in memory.

    Args:
        institution: the table.
        schema: its contract.
        salt: the study's public salt, which decides who is held out.

    Returns:
        The records.
    """
    persons = [person.encode() for person in institution.columns[schema.person].tolist()]
    bad = institution.columns[schema.label.column].astype(np.uint8)
    cells = to_cells(schema, institution.columns)
    return in_memory(schema, cells, bad, held_out(persons, salt))


def sample_applicant(seed: int) -> dict[str, float | str]:
    """Draw one applicant without a credit history, of middling risk among such.

    Args:
        seed: any whole number.

    Returns:
        Values of the consumers' features by name; what is missing is left out.
    """
    telco = next(one for one in consortium(seed, scale=0.05).institutions if one.kind == "telco")
    known = telco.thin.copy()
    for feature in CONSUMER_OUTCOME.alternative:
        known &= _present(telco.columns[feature])
    rows = np.flatnonzero(known)
    middle = rows[np.argsort(telco.bad_probability[rows], kind="stable")[len(rows) // 2]]
    values = {column.name: telco.columns[column.name] for column in CONSUMERS.features}
    return {name: each[middle].item() for name, each in values.items() if _present(each)[middle]}


@cache
def reference(table: Table) -> Reference:
    """Draw the reference population that the truth is taken from.

    Args:
        table: "consumer" or "sme".

    Returns:
        240,000 records that belong to no seed, in the institutions' usual shares.
    """
    portfolio = _portfolio(table, Draws("reference"), _REFERENCE_SCALE[table])
    every = portfolio.institutions
    names = every[0].cohort.columns
    cohort = Cohort(
        {name: np.concatenate([one.cohort.columns[name] for one in every]) for name in names},
        np.concatenate([one.cohort.thin for one in every]),
        np.concatenate([one.cohort.month for one in every]),
        np.concatenate([one.cohort.intercept for one in every]),
    )
    return Reference(
        schema=portfolio.schema,
        outcome=CONSUMER_OUTCOME if table == "consumer" else COMPANY_OUTCOME,
        cohort=cohort,
        cells=to_cells(portfolio.schema, cohort.columns),
        bad_probability=np.concatenate([one.bad_probability for one in every]),
        institutions=tuple(one.name for one in every),
        institution=np.repeat(np.arange(len(every)), [one.rows for one in every]),
    )


@cache
def truth_of(table: Table) -> Truth:
    """What is planted in a table, and how it shows.

    Args:
        table: "consumer" or "sme".

    Returns:
        The truth; taken from ``reference(table)``, which takes some seconds the first time.
    """
    return ground_truth(reference(table))


def _present(values: ColumnValues) -> Flags:
    """True where a value is not missing."""
    if values.dtype.kind == "U":
        return np.asarray(values != "")
    return ~np.isnan(values.astype(np.float64))


class _Clients(Protocol):
    """People or companies."""

    @property
    def thin(self) -> Flags:
        """True where no bureau has a file."""
        ...

    def attraction(self, taste: Taste) -> Floats:
        """How much an institution attracts each of them, in log-odds."""
        ...


_C = TypeVar("_C", bound=_Clients)


@dataclass(frozen=True, slots=True)
class _Market(Generic[_C]):
    """One kind of client.

    Attributes:
        table: "consumer" or "sme".
        schema: the contract of its tables.
        outcome: what is planted.
        clients: how many there are at scale 1.
        letter: how their ids begin.
        draw: draws clients.
        taken: takes some of them.
        record: draws an institution's records of its clients.
    """

    table: Table
    schema: Schema
    outcome: Outcome
    clients: int
    letter: str
    draw: Callable[[Draws, int], _C]
    taken: Callable[[_C, Ints], _C]
    record: Callable[[Draws, _C, Ints, Mapping[str, float]], dict[str, ColumnValues]]


_PEOPLE: Final = _Market(
    "consumer", CONSUMERS, CONSUMER_OUTCOME, 100_000, "P", draw_people, People.taken, draw_records
)
_FIRMS: Final = _Market(
    "sme", COMPANIES, COMPANY_OUTCOME, 10_000, "C", draw_companies, Companies.taken, draw_loans
)


def _portfolio(table: Table, draws: Draws, scale: float) -> Portfolio:
    """All institutions' tables of one kind of client."""
    below = draws.under(table)
    if table == "consumer":
        return Portfolio(table, CONSUMERS, _tables(_PEOPLE, below, scale))
    return Portfolio(table, COMPANIES, _tables(_FIRMS, below, scale))


def _tables(market: _Market[_C], draws: Draws, scale: float) -> tuple[SyntheticInstitution, ...]:
    """Draw clients, let each institution have some of them, and draw what it records."""
    clients = max(round(market.clients * scale), _FEWEST_CLIENTS)
    pool = market.draw(draws.under("clients"), clients)
    return tuple(
        _institution(market, profile, pool, draws.under(profile.name), scale)
        for profile in PROFILES
    )


def _institution(
    market: _Market[_C], profile: Profile, pool: _C, draws: Draws, scale: float
) -> SyntheticInstitution:
    """One institution's table."""
    book = profile.books[market.table]
    rows = _customers(draws, pool, profile, market.table, scale)
    count = len(rows)
    clients = market.taken(pool, rows)
    # Later months have a little more records than earlier ones.
    month = np.floor(MONTHS * draws.uniform("vintage", count) ** 0.85).astype(np.int64)
    columns = market.record(draws, clients, month, profile.coverage)
    cohort = Cohort(columns, clients.thin, month, np.full(count, book.intercept))
    probability = market.outcome.bad_probability(cohort)
    schema = market.schema
    loan = np.char.mod(f"{profile.name}-%07d", np.arange(count))
    table: dict[str, ColumnValues] = {
        schema.ids[0]: loan,
        schema.person: np.char.mod(f"{market.letter}%07d", rows),
        schema.vintage: _month_names()[month],
        **{column.name: columns[column.name] for column in schema.columns},
        schema.label.column: draws.chance("outcome", probability, count).astype(np.int64),
    }
    return SyntheticInstitution(profile.name, profile.kind, table, cohort, probability)


def _customers(draws: Draws, pool: _Clients, profile: Profile, table: Table, scale: float) -> Ints:
    """Places of an institution's customers in the pool: its share of thin files exactly."""
    book = profile.books[table]
    count = max(round(book.records * scale), _FEWEST)
    thin = round(count * book.thin_share)
    weights = np.exp(np.clip(pool.attraction(profile.taste), -4.0, 4.0))
    chosen = []
    for name, among, wanted in (("thin", pool.thin, thin), ("other", ~pool.thin, count - thin)):
        places = np.flatnonzero(among)
        chosen.append(places[draws.sample(name, weights[places], wanted)])
    return np.sort(np.concatenate(chosen))


def _month_names() -> Texts:
    """Vintages as text, such as "2023-01"."""
    year, month = FIRST_VINTAGE
    months = range(month - 1, month - 1 + MONTHS)
    return np.array([f"{year + at // 12}-{at % 12 + 1:02}" for at in months])
