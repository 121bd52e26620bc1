"""A made-up study, small enough to run in a moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import shake_256

import numpy as np

from fedcredit.data.columns import Categorical, Numeric
from fedcredit.data.records import Records, in_memory
from fedcredit.data.schema import Label, Schema
from fedcredit.federation.consortium import found
from fedcredit.federation.institution import Institution, Measure
from fedcredit.federation.member import Member
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.study import Study, Target, draw_up
from fedcredit.federation.terms import Terms, terms_of
from fedcredit.learners.program import Learner, NoisyTotal, Program, Step
from fedcredit.learners.registry import learner_named
from fedcredit.measures.measure import measure
from fedcredit.models.bins import FeatureBins, Scorecard
from fedcredit.models.queries import Histograms, Query
from fedcredit.models.released import Model
from fedcredit.secagg.keys import Identity
from fedcredit.secagg.roster import Roster
from fedcredit.secagg.states import InMemoryVault, Vault
from fedcredit.units import Floats, InstitutionId
from tests.federation.books import MemoryBook
from tests.federation.failing import FailingBook

SCHEMA = Schema(
    name="made-up",
    version=1,
    description="A made-up contract.",
    columns=(
        Numeric("income", "EUR", 0, 8000, cells=8, direction="risk-down"),
        Numeric("late", "payments", 0, 3, step=1, direction="risk-up"),
        Categorical("housing", ("own", "rent")),
    ),
    label=Label("default", ("0",), ("1",), "90 days past due", 12),
)

NAMES = tuple(
    InstitutionId(name) for name in ("bank-a", "bank-b", "bank-c", "shop", "telco", "utility")
)

# One count for each cell and class of a feature, as the schema has them.
QUERY = Histograms(
    tuple(column.ordered for column in SCHEMA.features),
    tuple(column.cell_count - column.ordered for column in SCHEMA.features),
    ((1,), (1,), (1,)),
)


@dataclass(frozen=True, eq=False)
class Counting:
    """A program that asks the same question in every round."""

    totals: tuple[NoisyTotal, ...] = ()

    def query(self) -> Query:
        return QUERY

    def fold(self, total: NoisyTotal) -> Program:
        return Counting((*self.totals, total))

    def model(self) -> Model:
        """A scorecard that shows every total that was folded in."""
        seen = np.concatenate([total.value for total in self.totals]).astype(np.float64)
        bins = tuple(_bins(column.name, column.cell_count) for column in SCHEMA.features)
        weights: Floats = np.array([seen.sum(), seen @ np.arange(seen.size), 1.0])
        return Scorecard(SCHEMA.digest(), bins, weights, 0.5, np.eye(4))


def _bins(name: str, cells: int) -> FeatureBins:
    ones = np.ones(cells)
    labels = tuple(str(cell) for cell in range(cells))
    woe = np.linspace(-1e-9, 1e-9, cells)
    return FeatureBins(name, np.arange(cells, dtype=np.uint8), labels, ones, ones, woe, ones)


@dataclass(frozen=True)
class CountingLearner:
    """A learner of three rounds that needs no time."""

    name: str = "counting"
    steps: tuple[Step, ...] = (
        Step("first", Fraction(1, 2)),
        Step("second", Fraction(1, 3)),
        Step("third", Fraction(1, 6)),
    )

    def start(self, schema: Schema, seed: bytes, noise: tuple[float, ...]) -> Program:
        assert len(noise) == len(self.steps)
        return Counting()


def learner(name: str = "counting") -> Learner:
    return CountingLearner() if name == "counting" else learner_named(name)


def plan(
    kind: str = "counting", members: Sequence[InstitutionId] = NAMES, **wishes: object
) -> StudyPlan:
    """A plan; ``wishes`` are fields of a study, or epsilon."""
    epsilon = wishes.pop("epsilon", 1.0)
    assert isinstance(epsilon, float)
    fields: dict[str, object] = {
        "name": "made-up",
        "purpose": "to test",
        "learner": kind,
        "salt": "00" * 16,
        "seed": "11" * 16,
        "target": Target(epsilon=epsilon),
        **wishes,
    }
    return draw_up(Study(**fields), learner(kind), SCHEMA, members)  # type: ignore[arg-type]


class Stream:
    """Random bytes that depend on a name only: for tests, which run the same every time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.given = 0

    def __call__(self, count: int) -> bytes:
        self.given += 1
        return shake_256(f"{self.name}/{self.given}".encode()).digest(count)


def records(rows: int, seed: int = 0) -> Records:
    """Records in which late payers default more often."""
    generator = np.random.default_rng(seed)
    cells = np.stack(
        [generator.integers(0, one.cell_count, rows) for one in SCHEMA.features]
    ).astype(np.uint8)
    bad = (generator.random(rows) < 0.1 + 0.1 * cells[1]).astype(np.uint8)
    return in_memory(SCHEMA, cells, bad, generator.random(rows) < 0.2)


def shared_out(whole: Records, owner: np.ndarray, parts: int) -> list[Records]:
    """The same records, each at the institution that ``owner`` says."""
    (batch,) = whole.batches()
    return [
        in_memory(
            SCHEMA,
            np.ascontiguousarray(batch.cells[:, owner == part]),
            batch.bad[owner == part],
            batch.held_out[owner == part],
        )
        for part in range(parts)
    ]


def keys(names: Iterable[InstitutionId]) -> tuple[Mapping[InstitutionId, Identity], Roster]:
    """The same keys for the same names, every time; of the faster kind."""
    names = tuple(sorted(names))
    if names not in _KEYS:
        _KEYS[names] = found(names, Stream(f"keys of {' '.join(names)}"), "x25519")
    return _KEYS[names]


_KEYS: dict[tuple[InstitutionId, ...], tuple[Mapping[InstitutionId, Identity], Roster]] = {}


def roster(study: StudyPlan) -> Roster:
    return keys(study.institutions)[1]


@dataclass
class Party:
    """What a member is made of; ``run`` is one more in a process of its own: other randomness."""

    study: StudyPlan = field(default_factory=plan)
    name: InstitutionId = NAMES[0]
    records: Records = field(default_factory=lambda: records(50))
    book: MemoryBook | FailingBook = field(default_factory=MemoryBook)
    measure: Measure = measure
    terms: Terms | None = None
    vault: Vault = field(default_factory=InMemoryVault)
    run: int = 0

    def __call__(self) -> Member:
        identities, signed = keys(self.study.institutions)
        secret = Stream(f"one-time keys of {self.name}{self._run}")
        return Member(self.institution(), identities[self.name], signed, self.vault, secret)

    def institution(self) -> Institution:
        return Institution(
            self.name,
            self.study,
            self.terms or terms_of(self.study),
            self.records,
            self.book,
            Stream(f"{self.name}{self._run}"),
            self.measure,
        )

    @property
    def _run(self) -> str:
        return f", run {self.run}" if self.run else ""


def parties(study: StudyPlan, tables: Sequence[Records] = ()) -> dict[InstitutionId, Member]:
    """A member for each name in a plan."""
    held = list(tables) or [records(40 + 10 * at, at) for at in range(len(study.institutions))]
    return {
        name: Party(study, name, table)()
        for name, table in zip(study.institutions, held, strict=True)
    }


def joined(
    study: StudyPlan, institutions: Mapping[InstitutionId, Institution]
) -> dict[InstitutionId, Member]:
    """Institutions as members of a consortium."""
    identities, signed = keys(study.institutions)
    return {
        name: Member(
            one, identities[name], signed, InMemoryVault(), Stream(f"one-time keys of {name}")
        )
        for name, one in institutions.items()
    }
