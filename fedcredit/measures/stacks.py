"""Sums of clipped gradients of plain stacks: one forward and one backward pass by hand.

The gradient of a linear layer for one record is the outer product of what flows back into
the layer and what came into it, so its norm is a product of two norms and its row is never
formed. Both factors are rounded to integers before they are multiplied:

    row of layer l = round(c delta_l) x round([a_l, 1])       c the record's clip factor

The squared integer norm of a record's row is computed after rounding and held against the
radius. Products are then summed by matrix products over blocks of so few records that the
float type holds every partial sum exactly; block totals are added in float64, which holds
them exactly too. So the sum is that of integer rows, exact in any order, and no bound of a
floating-point sum is needed.

A record's integers must not depend on who its neighbours are, to the last bit. Matrix
products may round differently for different shapes, so every pass has one fixed shape,
padded with zeros at the end of the table; the shape also keeps the work in a core's cache.

Source: book-keeping of norms, Bu et al. (2023), arXiv 2210.00038, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import torch
from torch import nn

from fedcredit.models.grids import Grid
from fedcredit.units import Ints

__all__ = ["CellEmbedding", "Slope", "Stack", "Part", "parts_of", "read_stack", "sum_stack"]

Slope: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class _Precision:
    """How finely a float type can count.

    Attributes:
        exact: whole numbers up to this are held exactly.
        finest: bits of a row's integer radius.
        unit: grid steps of an activation of 1, a power of two.
        magic: adding and taking away this rounds to a whole number.
        room: part of the radius that is left free, so that rounding pushes few rows out.
        sure: more than rounding can take from a sum of `WIDEST` squares.
    """

    exact: int
    finest: int
    unit: int
    magic: float
    room: float
    sure: float


_PRECISIONS: Final = {
    torch.float32: _Precision(2**24, 17, 2**6, 1.5 * 2**23, 2**-8, 1 + 2**-10),
    torch.float64: _Precision(2**53, 46, 2**20, 1.5 * 2**52, 2**-26, 1 + 2**-30),
}
WIDEST: Final = 8192  # inputs of a layer
_ALIGNED: Final = 64  # bytes


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
    def finest(self) -> int:
        """Bits of the integer radius on which rows are summed."""
        return _PRECISIONS[self.linear[0].weight.dtype].finest

    @property
    def reach(self) -> int:
        """How many parameters one record's gradient can touch."""
        looked_up = (
            0 if self.embedding is None else len(self.embedding.sizes) * self.embedding.width
        )
        return looked_up + sum(p.numel() for layer in self.linear for p in layer.parameters())

    @property
    def chunk(self) -> int:
        """Records in one pass: a public function of the widths alone."""
        widest = max(max(layer.in_features, layer.out_features) for layer in self.linear)
        return 4096 if widest * len(self.linear) <= 64 else 1024


_ACTIVATIONS: Final = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Identity)


def read_stack(module: nn.Module) -> Stack | None:
    """Read a module as a stack, or say with None that it is something else.

    Only exact types count, since a subclass may compute anything, and no module may have
    hooks or be used twice.
    """
    leaves = list(_leaves(module))
    if len(set(map(id, leaves))) != len(leaves):
        return None
    embedding = None
    if leaves and type(leaves[0]) is CellEmbedding:
        embedding = leaves.pop(0)
    linear, between = [], []
    for leaf in leaves:
        if type(leaf) is nn.Linear and len(linear) == len(between):
            linear.append(leaf)
        elif type(leaf) in _ACTIVATIONS and len(linear) == len(between) + 1:
            between.append(leaf)
        else:
            return None
    ends = bool(linear) and linear[-1].out_features == 1 and len(between) == len(linear) - 1
    tensors = [p for leaf in linear for p in leaf.parameters()]
    tensors += [embedding.weight] if embedding is not None else []
    alike = {(p.dtype, p.device, p.requires_grad) for p in tensors}
    if not ends or len(alike) != 1 or len(set(map(id, tensors))) != len(tensors):
        return None
    dtype, _, learned = alike.pop()
    narrow = max(max(layer.in_features, layer.out_features) for layer in linear) <= WIDEST
    if not (learned and narrow and dtype in _PRECISIONS):
        return None
    return Stack(embedding, tuple(linear), tuple(between))


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    """The parts of nested sequences, in order; anything else is a leaf."""
    hooks = module._forward_hooks or module._forward_pre_hooks  # noqa: SLF001 - no public name
    if type(module) is nn.Sequential and not hooks:
        for part in module:
            yield from _leaves(part)
    else:
        yield module if not hooks else nn.Module()


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Records of one pass: tensors of one fixed size, filled up with zeros.

    Attributes:
        inputs: shape ``(size, d)``; rows of the vectors where a stack looks them up.
        rounded: the inputs on the grid of activations, if a stack takes them in so.
        sizes: squared norms of ``rounded``.
        labels: shape ``(size,)``.
        weights: shape ``(size,)``, or None for 1 each.
        count: records among them.
    """

    inputs: torch.Tensor
    rounded: torch.Tensor | None
    sizes: torch.Tensor | None
    labels: torch.Tensor
    weights: torch.Tensor | None
    count: int


def parts_of(
    stack: Stack | None,
    size: int,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor | None,
) -> Iterator[Part]:
    """Cut a table into parts, and round what goes into a stack: once for all rounds."""
    for at in range(0, len(labels), size):
        some = slice(at, at + size)
        x, y = _padded(inputs[some], size), _padded(labels[some], size)
        w = None if weights is None else _padded(weights[some], size)
        rounded = sizes = None
        if stack is not None and stack.embedding is not None:
            x = stack.embedding.rows(x)
        elif stack is not None:
            rounded = _rounded(x, torch.empty_like(x))
            sizes = rounded.square().sum(1)
        yield Part(x, rounded, sizes, y, w, len(labels[some]))


def _padded(part: torch.Tensor, size: int) -> torch.Tensor:
    """The part with zeros behind it up to a fixed size, where vector instructions like it."""
    if len(part) == size and part.is_contiguous() and part.data_ptr() % _ALIGNED == 0:
        return part
    whole = torch.zeros((size, *part.shape[1:]), dtype=part.dtype, device=part.device)
    whole[: len(part)] = part
    return whole


def _rounded(activation: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Activations on their grid."""
    precision = _PRECISIONS[activation.dtype]
    far = precision.magic / precision.unit
    return torch.add(activation, far, out=out).sub_(far)


def sum_stack(stack: Stack, parts: Iterable[Part], slope: Slope, clip: float, grid: Grid) -> Ints:
    """Sum the clipped integer rows of a table.

    Args:
        stack: what the gradient is of.
        parts: of its table, of ``stack.chunk`` records.
        slope: see `persample.clipped_sum`.
        clip: norm of a record's gradient.
        grid: its fine radius is the integer norm of ``clip``.

    Returns:
        Shape ``(P,)``, released steps, in the order of the module's parameters.
    """
    by_hand = _Passes(stack, clip, grid)
    with torch.no_grad():
        for part in parts:
            by_hand.add(part, slope)
    return by_hand.total()


class _Passes:
    """Passes through a stack, and the exact total so far."""

    def __init__(self, stack: Stack, clip: float, grid: Grid) -> None:
        """Set up buffers that every pass uses again."""
        self.stack, self.clip, self.grid = stack, clip, grid
        first = stack.linear[0].weight
        self.like = {"dtype": first.dtype, "device": first.device}
        self.precision = _PRECISIONS[first.dtype]
        self.layers = [
            (layer.weight.detach(), None if layer.bias is None else layer.bias.detach())
            for layer in stack.linear
        ]
        block = min(stack.chunk, 1 << (self.precision.exact // grid.radius).bit_length() - 1)
        self.blocks = (stack.chunk // block, block)
        self.buffers: dict[tuple[str, int, tuple[int, ...]], torch.Tensor] = {}
        looked_up = [] if stack.embedding is None else [stack.embedding.weight]
        self.parameters = looked_up + [p for layer in stack.linear for p in layer.parameters()]
        shapes = [(2, *p.shape) for p in self.parameters]
        wide = {"dtype": torch.int64, "device": first.device}
        self.sums = [torch.zeros(shape, **wide) for shape in shapes]
        # While the totals of float32 blocks fit 31 bits they are added in so many.
        self.short = [
            torch.zeros(p.shape, dtype=torch.int32, device=p.device) for p in self.parameters
        ]
        self.most = (
            2**31 // (self.precision.exact * self.blocks[0]) if first.dtype == torch.float32 else 0
        )
        self.passes = 0

    def add(self, part: Part, slope: Slope) -> None:
        """Add the rows of a part's records."""
        embedding, cells = self.stack.embedding, None
        inputs = part.inputs
        if embedding is not None:
            cells = inputs
            inputs = torch.index_select(embedding.weight.detach(), 0, cells.flatten()).view(
                len(cells), -1
            )
        activations, logits = self._forward(inputs)
        steep = slope(logits, part.labels)
        steep = steep.clone() if part.weights is None else steep * part.weights
        deltas = self._backward(activations, steep)
        came_in, sizes = [], []
        for at, activation in enumerate(activations):
            if at == 0 and part.rounded is not None and part.sizes is not None:
                came_in.append(part.rounded)
                sizes.append(part.sizes)
                continue
            came_in.append(_rounded(activation, self._buffer("rounded", at, activation.shape[1])))
            sizes.append(self._squares(came_in[-1]))
        squared = self._norm_squared([self._squares(delta) for delta in deltas], sizes, 1.0)
        factor = (self.clip * (1 - self.precision.room) / squared.sqrt()).clamp_(max=1.0)
        if part.count < len(factor):
            factor[part.count :] = 0.0
        lost = torch.nonzero(~(squared < torch.inf))[:, 0]
        if len(lost):  # 0 times not-a-number is not a number, so all factors become 0
            came_in[0], sizes[0] = came_in[0].clone(), sizes[0].clone()  # they are the table's
            for zeroed in (factor, *deltas, *came_in, *sizes):
                zeroed[lost] = 0.0
        steps = self._steps(deltas, factor, sizes)
        self._sum(steps, came_in, cells)
        self.passes += 1
        if self.most and self.passes % self.most == 0:
            self._flush()

    def total(self) -> Ints:
        """The sum on the released grid."""
        self._flush()
        flat = [np.asarray(part.flatten(1).cpu().numpy()) for part in self.sums]
        both = np.concatenate(flat, axis=1)
        return self.grid.join(both[0], both[1])

    def _forward(self, inputs: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """What comes into each layer, and the logits."""
        activations = [inputs]
        for at, (weight, bias) in enumerate(self.layers[:-1]):
            out = self._buffer("activation", at, len(weight))
            if bias is None:
                torch.mm(activations[-1], weight.T, out=out)
            else:
                torch.addmm(bias, activations[-1], weight.T, out=out)
            _activate(self.stack.between[at], out)
            activations.append(out)
        weight, bias = self.layers[-1]
        logits = torch.mv(activations[-1], weight[0])
        return activations, logits if bias is None else logits.add_(bias)

    def _backward(self, activations: list[torch.Tensor], steep: torch.Tensor) -> list[torch.Tensor]:
        """What flows back out of each layer, of what was looked up first if anything was."""
        deltas = [steep[:, None]]
        for at in range(len(self.layers) - 1, 0, -1):
            deltas.append(self._through(at, deltas[-1]))
            _deactivate(self.stack.between[at - 1], deltas[-1], activations[at])
        if self.stack.embedding is not None:
            deltas.append(self._through(0, deltas[-1]))
        return deltas[::-1]

    def _through(self, at: int, delta: torch.Tensor) -> torch.Tensor:
        """Back from the outputs of a layer to its inputs."""
        weight, _ = self.layers[at]
        out = self._buffer("delta", at, weight.shape[1])
        return (
            torch.mul(delta, weight, out=out)
            if len(weight) == 1
            else torch.mm(delta, weight, out=out)
        )

    def _squares(self, part: torch.Tensor) -> torch.Tensor:
        """Squared norm of every row."""
        if part.shape[1] == 1:
            return torch.square(part[:, 0])
        return torch.mul(part, part, out=self._buffer("squares", 0, part.shape[1])).sum(1)

    def _norm_squared(
        self, norms: list[torch.Tensor], sizes: list[torch.Tensor], one: float
    ) -> torch.Tensor:
        """Squared norm of every record's row, from those of its factors.

        Args:
            norms: squared norms of what flows back, as `_backward` orders them.
            sizes: squared norms of what came in.
            one: the square of an activation of 1, in the unit of ``sizes``.
        """
        looked_up = len(norms) - len(sizes)
        total = torch.zeros_like(sizes[0])
        for norm, size, (_, bias) in zip(norms[looked_up:], sizes, self.layers, strict=True):
            total.addcmul_(norm, size if bias is None else size + one)
        return total.add_(norms[0]) if looked_up else total

    def _steps(
        self, deltas: list[torch.Tensor], factor: torch.Tensor, sizes: list[torch.Tensor]
    ) -> list[torch.Tensor]:
        """Integers, such that every record's row is inside the radius.

        A row that rounding pushed out is scaled and truncated towards zero, which brings
        it in; were one still outside, it would count as zero.
        """
        unit, looked_up = self.precision.unit, len(deltas) - len(sizes)
        limit = float(self.grid.radius) ** 2 / self.precision.sure
        sizes = [size * unit**2 for size in sizes]
        for at, delta in enumerate(deltas):
            scale = self.grid.radius / self.clip / (1 if at < looked_up else unit)
            delta.mul_((factor * scale)[:, None]).round_()

        norms = [self._squares(delta) for delta in deltas]
        found = self._norm_squared(norms, sizes, float(unit**2))
        outside = torch.nonzero(~(found <= limit))[:, 0]
        if len(outside):
            shrink = (1 - self.precision.room) * self.grid.radius / found[outside].sqrt()
            shrunk = [(delta[outside] * shrink[:, None]).trunc_() for delta in deltas]
            norms = [part.square().sum(1) for part in shrunk]
            found = self._norm_squared(norms, [size[outside] for size in sizes], float(unit**2))
            for delta, part in zip(deltas, shrunk, strict=True):
                part[~(found <= limit)] = 0.0
                delta[outside] = part
        return deltas

    def _sum(
        self, steps: list[torch.Tensor], came_in: list[torch.Tensor], cells: torch.Tensor | None
    ) -> None:
        """Add the products of a pass to the total."""
        sums = []
        embedding, unit = self.stack.embedding, self.precision.unit
        if embedding is not None and cells is not None:
            looked_up = steps.pop(0).view(-1, embedding.width).to(torch.int64)
            by_cell = torch.zeros_like(embedding.weight, dtype=torch.int64)
            sums.append(by_cell.index_add_(0, cells.flatten(), looked_up)[None])
        for at, (step, a, (weight, bias)) in enumerate(
            zip(steps, came_in, self.layers, strict=True)
        ):
            left, right = step.unflatten(0, self.blocks), a.unflatten(0, self.blocks)
            out = self._of_shape("product", at, (self.blocks[0], *weight.shape))
            sums.append(torch.baddbmm(out, left.mT, right, beta=0, alpha=unit, out=out))
            if bias is not None:
                sums.append(left.sum(1).mul_(unit))
        for total, short, blocks in zip(self.sums, self.short, sums, strict=True):
            if self.most and blocks.is_floating_point():
                short += blocks.to(torch.int32).sum(0, dtype=torch.int32)
            else:
                self._keep(total, blocks.to(torch.int64))

    def _keep(self, total: torch.Tensor, blocks: torch.Tensor) -> None:
        """Add exact sums of blocks, shape ``(blocks, *shape)``, to a total, in two parts."""
        total[0] += (blocks >> self.grid.shift).sum(0)
        total[1] += (blocks & ((1 << self.grid.shift) - 1)).sum(0)

    def _flush(self) -> None:
        """Move what was added in few bits to the totals."""
        for total, short in zip(self.sums, self.short, strict=True):
            self._keep(total, short[None].to(torch.int64))
            short.zero_()

    def _buffer(self, name: str, at: int, width: int) -> torch.Tensor:
        """A matrix of one row a record, used again by every pass."""
        return self._of_shape(name, at, (self.stack.chunk, width))

    def _of_shape(self, name: str, at: int, shape: tuple[int, ...]) -> torch.Tensor:
        """A buffer of any shape."""
        if (name, at, shape) not in self.buffers:
            self.buffers[name, at, shape] = torch.empty(shape, **self.like)
        return self.buffers[name, at, shape]


def _activate(between: nn.Module, out: torch.Tensor) -> None:
    """Apply an activation in place."""
    match between:
        case nn.ReLU():
            out.clamp_(min=0.0)
        case nn.Tanh():
            out.tanh_()
        case nn.Sigmoid():
            out.sigmoid_()
        case nn.Softplus():
            out.copy_(nn.functional.softplus(out, between.beta, between.threshold))


def _deactivate(between: nn.Module, delta: torch.Tensor, out: torch.Tensor) -> None:
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
