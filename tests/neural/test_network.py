"""The gradient of a network: ours is the clipped rows' sum, and one record moves it no further."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.data.columns import Categorical, Numeric
from fedcredit.data.records import Records, in_memory
from fedcredit.data.schema import Schema
from fedcredit.errors import PeerError
from fedcredit.learners.registry import learner_named
from fedcredit.measures.measure import measure
from fedcredit.measures.network import module_of
from fedcredit.measures.persample import bounded_slope, clipped_sum, reach, tabled
from fedcredit.models.bins import bins_of
from fedcredit.models.network import Network
from fedcredit.models.network_gradient import NetworkGradient
from fedcredit.models.queries import decode_query, encode_query
from fedcredit.units import Flags, Floats
from tests.learners.studies import SEED, head_sum, noise_of, table, tell
from tests.models.strategies import model_of, queries, records_of, schema_of, schemas, tables, whole

SCHEMA = schema_of(
    Numeric("income", "EUR", 0.0, 9000.0, cells=9, special=(-9.0,)),
    Categorical("home", ("own", "rent"), other=True),
    Numeric("late", "payments", 0.0, 5.0, step=1.0),
)


def network(seed: int, schema: Schema = SCHEMA) -> Network:
    model = model_of("neural", schema, seed)
    assert isinstance(model, Network)
    return model


def some(records: Records, kept: Flags) -> Records:
    """The records whose flag is set."""
    batch = whole(records)
    cells = np.ascontiguousarray(batch.cells[:, kept])
    return in_memory(records.schema, cells, batch.bad[kept], batch.held_out[kept])


def query_of(learner: str, records: Records, rounds: int) -> NetworkGradient:
    """The question that a study asks after so many rounds on the head."""
    noise = noise_of(learner_named(learner), 8.0)
    program = learner_named(learner).start(records.schema, SEED, noise)
    rng = np.random.default_rng(1)
    for one in noise[: 4 + rounds]:
        program = program.fold(tell(program.query(), records, one, rng))
    query = program.query()
    assert isinstance(query, NetworkGradient)
    return query


@pytest.mark.parametrize("rounds", [0, 3])
def test_the_sum_of_a_studys_head_is_that_of_the_clipped_rows(rounds: int) -> None:
    """Held against rows in numpy; activations are on a grid of 1/64, and errors do not pile up."""
    records = table(1, 4000)
    query = query_of("neural", records, rounds)

    ours, rows = measure(records, query).value, head_sum(records, query)

    assert np.linalg.norm(ours - rows) < 0.01 * query.steps * np.sqrt(4000)
    assert np.linalg.norm(rows) > 0.1 * query.steps * np.sqrt(4000)


def clipped_rows(records: Records, query: NetworkGradient) -> Floats:
    """The sum of all numbers' gradients, each by autograd in float64, clipped one by one."""
    module = module_of(query.network, query.learned).double()
    total = np.zeros(query.dim)
    batch = whole(records)
    bins = bins_of(query.network.scorecard.bins, batch.cells)
    base = torch.from_numpy(query.network.scorecard.log_odds(batch.cells))
    for record in np.flatnonzero(~batch.held_out):
        module.zero_grad()
        logit = module(torch.from_numpy(bins[:, record][None].copy()))[0, 0]
        logit.backward()
        bad = torch.tensor([float(batch.bad[record])])
        slope = float(bounded_slope(logit.detach()[None] + base[record], bad)[0])
        grads = [p.grad.numpy().ravel() for p in module.parameters() if p.grad is not None]
        row = slope * np.concatenate(grads)
        total += row * min(1.0, query.clip / max(float(np.linalg.norm(row)), 1e-300))
    return total * query.steps / query.clip


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), clip=st.sampled_from((0.05, 1.0, 50.0)))
def test_the_sum_of_all_numbers_is_that_of_the_clipped_rows(seed: int, clip: float) -> None:
    records = records_of(SCHEMA, 40, seed)
    query = NetworkGradient(network(seed), "all", clip, 4096)

    ours, rows = measure(records, query).value, clipped_rows(records, query)

    # A record's factor, its activations on a grid of 1/64, and one rounding of the sum.
    assert np.linalg.norm(ours - rows) <= 0.02 * 4096 * 40 * 0.25 + np.sqrt(query.dim)


@given(seed=st.integers(0, 2**32))
def test_the_module_and_the_model_give_the_same_log_odds(seed: int) -> None:
    model = network(seed)
    bins = bins_of(model.scorecard.bins, whole(records_of(SCHEMA, 50, seed)).cells)

    with torch.no_grad():
        theirs = module_of(model, "all").double()(torch.from_numpy(bins.T.copy()))[:, 0].numpy()
        head = module_of(model, "head").double()(torch.from_numpy(model.units(bins)))[:, 0].numpy()

    size = 1 + np.abs(model.head).sum()
    assert theirs == pytest.approx(model.added(bins), abs=1e-5 * size)
    assert head == pytest.approx(model.added(bins), abs=1e-5 * size)


@settings(max_examples=40)
@given(data=st.data(), schema=schemas())
def test_one_record_moves_a_sum_by_at_most_its_sensitivity(
    data: st.DataObject, schema: Schema
) -> None:
    query = data.draw(queries(schema, "network"))
    records = data.draw(tables(schema, most=8))
    found = measure(records, query)
    rows = np.arange(whole(records).bad.size)

    assert found.value.shape == (query.dim,)
    assert found.sensitivity_squared == query.sensitivity_squared
    for left_out in rows:
        moved = found.value - measure(some(records, rows != left_out), query).value
        assert int((moved**2).sum()) <= query.sensitivity_squared


@settings(max_examples=40)
@given(
    edits=st.lists(st.tuples(st.integers(0, 2**20), st.integers(1, 255)), min_size=1, max_size=2),
    learned=st.sampled_from(("head", "all")),
)
def test_a_question_that_was_changed_on_its_way_moves_no_further(
    edits: list[tuple[int, int]], learned: str
) -> None:
    """Whatever a coordinator sends: it is refused, or its own sensitivity holds."""
    changed = bytearray(encode_query(NetworkGradient(network(7), learned, 1.0, 4096)))
    for at, flip in edits:
        changed[at % len(changed)] ^= flip
    records, rows = records_of(SCHEMA, 6, 1), np.arange(6)
    try:
        query = decode_query(bytes(changed))
        with np.errstate(over="ignore"):
            found = measure(records, query).value
            sums = [measure(some(records, rows != one), query).value for one in rows]
    except PeerError:
        return

    assert all(int(((found - one) ** 2).sum()) <= query.sensitivity_squared for one in sums)


@pytest.mark.parametrize("learned", ["head", "all"])
@pytest.mark.parametrize("size", [1e3, 1e6])
def test_the_largest_numbers_that_may_be_asked_about_are_summed_within_the_sensitivity(
    size: float, learned: str
) -> None:
    """Nothing fails after the charge."""
    made = network(5)
    huge = replace(
        made,
        vectors=tuple(np.sign(one) * size for one in made.vectors),
        weights=np.sign(made.weights) * size,
        head=np.full_like(made.head, size),
    )
    query = NetworkGradient(huge, learned, 1.0, 4096)
    records, rows = records_of(SCHEMA, 20, 1), np.arange(20)
    found = measure(records, query).value

    for one in rows:
        moved = found - measure(some(records, rows != one), query).value
        assert int((moved**2).sum()) <= query.sensitivity_squared


@pytest.mark.parametrize("learned", ["head", "all"])
def test_a_record_can_move_a_sum_nearly_as_far_as_its_sensitivity_says(learned: str) -> None:
    """A sensitivity that is too large would cost noise for nothing; the rounding is small."""
    query = NetworkGradient(network(3), learned, 0.01, 4096)
    records = records_of(SCHEMA, 40, 1)
    rows = np.arange(40)
    found = measure(records, query).value

    moved = [found - measure(some(records, rows != one), query).value for one in rows]

    assert max(int((one**2).sum()) for one in moved) > 0.95 * query.sensitivity_squared


@settings(max_examples=30)
@given(data=st.data(), schema=schemas(), seed=st.integers(0, 2**32), rows=st.integers(1, 40))
def test_neither_batches_nor_the_order_of_records_matter(
    data: st.DataObject, schema: Schema, seed: int, rows: int
) -> None:
    query = data.draw(queries(schema, "network"))
    records = data.draw(tables(schema, most=30))
    batch = whole(records)
    order = np.random.default_rng(seed).permutation(batch.bad.size)
    cells = np.ascontiguousarray(batch.cells[:, order])
    shuffled = in_memory(schema, cells, batch.bad[order], batch.held_out[order], rows)

    assert measure(shuffled, query).value.tolist() == measure(records, query).value.tolist()


@settings(max_examples=30)
@given(data=st.data(), schema=schemas())
def test_training_never_sees_a_held_out_record(data: st.DataObject, schema: Schema) -> None:
    query = data.draw(queries(schema, "network"))
    records = data.draw(tables(schema, most=30))
    held_out = whole(records).held_out

    expected = measure(records, query).value.tolist()

    assert measure(some(records, ~held_out), query).value.tolist() == expected
    assert not measure(some(records, held_out), query).value.any()


@given(seed=st.integers(0, 2**32))
def test_the_question_states_how_far_a_record_reaches_in_the_module(seed: int) -> None:
    for learned in ("head", "all"):
        query = NetworkGradient(network(seed), learned, 1.0, 10)
        module = module_of(query.network, learned)

        assert query.reach == reach(module)
        assert query.dim == sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("learned", ["head", "all"])
def test_the_sum_is_that_of_clipped_sum_over_one_table(learned: str) -> None:
    """Batches as they come or all records at once: the same integers."""
    records = table(1, 5000)
    query = NetworkGradient(query_of("neural", records, 1).network, learned, 1.0, 4096)
    batch = whole(some(records, ~whole(records).held_out))
    bins = bins_of(query.network.scorecard.bins, batch.cells)
    units = torch.from_numpy(query.network.units(bins).astype(np.float32))
    inputs = units if learned == "head" else torch.from_numpy(bins.T.copy())
    base = torch.from_numpy(query.network.scorecard.log_odds(batch.cells)).float()
    bad = torch.from_numpy(batch.bad)
    module = module_of(query.network, learned)

    def slope(logits: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        return bounded_slope(logits + base[places], bad[places])

    held = tabled(module, inputs, torch.arange(len(bad)))
    at_once = clipped_sum(module, held, slope, clip=query.clip, steps=query.steps)

    assert measure(records, query).value.tolist() == at_once.tolist()


DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("learned", ["head", "all"])
def test_every_device_sums_the_same_up_to_the_rounding_of_a_factor(
    learned: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit where it is the same one."""
    records = table(1, 4000)
    query = NetworkGradient(query_of("neural", records, 1).network, learned, 1.0, 4096)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    here = measure(records, query).value
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device == "cuda")
    there = measure(records, query).value

    far = np.linalg.norm(there - here)
    assert far <= (0 if device == "cpu" else 1e-3 * np.linalg.norm(here))
