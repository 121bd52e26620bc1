"""A draft entry for the Differential Privacy Deployments Registry, from the verifier's findings.

Names and order of the fields are those of the registry's own records at Tier 3: ``deployment``
with ``basic``, ``dp_variant``, ``privacy_loss``, ``deployment_model``, ``accounting``,
``implementation`` and ``administrative``. Its first schema (2025) called four of them ``product``,
``dp_flavor``, ``model`` and ``resources``; what is asked is the same.

What a bundle of ledgers cannot know is `OPEN`, which the registry's own check refuses where it
wants one of a list: somebody must write it before the entry is handed in.

Sources: github.com/opendp/deployments-registry-data, ``schemas/deployments-schema.yaml`` and
``deployments/transluce_mhusage.yaml`` (September 2026); registry.opendp.org/transparency-tiers;
Nanayakkara, Ghazi and Vadhan (2025), arXiv 2509.13509.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from fedcredit.errors import IntegrityError
from fedcredit.report.audit_budget import DASH, delta_of, is_institution
from fedcredit.report.bounds import exact
from fedcredit.report.claim_sheet import many, plans_of, worst_of
from fedcredit.report.reading import (
    Table,
    check_format,
    figure,
    number_of,
    rows,
    table,
    text,
    texts,
)

__all__ = ["OPEN", "open_fields", "registry_entry"]

Fields: TypeAlias = dict[str, object]

OPEN: Final = "Not known from the ledgers: to be written by the curator."
"""Stands for what nobody wrote into a ledger."""


def registry_entry(findings: Mapping[str, object]) -> Fields:
    """Draft an entry at Tier 3.

    Guarantee: every figure is one of the findings; no path of a machine, no key and no hash is
    in it; the same findings give the same entry.

    The parameters are those of the record that has paid most since entry 0, where only totals
    are opened; every institution's figures stand in ``privacy_parameters_details``.

    Args:
        findings: of the form ``fedcredit/findings/1``.

    Returns:
        The entry, ready for JSON, which YAML 1.2 reads as it is.

    Raises:
        ConfigError: the findings are of another form.
        IntegrityError: the evidence is broken, or no institution's figures are known: there is
            no claim to register.
    """
    check_format(findings)
    worst = worst_of(findings)
    if text(findings, "verdict") not in {"holds", "rule broken"}:
        raise IntegrityError(
            "the evidence of a ledger is broken, so nothing can be claimed from it",
            remedy="find out why with `fedcredit ledger verify`, and export from sound ledgers",
        )
    if worst is None or delta_of(worst) is None:
        raise IntegrityError(
            "no ledger of an institution says what was paid",
            remedy="give the bundle of at least one institution",
        )
    banks = [one for one in rows(findings, "ledgers") if is_institution(one)]
    return {
        "url_slug": _slug(findings, banks),
        "status": "Draft",
        "tier": 3,
        "deployment": {
            "basic": _basic(findings, banks),
            "dp_variant": _variant(),
            "privacy_loss": _loss(findings, banks, worst),
            "deployment_model": _model(findings, banks),
            "accounting": _accounting(findings),
            "implementation": _implementation(findings, banks),
            "administrative": {
                "sources": "The signed privacy ledgers of the institutions named, on request.",
                "registry_authors": [OPEN],
            },
        },
    }


def open_fields(entry: Mapping[str, object]) -> tuple[str, ...]:
    """Name the fields that somebody must still write or finish: ``deployment.basic.name``."""
    return tuple(_open(entry, ""))


def _open(value: object, path: str) -> Iterator[str]:
    """Paths under a value that lead to `OPEN`."""
    if isinstance(value, str) and OPEN in value:
        yield path
    elif isinstance(value, Mapping):
        for key in value:
            yield from _open(value[key], f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from _open(one, f"{path}[{at}]")


def _slug(findings: Table, banks: list[Table]) -> str:
    """An address made of the first plan, the first institution and the year."""
    plans = plans_of(findings)
    words = [text(plans[0], "name") if plans else "", text(banks[0], "institution")]
    day = _published(banks)
    words.append("" if day == OPEN else day[:4])
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")


def _published(banks: list[Table]) -> str:
    """The day of the first release that the findings list."""
    days = [
        text(entry, "time")[:10]
        for ledger in banks
        for entry in rows(ledger, "entries")
        if text(entry, "kind") == "release"
    ]
    return min((day for day in days if re.fullmatch(r"\d{4}-\d{2}-\d{2}", day)), default=OPEN)


def _basic(findings: Table, banks: list[Table]) -> Fields:
    """What was made, by whom, for what: Tier 1."""
    plans = plans_of(findings)
    names = [text(one, "institution") for one in banks]
    return {
        "name": many(text(one, "name") for one in plans) or OPEN,
        "data_curators": [
            {"data_curator_name": name, "data_curator_type": OPEN}
            for name in dict.fromkeys(names)
            if name
        ],
        "intended_use": many(text(one, "purpose") for one in plans) or OPEN,
        "data_product_type": "Machine learning model",
        "data_product_region": OPEN,
        "description": f"A credit model that {len(set(names))} institutions trained together from "
        "sums with noise over their own records.",
        "publication_date": _published(banks),
        "data_product_sector": "Finance",
    }


def _variant() -> Fields:
    """The kind of guarantee."""
    return {
        "variant_name": "Zero-concentrated DP",
        "data_domain": "Tables of credit records, one row for each borrower of an institution, "
        "with the columns of a data contract that all institutions share. " + OPEN,
        "unprotected_quantities": "Which institutions took part and when, the plans with their "
        "purposes, names of columns, and that an institution refused a request.",
    }


def _loss(findings: Table, banks: list[Table], worst: Table) -> Fields:
    """Unit and parameters."""
    spent, delta = table(worst, "lifetime"), delta_of(worst)
    epsilon, rho = figure(spent, "epsilon"), number_of(spent, "rho")
    parameters = {"epsilon": epsilon, "delta": delta, "rho": None if rho is None else rho / 10**9}
    return {
        "privacy_unit": "Record-level (one borrower within one institution)",
        "privacy_unit_details": "Two tables are adjacent if one is the other with one record "
        "added or removed (symmetric distance 1). A person with a record at each of m "
        "institutions is accounted for beside it: " + _persons(findings),
        "privacy_parameters": {key: one for key, one in parameters.items() if one is not None},
        "privacy_parameters_details": _parameters(findings, banks, worst),
    }


def _persons(findings: Table) -> str:
    """What a person has paid over all ledgers."""
    told = [
        f"m = {text(one, 'institutions')}: epsilon {text(one, 'epsilon') or DASH} where only "
        f"totals are opened, {text(one, 'epsilon_local') or DASH} by each institution's noise "
        f"alone, delta {text(one, 'delta') or DASH}"
        for one in rows(findings, "persons")
    ]
    return "; ".join(told) + "." if told else OPEN


def _parameters(findings: Table, banks: list[Table], worst: Table) -> str:
    """Every institution's figures, and how they were come by."""
    told = []
    for one in banks:
        spent = table(one, "lifetime")
        rho, alone = number_of(spent, "rho"), number_of(spent, "rho_local")
        told.append(
            f"{text(one, 'institution')}, at delta {text(table(one, 'policy'), 'delta') or DASH}: "
            f"rho {DASH if rho is None else exact(rho)}, epsilon "
            f"{text(spent, 'epsilon') or DASH}; by its noise alone rho "
            f"{DASH if alone is None else exact(alone)}, epsilon "
            f"{text(spent, 'epsilon_local') or DASH}"
        )
    broken = ""
    if text(findings, "verdict") != "holds":
        broken = " The check of the ledgers found that a rule was broken."
    return (
        f"Since the first entry of each ledger. The parameters are those of "
        f"{text(worst, 'institution')}, where a record has paid most. Epsilon follows from rho by "
        f"arXiv 2004.00010, Proposition 12. {'; '.join(told)}.{broken}"
    )


def _model(findings: Table, banks: list[Table]) -> Fields:
    """Who trusts whom, and how often something is released."""
    plans = plans_of(findings)
    shapes = many(
        f"threshold {text(one, 'threshold') or DASH} of {text(one, 'institutions') or DASH}, "
        f"{text(one, 'colluders') or DASH} may collude ({text(one, 'noise') or DASH} noise)"
        for one in plans
    )
    releases = sum(
        number_of(plan, "releases") or 0 for ledger in banks for plan in rows(ledger, "plans")
    )
    return {
        "model_name": "Federated",
        "model_name_details": "Each institution sums over its own records, adds discrete Gaussian "
        f"noise and masks the result; a coordinator opens totals only. {shapes}".strip(),
        "actors": "Institutions see their own records. The coordinator sees totals over at least "
        "the threshold of institutions. Figures where only totals are opened assume that no more "
        "institutions collude than each plan allows; figures by each institution's noise alone "
        "assume nothing of others. Witnesses see sizes and hashes of ledgers.",
        "release_type": "Many releases" if releases > 1 else "One release",
        "release_type_details": f"{releases} answers were released, each charged beforehand to a "
        "budget with a cap and a period set by the institution; nothing is given back.",
        "data_source_type": OPEN,
        "access_type": "Non-interactive",
        "access_type_details": "Nobody queries the records: an institution answers the rounds of "
        "plans that it approved.",
    }


def _accounting(findings: Table) -> Fields:
    """How costs are added up."""
    version = text(table(findings, "versions"), "dp_accounting")
    second = f" Checked with dp-accounting {version}." if version else ""
    return {
        "post_processing": "The model is computed from the opened totals alone; scores and "
        "reasons follow from the model without further cost.",
        "composition": "Fully adaptive composition in zCDP with integer costs that are rounded up "
        "and charged before an answer is computed, over all plans of an institution; answers "
        f"that never left stay charged.{second}",
    }


def _implementation(findings: Table, banks: list[Table]) -> Fields:
    """What was run, as far as a ledger knows."""
    software = many(name for one in banks for name in texts(one, "software"))
    witnesses = many(
        f"{text(one, 'name')} ({text(one, 'role')})"
        for ledger in banks
        for one in rows(ledger, "cosigned")
    )
    unchecked = "; ".join(texts(findings, "not_verified")) or OPEN
    return {
        "preprocessing_and_hyperparameter_tuning": "Bins, normalisation, evaluation and repeated "
        "runs are charged like any other answer. " + OPEN,
        "mechanisms": "Sums of bounded rows of integers with discrete Gaussian noise, drawn in "
        f"exact integers. Software: {software or DASH}. Security of the records: {OPEN}",
        "justification": f"Budgets and what they were spent on stand in signed ledgers, cosigned "
        f"by {witnesses or 'nobody'}. Not verified: {unchecked}. Choice of the budget: {OPEN}",
    }
