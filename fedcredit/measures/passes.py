"""Sums of clipped gradients of plain stacks: one forward and one backward pass by hand.

The gradient of a linear layer for one record is the outer product of what flows back into
the layer and what came into it, so its norm is a product of two norms and its row is never
formed. Both factors are rounded to integers before they are multiplied:

    row of layer l = round(c delta_l) x round([a_l, 1])       c the record's clip factor

The squared integer norm of a record's row is computed after rounding and held against the
radius. Products are then summed by matrix products over blocks of so few records that the
float type holds every partial sum exactly; totals of blocks are added as integers. So the
sum is that of integer rows, exact in any order, and no bound of a floating-point sum is
needed.

A record's integers must not depend on who its neighbours are, to the last bit. Matrix
products may round differently for different shapes, so every pass has one fixed shape,
padded with zeros at the end of the table; the shape also keeps the work in a core's cache.
That the place in a pass makes no difference either is tried out before a table is made.

Source: book-keeping of norms, Bu et al. (2023), arXiv 2210.00038, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import torch
from torch import nn

from fedcredit.measures.stacks import Stack
from fedcredit.models.grids import Grid
from fedcredit.units import Ints

__all__ = ["Part", "Slope", "parts_of", "places_are_alike", "sum_stack"]

Slope: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_ALIGNED: Final = 64  # bytes


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
            rounded = _round(x.clone(), stack)
            sizes = rounded.square().sum(1)
        yield Part(x, rounded, sizes, y, w, len(labels[some]))


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


def places_are_alike(stack: Stack, record: torch.Tensor, grid: Grid) -> bool:
    """Whether one record, set in every place of a pass, has the same integers in all of them.

    Args:
        stack: what would be passed through.
        record: a public one, shape ``(d,)``.
        grid: of a sum.
    """
    inputs = record.expand(stack.chunk, -1).clone()
    labels = torch.zeros(stack.chunk, dtype=torch.int64, device=record.device)
    (part,) = parts_of(stack, stack.chunk, inputs, labels, None)
    by_hand = _Passes(stack, 1.0, grid)
    with torch.no_grad():
        steps, came_in = by_hand.factors(part, lambda logits, _: torch.cos(logits))
    return all(bool((rows == rows[:1]).all()) for rows in (*steps, *came_in))


class _Passes:
    """Passes through a stack, and the exact total so far.

    What belongs to layers is kept side by side, the weights of all of them and then the
    biases, so that a pass takes few and long operations.
    """

    def __init__(self, stack: Stack, clip: float, grid: Grid) -> None:
        """Set up buffers that every pass uses again."""
        self.stack, self.grid, self.precision = stack, grid, stack.precision
        first, embedding = stack.linear[0].weight, stack.embedding
        self.dtype, self.device = first.dtype, first.device
        self.weights = [_aligned(layer.weight) for layer in stack.linear]
        self.biases = [_bias_of(layer) for layer in stack.linear]
        block = min(stack.chunk, 1 << (self.precision.exact // grid.radius).bit_length() - 1)
        self.blocks = (stack.chunk // block, block)
        self.buffers: dict[tuple[str, int], torch.Tensor] = {}
        # Squared norms: of what flows back, of what came in; and of the 1 beside an input.
        self.looked_up = 0 if embedding is None else 1
        self.norms = self._new(self.looked_up + len(self.weights), stack.chunk)
        self.sizes = torch.ones_like(self.norms)
        one = float(self.precision.unit) ** 2
        ones = [0.0] * self.looked_up + [0.0 if bias is None else one for bias in self.biases]
        self.ones = torch.tensor(ones, dtype=self.dtype, device=self.device)[:, None]
        self.aim = grid.radius * (1 - self.precision.room)
        self.limit = float(grid.radius) ** 2 / self.precision.sure
        self.most_scale = grid.radius / clip / self.precision.unit
        # Totals: of blocks, in few bits, and in two parts on the grid.
        self.of_weights = sum(weight.numel() for weight in self.weights)
        count = self.of_weights + sum(b.numel() for b in self.biases if b is not None)
        self.products = self._new(self.blocks[0], count)
        self.short = torch.zeros(count, dtype=torch.int32, device=self.device)
        self.long = torch.zeros((2, count), dtype=torch.int64, device=self.device)
        cells = (2, 0, 0) if embedding is None else (2, *embedding.weight.shape)
        self.cells = torch.zeros(cells, dtype=torch.int64, device=self.device)
        # While the totals of float32 blocks fit 31 bits they are added in so many.
        short = self.dtype == torch.float32
        self.most = 2**31 // (self.precision.exact * self.blocks[0]) if short else 0
        self.passes = 0

    def add(self, part: Part, slope: Slope) -> None:
        """Add the rows of a part's records."""
        steps, came_in = self.factors(part, slope)
        if self.stack.embedding is not None:
            looked_up = steps[0].view(-1, self.stack.embedding.width).to(torch.int64)
            by_cell = torch.zeros_like(self.cells[0])
            self._keep(self.cells, by_cell.index_add_(0, part.inputs.flatten(), looked_up)[None])
        at, bias_at = 0, self.of_weights
        for step, activation, weight, bias in zip(
            steps[self.looked_up :], came_in, self.weights, self.biases, strict=True
        ):
            left, right = step.view(*self.blocks, -1), activation.view(*self.blocks, -1)
            out = self.products[:, at : at + weight.numel()].view(-1, *weight.shape)
            torch.bmm(left.mT, right, out=out)
            at += weight.numel()
            if bias is not None:
                torch.sum(left, 1, out=self.products[:, bias_at : bias_at + len(bias)])
                bias_at += len(bias)
        self.products[:, self.of_weights :].mul_(self.precision.unit)
        if not self.most:
            self._keep(self.long, self.products.to(torch.int64))
            return
        self.short += self.products.to(torch.int32).sum(0, dtype=torch.int32)
        self.passes += 1
        if self.passes % self.most == 0:
            self._flush()

    def total(self) -> Ints:
        """The sum on the released grid."""
        self._flush()
        flat, at, bias_at = [self.cells.flatten(1)], 0, self.of_weights
        for weight, bias in zip(self.weights, self.biases, strict=True):
            flat.append(self.long[:, at : at + weight.numel()])
            at += weight.numel()
            if bias is not None:
                flat.append(self.long[:, bias_at : bias_at + len(bias)])
                bias_at += len(bias)
        both = np.asarray(torch.cat(flat, dim=1).cpu().numpy(), dtype=np.int64)
        return self.grid.join(both[0], both[1])

    def factors(self, part: Part, slope: Slope) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """The two integer factors of every record's row, layer by layer.

        Returns:
            What flows back, first to what was looked up if anything was; and what came in.
        """
        inputs, embedding = part.inputs, self.stack.embedding
        if embedding is not None:
            vectors = torch.index_select(embedding.weight.detach(), 0, inputs.flatten())
            inputs = vectors.view(len(inputs), -1)
        activations, logits = self._forward(inputs)
        steep = slope(logits, part.labels)
        if part.weights is not None:
            steep = steep * part.weights
        if part.count < len(steep):
            steep = torch.where(torch.arange(len(steep), device=self.device) < part.count, steep, 0)
        deltas = self._backward(activations, steep)
        came_in = self._came_in(activations, part)

        squared = self._squared(deltas)
        scale = squared.rsqrt_().mul_(self.aim).clamp_(max=self.most_scale)[:, None]
        # The slope's own answer may be a part of the table, so it is not written to.
        steps = [*(delta.mul_(scale) for delta in deltas[:-1]), deltas[-1] * scale]
        for step in steps:
            step.round_()
        found = self._squared(steps)
        if not bool((found <= self.limit).all()):
            self._bring_in(steps, came_in, found)
        return steps, came_in

    def _forward(self, inputs: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """What comes into each layer, and the logits."""
        activations = [inputs]
        for at, (weight, bias) in enumerate(zip(self.weights[:-1], self.biases, strict=False)):
            out = self._buffer("activation", at, len(weight))
            if bias is None:
                torch.mm(activations[-1], weight.T, out=out)
            else:
                torch.addmm(bias, activations[-1], weight.T, out=out)
            _activate(self.stack.between[at], out)
            activations.append(out)
        logits, bias = torch.mv(activations[-1], self.weights[-1][0]), self.biases[-1]
        return activations, logits if bias is None else logits.add_(bias)

    def _backward(self, activations: list[torch.Tensor], steep: torch.Tensor) -> list[torch.Tensor]:
        """What flows back out of each layer, of what was looked up first if anything was."""
        deltas = [steep[:, None]]
        for at in range(len(self.weights) - 1, 0, -1):
            deltas.append(self._through(at, deltas[-1]))
            _deactivate(self.stack.between[at - 1], deltas[-1], activations[at])
        if self.looked_up:  # in the unit of the other rows, which an input of 1 multiplies
            deltas.append(self._through(0, deltas[-1]).mul_(self.precision.unit))
        return deltas[::-1]

    def _through(self, at: int, delta: torch.Tensor) -> torch.Tensor:
        """Back from the outputs of a layer to its inputs."""
        weight = self.weights[at]
        out = self._buffer("delta", at, weight.shape[1])
        product = torch.mul if len(weight) == 1 else torch.mm
        return product(delta, weight, out=out)

    def _came_in(self, activations: list[torch.Tensor], part: Part) -> list[torch.Tensor]:
        """Integers of what came into each layer; their squared norms are kept beside."""
        came_in = []
        for at, activation in enumerate(activations):
            sizes = self.sizes[self.looked_up + at]
            if at == 0 and part.rounded is not None and part.sizes is not None:
                came_in.append(part.rounded)
                sizes.copy_(part.sizes)
            else:  # nothing else needs the activation any more
                came_in.append(_round(activation, self.stack))
                _norms(activation, sizes)
                sizes.square_()
        self.sizes.add_(self.ones)
        return came_in

    def _squared(self, deltas: list[torch.Tensor]) -> torch.Tensor:
        """Squared norm of every record's row, from those of its factors."""
        for delta, norms in zip(deltas, self.norms, strict=True):
            _norms(delta, norms)
        return self.norms.square_().mul_(self.sizes).sum(0)

    def _bring_in(
        self, steps: list[torch.Tensor], came_in: list[torch.Tensor], found: torch.Tensor
    ) -> None:
        """Bring rows that rounding pushed out of the radius back in; what is no number is zero.

        A row is scaled and truncated towards zero; were one still outside, it would count
        as zero, as does one that is not finite.
        """
        outside = torch.nonzero(~(found <= self.limit))[:, 0]
        shrink = self.aim / found[outside].sqrt()
        shrunk = [(step[outside] * shrink[:, None]).trunc_() for step in steps]
        again = torch.stack([part.square().sum(1) for part in shrunk])
        lost = ~(again.mul_(self.sizes[:, outside]).sum(0) <= self.limit)
        for step, part in zip(steps, shrunk, strict=True):
            part[lost] = 0.0
            step[outside] = part
        if bool(lost.any()):  # zero times not-a-number is not a number
            came_in[0] = came_in[0].clone()  # it may be the table's
            for activation in came_in:
                activation[outside[lost]] = 0.0

    def _keep(self, total: torch.Tensor, blocks: torch.Tensor) -> None:
        """Add exact sums of blocks, shape ``(blocks, *shape)``, to a total, in two parts."""
        total[0] += (blocks >> self.grid.shift).sum(0)
        total[1] += (blocks & ((1 << self.grid.shift) - 1)).sum(0)

    def _flush(self) -> None:
        """Move what was added in few bits to the total."""
        self._keep(self.long, self.short[None].to(torch.int64))
        self.short.zero_()

    def _buffer(self, name: str, at: int, width: int) -> torch.Tensor:
        """A matrix of one row a record, used again by every pass."""
        if (name, at) not in self.buffers:
            self.buffers[name, at] = self._new(self.stack.chunk, width)
        return self.buffers[name, at]

    def _new(self, *shape: int) -> torch.Tensor:
        """A tensor of the stack's type, where the stack is."""
        return torch.empty(shape, dtype=self.dtype, device=self.device)


def _padded(part: torch.Tensor, size: int) -> torch.Tensor:
    """The part with zeros behind it up to a fixed size, where vector instructions like it."""
    if len(part) == size and part.is_contiguous() and part.data_ptr() % _ALIGNED == 0:
        return part
    whole = torch.zeros((size, *part.shape[1:]), dtype=part.dtype, device=part.device)
    whole[: len(part)] = part
    return whole


def _aligned(parameter: torch.Tensor) -> torch.Tensor:
    """A parameter's numbers, where a product of matrices treats them as it always does."""
    numbers = parameter.detach().contiguous()
    return numbers if numbers.data_ptr() % _ALIGNED == 0 else numbers.clone()


def _bias_of(layer: nn.Linear) -> torch.Tensor | None:
    """A layer's bias, if it has one."""
    biases = [p for name, p in layer.named_parameters() if name == "bias"]
    return _aligned(biases[0]) if biases else None


def _round(activation: torch.Tensor, stack: Stack) -> torch.Tensor:
    """Bring activations to their grid, as whole steps, in place."""
    precision = stack.precision
    far = torch.tensor(precision.magic, dtype=activation.dtype, device=activation.device)
    return torch.add(far, activation, alpha=precision.unit, out=activation).sub_(precision.magic)


def _norms(part: torch.Tensor, out: torch.Tensor) -> None:
    """Norm of every row."""
    if part.shape[1] == 1:
        torch.abs(part[:, 0], out=out)
    else:
        torch.linalg.vector_norm(part, dim=1, out=out)


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
        case _:
            pass


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
        case _:
            pass
