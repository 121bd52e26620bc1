"""What every institution's records have paid, ready to be shown.

Figures are texts here, and each missing one is a dash with its reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from fedcredit.report.bounds import exact, found_by_epsilon, found_by_rho, recognised, share_up
from fedcredit.report.reading import Table, figure, number_of, rows, table, text

__all__ = [
    "DASH",
    "Budget",
    "Chance",
    "Paid",
    "PersonRow",
    "Recomputed",
    "Shown",
    "budgets",
    "delta_of",
    "is_broken",
    "is_institution",
    "lifetime",
    "person_rows",
    "recomputed",
    "why_missing",
]

DASH: Final = "\u2013"

_FIGURES: Final = (
    ("a record, where only totals are opened", "rho", "epsilon"),
    ("a record, by each institution's noise alone", "rho_local", "epsilon_local"),
    ("a person at {m} institutions, where only totals are opened", "person_rho", "person_epsilon"),
    (
        "a person at {m} institutions, by each institution's noise alone",
        "person_rho_local",
        "person_epsilon_local",
    ),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure as text, or a dash with the reason why there is none."""

    text: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Paid:
    """One figure of an institution's budget.

    Attributes:
        who: who pays, and against whom it holds.
        spent: epsilon of the period, rounded up.
        cap: epsilon of the cap.
        spent_rho: in zCDP, exact.
        cap_rho: in zCDP, exact.
        left: what is left of the cap, in zCDP; costs add up in zCDP, epsilons do not.
        used: share of the cap that is spent, above 1 where the cap is exceeded; -1 if not known.
        share: the same as text, rounded up.
    """

    who: str
    spent: Shown
    cap: Shown
    spent_rho: Shown
    cap_rho: Shown
    left: Shown
    used: float
    share: str


@dataclass(frozen=True, slots=True)
class Chance:
    """What a figure means at most.

    Attributes:
        who: whose figure, and since when.
        recognised: how often a guess about one record or person is right.
        found: members found at the false alarms of `bounds.FALSE_ALARMS`, by zCDP.
        found_plain: the same by epsilon and delta alone.
    """

    who: str
    recognised: Shown
    found: Shown
    found_plain: Shown


@dataclass(frozen=True, slots=True)
class Budget:
    """One institution's budget.

    Attributes:
        institution: its name.
        period: of the policy, the end excluded.
        delta: of the policy, as written.
        paid: four figures of the period.
        chances: what a record's two figures since entry 0 mean, then those of the period.
        refusals: requests that were refused.
        burns: charges that were not released; their cost stays.
        lifetime: epsilons since entry 0, as one text.
        partial: whether the ledger's evidence broke, so that figures end at its last good entry.
    """

    institution: str
    period: Shown
    delta: Shown
    paid: tuple[Paid, ...]
    chances: tuple[Chance, ...]
    refusals: Shown
    burns: Shown
    lifetime: Shown
    partial: bool


@dataclass(frozen=True, slots=True)
class PersonRow:
    """What a person at several institutions of the bundle has paid over all of them."""

    institutions: str
    epsilon: Shown
    epsilon_local: Shown
    delta: Shown


@dataclass(frozen=True, slots=True)
class Recomputed:
    """One place of a ledger where the epsilon was computed by other people's code."""

    institution: str
    at: Shown
    events: Shown
    ours: Shown
    rdp: Shown
    rdp_difference: Shown
    pld: Shown
    pld_ratio: Shown


def is_institution(ledger: Table) -> bool:
    """Whether it is an institution's ledger; a coordinator's spends nothing."""
    return text(ledger, "role") != "coordinator"


def delta_of(ledger: Table) -> float | None:
    """Delta of the policy in force, if it is one."""
    delta = figure(table(ledger, "policy"), "delta")
    return delta if delta is not None and 0 < delta < 1 else None


def is_broken(findings: Table, ledger: Table) -> bool:
    """Whether a ledger's evidence broke, so that it was not read to its end."""
    names = {text(ledger, "institution"), text(ledger, "origin")}
    return ledger.get("whole") is False or any(
        text(one, "kind") == "evidence" and text(one, "ledger") in names
        for one in rows(findings, "problems")
    )


def why_missing(findings: Table, ledger: Table) -> str:
    """Why a figure of a ledger is missing: its evidence broke, or it was not handed on."""
    if is_broken(findings, ledger):
        return "the ledger was not read to its end"
    return "not in the findings"


def budgets(findings: Table) -> tuple[Budget, ...]:
    """Every institution's budget, in the order of the findings."""
    return tuple(
        _budget(ledger, why_missing(findings, ledger), partial=is_broken(findings, ledger))
        for ledger in rows(findings, "ledgers")
        if is_institution(ledger)
    )


def person_rows(findings: Table) -> tuple[PersonRow, ...]:
    """What a person has paid over all bundles given, one row for each number of institutions."""
    why = "not in the findings"
    return tuple(
        PersonRow(
            text(one, "institutions") or DASH,
            _epsilon(figure(one, "epsilon"), why),
            _epsilon(figure(one, "epsilon_local"), why),
            _text(text(one, "delta"), why),
        )
        for one in rows(findings, "persons")
    )


def recomputed(findings: Table) -> tuple[Recomputed, ...]:
    """Every recomputation of every institution, in order."""
    there = bool(text(table(findings, "versions"), "dp_accounting"))
    absent = "not computed here" if there else "dp-accounting was not installed"
    return tuple(
        _recomputed(text(ledger, "institution"), one, absent)
        for ledger in rows(findings, "ledgers")
        for one in rows(ledger, "recompute")
    )


def lifetime(ledger: Table, why: str) -> Shown:
    """Both epsilons of a record since entry 0; none of a ledger whose policy was not read."""
    spent = table(ledger, "lifetime") if table(ledger, "policy") else {}
    both = figure(spent, "epsilon"), figure(spent, "epsilon_local")
    if both[0] is None or both[1] is None:
        return Shown(DASH, why)
    return Shown(f"{_up(both[0])}, alone {_up(both[1])}")


def _budget(ledger: Table, why: str, *, partial: bool) -> Budget:
    """One institution's budget."""
    # Of a ledger without a policy nothing was read: a sum of nothing would look like a figure.
    policy, delta = table(ledger, "policy"), delta_of(ledger)
    m = text(policy, "persons") or "m"
    named = [(who.format(m=m), rho, epsilon) for who, rho, epsilon in _FIGURES]
    ever, spent = (table(ledger, key) if policy else {} for key in ("lifetime", "spent"))
    begins, ends = text(policy, "begins"), text(policy, "ends")
    period = f"{begins} to {ends}" if begins and ends else ""
    return Budget(
        institution=text(ledger, "institution"),
        period=_text(period, why),
        delta=_text(text(policy, "delta"), why),
        paid=tuple(
            _paid(spent, table(ledger, "caps") if policy else {}, who, (rho, epsilon), why)
            for who, rho, epsilon in named
        ),
        chances=tuple(
            _chance(f"{who}, {since}", figure(paid, epsilon), number_of(paid, rho), delta, why)
            for since, paid, figures in (
                ("since entry 0", ever, named[:2]),
                ("in the period", spent, named),
            )
            for who, rho, epsilon in figures
        ),
        refusals=_text(text(ledger, "refusals"), why),
        burns=_text(text(ledger, "burns"), why),
        lifetime=lifetime(ledger, why),
        partial=partial,
    )


def _paid(spent: Table, caps: Table, who: str, keys: tuple[str, str], why: str) -> Paid:
    """One figure of it."""
    rho, cap_rho = number_of(spent, keys[0]), number_of(caps, keys[0])
    epsilon, cap = figure(spent, keys[1]), figure(caps, keys[1])
    missing = Shown(DASH, why)
    used, share, left = -1.0, DASH, missing
    if rho is not None and cap_rho is not None:
        over = max(rho - cap_rho, 0)
        left = Shown(f"over by {exact(over)}" if over else exact(cap_rho - rho))
        if cap_rho or not rho:
            used = rho / cap_rho if cap_rho else 0.0
            share = share_up(used)
    return Paid(
        who=who,
        spent=_epsilon(epsilon, why),
        cap=missing if cap is None else Shown(f"{cap:.3f}"),
        spent_rho=missing if rho is None else Shown(exact(rho)),
        cap_rho=missing if cap_rho is None else Shown(exact(cap_rho)),
        left=left,
        used=used,
        share=share,
    )


def _chance(
    who: str, epsilon: float | None, rho: int | None, delta: float | None, why: str
) -> Chance:
    """What one figure means."""
    found = plain = known = Shown(DASH, why)
    if rho is not None:
        found = Shown(share_up(found_by_rho(rho)))
    if epsilon is not None and epsilon >= 0 and delta is not None:
        known = Shown(share_up(recognised(epsilon, delta), 2))
        plain = Shown(share_up(found_by_epsilon(epsilon, delta)))
    return Chance(who, known, found, plain)


def _recomputed(institution: str, one: Table, absent: str) -> Recomputed:
    """One recomputation: the second accountant's figures and how far they are from ours."""
    why = "not in the findings"
    ours, rdp, pld = (figure(one, key) for key in ("epsilon", "rdp", "pld"))
    difference = ratio = Shown(DASH, absent)
    if ours and rdp is not None:
        difference = Shown(f"{100 * (rdp - ours) / ours:+.4f} %")
    if ours is not None and pld:
        ratio = Shown(f"{ours / pld:.4f}")
    return Recomputed(
        institution=institution,
        at=_text(text(one, "at"), why),
        events=_text(text(one, "events"), why),
        ours=_digits(ours, why),
        rdp=_digits(rdp, absent),
        rdp_difference=difference,
        pld=_digits(pld, absent),
        pld_ratio=ratio,
    )


def _digits(value: float | None, why: str) -> Shown:
    """An epsilon with the digits in which accountants differ."""
    return Shown(DASH, why) if value is None else Shown(f"{value:.6f}")


def _epsilon(value: float | None, why: str) -> Shown:
    """An epsilon that was paid."""
    return Shown(DASH, why) if value is None else Shown(_up(value))


def _up(epsilon: float) -> str:
    """An epsilon, rounded up to three digits."""
    return f"{math.ceil(epsilon * 1000 - 1e-9) / 1000:.3f}"


def _text(value: str, why: str) -> Shown:
    """A text, or a dash."""
    return Shown(value) if value else Shown(DASH, why)
