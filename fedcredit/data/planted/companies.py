"""The made-up small companies beside the consumers: data contract, planted effects, and draws.

The same institutions lend to them under a contract of its own, with fewer
columns and fewer records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from fedcredit.data.columns import Categorical, Numeric
from fedcredit.data.planted.consumers import ALTERNATIVE_BLOCKS, REGIONS, SEXES
from fedcredit.data.planted.draws import Draws
from fedcredit.data.planted.effects import (
    ColumnValues,
    Curve,
    Drift,
    GroupEffect,
    Levels,
    Outcome,
)
from fedcredit.data.planted.institutions import Taste
from fedcredit.data.schema import Label, Schema
from fedcredit.units import Flags, Floats, Ints

__all__ = ["COMPANIES", "COMPANY_OUTCOME", "Companies", "draw_companies", "draw_loans"]

_SECTORS: Final = ("trade", "services", "construction", "food", "transport", "making", "farming")
_FORMS: Final = ("sole trader", "partnership", "limited")

COMPANIES: Final = Schema(
    name="synthetic-sme",
    version=1,
    description="Made-up small companies of a made-up consortium; nobody's data.",
    columns=(
        Numeric(
            "utilisation", "share", 0, 1.5, step=0.01, direction="risk-up",
            description="Balance over limit of credit lines.",
        ),
        Numeric(
            "delinquencies_24m", "count", 0, 12, step=1, direction="risk-up",
            description="Instalments 30 or more days late in 24 months, at any lender.",
        ),
        Numeric(
            "days_beyond_terms", "days", 0, 180, spacing="log", scale=5, step=1,
            block="payments", direction="risk-up", description="Mean delay of paid invoices.",
        ),
        Numeric(
            "turnover_eur", "EUR", 1_000, 50_000_000, spacing="log", block="payments",
            direction="risk-down", description="Turnover of the last year.",
        ),
        Numeric(
            "net_margin", "share", -1, 1, step=0.01, block="payments", direction="risk-down",
            description="Profit after tax over turnover.",
        ),
        Numeric(
            "cash_volatility", "share", 0, 3, step=0.01, block="payments", direction="risk-up",
            description="Standard deviation over mean of the monthly balance.",
        ),
        Numeric(
            "card_sales_trend", "share", -1, 1, step=0.01, block="e-commerce",
            direction="risk-down", description="Change of card sales over the year before.",
        ),
        Numeric(
            "utility_late_bills_12m", "count", 0, 12, step=1, block="utility",
            direction="risk-up", description="Bills paid late in 12 months.",
        ),
        Numeric(
            "site_kwh", "kWh", 50, 200_000, spacing="log", block="utility",
            description="Energy used in a month.",
        ),
        Numeric(
            "company_age_months", "months", 0, 600, spacing="log", scale=12, step=1,
            block="identity", direction="risk-down", description="Months since registration.",
        ),
        Numeric(
            "employees", "count", 0, 250, spacing="log", step=1, block="identity",
            description="People employed.",
        ),
        Categorical("sector", _SECTORS, block="identity", description="Main activity."),
        Categorical("legal_form", _FORMS, block="identity", description="Legal form."),
        Categorical("region", REGIONS, block="identity", description="Region of the seat."),
        Categorical(
            "owner_sex", SEXES, block="protected", protected=True,
            description="Sex of the owner with the largest share.",
        ),
    ),
    label=Label(
        column="defaulted_12m",
        good=("0",),
        bad=("1",),
        definition="90 or more days past due, or insolvent",
        outcome_months=12,
    ),
    person="company_id",
    ids=("loan_id",),
    size_class="1k-10k",
    vintage="vintage",
)  # fmt: skip

COMPANY_OUTCOME: Final = Outcome(
    effects=(
        Curve(
            "utilisation", (0.0, 0.3, 0.6, 1.0, 1.5), (0.5, 0.25, 0.0, -0.5, -0.8),
            low=(0.0, 0.25), high=(0.65, 1.5),
        ),
        Curve(
            "delinquencies_24m", (0, 1, 2, 4, 8), (0.3, -0.4, -0.8, -1.2, -1.5),
            low=(0, 0.5), high=(1.5, 12),
        ),
        Curve(
            "days_beyond_terms", (0, 5, 15, 45, 120), (0.5, 0.25, 0.0, -0.6, -1.0),
            low=(0, 4.5), high=(20, 180),
        ),
        Curve(
            "turnover_eur", (1e4, 1e5, 1e6, 1e7), (-0.4, -0.15, 0.15, 0.4),
            low=(1e3, 1e5), high=(8e5, 5e7),
        ),
        Curve(
            "net_margin", (-0.3, 0.0, 0.1, 0.3), (-0.7, -0.15, 0.1, 0.4),
            low=(-1.0, 0.0), high=(0.15, 1.0),
        ),
        Curve(
            "cash_volatility", (0.0, 0.3, 0.8, 2.0), (0.35, 0.1, -0.25, -0.6),
            low=(0.0, 0.25), high=(0.7, 3.0),
        ),
        Curve(
            "card_sales_trend", (-0.6, -0.2, 0.0, 0.3), (-0.6, -0.3, 0.0, 0.3),
            low=(-1.0, -0.15), high=(0.15, 1.0),
        ),
        Curve(
            "utility_late_bills_12m", (0, 1, 2, 4, 8), (0.25, -0.2, -0.45, -0.75, -0.9),
            low=(0, 0.5), high=(1.5, 12),
        ),
        Curve("site_kwh", (50, 200_000), (0.0, 0.0), low=(50, 700), high=(2_500, 200_000)),
        Curve(
            "company_age_months", (6, 24, 60, 180), (-0.4, -0.15, 0.1, 0.35),
            low=(0, 30), high=(90, 600),
        ),
        Curve("employees", (0, 250), (0.0, 0.0), low=(0, 2.5), high=(12.5, 250)),
        Levels(
            "sector", _SECTORS, (0.0, 0.15, -0.35, -0.3, -0.1, 0.15, 0.2),
            low=("construction", "food"), high=("services", "making"),
        ),
        Levels("legal_form", _FORMS, (-0.15, 0.0, 0.1), low=("sole trader",), high=("limited",)),
        Levels("region", REGIONS, (0.0,) * 8, low=("coast", "hills"), high=("south", "valley")),
    ),
    thin=-0.3,
    thin_factor=2.0,
    alternative=tuple(
        column.name for column in COMPANIES.features if column.block in ALTERNATIVE_BLOCKS
    ),
    groups=(GroupEffect("owner_sex", "F", 0.3),),
    downturn_month=18,
    downturn=-0.45,
    drifts=(Drift("days_beyond_terms", 18, 1.5), Drift("site_kwh", 12, 0.7)),
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Companies:
    """Companies, shape ``(n,)`` each.

    Attributes:
        strength: hidden: to earn.
        discipline: hidden: to pay in time.
        thin: True where no bureau has a file.
        seen: the columns that belong to the company.
    """

    strength: Floats
    discipline: Floats
    thin: Flags
    seen: Mapping[str, ColumnValues]

    def attraction(self, taste: Taste) -> Floats:
        """How much an institution of some taste attracts each company, in log-odds."""
        return np.asarray(taste.ability * self.strength + taste.discipline * self.discipline)

    def taken(self, rows: Ints) -> Companies:
        """Some of the companies."""
        seen = {name: values[rows] for name, values in self.seen.items()}
        return Companies(self.strength[rows], self.discipline[rows], self.thin[rows], seen)


def draw_companies(draws: Draws, count: int) -> Companies:
    """Draw companies.

    Args:
        draws: streams of their own.
        count: how many.

    Returns:
        The companies; about a quarter have no file at the bureau.
    """
    strength = 0.7 * draws.normal("strength", count)
    discipline = 0.3 * strength + 0.65 * draws.normal("discipline", count)
    months = np.exp(4.2 + 0.3 * strength + 0.9 * draws.normal("age", count))
    months = np.floor(np.clip(months, 2.0, 600.0))
    unknown = 2.2 - 0.9 * np.log(months) - 0.4 * strength
    thin = draws.chance("thin", 1.0 / (1.0 + np.exp(-unknown)), count)
    turnover = np.exp(12.6 + 0.9 * strength + 0.8 * draws.normal("turnover", count))
    staff = np.exp(0.75 * np.log(turnover / 90_000.0) + 0.5 * draws.normal("staff", count))
    typical = 1.0 / (1.0 + np.exp(0.45 + 0.6 * discipline + 0.4 * strength))
    limited = 1.0 / (1.0 + np.exp(0.4 - 0.9 * strength))
    forms = np.stack([0.8 * (1.0 - limited), 0.25 * np.ones(count), limited], axis=1)
    sectors = np.tile([0.25, 0.25, 0.14, 0.12, 0.08, 0.1, 0.06], (count, 1))
    regions = np.tile([0.1, 0.12, 0.08, 0.15, 0.13, 0.17, 0.1, 0.15], (count, 1))
    late = draws.count("late", np.exp(-1.2 - 0.75 * discipline), 12)
    used = np.round(1.25 * draws.share("utilisation", typical, 0.9), 2)
    seen: dict[str, ColumnValues] = {
        "utilisation": np.where(thin, np.nan, used),
        "delinquencies_24m": np.where(thin, np.nan, late),
        "turnover_eur": np.round(np.clip(turnover, 1e3, 5e7), -2),
        "company_age_months": months,
        "employees": np.floor(np.clip(staff, 0.0, 250.0)),
        "sector": np.array(_SECTORS)[draws.pick("sector", sectors)],
        "legal_form": np.array(_FORMS)[draws.pick("form", forms)],
        "region": np.array(REGIONS)[draws.pick("region", regions)],
        "owner_sex": np.array(SEXES)[draws.chance("owner", 0.65, count).astype(np.int64)],
    }
    return Companies(strength, discipline, thin, seen)


def draw_loans(
    draws: Draws, companies: Companies, month: Ints, coverage: Mapping[str, float]
) -> dict[str, ColumnValues]:
    """Draw an institution's records of its companies, one each.

    Args:
        draws: streams of its own.
        companies: its customers.
        month: vintage of each record.
        coverage: share of its customers of whom it has an alternative block, by block.

    Returns:
        The table's columns but for ids, vintage and label.
    """
    count = len(month)
    strength, discipline = companies.strength, companies.discipline
    delay = np.exp(2.0 - 0.6 * discipline + 0.8 * draws.normal("delay", count))
    delay = delay * COMPANY_OUTCOME.factor("days_beyond_terms", month)
    margin = 0.07 + 0.08 * strength + 0.12 * draws.normal("margin", count)
    swing = np.exp(-0.9 - 0.3 * strength - 0.2 * discipline + 0.5 * draws.normal("swing", count))
    trend = 0.02 + 0.1 * strength + 0.22 * draws.normal("trend", count)
    bills = draws.count("bills", np.exp(-0.9 - 0.7 * discipline), 12)
    used = np.exp(7.2 + 0.9 * draws.normal("used", count))
    used = used * COMPANY_OUTCOME.factor("site_kwh", month)
    sold = draws.chance("e-commerce", coverage["e-commerce"], count)
    billed = draws.chance("utility", coverage["utility"], count)
    return {
        **companies.seen,
        "days_beyond_terms": np.floor(np.clip(delay, 0.0, 180.0)),
        "net_margin": np.round(np.clip(margin, -1.0, 1.0), 2),
        "cash_volatility": np.round(np.clip(swing, 0.0, 3.0), 2),
        "card_sales_trend": np.where(sold, np.round(np.clip(trend, -1.0, 1.0), 2), np.nan),
        "utility_late_bills_12m": np.where(billed, bills, np.nan),
        "site_kwh": np.where(billed, np.round(np.clip(used, 50.0, 200_000.0)), np.nan),
    }
