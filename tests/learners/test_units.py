"""The hidden layer follows from public things alone, reads few features, and bends in doubt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.learners import units
from fedcredit.learners.binning import Binned
from fedcredit.learners.scorecard import Fitting, ScorecardLearner, public_generator
from fedcredit.learners.units import draw_network, vectors_of
from fedcredit.models.network import Network
from fedcredit.units import Floats
from tests.learners.studies import DIRECTED, SEED, UNDIRECTED, table, told


def fitted(schema: object = DIRECTED, epsilon: float = 8.0, rows: int = 3000) -> Fitting:
    """A scorecard's last program."""
    assert schema in (DIRECTED, UNDIRECTED)
    records = table(1, rows, DIRECTED if schema is DIRECTED else UNDIRECTED)
    last = told(ScorecardLearner(), records, epsilon).programs[-1]
    assert isinstance(last, Fitting)
    return last


FITTED = fitted()


def drawn(*, monotone: bool = False, seed: bytes = SEED, last: Fitting = FITTED) -> Network:
    rng = public_generator(seed, "units")
    return draw_network(last.binned, last.model(), last.by_order, rng, monotone=monotone)


def by_feature(network: Network) -> Floats:
    """Weights, ``(units, features, width)``."""
    return network.weights.reshape(len(network.head), len(network.vectors), -1)


def test_the_same_seed_draws_the_same_layer_and_another_one_another() -> None:
    one, again, other = drawn(), drawn(), drawn(seed=b"another")

    assert one.weights.tobytes() == again.weights.tobytes()
    assert one.biases.tobytes() == again.biases.tobytes()
    assert one.weights.tobytes() != other.weights.tobytes()


@pytest.mark.parametrize("monotone", [False, True])
def test_a_unit_reads_two_to_four_features_with_weights_of_one_length(monotone: bool) -> None:
    network = drawn(monotone=monotone)
    read = np.abs(by_feature(network)).sum(axis=2) > 0

    assert set(read.sum(axis=1).tolist()) <= {2, 3, 4}
    assert np.linalg.norm(network.weights, axis=1) == pytest.approx(units.GAIN)
    assert not network.head.any()
    assert network.shift == 0.0
    assert network.monotone == monotone


def test_features_that_tell_more_are_read_more_often() -> None:
    network = drawn()
    values = [feature.iv for feature in FITTED.binned.bins]
    read = (np.abs(by_feature(network)).sum(axis=2) > 0).sum(axis=0)

    assert read[int(np.argmax(values))] > read[int(np.argmin(values))]


def test_every_unit_is_0_at_one_of_the_stand_ins() -> None:
    """Its middle, where it is steepest."""
    network = drawn()
    found = np.abs(network.units(FITTED.by_order.bins)).min(axis=0)

    assert found.max() < 1e-9


def test_middles_lie_where_the_scorecard_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were one stand-in alone in doubt, every unit would be 0 there."""
    only = np.zeros(FITTED.by_order.good.size)
    only[17] = 1.0
    monkeypatch.setattr(units, "doubt", lambda card, standin: only)

    found = np.abs(drawn().units(FITTED.by_order.bins))

    assert found[17].max() < 1e-9
    assert found.mean() > 0.5


def test_directed_features_have_no_weight_below_0_and_the_others_have() -> None:
    network = drawn(monotone=True)
    weights = by_feature(network)
    directed = np.array(FITTED.binned.signs) != 0

    assert weights[:, directed].min() >= 0.0
    assert weights[:, ~directed].min() < 0.0
    assert by_feature(drawn())[:, directed].min() < 0.0


def rising(binned: Binned) -> bool:
    """Whether both numbers of every directed feature's vectors never turn back."""
    parts = zip(vectors_of(binned), binned.ordered, binned.signs, strict=True)
    return all(
        bool((np.diff(own[run], axis=0) >= 0).all())
        for own, run, sign in parts
        for own, run in [(own if sign else own[:0], run[::sign] if sign else run[:0])]
    )


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), epsilon=st.sampled_from((0.05, 0.5, 8.0)))
def test_vectors_never_turn_back_along_a_declared_direction(seed: int, epsilon: float) -> None:
    """From the bad end of a feature's ordered bins to the good one, whatever the noise."""
    binned = told(ScorecardLearner(), table(seed, 300), epsilon, seed).programs[1]
    assert rising(binned.binned)  # type: ignore[attr-defined]


def test_where_noise_left_each_feature_one_bin_there_is_a_layer_all_the_same() -> None:
    last = fitted(UNDIRECTED, 0.003, 50)
    single = tuple(
        replace(
            one,
            of_cell=np.zeros_like(one.of_cell),
            labels=("all",),
            goods=one.goods.sum(keepdims=True),
            bads=one.bads.sum(keepdims=True),
            woe=np.zeros(1),
            woe_se=np.zeros(1),
        )
        for one in last.binned.bins
    )
    binned = replace(last.binned, bins=single)
    standin = replace(last.by_order, bins=np.zeros_like(last.by_order.bins))
    card = replace(last.model(), bins=single)

    network = draw_network(binned, card, standin, public_generator(SEED, "units"), monotone=False)

    assert np.isfinite(network.units(standin.bins)).all()
