"""What counts as a stack, and what looks up cells."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from fedcredit.measures.stacks import ACTIVATIONS, WIDEST, CellEmbedding, read_stack
from tests.neural.modules import stacks


class Doubled(nn.Linear):
    """A layer that computes something else than its class says."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
        return 2 * super().forward(input)


def frozen() -> nn.Module:
    first = nn.Linear(3, 2)
    first.weight.requires_grad = False
    return nn.Sequential(first, nn.ReLU(), nn.Linear(2, 1))


def shared() -> nn.Module:
    layer, activation = nn.Linear(3, 3), nn.Tanh()
    return nn.Sequential(layer, activation, layer, activation, nn.Linear(3, 1))


def tied() -> nn.Module:
    one, other = nn.Linear(3, 3), nn.Linear(3, 3)
    other.weight = one.weight
    return nn.Sequential(one, nn.Tanh(), other, nn.Tanh(), nn.Linear(3, 1))


def hooked() -> nn.Module:
    module = nn.Sequential(nn.Linear(3, 1))
    module[0].register_forward_hook(lambda *given: 2 * given[2])
    return module


def rewritten() -> nn.Module:
    layer = nn.Linear(3, 1)
    vars(layer)["forward"] = lambda given: given.sum(1, keepdim=True)
    return nn.Sequential(layer)


@given(module=st.one_of(stacks(torch.float32), stacks(torch.float64)))
def test_a_sequence_of_linear_layers_and_activations_is_a_stack(module: nn.Module) -> None:
    """All its layers in order, nested or not, and it knows how many numbers a record touches."""
    for nested in (module, nn.Sequential(nn.Sequential(module))):
        stack = read_stack(nested)

        assert stack is not None
        leaves = [leaf for leaf in module.modules() if type(leaf) is nn.Linear]
        assert list(stack.linear) == leaves
        assert len(stack.between) == len(leaves) - 1
        embedding = stack.embedding
        touched = sum(p.numel() for leaf in leaves for p in leaf.parameters())
        if embedding is not None:
            touched += len(embedding.sizes) * embedding.width
        assert stack.reach == touched
        assert stack.chunks == ((4096, 1024) if len(leaves) > 1 else (65536, 16384, 4096))
        assert list(map(id, stack.parameters())) == list(map(id, module.parameters()))


NO_STACKS = {
    "an activation": nn.ReLU(),
    "nothing": nn.Sequential(),
    "two logits": nn.Sequential(nn.Linear(3, 2)),
    "an activation at the end": nn.Sequential(nn.Linear(3, 1), nn.ReLU()),
    "nothing between layers": nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)),
    "another activation": nn.Sequential(nn.Linear(3, 2), nn.GELU(), nn.Linear(2, 1)),
    "another part": nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.Linear(2, 1)),
    "cells in the middle": nn.Sequential(nn.Linear(3, 2), CellEmbedding((2,), 1), nn.Linear(2, 1)),
    "a subclass": nn.Sequential(Doubled(3, 1)),
    "too wide": nn.Sequential(nn.Linear(WIDEST + 1, 1)),
    "half": nn.Sequential(nn.Linear(3, 1, dtype=torch.float16)),
    "two types": nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1).double()),
    "parametrised": weight_norm(nn.Linear(3, 1)),
    "frozen": frozen(),
    "a layer twice": shared(),
    "a weight twice": tied(),
    "hooked": hooked(),
    "rewritten": rewritten(),
}


@pytest.mark.parametrize("name", NO_STACKS)
def test_anything_that_may_compute_something_else_is_no_stack(name: str) -> None:
    assert read_stack(NO_STACKS[name]) is None


@pytest.mark.parametrize(
    ("width", "layers", "sizes"),
    [
        (128, 1, (65536, 16384, 4096)),
        (129, 1, (16384, 4096)),
        (4096, 1, (4096,)),
        (500, 3, (4096, 1024)),
        (4096, 3, (1024,)),
    ],
)
def test_wide_layers_take_fewer_records_at_a_time(
    width: int, layers: int, sizes: tuple[int, ...]
) -> None:
    wide = [part for _ in range(layers - 1) for part in (nn.Linear(width, width), nn.ReLU())]

    stack = read_stack(nn.Sequential(*wide, nn.Linear(width, 1)))

    assert stack is not None
    assert stack.chunks == sizes


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_that_are_passed_by_hand_stand_between_two_layers(
    activation: type[nn.Module],
) -> None:
    assert read_stack(nn.Sequential(nn.Linear(3, 2), activation(), nn.Linear(2, 1))) is not None


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    width=st.integers(1, 3),
    cells=st.lists(st.integers(-300, 300), min_size=4, max_size=4),
)
def test_each_feature_looks_up_its_own_vectors(
    sizes: list[int], width: int, cells: list[int]
) -> None:
    """A cell that does not exist counts as the last, so no record can touch another's vectors."""
    embedding = CellEmbedding(tuple(sizes), width)
    record = torch.tensor([cells[: len(sizes)]])

    found = embedding(record)[0]

    starts = [sum(sizes[:feature]) for feature in range(len(sizes))]
    cell = [min(max(at, 0), size - 1) for at, size in zip(cells, sizes, strict=False)]
    rows = [start + at for start, at in zip(starts, cell, strict=True)]
    assert embedding.rows(record).tolist() == [rows]
    assert torch.equal(found, torch.cat([embedding.weight[row] for row in rows]))


def test_cells_of_one_byte_are_looked_up_beyond_255_rows() -> None:
    embedding = CellEmbedding((200, 200), 1)

    assert embedding.rows(torch.tensor([[199, 199]], dtype=torch.uint8)).tolist() == [[199, 399]]
