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

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
import torch

from fedcredit.measures.parts import ALIGNED, Part, parts_of
from fedcredit.measures.stacks import Stack, activate, bias_of, deactivate, on_grid
from fedcredit.models.grids import Grid
from fedcredit.units import Ints

__all__ = ["Passes", "Slope", "places_are_alike", "sum_stack"]

Slope: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def sum_stack(
    stack: Stack,
    parts: Iterable[Part],
    slope: Slope,
    clip: float,
    grid: Grid,
    rooms: dict[tuple[Grid, int], Passes] | None = None,
) -> Ints:
    """Sum the clipped integer rows of a table.

    Args:
        stack: what the gradient is of.
        parts: of its table, of ``stack.chunks`` records.
        slope: see `persample.clipped_sum`.
        clip: norm of a record's gradient.
        grid: its fine radius is the integer norm of ``clip``.
        rooms: where buffers are left for the next sum of a stack of the same shape.

    Returns:
        Shape ``(P,)``, released steps, in the order of the module's parameters.
    """
    rooms = {} if rooms is None else rooms
    taken: dict[int, Passes] = {}
    total = np.zeros((2, sum(p.numel() for p in stack.parameters())), dtype=np.int64)
    with torch.no_grad():
        for part in parts:
            size = len(part.labels)
            if size not in taken:  # a room that is taken is no other sum's
                kept: Passes | None = rooms.pop((grid, size), None)
                taken[size] = Passes(stack, grid, size) if kept is None else kept
                taken[size].begin(stack, clip)
            taken[size].add(part, slope)
        for size, by_hand in taken.items():
            total += by_hand.total()
            rooms[grid, size] = by_hand
    return grid.join(total[0], total[1])


def places_are_alike(stack: Stack, record: torch.Tensor, grid: Grid) -> bool:
    """Whether one record, in every place of passes of every size, has the same integers.

    Args:
        stack: what would be passed through.
        record: a public one, shape ``(d,)``.
        grid: of a sum.
    """
    found = []
    for size in stack.chunks:
        inputs = record.expand(size, -1).clone()
        labels = torch.zeros(size, dtype=torch.int64, device=record.device)
        (part,) = parts_of(stack, (size,), inputs, labels, None)
        by_hand = Passes(stack, grid, size)
        with torch.no_grad():
            by_hand.begin(stack, 1.0)
            steps, came_in = by_hand.factors(part, lambda logits, _: torch.cos(logits))
        found.append(torch.cat([*steps, *came_in], dim=1))
    return all(bool((rows == found[0][:1]).all()) for rows in found)


class Passes:
    """Passes through a stack, and the exact total so far.

    What belongs to layers is kept side by side, the weights of all of them and then the
    biases, so that a pass takes few and long operations.
    """

    def __init__(self, stack: Stack, grid: Grid, chunk: int) -> None:
        """Set up buffers that every pass of every sum uses again, of ``chunk`` records each."""
        self.grid, self.precision = grid, stack.precision
        first, embedding = stack.linear[0].weight, stack.embedding
        self.dtype, self.device, self.chunk = first.dtype, first.device, chunk
        block = min(self.chunk, 1 << (self.precision.exact // grid.radius).bit_length() - 1)
        self.blocks = (self.chunk // block, block)
        self.buffers: dict[tuple[str, int], torch.Tensor] = {}
        self.looked_up = 0 if embedding is None else 1
        biases = [bias_of(layer) for layer in stack.linear]
        # Squared norms of what flows back; the squared norm of the 1 beside what came in.
        self.norms = list(self._new(self.looked_up + len(biases), self.chunk))
        one = float(self.precision.unit) ** 2
        self.ones = [0.0 if bias is None else one for bias in biases]
        self.aim = grid.radius * (1 - self.precision.room)
        self.limit = float(grid.radius) ** 2 / self.precision.sure
        # Sums of blocks lie one behind the other: each layer's weights, then all biases.
        blocks, shapes = self.blocks[0], [layer.weight.shape for layer in stack.linear]
        widths = [0 if bias is None else len(bias) for bias in biases]
        sizes = [shape.numel() for shape in shapes] + [sum(widths)]
        self.products = self._new(blocks * sum(sizes))
        *pieces, of_biases = torch.split(self.products, [blocks * size for size in sizes])
        self.of_biases = of_biases.view(blocks, -1)
        self.outs = [
            (piece.view(blocks, *shape), of_bias)
            for piece, shape, of_bias in zip(
                pieces, shapes, torch.split(self.of_biases, widths, dim=1), strict=True
            )
        ]
        # While the totals of float32 blocks fit 31 bits they are added in so many.
        short = self.dtype == torch.float32
        few = torch.int32 if short else torch.int64
        self.whole = torch.empty_like(self.products, dtype=few)
        self.short = torch.empty_like(self.products, dtype=few)
        self.most = 2**31 // self.precision.exact - 1 if short else 1
        looked_up = [] if embedding is None else [embedding.weight.numel()]
        self.long = [np.zeros((2, size), np.int64) for size in (*looked_up, *sizes)]

    def begin(self, stack: Stack, clip: float) -> None:
        """Begin a sum: take the parameters of a stack. Totals are empty since the last.

        Args:
            stack: of the shape that the buffers are for.
            clip: norm of a record's gradient.
        """
        self.stack, self.passes = stack, 0
        self.weights = [_aligned(layer.weight) for layer in stack.linear]
        biases = [bias_of(layer) for layer in stack.linear]
        self.biases = [None if bias is None else _aligned(bias) for bias in biases]
        self.most_scale = self.grid.radius / clip / self.precision.unit

    def add(self, part: Part, slope: Slope) -> None:
        """Add the rows of a part's records."""
        steps, came_in = self.factors(part, slope)
        if self.stack.embedding is not None:
            looked_up = steps[0].view(-1, self.stack.embedding.width).to(torch.int64)
            by_cell = torch.zeros_like(self.stack.embedding.weight, dtype=torch.int64)
            by_cell.index_add_(0, part.inputs.flatten(), looked_up)
            self._keep(0, by_cell.flatten().cpu().numpy())
        for step, activation, (weights, biases) in zip(
            steps[self.looked_up :], came_in, self.outs, strict=True
        ):
            left, right = step.view(*self.blocks, -1), activation.view(*self.blocks, -1)
            torch.bmm(left.mT, right, out=weights)
            if biases.shape[1]:
                torch.sum(left, 1, out=biases)
        self.of_biases.mul_(self.precision.unit)
        if self.passes:
            self.short.add_(self.whole.copy_(self.products))
        else:
            self.short.copy_(self.products)
        self.passes += 1
        if self.passes == self.most:
            self._flush()

    def total(self) -> Ints:
        """The sum, shape ``(2, P)``, in two parts on the grid, in the parameters' order."""
        self._flush()
        ordered, at = self.long[: self.looked_up], 0
        for total, (_, biases) in zip(self.long[self.looked_up :], self.outs, strict=False):
            ordered += [total, self.long[-1][:, at : at + biases.shape[1]]]
            at += biases.shape[1]
        both = np.concatenate(ordered, axis=1)
        for total in self.long:
            total.fill(0)
        return both

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
        came_in, sizes = self._came_in(activations, part)

        squared = self._squared(deltas, sizes)
        scale = squared.rsqrt_().mul_(self.aim).clamp_(max=self.most_scale)[:, None]
        # The slope's own answer may be a part of the table, so it is not written to.
        steps = [*(delta.mul_(scale) for delta in deltas[:-1]), deltas[-1] * scale]
        for step in steps:
            step.round_()
        found = self._squared(steps, sizes)
        if not float(found.amax()) <= self.limit:  # as for the largest, so if one is no number
            self._bring_in(steps, came_in, sizes, found)
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
            activate(self.stack.between[at], out)
            activations.append(out)
        weight, bias = self.weights[-1][0], self.biases[-1]
        if bias is None:
            return activations, torch.mv(activations[-1], weight)
        return activations, torch.addmv(bias, activations[-1], weight)

    def _backward(self, activations: list[torch.Tensor], steep: torch.Tensor) -> list[torch.Tensor]:
        """What flows back out of each layer, of what was looked up first if anything was."""
        deltas = [steep[:, None]]
        for at in range(len(self.weights) - 1, 0, -1):
            deltas.append(self._through(at, deltas[-1]))
            deactivate(self.stack.between[at - 1], deltas[-1], activations[at])
        if self.looked_up:  # in the unit of the other rows, which an input of 1 multiplies
            deltas.append(self._through(0, deltas[-1]).mul_(self.precision.unit))
        return deltas[::-1]

    def _through(self, at: int, delta: torch.Tensor) -> torch.Tensor:
        """Back from the outputs of a layer to its inputs."""
        weight = self.weights[at]
        out = self._buffer("delta", at, weight.shape[1])
        product = torch.mul if len(weight) == 1 else torch.mm
        return product(delta, weight, out=out)

    def _came_in(
        self, activations: list[torch.Tensor], part: Part
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Integers of what came into each layer, and squared norms of them with their 1."""
        came_in, sizes = [], []
        for at, activation in enumerate(activations):
            if at == 0 and part.rounded is not None and part.sizes is not None:
                came_in.append(part.rounded)
                sizes.append(part.sizes)
            else:  # nothing else needs the activation any more
                came_in.append(on_grid(activation, self.precision))
                size = self._buffer("size", at, 1)[:, 0]
                sizes.append(_squares(activation, size).add_(self.ones[at]))
        return came_in, sizes

    def _squared(self, deltas: list[torch.Tensor], sizes: list[torch.Tensor]) -> torch.Tensor:
        """Squared norm of every record's row, from those of its factors."""
        for delta, norms in zip(deltas, self.norms, strict=True):
            _squares(delta, norms)
        layers = self.norms[self.looked_up :]
        total = layers[0] * sizes[0]
        for norms, size in zip(layers[1:], sizes[1:], strict=True):
            total.addcmul_(norms, size)
        return total.add_(self.norms[0]) if self.looked_up else total

    def _bring_in(
        self,
        steps: list[torch.Tensor],
        came_in: list[torch.Tensor],
        sizes: list[torch.Tensor],
        found: torch.Tensor,
    ) -> None:
        """Bring rows that rounding pushed out of the radius back in; what is no number is zero.

        A row is scaled and truncated towards zero; were one still outside, it would count
        as zero, as does one that is not finite.
        """
        outside = torch.nonzero(~(found <= self.limit))[:, 0]
        shrink = self.aim / found[outside].sqrt()
        shrunk = [(step[outside] * shrink[:, None]).trunc_() for step in steps]
        again = [part.square().sum(1) for part in shrunk]
        beside = [torch.ones_like(shrink)] * self.looked_up + [size[outside] for size in sizes]
        lost = ~(sum(map(torch.mul, again, beside), torch.zeros_like(shrink)) <= self.limit)
        for step, part in zip(steps, shrunk, strict=True):
            part[lost] = 0.0
            step[outside] = part
        if bool(lost.any()):  # zero times not-a-number is not a number
            came_in[0] = came_in[0].clone()  # it may be the table's
            for activation in came_in:
                activation[outside[lost]] = 0.0

    def _keep(self, at: int, exact: Ints) -> None:
        """Add an exact sum to a total, in its two parts on the grid."""
        whole, rest = self.grid.split(exact)
        self.long[at][0] += whole
        self.long[at][1] += rest

    def _flush(self) -> None:
        """Move what was added in few bits to the total."""
        if not self.passes:
            return
        few, begun = self.short.cpu().numpy(), 0
        for at, total in enumerate(self.long[self.looked_up :], start=self.looked_up):
            ended = begun + self.blocks[0] * total.shape[1]
            of_blocks = few[begun:ended].reshape(self.blocks[0], -1)
            self._keep(at, of_blocks.sum(axis=0, dtype=np.int64))
            begun = ended
        self.passes = 0

    def _buffer(self, name: str, at: int, width: int) -> torch.Tensor:
        """A matrix of one row a record, used again by every pass."""
        if (name, at) not in self.buffers:
            self.buffers[name, at] = self._new(self.chunk, width)
        return self.buffers[name, at]

    def _new(self, *shape: int) -> torch.Tensor:
        """A tensor of the stack's type, where the stack is."""
        return torch.empty(shape, dtype=self.dtype, device=self.device)


def _aligned(parameter: torch.Tensor) -> torch.Tensor:
    """A parameter's numbers, where a product of matrices treats them as it always does."""
    numbers = parameter.detach().contiguous()
    return numbers if numbers.data_ptr() % ALIGNED == 0 else numbers.clone()


def _squares(part: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Squared norm of every row."""
    if part.shape[1] == 1:
        return torch.square(part[:, 0], out=out)
    return torch.linalg.vector_norm(part, dim=1, out=out).square_()
