"""Records cut into parts of one fixed size, as passes through a module take them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch

from fedcredit.measures.stacks import Stack, bias_of, on_grid

__all__ = ["ALIGNED", "Part", "parts_of"]

ALIGNED: Final = 64
"""Bytes of which addresses are multiples: vector instructions may take others another way."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Records of one pass: tensors of one fixed size, filled up with zeros.

    Attributes:
        inputs: shape ``(size, d)``; rows of the vectors where a stack looks them up.
        rounded: the inputs on the grid of activations, if a stack takes them in so.
        sizes: squared norms of ``rounded``, and of the 1 beside it where there is a bias.
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
    sizes: tuple[int, ...],
    inputs: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor | None,
) -> Iterator[Part]:
    """Cut a table into parts, and round what goes into a stack: once for all rounds.

    Args:
        stack: what will take them, if it is one.
        sizes: of parts, most first; all but the last are taken while they are full.
        inputs: shape ``(n, d)``.
        labels: shape ``(n,)``.
        weights: shape ``(n,)``.
    """
    at = 0
    while at < len(labels):
        size = next((size for size in sizes if size <= len(labels) - at), sizes[-1])
        some = slice(at, at + size)
        at += size
        x, y = _padded(inputs[some], size), _padded(labels[some], size)
        w = None if weights is None else _padded(weights[some], size)
        rounded = squares = None
        if stack is not None and stack.embedding is not None:
            x = stack.embedding.rows(x)
        elif stack is not None:
            rounded = on_grid(x.clone(), stack.precision)
            squares = rounded.square().sum(1)
            if bias_of(stack.linear[0]) is not None:
                squares += float(stack.precision.unit) ** 2
        yield Part(x, rounded, squares, y, w, len(labels[some]))


def _padded(part: torch.Tensor, size: int) -> torch.Tensor:
    """The part with zeros behind it up to a fixed size, where vector instructions like it."""
    if len(part) == size and part.is_contiguous() and part.data_ptr() % ALIGNED == 0:
        return part
    whole = torch.zeros((size, *part.shape[1:]), dtype=part.dtype, device=part.device)
    whole[: len(part)] = part
    return whole
