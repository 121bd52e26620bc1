"""A whole study whose gradients are of secret samples, from its plan to its ledgers."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from fedcredit.data.records import Records
from fedcredit.data.schema import RECORDS_OF, Schema
from fedcredit.errors import BudgetExceeded, PeerError
from fedcredit.federation.institution import private_sum
from fedcredit.federation.messages import Question, encode_question, request_digest
from fedcredit.federation.plan import StudyPlan, alone
from fedcredit.federation.simulate import StudyResult, finish, plain_calls, run_study
from fedcredit.federation.study import Study, draw_up
from fedcredit.federation.terms import terms_of
from fedcredit.learners.program import NoisyTotal, Program, Step
from fedcredit.ledger.bundle import bundle
from fedcredit.ledger.entries import Charge
from fedcredit.ledger.grammar import read_line
from fedcredit.measures.measure import measure
from fedcredit.measures.sampling import expected_batch
from fedcredit.models.bins import FeatureBins, Scorecard
from fedcredit.models.queries import Gradient, Query
from fedcredit.models.released import Model
from fedcredit.privacy.accounting import claims, rho
from fedcredit.privacy.events import RATE_ONE, GaussianSum, SampledGaussianSum
from fedcredit.privacy.sums import BoundedSum
from fedcredit.units import Floats
from fedcredit.verifier import verify
from tests.federation.books import MemoryBook, entries
from tests.federation.failing import FailingBook
from tests.federation.made import NAMES, SCHEMA, Party, records, roster
from tests.verifier.judged import rows

RATE = RATE_ONE // 8
CLIP, STEPS, PACE = 2.0, 256, 4.0
DECLARED = len(NAMES) * RECORDS_OF[SCHEMA.size_class]


@dataclass(frozen=True, eq=False)
class Descent:
    """Plain steps down the gradient; each total is divided by what is declared."""

    weights: Floats = field(default_factory=lambda: np.zeros(4))
    left: int = 4

    @property
    def scorecard(self) -> Scorecard:
        bins = []
        for column in SCHEMA.features:
            count = column.cell_count
            ones, woe = np.ones(count), np.linspace(-1, 1, count)
            labels = tuple(map(str, range(count)))
            cells = np.arange(count, dtype=np.uint8)
            bins.append(FeatureBins(column.name, cells, labels, ones, ones, woe, ones))
        weights, last = self.weights[:-1], float(self.weights[-1])
        return Scorecard(SCHEMA.digest(), tuple(bins), weights, last, np.eye(4))

    def query(self) -> Query:
        return Gradient(self.scorecard, CLIP, STEPS)

    def fold(self, total: NoisyTotal) -> Program:
        batch = expected_batch(DECLARED, RATE)
        step = PACE * total.value * CLIP / STEPS / batch
        return Descent(self.weights - step, self.left - 1)

    def model(self) -> Model:
        assert self.left == 0
        return self.scorecard


@dataclass(frozen=True)
class DescentLearner:
    """Four steps, the first of them over all records."""

    name: str = "descent"
    steps: tuple[Step, ...] = (
        Step("step 1", Fraction(1, 4)),
        *(Step(f"step {at}", Fraction(1, 4), RATE) for at in (2, 3, 4)),
    )

    def start(self, schema: Schema, seed: bytes, noise: tuple[float, ...]) -> Program:
        assert len(noise) == 4
        return Descent()


class Seen:
    """A measure that remembers how many training records it was shown."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.sums: list[bytes] = []

    def __call__(self, table: Records, query: Query, /) -> BoundedSum:
        self.rows.append(sum(int((~batch.held_out).sum()) for batch in table.batches()))
        found = measure(table, query)
        self.sums.append(found.value.tobytes())
        return found


def study(**wishes: object) -> StudyPlan:
    usual: dict[str, object] = {
        "name": "made-up", "purpose": "to test", "learner": "descent", "salt": "00" * 16,
        "seed": "11" * 16,
    }  # fmt: skip
    made = Study(**usual | wishes)  # type: ignore[arg-type] # what a test wants
    return draw_up(made, DescentLearner(), SCHEMA, NAMES)


@dataclass
class Consortium:
    """Six institutions, and what each of them measured."""

    plan: StudyPlan
    rows: int = 3000

    def __post_init__(self) -> None:
        self.seen = {name: Seen() for name in NAMES}
        self.books = {name: MemoryBook() for name in NAMES}
        self.members = {
            name: Party(
                self.plan, name, records(self.rows, at), self.books[name], self.seen[name]
            )()
            for at, name in enumerate(NAMES)
        }

    def conduct(self) -> StudyResult:
        calls = plain_calls(self.members)
        return finish(run_study(self.plan, DescentLearner(), calls, roster(self.plan)))


@pytest.fixture(scope="module")
def ran() -> tuple[Consortium, StudyResult]:
    consortium = Consortium(study())
    return consortium, consortium.conduct()


def test_its_epsilon_is_the_plans(ran: tuple[Consortium, StudyResult]) -> None:
    """And the noise of a sampled round is far below what all records would need."""
    consortium, result = ran
    plan = consortium.plan

    kinds = [type(event) for event in result.events]
    assert kinds == [GaussianSum, *[SampledGaussianSum] * 3, GaussianSum]
    assert 0.97 < result.claim.epsilon <= 1
    assert result.claim == claims(result.events, plan.delta)
    first, *sampled, _ = result.events
    assert all(4 * event.variance < first.variance for event in sampled)
    assert sum(map(rho, sampled)) > 4 * rho(first), "counted as if over all records"
    for index, level in enumerate(plan.noise_levels):
        event = result.events[index]
        drawn = np.sqrt(event.variance / event.sensitivity_squared)
        assert level == pytest.approx(drawn, rel=1e-3)


def test_each_institution_is_asked_of_a_secret_sample(ran: tuple[Consortium, StudyResult]) -> None:
    """All of its training records, three fresh samples, and the records that are held out."""
    consortium, _ = ran
    for seen in consortium.seen.values():
        every, *samples, _ = seen.rows
        q = RATE / RATE_ONE
        assert all(abs(some - q * every) < 5 * np.sqrt(q * every) for some in samples)
    sizes = {tuple(seen.rows[1:4]) for seen in consortium.seen.values()}
    assert len(sizes) == len(NAMES), "nobody's coins are another's"


def test_every_ledger_verifies(ran: tuple[Consortium, StudyResult], tmp_path: Path) -> None:
    consortium, result = ran
    for name, book in consortium.books.items():
        path = tmp_path / f"{name}.zip"
        path.write_bytes(bundle({"bank": book.store}))
        findings = verify([path])
        assert (findings["verdict"], findings["problems"]) == ("holds", [])
        (ledger,) = rows(findings, "ledgers")
        spent = cast(dict[str, float], ledger["spent"])
        # The dearer part at each order, where the claim has the dearer part's epsilon.
        for key, epsilon in (
            ("epsilon", result.claim.epsilon),
            ("epsilon_local", result.claim.epsilon_local),
            ("person_epsilon", result.claim.persons[2].epsilon),
            ("person_epsilon_local", result.claim.persons[2].epsilon_local),
        ):
            assert epsilon * (1 - 1e-9) <= spent[key] <= epsilon * 1.01


def test_a_ledger_is_read_again_as_it_was_written(ran: tuple[Consortium, StudyResult]) -> None:
    consortium, _ = ran
    book = consortium.books[NAMES[0]]
    again = MemoryBook(book.store)
    assert again.written == book.written
    lines = [read_line(line) for line in book.store.lines().splitlines(keepends=True)]
    assert sum("renyi" in line for line in lines) == 3
    assert sum("sampled" in line for line in lines) == 1


def test_totals_are_divided_by_the_declared_size_and_not_by_what_was_drawn(
    ran: tuple[Consortium, StudyResult],
) -> None:
    """The model goes where all records would take it, as far as noise and sample let it."""
    _, result = ran
    assert isinstance(result.model, Scorecard)
    late, intercept = float(result.model.coefficients[1]), result.model.intercept
    assert late < 0, "late payments make a good outcome less likely"
    assert intercept > 0, "and most outcomes are good"
    half = Consortium(study(), rows=1500).conduct()
    assert isinstance(half.model, Scorecard)
    ratio = half.model.intercept / intercept
    assert ratio == pytest.approx(0.5, abs=0.2), "of half the records, half the step"


def test_a_retry_draws_anew_and_is_charged_anew() -> None:
    seen, book = Seen(), MemoryBook()
    party = Party(study(), NAMES[0], records(3000), book, seen)
    one = party.institution()
    query = Descent().query()
    for turn in ((0, 0), (1, 0), (1, 1)):
        question = Question(party.study.digest(), *turn, query)
        name = request_digest(encode_question(question))
        reply = private_sum(one, question, name, lambda _: lambda value: value.tobytes())
        again = private_sum(one, question, name, lambda _: lambda value: value.tobytes())
        assert again == reply, "asked the same again, nothing is drawn or charged"

    charged = [entry for entry in entries(book) if isinstance(entry, Charge)]
    assert [entry.turn for entry in charged] == [(0, 0), (1, 0), (1, 1)]
    assert charged[1].event == charged[2].event
    assert len(seen.rows) == 3
    assert seen.sums[1] != seen.sums[2]
    assert book.account.spent.sampled[0][1] == 2


def test_an_institutions_own_caps_hold_for_sampled_rounds() -> None:
    """It refuses the plan before its first round if a cap would not hold with all retries."""
    plan = study()
    terms = terms_of(plan)
    assert isinstance(Party(plan, terms=terms)(), object)
    caps = terms.budget
    for name in ("rho_cap", "rho_local_cap", "person_rho_cap", "person_rho_local_cap"):
        fields = {key: getattr(caps, key) for key in type(caps).__dataclass_fields__}
        less = type(caps)(**{**fields, name: fields[name] * 9 // 10})
        narrow = type(terms)(
            **{
                **{key: getattr(terms, key) for key in type(terms).__dataclass_fields__},
                "budget": less,
            }
        )
        with pytest.raises(BudgetExceeded):
            Party(plan, terms=narrow)()


def test_one_institution_alone_samples_at_the_same_epsilon() -> None:
    plan = alone(study(), NAMES[0])
    events = [plan.dearest(index) for index in range(4)]
    assert 0.8 < claims(events, plan.delta).epsilon <= 1
    assert all(event.honest == 1 for event in events)


def test_a_round_is_not_asked_at_another_rate_than_the_plans() -> None:
    """There is no rate in a question: it is the plan's, and another plan is another digest."""
    plan, book = study(), MemoryBook()
    party = Party(plan, NAMES[0], records(50), book)
    rounds = list(plan.rounds)
    cheap = type(rounds[1])(rounds[1].name, rounds[1].part, rounds[1].rho, RATE // 2)
    fields = {key: getattr(plan, key) for key in StudyPlan.__dataclass_fields__}
    other = StudyPlan(**{**fields, "rounds": (rounds[0], cheap, *rounds[2:])})
    assert other.digest() != plan.digest()
    question = Question(other.digest(), 1, 0, Descent().query())
    with pytest.raises(PeerError, match="another plan"):
        private_sum(party.institution(), question, b"0" * 32, lambda _: lambda _: b"")
    assert not isinstance(party.book, FailingBook)
    assert entries(book) == ()
