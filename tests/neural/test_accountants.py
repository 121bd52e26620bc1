"""Our accountant against those of Opacus: needs the extra ``neural``."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from opacus.accountants import GaussianAccountant, PRVAccountant, RDPAccountant

import fedcredit
from fedcredit.privacy.accounting import claims, reference_pld
from fedcredit.privacy.curves import epsilon_of_curve
from fedcredit.privacy.events import RATE_ONE, SampledGaussianSum
from fedcredit.privacy.renyi import ORDERS, renyi_sum

DELTA = 1e-5
STUDIES = [(0.1707, 4, 58), (0.0341, 1, 290), (0.01, 1, 2000)]
"""Rate, noise over sensitivity, rounds."""


def rounds_of(q: float, sigma: int, rounds: int) -> list[SampledGaussianSum]:
    return [
        SampledGaussianSum(
            name="gradient",
            part="train",
            dim=8,
            sensitivity_squared=2**20,
            variance=sigma**2 * 2**20,
            honest=1,
            rate=round(q * RATE_ONE),
        )
    ] * rounds


def ours(q: float, sigma: int, rounds: int) -> float:
    return claims(rounds_of(q, sigma, rounds), DELTA, persons=()).epsilon


@pytest.mark.parametrize(("q", "sigma", "rounds"), STUDIES)
def test_opacus_renyi_accountant_agrees(q: float, sigma: int, rounds: int) -> None:
    """At our orders the same but for rounding; at its own, with fractions, little below."""
    theirs = RDPAccountant()
    theirs.history = [(float(sigma), round(q * RATE_ONE) / RATE_ONE, rounds)]
    found = ours(q, sigma, rounds)

    same = float(theirs.get_epsilon(DELTA, alphas=[float(order) for order in ORDERS]))
    assert same * (1 - 1e-9) <= found <= same * (1 + 1e-5)
    finer = float(theirs.get_epsilon(DELTA))
    assert finer <= found <= 1.01 * finer


@pytest.mark.parametrize(
    ("q", "sigma", "rounds", "ratio"),
    [(*study, ratio) for study, ratio in zip(STUDIES, (1.093, 1.132, 1.106), strict=True)],
)
def test_opacus_prv_accountant_is_below_and_close(
    q: float, sigma: int, rounds: int, ratio: float
) -> None:
    """Its figure is exact for rounds that are fixed in advance, and cannot be a filter."""
    theirs = PRVAccountant()
    theirs.history = [(float(sigma), round(q * RATE_ONE) / RATE_ONE, rounds)]

    found = ours(q, sigma, rounds) / float(theirs.get_epsilon(DELTA))

    assert found == pytest.approx(ratio, abs=0.002)


@pytest.mark.parametrize(
    ("q", "sigma", "rounds", "short"),
    [(*study, short) for study, short in zip(STUDIES, (0.049, 0.155, 0.078), strict=True)],
)
def test_opacus_gdp_accountant_understates_what_sampled_rounds_cost(
    q: float, sigma: int, rounds: int, short: float
) -> None:
    """By a central limit: less than the exact figure, by so much of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says itself that it is experimental
        theirs = GaussianAccountant()
    theirs.history = [(float(sigma), round(q * RATE_ONE) / RATE_ONE, rounds)]
    exact = reference_pld(rounds_of(q, sigma, rounds), DELTA)

    found = 1 - float(theirs.get_epsilon(DELTA)) / exact

    assert found == pytest.approx(short, abs=0.003)


def test_nothing_in_the_package_names_that_accountant() -> None:
    for path in Path(fedcredit.__file__).parent.rglob("*.py"):
        text = path.read_text("utf-8").lower()
        assert "gaussianaccountant" not in text
        assert "gdp" not in text


def test_the_orders_lose_little_against_the_finest() -> None:
    """Whole orders alone, for a full sum: the loss in epsilon at a few sizes of it."""
    orders = 1 + np.geomspace(1e-3, 1e4, 4096)
    for cost, most in ((0.001, 1.02), (0.03, 1.002), (0.5, 1.01)):
        known = (np.log(orders) + math.log(DELTA)) / (orders - 1) - np.log1p(-1 / orders)
        best = float(np.min(orders * cost - known))
        curve = [math.ceil(order * cost * 1e9) for order in ORDERS]
        assert best <= epsilon_of_curve(curve, DELTA) <= best * most
    assert renyi_sum([]) == (0,) * len(ORDERS)
