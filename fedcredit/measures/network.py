"""The gradient of a network, summed by torch: needs the extra ``neural``.

Records enter as bins, or as the hidden units of these where only the head is learned. The
sum is exact integers, on a graphics processor where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import nn

from fedcredit.data.records import Batch
from fedcredit.errors import LocalError
from fedcredit.measures.parts import Part
from fedcredit.measures.passes import sum_stack
from fedcredit.measures.persample import bounded_slope, tabled
from fedcredit.measures.stacks import CellEmbedding, read_stack
from fedcredit.models.bins import bins_of
from fedcredit.models.grids import fine_grid
from fedcredit.models.network import Network
from fedcredit.models.network_gradient import NetworkGradient
from fedcredit.units import Bytes8, Floats, Ints

__all__ = ["module_of", "sum_network"]


def sum_network(batches: Iterable[Batch], query: NetworkGradient) -> Ints:
    """Sum the clipped gradients of the records, in integer steps.

    Batches are passed through as they come: memory does not grow with the table.

    Returns:
        Shape ``(query.dim,)``, in the order that the question states.

    Raises:
        PrivacyError: torch is set, or built, so that a record's sum could depend on others.
    """
    network, device = query.network, _device()
    module = module_of(network, query.learned).to(device)
    stack = read_stack(module)
    if stack is None:  # pragma: no cover - `module_of` makes nothing else
        raise LocalError("the network is no stack", remedy="report this as a fault of ours")

    def parts() -> Iterator[Part]:
        for batch in batches:
            bins = bins_of(network.scorecard.bins, batch.cells)
            base = network.scorecard.log_odds(batch.cells)
            labels = torch.from_numpy(base + 1j * batch.bad).to(device)
            yield from tabled(module, _inputs(query, bins).to(device), labels).parts

    grid = fine_grid(query.steps, stack.precision.finest)
    with torch.autocast(device.type, enabled=False):
        return sum_stack(stack, parts(), _slope, query.clip, grid)


def _inputs(query: NetworkGradient, bins: Bytes8) -> torch.Tensor:
    """What the module takes of records: hidden units where the head is learned, else bins."""
    head = query.learned == "head"
    rows = query.network.units(bins).astype(np.float32) if head else bins.T
    return torch.from_numpy(np.ascontiguousarray(rows))


def module_of(network: Network, learned: str) -> nn.Module:
    """The network without its scorecard as a torch module of float32.

    Args:
        network: any.
        learned: ``"head"`` for the last layer, which takes hidden units of shape
            ``(n, units)``; ``"all"`` for the whole, which takes bins of shape ``(n, F)``.

    Returns:
        A stack whose parameters lie in the order of `NetworkGradient`.
    """
    head = _linear(network.head[None], np.array([network.shift]))
    if learned == "head":
        return nn.Sequential(head)
    vectors = CellEmbedding(tuple(len(part) for part in network.vectors), network.width)
    vectors.weight = _parameter(np.concatenate(network.vectors))
    return nn.Sequential(vectors, _linear(network.weights, network.biases), nn.Tanh(), head)


def _slope(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Slope of the loss; a label is the scorecard's log-odds, and 1j for a bad."""
    base, bad = labels.real.to(logits.dtype), labels.imag
    return bounded_slope(logits + base, bad)


def _linear(weight: Floats, bias: Floats) -> nn.Linear:
    """A layer of the given numbers."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = _parameter(weight), _parameter(bias)
    return layer


def _parameter(numbers: Floats) -> nn.Parameter:
    """Numbers as float32; what is too large for it becomes infinite, and its records count 0."""
    return nn.Parameter(torch.tensor(numbers).to(torch.float32))


def _device() -> torch.device:
    """A graphics processor, or the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
