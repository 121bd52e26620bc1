"""A personal layer learns from an institution's own rows, keeps directions, and fits one model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.data.records import Records, in_memory
from fedcredit.errors import DataError, IntegrityError
from fedcredit.models.network import Network
from fedcredit.scoring.model import ReleasedModel
from fedcredit.scoring.personal import (
    Personal,
    personalise,
    read_personal,
    with_personal,
    write_personal,
)
from fedcredit.scoring.ranking import own_auc
from tests.models.strategies import records_of
from tests.scoring.made import SCHEMA, cells, released

ROWS = 4000


def own(seed: int, released_model: ReleasedModel, *, held_out: float = 0.3) -> Records:
    """Rows whose risk is not the released model's: its first unit counts far more."""
    rng = np.random.default_rng(seed)
    network = released_model.model
    assert isinstance(network, Network)
    columns = cells(ROWS, seed)
    truth = network.with_head(np.array([3.0, 0.0, 0.0, 0.0, 0.0]))
    bad = rng.random(ROWS) > 1 / (1 + np.exp(-truth.log_odds(columns)))
    return in_memory(SCHEMA, columns, bad.astype(np.uint8), rng.random(ROWS) < held_out)


def monotone() -> ReleasedModel:
    """A network that promises directions: no head below 0."""
    made = released("neural")
    network = made.model
    assert isinstance(network, Network)
    return replace(made, model=replace(network, head=np.abs(network.head), monotone=True))


def test_what_was_learned_further_ranks_our_own_held_out_rows_better() -> None:
    made = released("neural")
    records = own(1, made)

    mine = with_personal(made, personalise(made, records))

    assert own_auc(records, mine.model) > own_auc(records, made.model) + 0.005


def test_held_out_rows_teach_nothing() -> None:
    """Else the figure above would be of rows that were learned by heart."""
    made = released("neural")
    records = own(1, made)
    (batch,) = records.batches()
    turned = in_memory(
        SCHEMA,
        batch.cells,
        np.where(batch.held_out, 1 - batch.bad, batch.bad).astype(np.uint8),
        batch.held_out,
    )

    found = [personalise(made, one).head for one in (records, turned)]

    assert found[0].tobytes() == found[1].tobytes()


def test_only_the_head_is_another_one() -> None:
    made = released("neural")
    network = made.model
    assert isinstance(network, Network)

    mine = with_personal(made, personalise(made, own(1, made))).model

    assert isinstance(mine, Network)
    assert np.abs(mine.head - network.head).max() > 0.01
    same = replace(mine, head=network.head, shift=network.shift)
    assert same.log_odds(cells(200)).tobytes() == network.log_odds(cells(200)).tobytes()
    assert mine.scorecard is network.scorecard


def test_the_head_is_where_the_penalised_log_loss_is_least() -> None:
    """No small step in any direction lowers it."""
    made = released("neural")
    records = own(1, made)
    network = made.model
    assert isinstance(network, Network)
    (batch,) = records.batches()
    kept = ~batch.held_out
    sign = 1.0 - 2.0 * batch.bad[kept]
    start = np.append(network.head, network.shift)
    found = personalise(made, records).head

    def loss(head: np.ndarray) -> float:
        log_odds = network.with_head(head).log_odds(batch.cells[:, kept])
        far = ((head - start) ** 2).sum() / (2 * 0.07 / network.head.size)
        return float(np.logaddexp(0.0, -sign * log_odds).sum() + far)

    for direction in np.eye(start.size):
        assert loss(found) <= min(loss(found + 1e-3 * direction), loss(found - 1e-3 * direction))


def test_a_layer_on_a_monotone_network_keeps_its_promise() -> None:
    """Rows ask for a negative head; a unit that reads a directed feature does not get one."""
    made = monotone()
    network = made.model
    assert isinstance(network, Network)
    turned = replace(made, model=replace(network, head=-network.head))
    rng = np.random.default_rng(3)
    columns = cells(ROWS, 4)
    assert isinstance(turned.model, Network)
    truth = turned.model.with_head(np.append(-3.0 * np.ones(network.head.size), 0.0))
    bad = (rng.random(ROWS) > 1 / (1 + np.exp(-truth.log_odds(columns)))).astype(np.uint8)
    records = in_memory(SCHEMA, columns, bad, np.zeros(ROWS, np.bool_))

    bound = personalise(made, records).head[:-1]
    free = personalise(replace(made, model=replace(network, monotone=False)), records).head[:-1]

    assert bound.min() >= 0.0
    assert free.min() < -0.1


@given(
    head=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9),
    at=st.integers(0, 2**16),
    flip=st.integers(1, 255),
)
def test_a_file_comes_back_and_a_changed_one_is_refused_or_another(
    head: list[float], at: int, flip: int
) -> None:
    layer = Personal("ab" * 32, np.array(head))
    data = write_personal(layer)

    again = read_personal(data)

    assert (again.model, again.head.tolist()) == (layer.model, layer.head.tolist())
    changed = bytearray(data)
    changed[at % len(data)] ^= flip
    try:
        other = read_personal(bytes(changed))
    except IntegrityError:
        return
    assert write_personal(other) == bytes(changed)


@pytest.mark.parametrize("data", [b"", b"{}", b"\x00" * 8, b"\xff" * 40])
def test_other_bytes_are_no_layer(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="no personal layer"):
        read_personal(data)


def test_a_layer_fits_its_own_model_alone() -> None:
    made, other = released("neural"), released("neural", seed=2)
    layer = personalise(made, own(1, made))

    with pytest.raises(IntegrityError, match="another released model"):
        with_personal(other, layer)
    with pytest.raises(IntegrityError, match="for a network"):
        with_personal(released("boosting"), layer)


def test_a_model_that_is_no_network_or_another_schemas_is_refused() -> None:
    made = released("neural")

    with pytest.raises(IntegrityError, match="for a network"):
        personalise(released("scorecard"), own(1, made))
    with pytest.raises(IntegrityError, match="another data contract"):
        personalise(made, records_of(replace(SCHEMA, version=4), 10, 1))


def test_too_few_rows_are_refused_without_saying_how_many() -> None:
    made = released("neural")
    with pytest.raises(DataError, match="fewer than 50 goods or bads"):
        personalise(made, records_of(SCHEMA, 60, 1))
    with pytest.raises(DataError, match="fewer than 50 goods or bads"):
        personalise(made, records_of(SCHEMA, 0, 1))


def test_a_layer_is_not_printed() -> None:
    """Its numbers are as sensitive as the rows."""
    assert repr(Personal("ab", np.array([0.12345]))) == "Personal(model='ab')"
