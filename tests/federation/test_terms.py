"""An institution's terms."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedcredit.errors import BudgetExceeded, PrivacyError
from fedcredit.federation.plan import alone
from fedcredit.federation.terms import accept, terms_of
from fedcredit.secagg.ring import RING_BITS
from fedcredit.secagg.session import Floor, check_floor
from fedcredit.units import InstitutionId, NanoRho
from tests.federation.driven import session
from tests.federation.made import NAMES, plan

CAPS = ("rho_cap", "rho_local_cap", "person_rho_cap", "person_rho_local_cap")


@pytest.mark.parametrize("noise", ["distributed", "local"])
@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.0])
@pytest.mark.parametrize("retries", [0, 3])
def test_the_narrowest_terms_hold_the_plan_with_its_retries(
    noise: str, epsilon: float, retries: int
) -> None:
    study = plan(noise=noise, epsilon=epsilon, retries=retries)
    accept(terms_of(study), study, NAMES[0])


@pytest.mark.parametrize("cap", CAPS)
def test_the_narrowest_terms_hold_nothing_more(cap: str) -> None:
    """One step of any cap less, and the plan is refused before its first round."""
    study = plan()
    terms = terms_of(study)
    less = replace(terms.budget, **{cap: NanoRho(getattr(terms.budget, cap) - 1)})
    with pytest.raises(BudgetExceeded):
        accept(replace(terms, budget=less), study, NAMES[0])


def test_retries_are_reserved_when_a_plan_is_accepted() -> None:
    """A plan is not begun that its own retries could not afford."""
    with pytest.raises(BudgetExceeded):
        accept(replace(terms_of(plan(retries=2)), most_rounds=9), plan(retries=3), NAMES[0])


def test_a_plan_that_asks_for_more_than_the_terms_give_is_refused() -> None:
    study = plan()
    terms = terms_of(study)
    for narrower in (
        replace(terms, noises=("local",)),
        replace(terms, fewest_institutions=7),
        replace(terms, fewest_honest=5),
        replace(terms, fewest_colluders=2),
        replace(terms, most_rounds=5),
    ):
        with pytest.raises(PrivacyError) as refusal:
            accept(narrower, study, NAMES[0])
        assert not isinstance(refusal.value, BudgetExceeded)


def test_a_plan_that_does_not_name_the_institution_is_refused() -> None:
    with pytest.raises(PrivacyError, match="does not name 'stranger'"):
        accept(terms_of(plan()), plan(), InstitutionId("stranger"))


def test_training_alone_is_agreed_to_by_name_only() -> None:
    """Terms for a federation do not allow a study in which one institution stands alone."""
    study = alone(plan(), NAMES[0])
    accept(terms_of(study), study, NAMES[0])
    with pytest.raises(PrivacyError):
        accept(terms_of(plan()), study, NAMES[0])


COUNTS = ("fewest_institutions", "fewest_honest", "fewest_colluders", "most_rounds", "most_numbers")


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.0, True])
def test_terms_that_mean_nothing_are_refused(name: str, value: object) -> None:
    """No colluders at all among them: every institution sees the sum and its own noise."""
    with pytest.raises(PrivacyError):
        replace(terms_of(plan()), **{name: value})  # type: ignore[arg-type]


def test_the_floor_of_secure_aggregation_follows_from_the_terms() -> None:
    """Any t of its own choice has the honest ones and the colluders in it."""
    terms = replace(terms_of(plan()), fewest_institutions=7, fewest_honest=3, fewest_colluders=2)
    assert terms.floor == Floor(members=7, threshold=5, colluders=2, honest=3, rings=RING_BITS)


@pytest.mark.parametrize("noise", ["distributed", "local"])
def test_the_narrowest_terms_hold_the_plans_session(noise: str) -> None:
    for study in (
        plan(noise=noise),
        plan(noise=noise, colluders=2),
        plan(noise=noise, threshold=6),
    ):
        check_floor(terms_of(study).floor, session(study))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"fewest_institutions": 7}, "6 members, our floor is 7"),
        ({"fewest_colluders": 2}, "5 threshold, our floor is 6"),
        ({"fewest_colluders": 2, "fewest_honest": 3}, "1 colluders, our floor is 2"),
        ({"fewest_honest": 5}, "5 threshold, our floor is 6"),
    ],
    ids=str,
)
def test_a_session_below_the_floor_is_refused_with_both_numbers(
    change: dict[str, int], found: str
) -> None:
    study = plan()
    with pytest.raises(PrivacyError, match=found):
        check_floor(replace(terms_of(study), **change).floor, session(study))  # type: ignore[arg-type]
