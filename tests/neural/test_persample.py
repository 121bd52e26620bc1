"""Any module: rows by hooks or one by one, what is refused, and what is equal to what."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fedcredit.errors import PrivacyError
from fedcredit.measures import persample
from fedcredit.measures.passes import Slope
from fedcredit.measures.persample import bounded_slope, clipped_sum, reach, refuse, tabled
from fedcredit.measures.stacks import CellEmbedding, read_stack
from fedcredit.models.grids import Grid, sensitivity_squared
from fedcredit.models.odds import residual
from fedcredit.units import Ints
from tests.neural.modules import BAD_NUMBERS, LOUD, Case, by_opacus, cases, clipped, rows_of, slope

FINE = 1 << 24
"""Steps on which rows are compared: finer than any grid that is released."""


class Own(nn.Module):
    """A module of a user's own, which nothing is known of."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """What the module inside gives, and a little more."""
        logits: torch.Tensor = self.inner(inputs)
        return logits + torch.sin(logits)


class Mixing(Own):
    """One that looks at the other records of its batch."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs less their mean over the batch."""
        logits: torch.Tensor = self.inner(inputs - inputs.mean(0) / 2)
        return logits


class Placing(Own):
    """One that treats records by their place."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Louder, the further behind."""
        places = torch.arange(1, len(inputs) + 1, dtype=inputs.dtype)[:, None]
        logits: torch.Tensor = self.inner(inputs) * places
        return logits


class Counting(Own):
    """One that remembers what it saw."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__(inner)
        self.seen: torch.Tensor
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Adds up its inputs."""
        self.seen = self.seen + inputs.detach().sum()
        logits: torch.Tensor = self.inner(inputs) * self.seen
        return logits


class Drawing(Own):
    """One that draws randomness without a layer that says so."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs with noise."""
        logits: torch.Tensor = self.inner(inputs + torch.randn_like(inputs))
        return logits


class Branching(Own):
    """One that goes one way or the other by what is in a record."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Nothing but zeros where inputs are large."""
        logits: torch.Tensor = self.inner(inputs)
        return logits if bool(inputs.sum() > 0) else logits * 2


def hooked(inputs: int = 5) -> nn.Module:
    """A module that goes by Opacus' hooks."""
    return nn.Sequential(
        *(nn.Linear(inputs, 6), nn.GELU(), nn.LayerNorm(6), nn.Linear(6, 4), nn.ELU()),
        *(nn.GroupNorm(2, 4), nn.Linear(4, 1)),
    )


@st.composite
def other_cases(draw: st.DrawFn, dtype: torch.dtype = torch.float64) -> Case:
    """Modules that are no stacks, of all ways to make rows, with records for them."""
    case = draw(cases(dtype, biases=True))
    if draw(st.booleans()):
        return Case(Own(case.module), case.inputs, case.labels, case.weights)
    n = len(case.labels)
    module, inputs = hooked(), torch.randn(n, 5)
    if draw(st.booleans()):
        module = nn.Sequential(nn.Embedding(7, 3), nn.Flatten(), hooked(6))
        inputs = torch.randint(0, 7, (n, 2))
    inputs = inputs.to(dtype) if inputs.is_floating_point() else inputs
    return Case(module.to(dtype), inputs, case.labels, case.weights)


def fine_sum(case: Case, clip: float) -> Ints:
    """The sum of rows before it is rounded to a released grid."""
    table = tabled(case.module, case.inputs, case.labels, case.weights)
    return persample._sum_rows(case.module, table.parts, slope, clip, Grid(FINE, 0))


def summed(case: Case, *, clip: float = LOUD, steps: int = 4096, by: Slope = slope) -> Ints:
    """The product's sum."""
    table = tabled(case.module, case.inputs, case.labels, case.weights)
    return clipped_sum(case.module, table, by, clip=clip, steps=steps)


@settings(max_examples=50)
@given(case=other_cases(), tightness=st.floats(0.2, 1.5))
def test_rows_of_any_module_and_opacus_and_batches_of_one_give_the_same_sum(
    case: Case, tightness: float
) -> None:
    """To 1e-6 of the length that a sum of such rows has, before it is rounded to be released."""
    rows = rows_of(case)
    clip = float(np.linalg.norm(rows, axis=1).max()) * tightness or 1.0
    expected = clipped(rows, clip)
    length = float(np.linalg.norm(expected))

    ours = fine_sum(case, clip) * (clip / FINE)

    assert np.linalg.norm(ours - expected.sum(axis=0)) <= 1e-6 * length
    if read_stack(case.module) is None and not isinstance(case.module, Own):
        added = 1e-6 * len(rows)
        theirs = by_opacus(case, clip)
        assert np.linalg.norm(theirs - expected.sum(axis=0)) <= 1e-6 * length + added


@settings(max_examples=40)
@given(case=cases(torch.float64, biases=True), tightness=st.floats(0.2, 1.5))
def test_a_stack_gives_by_hand_what_it_gives_row_by_row(case: Case, tightness: float) -> None:
    clip = float(np.linalg.norm(rows_of(case), axis=1).max()) * tightness or 1.0
    total = {}
    for name, module in (("by hand", case.module), ("rows", nn.Sequential(Plain(case.module)))):
        same = Case(module, case.inputs, case.labels, case.weights)
        total[name] = summed(same, clip=clip, steps=1 << 20)

    assert np.abs(total["by hand"] - total["rows"]).max() <= 1 + len(case.labels) * 2


class Plain(Own):
    """A module behind a name that is not known."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """What the module inside gives."""
        logits: torch.Tensor = self.inner(inputs)
        return logits


@settings(max_examples=50)
@given(
    data=st.data(),
    case=other_cases(torch.float32),
    gone=st.integers(0, 11),
    clip=st.sampled_from([1e-3, LOUD, 1e6]),
)
def test_a_sum_moves_by_exactly_the_row_of_the_record_that_goes(
    data: st.DataObject, case: Case, gone: int, clip: float
) -> None:
    """Whatever the records hold; and that row is no longer than the radius."""
    gone %= len(case.labels)
    if case.inputs.is_floating_point():
        row = data.draw(st.integers(0, len(case.inputs) - 1))
        case.inputs[row, 0] = data.draw(st.sampled_from(BAD_NUMBERS))

    moved = fine_sum(case, clip) - fine_sum(case.without(gone), clip)

    assert moved.tolist() == fine_sum(case.only([gone]), clip).tolist()
    assert sum(int(step) ** 2 for step in moved) <= FINE**2


@settings(max_examples=40)
@given(case=other_cases(torch.float32), steps=st.sampled_from([1, 64, 4096, 1 << 20]))
def test_a_released_sum_moves_by_no_more_than_its_sensitivity(case: Case, steps: int) -> None:
    moved = summed(case, steps=steps) - summed(case.without(0), steps=steps)

    most = sensitivity_squared(reach(case.module), steps)
    assert sum(int(step) ** 2 for step in moved) <= most


def test_rows_of_more_records_than_one_batch_holds_add_up() -> None:
    torch.manual_seed(3)
    case = Case(hooked(), torch.randn(600, 5), torch.randint(0, 2, (600,)))

    moved = fine_sum(case, LOUD) - fine_sum(case.without(10), LOUD)

    assert moved.tolist() == fine_sum(case.only([10]), LOUD).tolist()


def test_a_module_of_ones_own_cannot_mix_records() -> None:
    """Each of its records passes alone, so the mean of a batch is the record itself."""
    torch.manual_seed(4)
    module = Mixing(nn.Linear(3, 1))
    case = Case(module, torch.randn(5, 3), torch.randint(0, 2, (5,)))

    moved = fine_sum(case, LOUD) - fine_sum(case.without(1), LOUD)

    assert moved.tolist() == fine_sum(case.only([1]), LOUD).tolist()


def test_a_build_that_passes_such_a_module_in_batches_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(persample, "_keeps_apart", lambda _: True)
    monkeypatch.setattr(persample, "_try_out", lambda *_: None)
    torch.manual_seed(4)
    case = Case(Mixing(nn.Linear(3, 1)), torch.randn(5, 3), torch.randint(0, 2, (5,)))

    moved = fine_sum(case, LOUD) - fine_sum(case.without(1), LOUD)

    assert moved.tolist() != fine_sum(case.only([1]), LOUD).tolist()


@given(case=other_cases(torch.float32))
def test_a_table_without_records_gives_zeros(case: Case) -> None:
    assert summed(case.only([])).tolist() == [0] * reach(case.module)


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("module", [hooked(), Own(nn.Linear(5, 1))], ids=["hooks", "one by one"])
def test_a_record_whose_gradient_is_no_number_counts_as_zero(
    module: nn.Module, number: float
) -> None:
    torch.manual_seed(6)
    case = Case(module, torch.randn(4, 5), torch.randint(0, 2, (4,)))
    case.inputs[2, 3] = number

    assert fine_sum(case, LOUD).tolist() == fine_sum(case.without(2), LOUD).tolist()
    assert summed(case).any()


# ------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (nn.BatchNorm1d(4), "BatchNorm1d, which mixes records"),
        (nn.SyncBatchNorm(4), "SyncBatchNorm, which mixes records"),
        (nn.InstanceNorm1d(4), "InstanceNorm1d, which mixes records"),
        (nn.Dropout(0.1), "Dropout, which draws its own randomness"),
        (nn.AlphaDropout(0.1), "AlphaDropout, which draws its own randomness"),
        (nn.RReLU(), "RReLU, which draws its own randomness"),
        (nn.Embedding(4, 4, max_norm=1.0), "Embedding that rewrites its vectors"),
        (nn.Embedding(4, 4, scale_grad_by_freq=True), "counts how often they are used"),
        (nn.LSTM(4, 4), "LSTM"),
    ],
    ids=[
        *("BatchNorm1d", "SyncBatchNorm", "InstanceNorm1d", "Dropout", "AlphaDropout", "RReLU"),
        *("Embedding of a norm", "Embedding that counts", "LSTM"),
    ],
)
def test_what_cannot_be_clipped_record_by_record_is_refused_by_name(
    part: nn.Module, says: str
) -> None:
    module = nn.Sequential(nn.Linear(4, 4), part, nn.Linear(4, 1))

    with pytest.raises(PrivacyError, match=says) as refused:
        refuse(module)
    assert "1 is" in str(refused.value) or "LSTM" in says


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (nn.ReLU(), "0 kinds"),
        (nn.Sequential(nn.Linear(2, 2), nn.GELU(), nn.Linear(2, 1).double()), "2 kinds"),
        (nn.Linear(3, 1).half(), "float32 or float64"),
        (nn.Sequential(nn.Linear(3, 1).requires_grad_(requires_grad=False)), "2 frozen"),
        (nn.Sequential(nn.Embedding(1 << 22, 5), nn.Flatten(), nn.Linear(5, 1)), "16777216"),
    ],
    ids=["no parameters", "two types", "half", "frozen", "too many"],
)
def test_parameters_that_cannot_be_served_are_refused(module: nn.Module, says: str) -> None:
    with pytest.raises(PrivacyError, match=says):
        refuse(module)


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (Counting(nn.Linear(3, 1)), "Counting rewrites its buffer 'seen'"),
        (Drawing(nn.Linear(3, 1)), "Drawing cannot be passed one record at a time"),
        (Branching(nn.Linear(3, 1)), "Branching cannot be passed one record at a time"),
        (nn.Sequential(nn.Linear(3, 2), nn.GELU(), nn.Linear(2, 2)), "one logit a record"),
        (Own(nn.Linear(3, 2)), "one logit a record"),
    ],
    ids=["state", "randomness", "branch", "two logits", "two logits of its own"],
)
def test_what_is_no_function_of_one_record_is_refused_before_any_record(
    module: nn.Module, says: str
) -> None:
    with pytest.raises(PrivacyError, match=says):
        tabled(module, torch.randn(4, 3), torch.ones(4))


def test_a_build_in_which_places_differ_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persample, "_keeps_apart", lambda _: True)

    with pytest.raises(PrivacyError, match="place in a batch"):
        tabled(Placing(nn.Linear(3, 1)), torch.randn(4, 3), torch.ones(4))


@pytest.mark.parametrize("how", ["high", "medium"])
def test_products_that_are_less_exact_than_their_type_are_refused(how: str) -> None:
    module = nn.Sequential(nn.Linear(3, 1))
    table = tabled(module, torch.randn(4, 3), torch.ones(4))
    torch.set_float32_matmul_precision(how)
    try:
        with pytest.raises(PrivacyError, match="less exact than float32"):
            clipped_sum(module, table, slope, clip=1.0, steps=64)
        with pytest.raises(PrivacyError, match="less exact than float32"):
            tabled(module, torch.randn(4, 3), torch.ones(4))
    finally:
        torch.set_float32_matmul_precision("highest")


def test_a_graphics_processor_set_to_tf32_is_refused() -> None:
    module = nn.Sequential(nn.Linear(3, 1))
    table = tabled(module, torch.randn(4, 3), torch.ones(4))
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        with pytest.raises(PrivacyError, match="less exact than float32"):
            clipped_sum(module, table, slope, clip=1.0, steps=64)
    finally:
        torch.backends.cuda.matmul.fp32_precision = before


def test_mixed_precision_around_it_changes_nothing() -> None:
    torch.manual_seed(8)
    case = Case(nn.Sequential(nn.Linear(3, 1)), torch.randn(9, 3), torch.randint(0, 2, (9,)))

    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = summed(case)

    assert inside.tolist() == summed(case).tolist()


@pytest.mark.parametrize(
    ("inputs", "labels", "weights", "says"),
    [
        (torch.ones(4, 3), torch.ones(5), None, "shapes"),
        (torch.ones(4), torch.ones(4), None, "shapes"),
        (torch.ones(4, 3), torch.ones(4), torch.ones(4, 1), "shapes"),
        (torch.ones(4, 3).double(), torch.ones(4), None, "float32 on cpu"),
        (torch.ones(4, 3, device="meta"), torch.ones(4), None, "float32 on cpu"),
    ],
)
def test_a_table_that_does_not_fit_its_module_is_refused(
    inputs: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None, says: str
) -> None:
    with pytest.raises(PrivacyError, match=says):
        tabled(nn.Linear(3, 1), inputs, labels, weights)


@pytest.mark.parametrize("clip", [0.0, -1.0, math.inf, math.nan, 1])
def test_a_clip_out_of_range_is_refused(clip: float) -> None:
    module = nn.Linear(3, 1)
    table = tabled(module, torch.ones(4, 3), torch.ones(4))

    with pytest.raises(PrivacyError, match="clip"):
        clipped_sum(module, table, slope, clip=clip, steps=64)


def test_a_table_serves_modules_of_its_own_kind_alone() -> None:
    narrow = nn.Sequential(nn.Linear(3, 1))
    table = tabled(narrow, torch.ones(4, 3), torch.ones(4))

    clipped_sum(nn.Sequential(nn.Linear(3, 1)), table, slope, clip=1.0, steps=64)
    with pytest.raises(PrivacyError, match="another shape"):
        clipped_sum(Own(narrow), table, slope, clip=1.0, steps=64)


# --------------------------------------------------------------------------------- small parts


@given(
    log_odds=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9),
    bad=st.integers(0, 2**9 - 1),
)
def test_the_bounded_slope_is_the_residual_of_the_other_learners_with_its_sign_turned(
    log_odds: list[float], bad: int
) -> None:
    flags = np.array([bad >> at & 1 for at in range(len(log_odds))], dtype=np.uint8)
    logits = torch.tensor(log_odds, dtype=torch.float64)

    found = bounded_slope(logits, torch.from_numpy(flags))

    expected = -residual(np.array(log_odds), flags)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=0)
    assert bool((found.abs() <= 1).all())


def test_a_record_reaches_every_number_but_the_vectors_of_other_cells() -> None:
    cells = nn.Sequential(CellEmbedding((5, 7), 3), nn.Linear(6, 1))

    assert reach(cells) == 2 * 3 + 7
    assert reach(nn.Linear(6, 1)) == 7
    assert reach(hooked()) == sum(p.numel() for p in hooked().parameters())
