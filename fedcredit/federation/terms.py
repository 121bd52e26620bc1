"""An institution's terms: what it agrees to, whatever a coordinator asks.

Terms are the institution's own and are never sent. A plan that does not meet them is
refused before any record is read; every round is held against the budget once more.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedcredit.errors import PrivacyError
from fedcredit.federation.book import planned
from fedcredit.federation.plan import Noise, StudyPlan
from fedcredit.privacy.accounting import rho_for
from fedcredit.privacy.budget import NOTHING_SPENT, Policy, admit
from fedcredit.privacy.costs import cap_for
from fedcredit.privacy.events import whole
from fedcredit.secagg.session import Floor
from fedcredit.units import InstitutionId

__all__ = ["Allowance", "Limits", "Terms", "accept", "terms_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The least that an institution insists on.

    Attributes:
        budget: the caps on what may be learned from its records, over all studies.
        noises: the noise profiles that it takes part in.
        fewest_institutions: in a study; not asked when it trains alone.
        fewest_honest: institutions, beside the colluders, in every sum.
        fewest_colluders: institutions that a sum must stand against.
        most_rounds: in a study, retries included.
        most_numbers: in one sum.
    """

    budget: Policy
    noises: tuple[Noise, ...] = ("distributed", "local")
    fewest_institutions: int = 3
    fewest_honest: int = 2
    fewest_colluders: int = 1
    most_rounds: int = 100
    most_numbers: int = 1 << 20

    def __post_init__(self) -> None:
        """Refuse terms that mean nothing."""
        for name in (
            "fewest_institutions",
            "fewest_honest",
            "fewest_colluders",
            "most_rounds",
            "most_numbers",
        ):
            whole(name, getattr(self, name), low=1, high=1 << 32)

    @property
    def floor(self) -> Floor:
        """What secure aggregation must not go below."""
        return Floor(
            members=self.fewest_institutions,
            threshold=self.fewest_honest + self.fewest_colluders,
            colluders=self.fewest_colluders,
            honest=self.fewest_honest,
        )


def accept(terms: Terms, plan: StudyPlan, institution: InstitutionId) -> None:
    """Hold a plan against the terms of one institution.

    Raises:
        PrivacyError: the plan does not name the institution, or asks for more than it gives.
        BudgetExceeded: its rounds with all retries would pass a cap, even with nothing
            spent so far.
    """
    asked = len(plan.rounds) + plan.retries
    problem = ""
    if institution not in plan.institutions:
        problem = f"does not name {institution!r}"
    elif plan.noise not in terms.noises:
        problem = f"has {plan.noise!r} noise, our terms are {' or '.join(terms.noises)}"
    elif plan.noise != "alone" and len(plan.institutions) < terms.fewest_institutions:
        problem = f"has {len(plan.institutions)} institutions"
    elif plan.noise != "alone" and plan.threshold - plan.colluders < terms.fewest_honest:
        problem = f"has sums with {plan.threshold - plan.colluders} honest institutions"
    elif plan.noise != "alone" and plan.colluders < terms.fewest_colluders:
        problem = f"stands against {plan.colluders} colluders"
    elif asked > terms.most_rounds:
        problem = f"has {asked} rounds, retries included"
    if problem:
        raise PrivacyError(
            f"plan {plan.name!r} {problem}",
            remedy="have the coordinator change the plan, or the privacy officer the terms",
        )
    every = tuple(plan.dearest(index) for index in range(len(plan.rounds)))
    admit(terms.budget, NOTHING_SPENT, every, reserve=plan.retries)


def terms_of(plan: StudyPlan, persons: int = 3) -> Terms:
    """The narrowest terms under which one plan can run: for a simulation, which has no policy.

    Args:
        plan: what is agreed to.
        persons: m, the institutions that a person is reckoned to be a customer of.

    Returns:
        Terms whose caps hold the plan's rounds with all retries, and nothing more.
    """
    most = planned(plan, persons)
    return Terms(
        budget=Policy(
            delta=plan.delta,
            rho_cap=cap_for(most.cost("rho"), plan.delta),
            rho_local_cap=cap_for(most.cost("rho_local"), plan.delta),
            person_rho_cap=cap_for(most.cost("person_rho"), plan.delta),
            person_rho_local_cap=cap_for(most.cost("person_rho_local"), plan.delta),
            institutions=persons,
        ),
        noises=(plan.noise,),
        fewest_institutions=len(plan.institutions),
        fewest_honest=max(plan.threshold - plan.colluders, 1),
        fewest_colluders=max(plan.colluders, 1),
        most_rounds=len(plan.rounds) + plan.retries,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A floor as a security officer writes it; see `Terms` for what each number is.

    Attributes:
        fewest_institutions: in a study.
        fewest_honest: in every sum, beside the colluders.
        fewest_colluders: that a sum must stand against.
        most_rounds: in a study, retries included.
        most_numbers: in one sum.
    """

    fewest_institutions: int = 3
    fewest_honest: int = 2
    fewest_colluders: int = 1
    most_rounds: int = 100
    most_numbers: int = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """A budget as a privacy officer writes it: in epsilons, over all studies together.

    Attributes:
        epsilon: most that a record may pay against whoever sees sums only.
        epsilon_local: most that a record may pay if this institution's noise stands alone.
        person_epsilon: as ``epsilon``, for a person at ``institutions`` institutions.
        person_epsilon_local: as ``epsilon_local``, for such a person.
        delta: the delta of every epsilon.
        institutions: m, the institutions that a person is reckoned to be a customer of.
    """

    epsilon: float
    epsilon_local: float
    person_epsilon: float
    person_epsilon_local: float
    delta: float = 1e-5
    institutions: int = 3

    @property
    def policy(self) -> Policy:
        """The same as caps on rho, rounded down."""
        return Policy(
            delta=self.delta,
            rho_cap=rho_for(self.epsilon, self.delta),
            rho_local_cap=rho_for(self.epsilon_local, self.delta),
            person_rho_cap=rho_for(self.person_epsilon, self.delta),
            person_rho_local_cap=rho_for(self.person_epsilon_local, self.delta),
            institutions=self.institutions,
        )
