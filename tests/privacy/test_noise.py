"""The noise has exactly the law it states, and the checks that say so catch wrong samplers."""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import opendp.prelude as dp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedcredit.errors import PrivacyError
from fedcredit.privacy import noise
from fedcredit.privacy.events import MAX_VARIANCE, MIN_VARIANCE
from fedcredit.privacy.noise import RandomBytes, discrete_gaussian
from fedcredit.units import Floats, Ints

MILLION = 1_000_000


class Shake:
    """One long stream of bytes: SHAKE-256(seed, block number), 64 KiB a block."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._block = 0
        self._left = b""
        self.handed_out = 0

    def __call__(self, count: int) -> bytes:
        while len(self._left) < count:
            name = self._seed + self._block.to_bytes(8, "little")
            self._left += hashlib.shake_256(name).digest(65536)
            self._block += 1
        taken, self._left = self._left[:count], self._left[count:]
        self.handed_out += count
        return taken


class Words:
    """A source that hands out the given words, and nothing else."""

    def __init__(self, *words: int) -> None:
        self._bytes = b"".join(word.to_bytes(8, "little") for word in words)

    def __call__(self, count: int) -> bytes:
        taken, self._bytes = self._bytes[:count], self._bytes[count:]
        return taken


# ------------------------------------------------------------------- the law, and its checks


def exact_cells(variance: int) -> tuple[Ints, Floats]:
    """Cut the integers into some sixty cells, and give each its exact probability.

    Returns the lower edges of all cells but the first, and the probabilities.
    """
    sd = int(variance**0.5) + 1
    step = max(1, sd // 8)
    edges = np.arange(-4 * sd, 4 * sd + 1, step)
    reach = np.arange(-9 * sd, 9 * sd + 1)
    weights = np.exp(-(reach.astype(np.float64) ** 2) / (2 * variance))
    cells = np.searchsorted(edges, reach, side="right")
    mass = np.bincount(cells, weights=weights, minlength=edges.size + 1)
    return edges, mass / mass.sum()


def faults(draws: Ints, variance: int) -> set[str]:
    """Name every way in which draws differ from N_Z(0, variance): the check of all samplers here.

    Each bound lies 4.9 standard errors out or at p = 1e-6; at 10^6 draws an error of
    1 % in sigma is far beyond it.
    """
    n = draws.size
    scaled = draws / variance**0.5
    found = set()
    for name, moment, standard_error in (
        ("mean", scaled.mean(), (1 / n) ** 0.5),
        ("variance", (scaled**2).mean() - 1, (2 / n) ** 0.5),
        ("skew", stats.skew(scaled), (6 / n) ** 0.5),
        ("kurtosis", stats.kurtosis(scaled), (24 / n) ** 0.5),
        ("neighbours", (scaled[1:] * scaled[:-1]).mean(), (1 / n) ** 0.5),
        ("sizes of neighbours", np.corrcoef(scaled[1:] ** 2, scaled[:-1] ** 2)[0, 1], n**-0.5),
    ):
        if abs(moment) > 4.9 * standard_error:
            found.add(name)
    edges, expected = exact_cells(variance)
    seen = np.bincount(np.searchsorted(edges, draws, side="right"), minlength=expected.size)
    if stats.chisquare(seen, n * expected).pvalue < 1e-6:
        found.add("chi-square")
    # At sd 4 already, the residues' probabilities are even to 1e-15.
    for modulus in (2, 3):
        if stats.chisquare(np.bincount(draws % modulus, minlength=modulus)).pvalue < 1e-6:
            found.add(f"residues modulo {modulus}")
    return found


@pytest.mark.parametrize("variance", [16, 17, 20, 900, 2**20 + 7, 10**9, 2**36, 2**40])
def test_a_million_draws_have_the_stated_law(variance: int) -> None:
    draws = discrete_gaussian(variance, MILLION, Shake(f"law {variance}"))

    assert faults(draws, variance) == set()


def test_four_million_draws_at_the_least_variance_have_the_stated_law() -> None:
    """Where rounding a continuous Gaussian differs most from drawing the discrete one."""
    assert faults(discrete_gaussian(16, 4 * MILLION, Shake("least")), 16) == set()


@pytest.mark.parametrize("variance", [100, 900, 2**20])
@pytest.mark.parametrize("factor", [Fraction(105, 100), Fraction(95, 100)])
def test_an_error_of_5_percent_in_sigma_is_caught(variance: int, factor: Fraction) -> None:
    wrong = discrete_gaussian(round(variance * factor**2), MILLION, Shake("wrong sigma"))

    assert {"variance", "chi-square"} <= faults(wrong, variance)


@pytest.mark.parametrize("round_off", [np.rint, np.trunc, np.floor])
def test_a_rounded_float_gaussian_is_caught(round_off: Callable[[Floats], Floats]) -> None:
    gaussian = np.random.default_rng(1).normal(0, 4, size=4 * MILLION)

    assert faults(round_off(gaussian).astype(np.int64), 16)


def test_a_repeated_stream_is_caught() -> None:
    """Each draw twice: right in every moment, worthless as noise."""
    halves = discrete_gaussian(900, MILLION // 2, Shake("twice"))

    assert "neighbours" in faults(np.repeat(halves, 2), 900)


def test_noise_on_a_coarser_lattice_is_caught() -> None:
    """Even numbers only: the low bit of the sum would show through."""
    coarse = 2 * discrete_gaussian(225, MILLION, Shake("coarse"))

    assert "residues modulo 2" in faults(coarse, 900)


def against_opendp(draws: Ints, scale: float, wanted: int) -> float:
    """p-value that OpenDP's discrete Gaussian of this scale and ``draws`` have one law."""
    dp.enable_features("contrib")
    oracle = dp.m.make_gaussian(
        dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64"), scale=scale
    )
    theirs = np.asarray(oracle([0] * wanted), dtype=np.int64)
    edges = np.arange(-30, 31, 2)
    table = [
        np.bincount(np.searchsorted(edges, side, side="right"), minlength=edges.size + 1)
        for side in (draws, theirs)
    ]
    return float(stats.chi2_contingency(np.asarray(table)).pvalue)


def test_draws_agree_with_opendp() -> None:
    """OpenDP takes no seed, so the bound lies where chance does not reach."""
    assert against_opendp(discrete_gaussian(100, MILLION, Shake("oracle")), 10.0, 40_000) > 1e-9


def test_opendp_tells_a_wrong_sigma() -> None:
    assert against_opendp(discrete_gaussian(110, MILLION, Shake("oracle")), 10.0, 40_000) < 1e-9


# ---------------------------------------------------------------------------- fixed answers


@pytest.mark.parametrize(
    ("variance", "draws"),
    [
        (16, [-1, -5, 6, -10, 2, 3, -2, 7]),
        (900, [6, -4, 1, 15, 29, 14, -16, -10]),
        (2**36, [54252, -35917, 9633, 133958, 955120, 252279, 121974, -138804]),
    ],
)
def test_the_first_draws_of_a_fixed_stream_never_change(variance: int, draws: list[int]) -> None:
    """A vector: the same bytes give the same noise in every version and on every machine."""
    assert discrete_gaussian(variance, 8, Shake("vector")).tolist() == draws


@given(st.integers(MIN_VARIANCE, MAX_VARIANCE), st.integers(0, 100), st.text(max_size=5))
def test_the_same_bytes_give_the_same_draws(variance: int, size: int, seed: str) -> None:
    first = discrete_gaussian(variance, size, Shake(seed))

    assert first.shape == (size,)
    assert first.dtype == np.int64
    assert first.tolist() == discrete_gaussian(variance, size, Shake(seed)).tolist()


def test_a_draw_takes_about_a_hundred_bytes() -> None:
    stream = Shake("bytes")

    discrete_gaussian(900, 100_000, stream)

    assert 100 < stream.handed_out / 100_000 < 115


def test_a_source_is_recognised_by_being_callable() -> None:
    assert isinstance(Shake("port"), RandomBytes)


# ------------------------------------------------------------------------- the exact pieces


@given(
    variance=st.integers(MIN_VARIANCE, MAX_VARIANCE) | st.sampled_from([16, 2**36, 2**40]),
    data=st.data(),
)
def test_the_exponent_is_exact_over_the_whole_range(variance: int, data: st.DataObject) -> None:
    """Whole and remainder are gamma of Algorithm 3 in rationals, less its least value."""
    scale = int(variance**0.5) + 1
    y = data.draw(st.integers(0, 3 * scale) | st.integers(0, min(60 * scale, 2**31 - 1)))

    trials, remainder, denominator = noise._exponent(np.asarray([y]), variance)

    t = next(t for t in (scale - 1, scale, scale + 1) if (t - 1) ** 2 <= variance < t**2)
    shift = Fraction(variance, t)
    peak = min((round(shift) + k for k in (-1, 0, 1)), key=lambda k: abs(k - shift))
    gamma = ((y - shift) ** 2 - (peak - shift) ** 2) / (2 * variance)
    assert 0 <= remainder[0] < denominator < 2**62
    assert int(trials[0]) + Fraction(int(remainder[0]), denominator) == gamma


@given(denominator=st.integers(2, 2**62), data=st.data())
def test_a_trial_counts_exactly_the_right_share_of_words(
    denominator: int, data: st.DataObject
) -> None:
    """Success if and only if the word's uniform value lies below the numerator."""
    numerator = data.draw(st.integers(0, denominator - 1))
    share = 2**64 // denominator
    edge = numerator * share
    words = data.draw(st.sampled_from([max(edge - 1, 0), edge, 0, share * denominator - 1]))

    hit = noise._bernoulli(np.asarray([numerator], dtype=np.uint64), denominator, Words(words))

    assert hit.tolist() == [words // share < numerator]


@given(limit=st.integers(2, 2**63), data=st.data())
def test_words_past_the_last_multiple_are_drawn_again(limit: int, data: st.DataObject) -> None:
    multiple = 2**64 // limit * limit
    none_left = st.builds(list[int])
    late = data.draw(
        st.lists(st.integers(multiple, 2**64 - 1), max_size=3) if multiple < 2**64 else none_left
    )
    good = data.draw(st.integers(0, multiple - 1))

    drawn = noise._uniform_below(limit, 1, Words(*late, good))

    assert drawn.tolist() == [good // (2**64 // limit)]


@pytest.mark.parametrize("limit", [2, 3, 10, 1000])
def test_uniform_integers_are_even(limit: int) -> None:
    drawn = noise._uniform_below(limit, 200_000, Shake("even"))
    seen = np.bincount(drawn.astype(np.int64), minlength=limit)

    assert seen.size == limit
    assert stats.chisquare(seen).pvalue > 1e-4


@pytest.mark.parametrize(
    ("numerator", "denominator"), [(0, 7), (1, 1000), (1, 3), (1, 2), (999, 1000), (2**60, 2**61)]
)
def test_algorithm_1_succeeds_with_probability_exp_of_minus_gamma(
    numerator: int, denominator: int
) -> None:
    numerators = np.full(MILLION, numerator, dtype=np.uint64)

    successes = noise._bernoulli_exp(numerators, denominator, Shake("exp")).sum()

    expected = np.exp(-numerator / denominator)
    assert abs(successes / MILLION - expected) <= 4.5 * (expected * (1 - expected) / MILLION) ** 0.5


def test_algorithm_1_at_gamma_1() -> None:
    successes = noise._bernoulli_exp_minus_one(MILLION, Shake("e")).mean()

    assert abs(successes - np.exp(-1)) < 4.5 * 0.482 / 1000


@pytest.mark.parametrize("scale", [5, 6, 31])
def test_algorithm_2_is_discrete_laplace(scale: int) -> None:
    draws = noise._discrete_laplace(scale, MILLION, Shake("laplace"))

    edge = 8 * scale
    kept = draws[abs(draws) <= edge]
    law = np.exp(-abs(np.arange(-edge, edge + 1)) / scale)
    seen = np.bincount(kept + edge, minlength=law.size)
    assert stats.chisquare(seen, kept.size * law / law.sum()).pvalue > 1e-4


# ------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "variance", [0, -1, 15, 2**40 + 1, True, 16.0, float("nan"), "16", None, np.int64(16)]
)
def test_a_variance_outside_the_range_or_of_another_type_is_refused(variance: int) -> None:
    with pytest.raises(PrivacyError, match="variance"):
        discrete_gaussian(variance, 1, Shake(""))


@pytest.mark.parametrize("size", [-1, 2**32 + 1, True, 1.0])
def test_a_size_outside_the_range_or_of_another_type_is_refused(size: int) -> None:
    with pytest.raises(PrivacyError, match="size"):
        discrete_gaussian(16, size, Shake(""))


@pytest.mark.parametrize("returned", [b"", b"short", bytes(10_000)])
def test_a_source_that_returns_another_number_of_bytes_is_refused(returned: bytes) -> None:
    with pytest.raises(PrivacyError, match="random source returned"):
        discrete_gaussian(16, 1, lambda _count: returned)


# ------------------------------------------------------------------- no float, no generator


def nodes_of_the_sampler() -> Iterator[ast.AST]:
    return ast.walk(ast.parse(inspect.getsource(noise)))


def test_the_sampler_imports_no_generator_and_no_real_function() -> None:
    imported = set()
    for node in nodes_of_the_sampler():
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}

    assert {name for name in imported if not name.startswith(("fedcredit.", "typing."))} == {
        "__future__.annotations",
        "math.isqrt",
        "numpy",
        "numpy.typing.NDArray",
    }


def test_the_sampler_takes_from_numpy_what_is_exact_and_nothing_else() -> None:
    used = {
        node.attr
        for node in nodes_of_the_sampler()
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "np"
    }

    assert used <= {
        "abs", "arange", "bool_", "empty", "flatnonzero", "frombuffer", "int64", "ones",
        "uint64", "zeros",
    }  # fmt: skip


def test_the_sampler_holds_no_float_and_no_true_division() -> None:
    for node in nodes_of_the_sampler():
        assert not isinstance(node, ast.Div)
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, (float, complex)))
        assert not (isinstance(node, ast.Name) and node.id == "float")
