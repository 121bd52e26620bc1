"""The head moves to where the rounds say, as far as their noise lets it, and no further."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedcredit.learners.head import Heard, fold_head, head_query
from fedcredit.learners.program import FINEST, NoisyTotal
from fedcredit.learners.scorecard import Fitting, ScorecardLearner, public_generator
from fedcredit.learners.standin import StandIn
from fedcredit.learners.units import draw_network
from fedcredit.models.network import Network
from fedcredit.models.network_gradient import NetworkGradient
from fedcredit.models.odds import residual
from fedcredit.units import Floats
from tests.learners.studies import DIRECTED, SEED, head_sum, table, told


def started() -> tuple[Network, StandIn]:
    last = told(ScorecardLearner(), table(1, 3000, DIRECTED), 8.0).programs[-1]
    assert isinstance(last, Fitting)
    rng = public_generator(SEED, "units")
    network = draw_network(last.binned, last.model(), last.by_order, rng, monotone=False)
    return network, last.by_order


NETWORK, STANDIN = started()
FREE = (0,) * NETWORK.head.size


def standins_gradient(query: NetworkGradient, truth: Network) -> Floats:
    """The clipped gradient that the stand-ins would send, were ``truth`` how they behave."""
    units = query.network.units(STANDIN.bins)
    rows = np.column_stack([units, np.ones(len(units))])
    card = query.network.scorecard.log_odds_of_bins(STANDIN.bins)
    at, good = card + query.network.added(STANDIN.bins), card + truth.added(STANDIN.bins)
    chance = 1 / (1 + np.exp(-good))
    ones = np.zeros(at.size, np.uint8)
    expected = chance * residual(at, ones) + (1 - chance) * residual(at, ones + 1)
    norms = np.linalg.norm(rows, axis=1)
    weight = STANDIN.weight * np.minimum(1.0, query.clip / norms)
    return np.asarray(-(rows.T @ (weight * expected)))


def told_by_standins(variance: int, truth: Network, rounds: int, times: float = 1.0) -> Network:
    """The head after rounds that the stand-ins answer, of so much noise in steps squared.

    There are so many times the records.
    """
    standin = replace(STANDIN, weight=times * STANDIN.weight)
    network = NETWORK
    rng = np.random.default_rng(1)
    past: tuple[Heard, ...] = ()
    for _ in range(rounds):
        query = head_query(network, STANDIN, 5.0)
        exact = times * standins_gradient(query, truth) * query.steps / query.clip
        noisy = np.rint(exact + rng.normal(0, np.sqrt(variance), exact.size))
        total = NoisyTotal(noisy.astype(np.int64), variance)
        network, past = fold_head(query, total, past, standin, FREE)
    assert len(past) == rounds
    return network


def truth() -> Network:
    head = np.random.default_rng(2).normal(0, 0.05, NETWORK.head.size + 1)
    return NETWORK.with_head(head)


def off(found: Network) -> float:
    """How far the log-odds are from the truth, over the stand-ins, relative to none at all."""
    wanted = truth().added(STANDIN.bins)
    weight = STANDIN.weight / STANDIN.weight.sum()
    miss = (weight * (found.added(STANDIN.bins) - wanted) ** 2).sum()
    return float(np.sqrt(miss / (weight * wanted**2).sum()))


def test_without_noise_a_few_rounds_find_what_many_records_say() -> None:
    """Of few records much is chance, which is known and held back."""
    few, many = (off(told_by_standins(1, truth(), 5, times)) for times in (1.0, 100.0))

    assert many < 0.25
    assert many < few < 0.7


def test_more_noise_keeps_the_head_nearer_to_0() -> None:
    sizes = [
        float(np.linalg.norm(told_by_standins(variance, truth(), 3).head))
        for variance in (1, 10**10, 10**13, 10**16)
    ]

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.01 * sizes[0]


def test_rounds_are_averaged_so_more_of_them_come_nearer() -> None:
    noise = (2 * FINEST) ** 2 * 100

    assert off(told_by_standins(noise, truth(), 8)) < off(told_by_standins(noise, truth(), 1))


def test_a_sign_holds_a_head_at_0_or_above() -> None:
    query = head_query(NETWORK, STANDIN, 5.0)
    total = NoisyTotal((standins_gradient(query, truth()) * 1e4).astype(np.int64), 100)
    signs = tuple(unit % 2 for unit in range(NETWORK.head.size))

    bound, _ = fold_head(query, total, (), STANDIN, signs)
    free, _ = fold_head(query, total, (), STANDIN, FREE)

    assert bound.head[1::2].min() >= 0.0
    assert free.head[1::2].min() < 0.0
    assert bound.head[::2].min() < 0.0


def test_nine_tenths_of_the_stand_ins_are_shorter_than_the_clip() -> None:
    query = head_query(NETWORK, STANDIN, 5.0)
    lengths = np.sqrt((NETWORK.units(STANDIN.bins) ** 2).sum(axis=1) + 1.0)

    assert query.learned == "head"
    assert query.steps == FINEST
    assert (lengths <= query.clip).mean() == pytest.approx(0.9, abs=0.01)
    assert query.clip <= np.sqrt(NETWORK.head.size + 1)


def test_hearing_the_same_total_twice_is_hearing_it_once_with_less_noise() -> None:
    """A round at the head that it moved to, with the gradient that is left, moves it little."""
    records = table(2, 3000)
    query = head_query(NETWORK, STANDIN, 5.0)
    first, heard = fold_head(query, NoisyTotal(head_sum(records, query), 1), (), STANDIN, FREE)
    again = head_query(first, STANDIN, 5.0)
    second, _ = fold_head(again, NoisyTotal(head_sum(records, again), 1), heard, STANDIN, FREE)

    assert np.linalg.norm(second.head - first.head) < np.linalg.norm(first.head)
