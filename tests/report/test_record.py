"""The record leads with the claim in force, and holds every figure that a page may show."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedcredit.report.record import Findings, claims_record, metrics_record, model_record, to_json
from fedcredit.scoring.points import STANDARD_SCALE
from tests.report.made import evaluation, findings
from tests.scoring.made import KINDS


def record(*, made_up: bool = True) -> dict[str, Any]:
    return to_record(findings(made_up=made_up))


def to_record(found: Findings) -> dict[str, Any]:
    """The record as a reader of the file has it."""
    table: dict[str, Any] = json.loads(to_json(model_record(found)))
    return table


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("evaluated", [True, False])
def test_it_is_plain_json(kind: str, evaluated: bool) -> None:
    """It survives being written and read, with the same text again."""
    found = findings(kind, evaluated=evaluated)
    text = to_json(model_record(found))
    assert to_json(json.loads(text)) == text
    assert bool(json.loads(text)["metrics"]) == evaluated


def test_the_claim_in_force_is_the_local_one() -> None:
    """Sums are opened one by one, so one institution's noise is all that protects a record."""
    claims = record()["claims"]
    claim = findings().released.claim
    assert claims["in_force_name"] == "local"
    assert claims["in_force"]["epsilon"] == claim.epsilon_local > claim.epsilon
    assert "one by one" in claims["in_force"]["why"]
    assert claims["with_masks"]["epsilon"] == claim.epsilon
    assert "not in force" in claims["with_masks"]["why"]
    assert [one["institutions"] for one in claims["in_force"]["persons"]] == [1, 2, 3]


def test_masks_would_add_nothing_to_local_noise() -> None:
    assert "nothing" in to_record(findings(noise="local"))["claims"]["with_masks"]["why"]


def test_with_masks_the_distributed_claim_is_in_force() -> None:
    found = findings()
    claims: Any = claims_record(found.released.claim, "distributed", found.plan)
    assert claims["in_force"]["epsilon"] == found.released.claim.epsilon
    assert "not in force" not in claims["in_force"]["why"]


def test_recognition_is_the_bound_that_epsilon_implies() -> None:
    """A fair coin's 1/2 rises to at most e^epsilon / (1 + e^epsilon)."""
    figures = record()["claims"]["in_force"]
    odds = figures["recognised"] / (1 - figures["recognised"])
    assert math.log(odds) == pytest.approx(figures["epsilon"])


def test_metrics_carry_their_noise() -> None:
    """Each has a standard error, and the counts are those that were released."""
    found = evaluation("scorecard")
    metrics: Any = metrics_record((found,), STANDARD_SCALE)
    assert metrics["auc"] == found.auc
    assert metrics["auc_se"] == found.auc_se
    assert metrics["gini"] == pytest.approx(2 * found.auc - 1)
    assert metrics["noise_sd"] == 9
    assert metrics["goods"] == found.goods.tolist()
    assert len(metrics["log_odds_edges"]) == len(metrics["bads"]) - 1
    assert metrics_record((), STANDARD_SCALE) == {}


def test_drawn_columns_hold_every_record_once() -> None:
    """Shares of a class add up to 1, and columns touch."""
    metrics: Any = metrics_record((evaluation("scorecard"),), STANDARD_SCALE)
    columns = metrics["score_columns"]
    for name in ("goods", "bads"):
        assert sum(column[name] for column in columns) == pytest.approx(1)
    assert columns[0]["low"] == 350
    assert columns[-1]["high"] <= 950
    assert [one["high"] for one in columns[:-1]] == [one["low"] for one in columns[1:]]


def test_tiers_split_the_held_out_records() -> None:
    """Shares add up to 1, and better tiers have fewer bads than expected of worse ones."""
    found = evaluation("scorecard", records=2_000_000)
    tiers: Any = metrics_record((found,), STANDARD_SCALE)["tiers"]
    assert sum(tier["share"] for tier in tiers) == pytest.approx(1, abs=0.01)
    assert (np.diff([tier["expected"] for tier in tiers]) < 0).all()
    assert (np.diff([tier["observed"] for tier in tiers]) < 0).all()


def test_an_empty_tier_is_no_error() -> None:
    """Noise may leave a tier with less than nobody."""
    found = evaluation("scorecard")
    gone = replace(found, goods=found.goods * 0 - 3, bads=found.bads * 0, records=1.0)
    tiers: Any = metrics_record((gone,), STANDARD_SCALE)["tiers"]
    assert all(0 <= tier["share"] <= 1 and 0 <= tier["observed"] <= 1 for tier in tiers)


def test_the_scale_says_all_that_must_be_printed() -> None:
    """PDO, base score and odds, direction, rounding, clip range, sample, PD at each edge."""
    scale = record()["scale"]
    assert (scale["points_to_double"], scale["base_score"], scale["base_odds"]) == (50, 600, 20)
    assert (scale["lowest"], scale["highest"]) == (350, 950)
    assert scale["direction"] == "higher is better"
    assert "half to even" in scale["rounding"]
    edges = [tier["pd_at_low"] for tier in scale["tiers"]]
    assert edges == sorted(edges, reverse=True)
    assert edges[2] == pytest.approx(1 / 21)


def test_own_figures_are_for_made_up_records_only() -> None:
    assert record()["own"]
    assert record(made_up=False)["own"] == []
