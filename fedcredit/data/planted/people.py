"""Made-up consumers: persons with hidden traits, and an institution's records of them.

Three hidden traits (ability, stability, discipline) shape all that is seen of a
person, so columns go together as they do in real files. What belongs to the
person (income, file at the bureau) is drawn once and is the same at every
institution; what an institution sees for itself is drawn for each record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedcredit.data.planted.consumers import (
    AGE_BANDS,
    CONSUMER_OUTCOME,
    EMPLOYMENTS,
    NEVER_COLLECTED,
    NOT_REVOLVING,
    REGIONS,
    SEXES,
)
from fedcredit.data.planted.draws import Draws
from fedcredit.data.planted.effects import ColumnValues
from fedcredit.data.planted.institutions import Taste
from fedcredit.units import Flags, Floats, Ints

__all__ = ["People", "draw_people", "draw_records"]


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Persons, shape ``(n,)`` each.

    Attributes:
        ability: hidden: to earn.
        stability: hidden: to stay.
        discipline: hidden: to pay in time.
        age: years.
        thin: True where no bureau has a file.
        seen: the columns that belong to the person.
    """

    ability: Floats
    stability: Floats
    discipline: Floats
    age: Floats
    thin: Flags
    seen: Mapping[str, ColumnValues]

    def attraction(self, taste: Taste) -> Floats:
        """How much an institution of some taste attracts each person, in log-odds."""
        return np.asarray(
            taste.ability * self.ability
            + taste.stability * self.stability
            + taste.discipline * self.discipline
            + taste.age * (self.age - 40.0) / 15.0
        )

    def taken(self, rows: Ints) -> People:
        """Some of the persons."""
        return People(
            self.ability[rows],
            self.stability[rows],
            self.discipline[rows],
            self.age[rows],
            self.thin[rows],
            {name: values[rows] for name, values in self.seen.items()},
        )


def draw_people(draws: Draws, count: int) -> People:
    """Draw persons.

    Args:
        draws: streams of their own.
        count: how many.

    Returns:
        The persons; about three in ten have no file at the bureau.
    """
    age = 18.0 + 64.0 * (1.0 - (1.0 - draws.uniform("age", count)) ** 0.5)
    older = (age - 40.0) / 15.0
    ability = 0.55 * draws.normal("ability", count)
    stability = 0.25 * ability + 0.15 * older + 0.5 * draws.normal("stability", count)
    discipline = 0.3 * ability + 0.2 * stability + 0.5 * draws.normal("discipline", count)
    unknown = -1.1 - 0.4 * ability - 0.5 * stability - 0.5 * older
    thin = draws.chance("thin", 1.0 / (1.0 + np.exp(-unknown)), count)
    female = draws.chance("sex", 0.5, count)
    people = People(ability, stability, discipline, age, thin, {})
    seen: dict[str, ColumnValues] = {
        "sex": np.array(SEXES)[1 - female.astype(np.int64)],
        "age_band": np.array(AGE_BANDS)[np.searchsorted([26, 36, 51, 66], age, side="right")],
        **_identity(draws.under("identity"), people, female),
        **_bureau(draws.under("bureau"), people),
    }
    return People(ability, stability, discipline, age, thin, seen)


def draw_records(
    draws: Draws, people: People, month: Ints, coverage: Mapping[str, float]
) -> dict[str, ColumnValues]:
    """Draw an institution's records of its customers, one a person.

    Args:
        draws: streams of its own.
        people: its customers.
        month: vintage of each record.
        coverage: share of its customers of whom it has an alternative block, by block.

    Returns:
        The table's columns but for ids, vintage and label.
    """
    columns = dict(people.seen)
    columns["inquiries_6m"] = _inquiries(draws, people, month)
    columns |= _payments(draws.under("payments"), people)
    blocks = {"e-commerce": _e_commerce, "utility": _utility, "mobile": _mobile}
    for block, draw in blocks.items():
        stream = draws.under(block)
        known = stream.chance("known", coverage[block], len(month))
        for name, values in draw(stream, people, month).items():
            absent = "" if values.dtype.kind == "U" else np.nan
            columns[name] = np.where(known, values, absent)
    return columns


def _identity(draws: Draws, people: People, female: Flags) -> dict[str, ColumnValues]:
    """Income, address, occupation and region."""
    count = len(people.age)
    peak = 1.0 - ((people.age - 48.0) / 30.0) ** 2
    income = 7.45 + 0.45 * people.ability + 0.2 * peak + 0.4 * draws.normal("income", count)
    income = np.clip(np.exp(income - 0.13 * female), 250.0, 30_000.0)
    years = np.exp(1.2 + 0.6 * people.stability + 0.8 * draws.normal("address", count))
    months = np.minimum(12.0 * years, 12.0 * (people.age - 15.0))
    young, old = people.age < 26.0, people.age >= 64.0
    weights = np.stack(
        [
            np.exp(0.5 * people.stability + 0.3 * people.ability) * np.where(old, 0.1, 1.0),
            0.25 * np.exp(-0.4 * people.stability),
            0.16 * np.exp(0.15 * people.ability),
            np.where(young, 0.5, 0.01),
            np.where(old, 8.0, 0.03),
            0.09 * np.exp(-0.6 * people.ability - 0.3 * people.stability),
        ],
        axis=1,
    )
    shares = np.array([0.1, 0.12, 0.08, 0.15, 0.13, 0.17, 0.1, 0.15])
    return {
        "monthly_income_eur": np.where(
            draws.chance("undeclared", 0.04, count), np.nan, np.round(income)
        ),
        "months_at_address": np.floor(np.clip(months, 0.0, 480.0)),
        "employment": np.array(EMPLOYMENTS)[draws.pick("employment", weights)],
        "region": np.array(REGIONS)[draws.pick("region", np.tile(shares, (count, 1)))],
    }


def _bureau(draws: Draws, people: People) -> dict[str, ColumnValues]:
    """The file at the bureau; missing where there is none."""
    count = len(people.age)
    typical = 1.0 / (1.0 + np.exp(0.55 + 0.7 * people.discipline + 0.3 * people.ability))
    utilisation = np.round(1.25 * draws.share("utilisation", typical, 1.1), 2)
    revolving = draws.chance("revolving", 0.92, count)
    half = 1.0 / (1.0 + np.exp(-0.2 - 0.4 * people.stability))
    months = 12.0 * (people.age - 17.0) * draws.share("file", half, 0.8)
    late = np.exp(-1.5 - 0.75 * people.discipline - 0.25 * people.stability)
    late_24m = draws.count("late", late * np.exp(0.5 * draws.normal("spell", count)), 12)
    file: dict[str, Floats] = {
        "utilisation": np.where(revolving, utilisation, NOT_REVOLVING),
        "months_since_first_credit": np.floor(np.clip(months, 1.0, 480.0)),
        "delinquencies_24m": late_24m,
    }
    return {name: np.where(people.thin, np.nan, values) for name, values in file.items()}


def _inquiries(draws: Draws, people: People, month: Ints) -> Floats:
    """Inquiries under a person's name; they drift."""
    mean = np.exp(-0.25 - 0.45 * people.discipline - 0.2 * people.ability)
    mean = mean * CONSUMER_OUTCOME.factor("inquiries_6m", month)
    return draws.count("inquiries", mean, 15)


def _payments(draws: Draws, people: People) -> dict[str, ColumnValues]:
    """How a customer pays this institution."""
    count = len(people.age)
    late = np.exp(-1.1 - 0.8 * people.discipline + 0.5 * draws.normal("spell", count))
    unpaid = 1.0 / (1.0 + np.exp(2.1 + 0.9 * people.discipline))
    ever = draws.chance("collected", unpaid, count)
    since = np.floor(np.clip(45.0 * draws.exponential("since", count), 0.0, 120.0))
    burden = 1.0 / (1.0 + np.exp(0.9 + 0.5 * people.ability + 0.15 * people.discipline))
    flow = 160.0 + 260.0 * people.ability + 160.0 * people.discipline
    flow = flow + 420.0 * draws.normal("flow", count) * np.exp(0.3 * people.ability)
    odds = np.exp(0.35 + 0.3 * people.discipline + 0.3 * people.stability)
    debited = draws.chance("autopay", odds / (1.0 + odds), count)
    held = np.exp(0.1 + 0.45 * people.ability + 0.6 * people.stability)
    return {
        "late_payments_12m": draws.count("late", late, 12),
        "months_since_collection": np.where(ever, since, NEVER_COLLECTED),
        "debt_service_share": np.round(draws.share("burden", burden, 0.8), 2),
        "net_flow_eur": np.round(np.clip(flow, -10_000.0, 10_000.0)),
        "autopay": np.array(["no", "yes"])[debited.astype(np.int64)],
        "products_held": draws.count("held", held, 12),
    }


def _e_commerce(draws: Draws, people: People, month: Ints) -> dict[str, ColumnValues]:
    """What a customer buys online."""
    count = len(month)
    young = (45.0 - people.age) / 15.0
    mean = np.exp(2.2 + 0.3 * people.ability + 0.25 * young + 0.8 * draws.normal("taste", count))
    returned = 1.0 / (1.0 + np.exp(2.1 + 0.6 * people.discipline + 0.2 * people.stability))
    basket = np.exp(4.0 + 0.7 * draws.normal("basket", count))
    return {
        "orders_12m": np.clip(np.floor(mean * draws.exponential("orders", count)), 0.0, 300.0),
        "returned_share": np.round(draws.share("returned", returned, 1.0), 2),
        "basket_eur": np.round(np.clip(basket, 1.0, 2_000.0)),
    }


def _utility(draws: Draws, people: People, month: Ints) -> dict[str, ColumnValues]:
    """What a customer's energy bills show."""
    count = len(month)
    years = np.exp(1.2 + 0.6 * people.stability + 0.8 * draws.normal("tenure", count))
    months = np.minimum(12.0 * years, 12.0 * (people.age - 17.0))
    used = np.exp(5.45 + 0.6 * draws.normal("used", count))
    late = np.exp(-0.9 - 0.75 * people.discipline - 0.15 * people.ability)
    return {
        "utility_tenure_months": np.floor(np.clip(months, 0.0, 360.0)),
        "utility_late_bills_12m": draws.count("late", late, 12),
        "household_kwh": np.round(np.clip(used, 20.0, 2_000.0)),
    }


def _mobile(draws: Draws, people: People, month: Ints) -> dict[str, ColumnValues]:
    """What a customer's telephone shows; the data used drift."""
    count = len(month)
    years = np.exp(1.1 + 0.55 * people.stability + 0.8 * draws.normal("tenure", count))
    gaps = 1.0 / (1.0 + np.exp(2.4 + 0.65 * people.discipline + 0.3 * people.ability))
    weights = np.stack(
        [
            np.exp(-0.5 * people.ability - 0.4 * people.stability),
            np.full(count, 1.6),
            np.full(count, 0.7),
        ],
        axis=1,
    )
    used = 11.0 * np.exp(0.8 * draws.normal("used", count))
    used = used * CONSUMER_OUTCOME.factor("mobile_data_gb", month)
    kinds = np.array(["prepaid", "postpaid", "family"])
    return {
        "mobile_tenure_months": np.floor(np.clip(12.0 * years, 0.0, 240.0)),
        "mobile_gap_share": np.round(draws.share("gaps", gaps, 1.1), 2),
        "mobile_contract": kinds[draws.pick("contract", weights)],
        "mobile_data_gb": np.round(np.clip(used, 0.1, 500.0), 1),
    }
