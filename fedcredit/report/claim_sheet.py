"""The claim of differential privacy as a form: the questions of NIST SP 800-226.

Every answer says where it comes from: `bundle` (read and checked by the verifier), `design` (how
this version of the product works; a ledger cannot show that this version ran) or `not known`
(nothing in a bundle speaks of it).

Source: NIST SP 800-226, "Guidelines for Evaluating Differential Privacy Guarantees" (2025):
parameters and unit of privacy on top, mechanisms, utility and bias in the middle, trust model,
security and exposure of the data at the bottom.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Final, Literal, TypeAlias

from fedcredit.report.audit_budget import DASH, delta_of, is_institution, lifetime, why_missing
from fedcredit.report.bounds import exact, recognised, share_up
from fedcredit.report.reading import Table, figure, number_of, rows, table, text, texts

__all__ = ["Answer", "claim_sheet", "many", "plans_of", "worst_of"]

Origin: TypeAlias = Literal["bundle", "design", "not known"]

_LIMIT: Final = 12
"""So many names are written out; of the others only the number."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One row of the form."""

    field: str
    answer: str
    origin: Origin


def claim_sheet(findings: Table) -> tuple[Answer, ...]:
    """Fill the form from findings.

    Args:
        findings: of the form ``fedcredit/findings/1``.

    Returns:
        The rows, from what is claimed down to what it rests on.
    """
    return (*_claimed(findings), *_done(findings), *_rests_on(findings))


def many(names: Iterable[str]) -> str:
    """Distinct names in order, the first twelve written out.

    >>> many(["b", "a", "b", ""])
    'b, a'
    """
    found = [name for name in dict.fromkeys(names) if name]
    rest = len(found) - _LIMIT
    return ", ".join(found[:_LIMIT]) + (f" and {rest} more" if rest > 0 else "")


def plans_of(findings: Table) -> tuple[Table, ...]:
    """Every plan once, in the order of the ledgers; institutions share plans by their digest."""
    found: dict[str, Table] = {}
    for ledger in rows(findings, "ledgers"):
        for plan in rows(ledger, "plans"):
            found.setdefault(text(plan, "plan"), plan)
    return tuple(found.values())


def worst_of(findings: Table) -> Table | None:
    """The institution's ledger whose record has paid most since entry 0, if one says so."""
    told = [
        (epsilon, at, ledger)
        for at, ledger in enumerate(rows(findings, "ledgers"))
        if is_institution(ledger)
        and table(ledger, "policy")
        and (epsilon := figure(table(ledger, "lifetime"), "epsilon")) is not None
    ]
    return max(told, key=lambda one: (one[0], -one[1]))[2] if told else None


def _claimed(findings: Table) -> tuple[Answer, ...]:
    """What is promised to whom."""
    plans = plans_of(findings)
    named = many(f"{text(one, 'name')} ({text(one, 'purpose')})" for one in plans)
    released = sum(
        number_of(plan, "releases") or 0
        for ledger in rows(findings, "ledgers")
        for plan in rows(ledger, "plans")
    )
    persons = many(
        text(table(one, "policy"), "persons")
        for one in rows(findings, "ledgers")
        if is_institution(one)
    )
    return (
        _known(
            "What is released",
            f"{released} noised answers of institutions, for {named}" if plans else "",
        ),
        Answer("To whom", "a bundle does not say who holds the finished model", "not known"),
        Answer(
            "Unit of privacy",
            "one record of one institution; beside it one person with a record at each of m "
            f"institutions (m by policy: {persons or DASH})",
            "bundle",
        ),
        Answer(
            "Neighbouring tables", "one record added or removed; adjacency add-remove", "bundle"
        ),
        Answer("Epsilon and delta", *_epsilons(findings)),
        Answer("In plain words", *_plain(findings)),
    )


def _epsilons(findings: Table) -> tuple[str, Origin]:
    """Every institution's figures since entry 0."""
    told = [
        f"{text(one, 'institution')}: epsilon {shown.text} at delta "
        f"{text(table(one, 'policy'), 'delta') or DASH}"
        for one in rows(findings, "ledgers")
        if is_institution(one) and not (shown := lifetime(one, why_missing(findings, one))).why
    ]
    if not told:
        return "no ledger was read so far that a figure could be stated", "not known"
    return f"a record, since entry 0: {_joined(told)}", "bundle"


def _plain(findings: Table) -> tuple[str, Origin]:
    """The largest figure as a chance."""
    worst = worst_of(findings)
    delta = delta_of(worst) if worst is not None else None
    if worst is None or delta is None:
        return "no figure to put into words", "not known"
    spent = table(worst, "lifetime")
    epsilon, rho = figure(spent, "epsilon"), number_of(spent, "rho")
    words = (
        f"at {text(worst, 'institution')} a guess by a fair coin whether a record took part "
        f"becomes right at most {share_up(recognised(epsilon or 0.0, delta), 2)} of the time"
    )
    if rho is not None:
        words += f"; a Gaussian release of the same zCDP cost has mu = {sqrt(2 * rho / 1e9):.3f}"
    return words, "bundle"


def _done(findings: Table) -> tuple[Answer, ...]:
    """By what means."""
    ledgers = rows(findings, "ledgers")
    version = text(table(findings, "versions"), "dp_accounting")
    second = (
        f"checked with dp-accounting {version} (RDP and PLD)"
        if version
        else ("no second accountant: dp-accounting was not installed where this was checked")
    )
    burns = sum(number_of(one, "burns") or 0 for one in ledgers)
    charges = sum(number_of(p, "charges") or 0 for one in ledgers for p in rows(one, "plans"))
    places = [
        f"{text(one, 'name') or DASH}: {text(one, 'noise') or DASH}, threshold "
        f"{text(one, 'threshold') or DASH} of {text(one, 'institutions') or DASH} institutions, "
        f"{text(one, 'colluders') or DASH} may collude"
        for one in plans_of(findings)
    ]
    worst = worst_of(findings)
    cost = number_of(table(worst, "lifetime"), "rho") if worst is not None else None
    at_most = "" if cost is None else f"; the dearest record has paid {exact(cost)} since entry 0"
    return (
        Answer(
            "Variant and accountant",
            f"zero-concentrated DP in integers of 1e-9, rounded up{at_most}; turned into epsilon "
            f"by arXiv 2004.00010, Proposition 12; {second}",
            "bundle",
        ),
        Answer(
            "Composition",
            f"all {charges} charges since entry 0 are added up, the {burns} that were burned "
            "included; nothing is given back",
            "bundle",
        ),
        Answer(
            "Mechanism",
            "sums of bounded rows of integers with discrete Gaussian noise; the parameters of "
            "each charge stand in its event, from which its cost was computed again",
            "bundle",
        ),
        Answer("Sampling", "none: every record takes part, no amplification is claimed", "design"),
        Answer(
            "Noise generator",
            "the operating system's generator, exact integers; that it was drawn cannot be seen "
            "in a ledger",
            "design",
        ),
        _known("Where noise is added", _joined(places)),
    )


def _rests_on(findings: Table) -> tuple[Answer, ...]:
    """What the claim stands on."""
    ledgers = rows(findings, "ledgers")
    audits = [
        text(entry, "what")
        for ledger in ledgers
        for entry in rows(ledger, "entries")
        if text(entry, "kind") == "audit"
    ]
    software = many(name for ledger in ledgers for name in texts(ledger, "software"))
    empirical: tuple[str, Origin] = (
        (_joined(audits), "bundle")
        if audits
        else ("no outcome of a privacy audit was handed on", "not known")
    )
    return (
        Answer(
            "Trust model",
            "figures where only totals are opened: secure aggregation holds, and no more "
            "institutions collude than the plan allows; figures by each institution's noise "
            "alone: nothing is assumed of others",
            "design",
        ),
        Answer(
            "Not protected",
            "who took part and when, names of columns, plans and their purposes, that an "
            "institution refused",
            "design",
        ),
        Answer("Side channels", "running times, log files and memory of the machines", "not known"),
        _known("Software", software),
        Answer("Exposure of the data", "the source, who may read it, what is kept", "not known"),
        Answer("Utility and bias", "see the study's model report", "not known"),
        Answer("Empirical check", *empirical),
    )


def _known(field: str, answer: str) -> Answer:
    """A row from the bundle, or one that says that nothing was handed on."""
    if answer:
        return Answer(field, answer, "bundle")
    return Answer(field, "nothing of it was read", "not known")


def _joined(parts: list[str]) -> str:
    """Parts side by side, the first twelve written out."""
    rest = len(parts) - _LIMIT
    return "; ".join(parts[:_LIMIT]) + (f"; and {rest} more" if rest > 0 else "")
