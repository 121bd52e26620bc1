"""Sums of stacks: three ways give one sum, and a record moves it by its own integer row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fedcredit.errors import PrivacyError
from fedcredit.measures import parts, passes, stacks
from fedcredit.measures.parts import Part, parts_of
from fedcredit.measures.passes import Slope, sum_stack
from fedcredit.measures.persample import clipped_sum, reach, tabled
from fedcredit.measures.stacks import ACTIVATIONS, CellEmbedding, Precision, read_stack
from fedcredit.models.grids import Grid, sensitivity_squared
from fedcredit.units import Ints
from tests.neural.modules import BAD_NUMBERS, LOUD, Case, by_opacus, cases, clipped, rows_of, slope

EXACT = 1 << 17
"""Steps with which float32 rows are on the released grid itself, so nothing is rounded later."""

ROOM = 1 - 2**-7
"""What float32 stacks bring rows to, of the clip."""

CUDA = torch.cuda.is_available()


def fine_sum(case: Case, clip: float, grid: Grid) -> Ints:
    """The sum on a grid that no released one is as fine as."""
    stack = read_stack(case.module)
    assert stack is not None
    parts = parts_of(stack, stack.chunks, case.inputs, case.labels, case.weights)
    return sum_stack(stack, parts, slope, clip, grid)


def summed(case: Case, *, clip: float = LOUD, steps: int = EXACT, by: Slope = slope) -> Ints:
    """The product's sum."""
    table = tabled(case.module, case.inputs, case.labels, case.weights)
    return clipped_sum(case.module, table, by, clip=clip, steps=steps)


@settings(max_examples=150)
@given(case=cases(torch.float64, biases=True), tightness=st.floats(0.2, 1.5))
def test_ours_and_opacus_and_batches_of_one_give_the_same_sum(case: Case, tightness: float) -> None:
    """To 1e-6 of the length that a sum of such rows has: the root of its squared norms' sum.

    In float64, and before the sum is rounded to a released grid: what remains is that both
    factors of a row are rounded, what came in to 2^-24. That is within 1e-6 where layers
    have biases, beside whose input of 1 it is small. The clip lies from well below the
    longest row, so that most are clipped, to above it, so that none is. Opacus adds 1e-6 to
    every norm, which shortens a clipped row by as much.
    """
    rows = rows_of(case)
    longest = float(np.linalg.norm(rows, axis=1).max())
    clip = longest * tightness or 1.0
    expected = clipped(rows, clip)
    length = float(np.linalg.norm(expected))

    ours = fine_sum(case, clip, Grid(1 << 48, 0)) * (clip / 2**48)

    assert np.linalg.norm(ours - expected.sum(axis=0)) <= 1e-6 * length
    added = 1e-6 * len(rows)
    assert np.linalg.norm(by_opacus(case, clip) - expected.sum(axis=0)) <= 1e-6 * length + added


@settings(max_examples=60)
@given(case=cases(torch.float32, biases=True), tightness=st.floats(0.2, 1.5))
def test_in_float32_a_sum_differs_by_what_its_grid_says(case: Case, tightness: float) -> None:
    """Rows are brought to 1 - 2^-7 of the clip, and factors have about 7 and 11 bits."""
    rows = rows_of(case)
    clip = float(np.linalg.norm(rows, axis=1).max()) * tightness or 1.0
    expected = clipped(rows, clip * ROOM)

    ours = summed(case, clip=clip) * (clip / EXACT)

    assert np.linalg.norm(ours - expected.sum(axis=0)) <= 0.02 * clip * len(rows)


@st.composite
def hostile(draw: st.DrawFn) -> Case:
    """A case some of whose numbers are huge, tiny or none at all."""
    case = draw(cases(torch.float32, most=8))
    if case.inputs.is_floating_point():
        for _ in range(draw(st.integers(0, 4))):
            row = draw(st.integers(0, len(case.inputs) - 1))
            column = draw(st.integers(0, case.inputs.shape[1] - 1))
            case.inputs[row, column] = draw(st.sampled_from(BAD_NUMBERS))
    if case.weights is not None and draw(st.booleans()):
        at = draw(st.integers(0, len(case.inputs) - 1))
        case.weights[at] = draw(st.sampled_from(BAD_NUMBERS))
    return case


@settings(max_examples=150)
@given(case=hostile(), gone=st.integers(0, 7), clip=st.sampled_from([1e-3, 1.0, 30.0, LOUD, 1e6]))
def test_a_sum_moves_by_exactly_the_row_of_the_record_that_goes(
    case: Case, gone: int, clip: float
) -> None:
    """And that row is no longer than the radius, in Python's integers."""
    gone %= len(case.labels)

    moved = summed(case, clip=clip) - summed(case.without(gone), clip=clip)

    assert moved.tolist() == summed(case.only([gone]), clip=clip).tolist()
    assert sum(int(step) ** 2 for step in moved) <= EXACT**2
    assert np.count_nonzero(moved) <= reach(case.module)


@settings(max_examples=150)
@given(case=hostile(), gone=st.integers(0, 7), steps=st.sampled_from([1, 3, 64, 4096, 1 << 20]))
def test_a_released_sum_moves_by_no_more_than_its_sensitivity(
    case: Case, gone: int, steps: int
) -> None:
    gone %= len(case.labels)

    moved = summed(case, steps=steps) - summed(case.without(gone), steps=steps)

    most = sensitivity_squared(reach(case.module), steps)
    assert sum(int(step) ** 2 for step in moved) <= most


@pytest.mark.parametrize("gone", [0, 4095, 16384, 16500, 20479])
def test_records_that_move_to_a_pass_of_another_size_keep_their_integers(gone: int) -> None:
    """One layer takes 16,384 records at a time, and 4,096 where fewer are left."""
    torch.manual_seed(gone)
    module = nn.Sequential(nn.Linear(21, 1))
    n = 16384 + 4096
    case = Case(module, torch.randn(n, 21), torch.randint(0, 2, (n,)))
    sizes = [len(part.labels) for part in tabled(module, case.inputs, case.labels).parts]
    assert sizes == [16384, 4096]

    moved = summed(case) - summed(case.without(gone))

    assert moved.tolist() == summed(case.only([gone])).tolist()
    assert moved.any()


@pytest.mark.parametrize("gone", [0, 1023, 4095, 4096, 6500])
def test_records_that_move_to_another_place_or_pass_keep_their_integers(gone: int) -> None:
    """One that goes early moves all behind it up, over the edges of passes of 4,096 and 1,024."""
    torch.manual_seed(gone)
    module = nn.Sequential(nn.Linear(50, 64), nn.Tanh(), nn.Linear(64, 33), nn.ReLU())
    module.extend([nn.Linear(33, 1)])
    case = Case(module, torch.randn(6501, 50), torch.randint(0, 2, (6501,)))
    stack = read_stack(module)
    assert stack is not None
    assert stack.chunks == (4096, 1024)

    moved = summed(case) - summed(case.without(gone))

    assert moved.tolist() == summed(case.only([gone])).tolist()
    assert moved.any()


# --------------------------------------------------------------- builds with a planted fault


def largest_move(case: Case) -> float:
    """How far one record moves the sum, in radii, where the clip is tight."""
    every, clip = range(len(case.labels)), LOUD / 20
    moves = [summed(case, clip=clip) - summed(case.without(at), clip=clip) for at in every]
    return float(max(np.linalg.norm(move.astype(np.float64)) for move in moves)) / EXACT


def loud_case() -> Case:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    return Case(module, torch.randn(6, 3) / 2, torch.randint(0, 2, (6,)))


def test_a_build_whose_norm_forgets_the_bias_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    assert largest_move(loud_case()) <= 1.0
    honest = passes.Passes.__init__

    def planted(self: passes.Passes, *given: object) -> None:
        honest(self, *given)  # type: ignore[arg-type]
        self.ones = [0.0] * len(self.ones)

    monkeypatch.setattr(passes.Passes, "__init__", planted)

    assert largest_move(loud_case()) > 1.05


def test_a_build_that_rounds_rows_up_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where inputs are large, what flows back is a few steps, and rounding up doubles it."""
    torch.manual_seed(2)
    module = nn.Sequential(nn.Linear(4, 256), nn.Identity(), nn.Linear(256, 1))
    case = Case(module, 50 * torch.rand(4, 4), torch.randint(0, 2, (4,)))
    assert largest_move(case) <= 1.0

    monkeypatch.setattr(passes.Passes, "_bring_in", lambda *_: None)
    monkeypatch.setattr(torch.Tensor, "round_", torch.Tensor.ceil_)

    assert largest_move(case) > 1.01


def test_a_build_that_clips_after_the_sum_is_caught() -> None:
    """Two sums that are each brought to the clip lie up to two clips apart."""

    def after(case: Case) -> Ints:
        rows = clipped(rows_of(case).sum(axis=0, keepdims=True), LOUD)
        return np.rint(rows[0] * (EXACT / LOUD)).astype(np.int64)

    layer = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(layer.weight)
    module = nn.Sequential(layer)
    inputs = torch.tensor([[9.0, 0.0], [-20.0, 0.0]])
    case = Case(module, inputs, torch.ones(2))

    moved = after(case) - after(case.without(1))

    assert np.linalg.norm(moved) > 1.5 * EXACT
    assert np.linalg.norm(summed(case) - summed(case.without(1))) <= EXACT


def test_a_build_in_which_places_differ_is_refused_and_would_be_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dithered by place, integers of the records behind the one that goes would change."""
    honest = stacks.on_grid

    def planted(activation: torch.Tensor, precision: Precision) -> torch.Tensor:
        places = torch.arange(len(activation), dtype=activation.dtype)[:, None]
        return honest(activation.add_(torch.frac(places * 0.618) / 64), precision)

    monkeypatch.setattr(parts, "on_grid", planted)
    with pytest.raises(PrivacyError, match="place in a batch"):
        summed(loud_case())

    monkeypatch.setattr("fedcredit.measures.persample.places_are_alike", lambda *_: True)
    moved = summed(loud_case()) - summed(loud_case().without(0))
    assert moved.tolist() != summed(loud_case().only([0])).tolist()


# ------------------------------------------------------------------------------ single records


@given(case=cases(torch.float32))
def test_a_table_without_records_gives_zeros(case: Case) -> None:
    none = case.only([])

    found = summed(none)

    assert found.dtype == np.int64
    assert found.tolist() == [0] * sum(p.numel() for p in case.module.parameters())


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_a_record_whose_gradient_is_no_number_counts_as_zero(number: float) -> None:
    case = loud_case()
    worse = Case(case.module, case.inputs.clone(), case.labels)
    worse.inputs[2, 1] = number

    assert summed(worse).tolist() == summed(case.without(2)).tolist()
    assert not summed(worse.only([2])).any()
    assert torch.equal(worse.inputs[:2], case.inputs[:2]), "the table is not written to"
    again = tabled(worse.module, worse.inputs, worse.labels)
    once = clipped_sum(worse.module, again, slope, clip=LOUD, steps=EXACT)
    twice = clipped_sum(worse.module, again, slope, clip=LOUD, steps=EXACT)
    assert once.tolist() == twice.tolist()


def test_a_slope_that_is_no_number_counts_as_zero() -> None:
    case = loud_case()

    def some(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return torch.where(labels > 0, torch.nan, slope(logits, labels))

    kept = [at for at in range(6) if case.labels[at] == 0]
    assert 0 < len(kept) < 6
    assert summed(case, by=some).tolist() == summed(case.only(kept)).tolist()


@settings(max_examples=60)
@given(case=cases(torch.float64), weight=st.sampled_from([0.0, 0.25, 1.0, 7.0, 1e9]))
def test_a_weight_acts_before_the_clip(case: Case, weight: float) -> None:
    """So a record of any weight moves the sum by no more than the clip."""
    alone = case.only([0])
    weights = torch.tensor([weight], dtype=torch.float64)
    heavy = Case(alone.module, alone.inputs, alone.labels, weights)
    row = clipped(rows_of(heavy), LOUD)[0]

    found = fine_sum(heavy, LOUD, Grid(1 << 48, 0)) * (LOUD / 2**48)

    assert np.linalg.norm(found) <= LOUD
    assert np.linalg.norm(found - row) <= 1e-5 * LOUD


def test_a_slope_that_hands_out_the_labels_leaves_them_as_they_were() -> None:
    module = nn.Sequential(nn.Linear(3, 1))
    labels = torch.tensor([0.5, -2.0, 1.0])
    table = tabled(module, torch.randn(3, 3), labels)

    for _ in range(2):
        clipped_sum(module, table, lambda _, y: y, clip=1.0, steps=4096)

    assert labels.tolist() == [0.5, -2.0, 1.0]
    assert table.parts[0].labels[:3].tolist() == [0.5, -2.0, 1.0]


def test_thousands_of_passes_do_not_overflow_what_they_are_added_in() -> None:
    """Sums are moved out of 31 bits in time: one row, over and over, adds up exactly."""
    module = nn.Sequential(nn.Linear(1, 1, bias=False))
    n = 4096 * 40
    case = Case(module, torch.ones(n, 1), torch.ones(n))

    def steep(logits: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return torch.full_like(logits, LOUD)

    one, all_of_them = summed(case.only([0]), by=steep), summed(case, by=steep)

    assert one[0] > 2**31 / n, "it would overflow"
    assert all_of_them.tolist() == (n * one).tolist()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("cells", [True, False])
def test_where_the_module_is_changes_no_more_than_its_float_type(
    activation: type[nn.Module], *, cells: bool
) -> None:
    """On a graphics processor where there is one, otherwise here: beside float64, on 600."""
    torch.manual_seed(5)
    device = torch.device("cuda" if CUDA else "cpu")
    first: list[nn.Module] = [CellEmbedding((4,) * 8, 3)] if cells else []
    width = 24 if cells else 8
    module = nn.Sequential(*first, nn.Linear(width, 16), activation(), nn.Linear(16, 1))
    inputs = torch.randint(0, 4, (600, 8)) if cells else torch.randn(600, 8)
    labels = torch.randint(0, 2, (600,))
    wide = Case(module.double(), inputs if cells else inputs.double(), labels)
    expected = summed(wide, clip=LOUD * ROOM, steps=4096) * ROOM
    module.float().to(device)
    moved = Case(module, inputs.to(device), labels.to(device))

    found = summed(moved, steps=4096)

    assert np.linalg.norm(found - expected) <= 0.002 * 4096 * 600
    assert found.tolist() == summed(moved, steps=4096).tolist(), "and it is the same every time"


def test_a_part_is_of_the_size_of_a_pass_and_filled_up_with_zeros() -> None:
    module = nn.Sequential(nn.Linear(3, 1))
    stack = read_stack(module)
    assert stack is not None

    (part,) = parts_of(stack, stack.chunks, torch.ones(5, 3), torch.ones(5), None)

    assert isinstance(part, Part)
    assert part.count == 5
    assert part.inputs.shape == (stack.chunks[-1], 3)
    assert part.labels.sum() == 5
