"""Random modules and tables, and what their clipped sums are when records go one at a time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import nn

from fedcredit.measures.stacks import ACTIVATIONS, CellEmbedding
from fedcredit.units import Floats

LOUD = 1000.0
"""The slopes here: Opacus adds 1e-6 to every norm, which is too much where norms are near 1."""

BAD_NUMBERS = (1e30, -1e30, float("nan"), float("inf"), 1e19, 1e-42)


def slope(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Of the logistic loss, and loud."""
    return LOUD * (torch.sigmoid(logits) - labels.to(logits.dtype))


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A module, and records for it."""

    module: nn.Module
    inputs: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor | None = None

    def only(self, keep: Sequence[int]) -> Case:
        """The case with some of its records."""
        some = torch.tensor(list(keep), dtype=torch.int64)
        weights = None if self.weights is None else self.weights[some]
        return Case(self.module, self.inputs[some], self.labels[some], weights)

    def without(self, gone: int) -> Case:
        """The case with one record less: those behind it move up."""
        return self.only([at for at in range(len(self.labels)) if at != gone])


@st.composite
def stacks(draw: st.DrawFn, dtype: torch.dtype, *, biases: bool = False) -> nn.Module:
    """Stacks of one to four layers, with and without looked-up cells, and some without biases."""
    biased = st.just(value=True) if biases else st.booleans()
    torch.manual_seed(draw(st.integers(0, 2**31)))
    parts: list[nn.Module] = []
    if draw(st.booleans()):
        sizes = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
        width = draw(st.integers(1, 3))
        parts.append(CellEmbedding(sizes, width))
        came_in = len(sizes) * width
    else:
        came_in = draw(st.integers(1, 9))
    for _ in range(draw(st.integers(0, 3))):
        goes_out = draw(st.integers(1, 9))
        parts.append(nn.Linear(came_in, goes_out, bias=draw(biased)))
        parts.append(draw(st.sampled_from(ACTIVATIONS))())
        came_in = goes_out
    parts.append(nn.Linear(came_in, 1, bias=draw(biased)))
    module = nn.Sequential(*parts).to(dtype)
    size = draw(st.sampled_from([0.3, 1.0, 3.0]))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(size)
    return module


@st.composite
def cases(draw: st.DrawFn, dtype: torch.dtype, *, most: int = 12, biases: bool = False) -> Case:
    """A stack, one record or more, and sometimes weights."""
    module = draw(stacks(dtype, biases=biases))
    n = draw(st.integers(1, most))
    assert isinstance(module, nn.Sequential)
    first = module[0]
    if isinstance(first, CellEmbedding):
        inputs = torch.randint(0, 6, (n, len(first.sizes)), dtype=torch.uint8)
    else:
        assert isinstance(first, nn.Linear)
        inputs = torch.randn(n, first.in_features, dtype=dtype)
    labels = torch.randint(0, 2, (n,))
    weights = torch.rand(n, dtype=dtype) * 2 if draw(st.booleans()) else None
    return Case(module, inputs, labels, weights)


def rows_of(case: Case) -> Floats:
    """Gradients of records that pass alone, in batches of one, before the clip."""
    rows = []
    for at in range(len(case.labels)):
        case.module.zero_grad()
        logits = case.module(case.inputs[at : at + 1]).reshape(1)
        steep = slope(logits.detach(), case.labels[at : at + 1])
        if case.weights is not None:
            steep = steep * case.weights[at : at + 1]
        logits.backward(steep)
        found = [p.grad.flatten() for p in case.module.parameters() if p.grad is not None]
        rows.append(torch.cat(found).double().numpy())
    return np.stack(rows)


def clipped(rows: Floats, clip: float) -> Floats:
    """Rows brought to a norm."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows * np.minimum(1.0, clip / np.maximum(norms, 1e-300)), dtype=np.float64)


def by_opacus(case: Case, clip: float) -> Floats:
    """The clipped sum that Opacus' own optimiser makes, without noise."""
    hooked = GradSampleModule(case.module, loss_reduction="sum")
    plain = torch.optim.SGD(hooked.parameters(), lr=1.0)
    optimiser = DPOptimizer(plain, noise_multiplier=0.0, max_grad_norm=clip, expected_batch_size=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that inputs need no gradient: they are data
        logits = hooked(case.inputs).reshape(-1)
        steep = slope(logits.detach(), case.labels)
        logits.backward(steep if case.weights is None else steep * case.weights)
    optimiser.clip_and_accumulate()
    found = torch.cat([p.summed_grad.flatten() for p in optimiser.params])
    hooked.to_standard_module()
    return np.asarray(found.double().detach().numpy(), dtype=np.float64)
