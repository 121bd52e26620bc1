"""Made-up values have the laws they state, and a stream depends on its name alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedcredit.data.planted.draws import Draws
from fedcredit.units import Floats

MANY = 40_000
DOUBTFUL = 1e-3  # the draws are fixed, so a law that holds today holds on every run
names = st.text(max_size=20)


@given(seed=names, name=names, count=st.integers(0, 50), more=st.integers(0, 50))
def test_a_longer_stream_begins_like_a_shorter_one(
    seed: str, name: str, count: int, more: int
) -> None:
    draws = Draws(seed)
    longer = draws.uniform(name, count + more)
    assert draws.uniform(name, count).tolist() == longer[:count].tolist()


@given(names=st.lists(names, min_size=2, max_size=2, unique=True))
def test_streams_of_two_names_differ(names: list[str]) -> None:
    one, other = (Draws("7").uniform(name, 4).tolist() for name in names)
    assert one != other


@given(seed=names, name=names)
def test_uniform_draws_never_reach_0_or_1(seed: str, name: str) -> None:
    """Logarithms of a draw and of its complement are finite."""
    drawn = Draws(seed).uniform(name, 200)
    assert drawn.min() > 0.0
    assert drawn.max() < 1.0


@pytest.mark.parametrize(
    ("drawn", "law"),
    [
        (Draws("7").uniform("x", MANY), stats.uniform()),
        (Draws("7").normal("x", MANY), stats.norm()),
        (Draws("7").exponential("x", MANY), stats.expon()),
    ],
    ids=["uniform", "normal", "exponential"],
)
def test_a_continuous_law_is_the_one_it_is_named_for(drawn: Floats, law: stats.rv_frozen) -> None:
    assert stats.kstest(drawn, law.cdf).pvalue > DOUBTFUL


@pytest.mark.parametrize("mean", [0.1, 1.3, 6.0])
def test_counts_are_poisson_and_end_at_the_most(mean: float) -> None:
    """Whatever lies above the most is counted there."""
    most = 8
    drawn = Draws("7").count(f"mean {mean}", np.full(MANY, mean), most)

    expected = MANY * stats.poisson(mean).pmf(np.arange(most + 1))
    expected[most] = MANY - expected[:most].sum()
    found = np.bincount(drawn.astype(int), minlength=most + 1)
    assert len(found) == most + 1
    likely = expected > 5
    rest = (found[~likely].sum(), expected[~likely].sum())
    seen = np.append(found[likely], rest[0])
    wanted = np.append(expected[likely], rest[1])
    keep = wanted > 0
    assert stats.chisquare(seen[keep], wanted[keep]).pvalue > DOUBTFUL


def test_each_row_has_its_own_mean_count() -> None:
    mean = np.repeat([0.2, 3.0], MANY // 2)
    drawn = Draws("7").count("x", mean, 30)
    low, high = drawn[: MANY // 2].mean(), drawn[MANY // 2 :].mean()
    assert low == pytest.approx(0.2, abs=0.02)
    assert high == pytest.approx(3.0, abs=0.06)


def test_shares_lie_between_0_and_1_around_their_mean() -> None:
    drawn = Draws("7").share("x", np.full(MANY, 0.2), spread=0.8)
    assert ((drawn > 0.0) & (drawn < 1.0)).all()
    assert float(np.median(drawn)) == pytest.approx(0.2, abs=0.005)
    assert float(np.std(np.log(drawn / (1.0 - drawn)))) == pytest.approx(0.8, abs=0.02)


def test_chance_and_pick_keep_to_their_probabilities() -> None:
    draws = Draws("7")
    weights = np.tile([1.0, 0.0, 3.0], (MANY, 1))
    picked = np.bincount(draws.pick("x", weights), minlength=3)
    assert picked[1] == 0
    assert picked[2] / MANY == pytest.approx(0.75, abs=0.01)
    assert draws.chance("y", 0.3, MANY).mean() == pytest.approx(0.3, abs=0.01)


@given(
    weights=st.lists(st.floats(0.01, 100.0), min_size=1, max_size=40),
    data=st.data(),
)
def test_a_sample_takes_nobody_twice(weights: list[float], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(weights)))
    places = Draws("7").sample("x", np.array(weights), count).tolist()
    assert len(places) == count
    assert places == sorted(set(places))
    assert set(places) <= set(range(len(weights)))


def test_a_sample_prefers_the_heavy() -> None:
    """Of two places, one is drawn first in the ratio of their weights."""
    weights = np.array([1.0, 3.0])
    heavy = [Draws("7").sample(str(at), weights, 1)[0] == 1 for at in range(2_000)]
    assert sum(heavy) / 2_000 == pytest.approx(0.75, abs=0.04)
