"""What a plain stack is: looked-up cells, then linear layers with an activation between two.

A stack can be passed through by hand (`measures.passes`), and everything that this needs to
know of it is read here once: layers, activations, how finely its float type counts, and how
many records go through at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

__all__ = [
    "ACTIVATIONS",
    "WIDEST",
    "CellEmbedding",
    "Precision",
    "Stack",
    "activate",
    "bias_of",
    "deactivate",
    "on_grid",
    "read_stack",
]


@dataclass(frozen=True, slots=True)
class Precision:
    """How finely a float type can count.

    Attributes:
        exact: whole numbers up to this are held exactly.
        finest: bits of a row's integer radius.
        unit: grid steps of an activation of 1, a power of two.
        magic: adding and taking away this rounds to a whole number.
        room: part of the radius that is left free, so that rounding pushes few rows out.
        sure: more than rounding can take from a product of two sums of `WIDEST` squares,
            in whatever order they are added.
    """

    exact: int
    finest: int
    unit: int
    magic: float
    room: float
    sure: float


_PRECISIONS: Final = {
    torch.float32: Precision(2**24, 17, 2**6, 1.5 * 2**23, 2**-7, 1 + 2**-10),
    torch.float64: Precision(2**53, 48, 2**23, 1.5 * 2**52, 2**-26, 1 + 2**-30),
}
_FAR: Final = {
    dtype: torch.tensor(precision.magic, dtype=dtype) for dtype, precision in _PRECISIONS.items()
}
WIDEST: Final = 4096
"""Most inputs or outputs of a layer: n squares lose at most n 2^-24 of their float32 sum."""

ACTIVATIONS: Final = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Identity)
"""What may stand between two layers: their slope can be told from their output."""

_MOST_LAYERS: Final = 64
_MOST_NUMBERS: Final = 1 << 23  # of the widest layer in a large pass: 32 MiB


class CellEmbedding(nn.Module):
    """One learned vector for each cell of each feature, side by side.

    A record is in exactly one cell of each feature, so its gradient touches that many
    vectors and no vector twice, whatever the record holds: a cell that does not exist
    counts as the feature's last.

    Args:
        sizes: cells of each feature.
        width: numbers in a vector.
    """

    def __init__(self, sizes: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.sizes, self.width = sizes, width
        self.weight = nn.Parameter(torch.randn(sum(sizes), width) / len(sizes) ** 0.5)

    def rows(self, cells: torch.Tensor) -> torch.Tensor:
        """The row of ``weight`` for each feature of each record, shape ``(n, F)``."""
        most = torch.tensor(self.sizes, device=cells.device) - 1
        first = torch.cumsum(most + 1, 0) - most - 1
        return torch.minimum(cells.long().clamp(min=0), most) + first

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        """Vectors of a record's cells, shape ``(n, F * width)``; ``cells`` has shape ``(n, F)``."""
        return self.weight[self.rows(cells)].flatten(1)


@dataclass(frozen=True, slots=True)
class Stack:
    """A module that can be passed through by hand.

    Attributes:
        embedding: what looks up the first activations, if the inputs are cells.
        linear: the layers; the last has one output.
        between: the activation after each layer but the last.
    """

    embedding: CellEmbedding | None
    linear: tuple[nn.Linear, ...]
    between: tuple[nn.Module, ...]

    @property
    def precision(self) -> Precision:
        """How finely its float type counts."""
        return _PRECISIONS[self.linear[0].weight.dtype]

    def parameters(self) -> list[nn.Parameter]:
        """All that is learned, in the module's order."""
        looked_up = [] if self.embedding is None else [self.embedding.weight]
        return looked_up + [p for layer in self.linear for p in layer.parameters()]

    @property
    def reach(self) -> int:
        """How many parameters one record's gradient can touch."""
        looked_up = (
            0 if self.embedding is None else len(self.embedding.sizes) * self.embedding.width
        )
        return looked_up + sum(p.numel() for layer in self.linear for p in layer.parameters())

    @property
    def chunks(self) -> tuple[int, ...]:
        """Records in one pass, most first, powers of two: a public function of the shape.

        One layer takes few and short operations a record, so more records go at a time.
        """
        widest = max(max(layer.in_features, layer.out_features) for layer in self.linear)
        sizes = (4096, 1024) if len(self.linear) > 1 else (65536, 16384, 4096)
        return (*(size for size in sizes[:-1] if size * widest <= _MOST_NUMBERS), sizes[-1])


def read_stack(module: nn.Module) -> Stack | None:
    """Read a module as a stack, or say with None that it is something else.

    Only exact types count, since a subclass may compute anything, and no module may have
    hooks or be used twice.
    """
    leaves = list(_leaves(module))
    if len(set(map(id, leaves))) != len(leaves):
        return None
    embedding = None
    if leaves and isinstance(leaves[0], CellEmbedding) and type(leaves[0]) is CellEmbedding:
        embedding = leaves[0]
        leaves = leaves[1:]
    linear: list[nn.Linear] = []
    between: list[nn.Module] = []
    for leaf in leaves:
        if isinstance(leaf, nn.Linear) and type(leaf) is nn.Linear and len(linear) == len(between):
            linear.append(leaf)
        elif type(leaf) in ACTIVATIONS and len(linear) == len(between) + 1:
            between.append(leaf)
        else:
            return None
    if not linear or linear[-1].out_features != 1 or len(between) != len(linear) - 1:
        return None
    stack = Stack(embedding, tuple(linear), tuple(between))
    return stack if _can_be_passed(stack) else None


def activate(between: nn.Module, out: torch.Tensor) -> None:
    """Apply one of `ACTIVATIONS` in place."""
    match between:
        case nn.ReLU():
            out.clamp_(min=0.0)
        case nn.Tanh():
            out.tanh_()
        case nn.Sigmoid():
            out.sigmoid_()
        case nn.Softplus():
            out.copy_(nn.functional.softplus(out, between.beta, between.threshold))
        case _:
            pass


def deactivate(between: nn.Module, delta: torch.Tensor, out: torch.Tensor) -> None:
    """Multiply by the slope of an activation, which its output tells, in place."""
    aten = torch.ops.aten
    match between:
        case nn.ReLU():
            aten.threshold_backward.grad_input(delta, out, 0.0, grad_input=delta)
        case nn.Tanh():
            aten.tanh_backward.grad_input(delta, out, grad_input=delta)
        case nn.Sigmoid():
            aten.sigmoid_backward.grad_input(delta, out, grad_input=delta)
        case nn.Softplus():
            delta.mul_(-torch.expm1(-between.beta * out))
        case _:
            pass


def bias_of(layer: nn.Linear) -> torch.Tensor | None:
    """A layer's bias, if it has one: torch declares that it always does."""
    biases = [p for name, p in layer.named_parameters() if name == "bias"]
    return biases[0] if biases else None


def on_grid(activation: torch.Tensor, precision: Precision) -> torch.Tensor:
    """Bring activations to their grid, as whole steps, in place.

    The step of a number beyond 2^22 is coarser in float32, and still whole.
    """
    far = _FAR[activation.dtype].to(activation.device)
    return torch.add(far, activation, alpha=precision.unit, out=activation).sub_(precision.magic)


def _can_be_passed(stack: Stack) -> bool:
    """Whether all parameters are distinct, learned, of one type, and layers are narrow enough."""
    tensors = stack.parameters()
    alike = {(p.dtype, p.device, p.requires_grad) for p in tensors}
    if len(alike) != 1 or len(set(map(id, tensors))) != len(tensors):
        return False
    dtype, _, learned = alike.pop()
    widths = [max(layer.in_features, layer.out_features) for layer in stack.linear]
    small = max(widths) <= WIDEST and len(widths) <= _MOST_LAYERS
    return bool(learned and small and dtype in _PRECISIONS)


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    """The parts of nested sequences, in order; anything else is a leaf."""
    if _is_hooked(module):
        yield nn.Module()
    elif isinstance(module, nn.Sequential) and type(module) is nn.Sequential:
        for part in module:
            yield from _leaves(part)
    else:
        yield module


def _is_hooked(module: nn.Module) -> bool:
    """Whether a call does more than its ``forward``; there is no public name for these."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(vars(module)[name] for name in hooks) or "forward" in vars(module)
