"""Costs and epsilons of the verifier against the product's and against dp-accounting's."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit import verifier
from fedcredit.privacy.accounting import epsilon_of, reference_pld, reference_rdp, rho, rho_local
from fedcredit.privacy.events import (
    MAX_HONEST,
    MAX_SENSITIVITY_SQUARED,
    MAX_VARIANCE,
    MIN_VARIANCE,
    GaussianSum,
    Part,
)
from fedcredit.units import NanoRho
from fedcredit.verifier import event_cost, verify
from tests.ledger.written import Writer, cost_of, event, policy, story
from tests.verifier.judged import problems, rows

SENSITIVITIES = st.integers(1, MAX_SENSITIVITY_SQUARED) | st.integers(1, 10**6)
VARIANCES = st.integers(MIN_VARIANCE, MAX_VARIANCE) | st.integers(MIN_VARIANCE, 10**6)
HONEST = st.integers(1, MAX_HONEST) | st.integers(1, 10)


@given(squared=SENSITIVITIES, variance=VARIANCES, honest=HONEST)
def test_a_cost_is_the_product_s_to_the_last_unit(squared: int, variance: int, honest: int) -> None:
    done = GaussianSum(
        name="a sum", part="train", dim=8, sensitivity_squared=squared, variance=variance,
        honest=honest,
    )  # fmt: skip
    assert event_cost(squared, variance, honest) == rho(done)
    assert event_cost(squared, variance, 1) == rho_local(done)
    assert rho(done) == cost_of({"sensitivity_squared": squared, "variance": variance}, honest)


@given(cost=st.integers(0, 10**15) | st.integers(0, 10**7), delta=st.floats(1e-15, 0.5))
def test_an_epsilon_is_the_product_s_to_a_hundred_thousandth(cost: int, delta: float) -> None:
    ours = epsilon_of(NanoRho(cost), delta)
    assert verifier.epsilon_of(cost, delta) == pytest.approx(ours, rel=1e-5, abs=1e-12)


@pytest.fixture
def _with_dp_accounting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "_version", metadata.version)


def drawn(seed: int) -> list[GaussianSum]:
    """The events of a study: 1 to 12 rounds of unequal noise and an evaluation."""
    draw = np.random.default_rng(seed)
    dear = 10 ** draw.uniform(-3.7, 0.9)  # rho of all rounds
    rounds = int(draw.integers(1, 13))
    squared = int(draw.choice([23, 2**10, 2**20]))
    honest = int(draw.integers(1, 10))

    def one(share: float, part: Part) -> GaussianSum:
        variance = max(16, round(squared / (2 * honest * dear * share)))
        return GaussianSum(name="a sum", part=part, dim=8, sensitivity_squared=squared,
                           variance=variance, honest=honest)  # fmt: skip

    shares = [draw.random() + 0.1 for _ in range(rounds)]
    made = [one(share / sum(shares), "train") for share in shares]
    return [*made, one(draw.random() + 0.05, "held-out")]


def ledger_of(events: list[GaussianSum]) -> Writer:
    """A ledger with these events as its charges."""
    writer, most = Writer(), 2**53 - 1
    caps = ("rho", "rho_local", "person_rho", "person_rho_local", "study_rho", "automatic_rho")
    writer.genesis(policy(**dict.fromkeys(caps, most), delta="1e-05"))
    limits = dict.fromkeys(("rho", "rho_local", "person_rho", "person_rho_local"), most)
    writer.plan(**limits, rounds=len(events), threshold=events[0].honest + 1)
    writer.approve()
    for turn, done in enumerate(events):
        writer.charge(turn, event=event(
            part=done.part, sensitivity_squared=done.sensitivity_squared, variance=done.variance,
            honest=done.honest,
        ))  # fmt: skip
        writer.release(turn)
    return writer


@pytest.mark.usefixtures("_with_dp_accounting")
@pytest.mark.parametrize("seed", range(0, 200, 10))
def test_of_200_random_plans_other_people_s_accountants_agree(seed: int, tmp_path: Path) -> None:
    for at in range(seed, seed + 10):
        events = drawn(at)
        folder = ledger_of(events).save(tmp_path / str(at))
        findings = verify([folder], entries=False, signatures=False)
        assert findings["exit"] == 0, problems(findings)
        (row,) = rows(rows(findings, "ledgers")[0], "recompute")
        headline = cast(float, row["epsilon"])
        rdp, pld = cast(float, row["rdp"]), cast(float, row["pld"])
        assert rdp == pytest.approx(headline, rel=1e-3)
        if headline >= 0.1:
            assert pld <= headline <= 1.12 * pld
        if at == seed:
            assert rdp == pytest.approx(reference_rdp(events, 1e-5), rel=1e-5)
            assert pld == pytest.approx(reference_pld(events, 1e-5), rel=1e-3)


@pytest.mark.usefixtures("_with_dp_accounting")
def test_the_second_accountant_speaks_at_every_change_of_policy(tmp_path: Path) -> None:
    writer = story()
    writer.change(policy(begins="2027-01-01", ends="2028-01-01"), officer=True)
    recompute = rows(rows(verify([writer.save(tmp_path)]), "ledgers")[0], "recompute")
    assert [(row["at"], row["events"]) for row in recompute] == [(20, 5), (20, 0)]
    assert recompute[0]["rdp"] == pytest.approx(recompute[0]["epsilon"], rel=1e-3)
    assert recompute[0]["pld"] is None


@pytest.mark.usefixtures("_with_dp_accounting")
@pytest.mark.parametrize(
    ("name", "factor"), [("rdp", 1.002), ("rdp", 0.998), ("pld", 1.2), ("pld", 0.8)]
)
def test_accountants_that_differ_are_broken_evidence(
    name: str, factor: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = verifier._opinion

    def other(book: verifier.Book, delta: float, which: str) -> float:
        return true(book, delta, which) * (factor if which == name else 1)

    monkeypatch.setattr(verifier, "_opinion", other)
    findings = verify([story().save(tmp_path)])
    assert (findings["exit"], problems(findings)[0].seq) == (5, 19)


def test_without_dp_accounting_that_is_said(tmp_path: Path) -> None:
    findings = verify([story().save(tmp_path)])
    assert findings["exit"] == 0
    assert "epsilon by a second accountant: dp-accounting is not installed" in cast(
        list[str], findings["not_verified"]
    )
    assert cast(dict[str, object], findings["versions"])["dp_accounting"] is None


@pytest.mark.usefixtures("_with_dp_accounting")
def test_costs_that_were_rounded_up_many_times_are_no_disagreement(tmp_path: Path) -> None:
    """Each event costs a ten-thousandth of a unit and is charged as one."""
    done = GaussianSum(
        name="a sum", part="train", dim=8, sensitivity_squared=1, variance=2**40, honest=4
    )
    findings = verify([ledger_of([done] * 50).save(tmp_path)])
    (row,) = rows(rows(findings, "ledgers")[0], "recompute")
    assert findings["exit"] == 0
    assert cast(float, row["rdp"]) < 0.5 * cast(float, row["epsilon"])
