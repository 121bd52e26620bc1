"""Clipped sums of per-record gradients of a torch module, as exact integer sums.

A stack of linear layers and activations goes by hand (`measures.stacks`). Of any other
module the rows are made in micro-batches of a fixed size, and clipped and rounded as every
other row: by Opacus' hooks where each part is known to keep records apart, and otherwise by
passing each record through the whole module by itself (`torch.func.vmap`), so that even a
module of the user's own cannot mix records.
"""

from __future__ import annotations

import contextlib
import copy
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

import numpy as np
import torch
from opacus import GradSampleModule
from opacus.validators import ModuleValidator
from torch import nn

from fedcredit.errors import PrivacyError
from fedcredit.measures.parts import Part, parts_of
from fedcredit.measures.passes import Passes, Slope, places_are_alike, sum_stack
from fedcredit.measures.stacks import CellEmbedding, Stack, read_stack
from fedcredit.models.grids import Grid, fine_grid
from fedcredit.privacy.sums import clip_rows
from fedcredit.units import Ints

__all__ = ["Table", "bounded_slope", "clipped_sum", "reach", "refuse", "tabled"]

_MOST_CELLS: Final = 1 << 24  # entries of the rows of one micro-batch: 128 MiB
_MOST_BATCH: Final = 256
_ROW_BITS: Final = 26  # of the radius of a row that is formed
_PUBLIC_STEPS: Final = 1 << 12  # of the grid on which a public record is tried out

_Rows = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""From inputs to logits and their gradients, one row a record."""

_MIXING: Final = (
    nn.modules.batchnorm._BatchNorm,  # noqa: SLF001 - the class that all of them share
    nn.modules.instancenorm._InstanceNorm,  # noqa: SLF001
)
"""What reads or keeps statistics of other records."""

_RANDOM: Final = (nn.modules.dropout._DropoutNd, nn.RReLU, nn.FractionalMaxPool2d)  # noqa: SLF001
"""What draws randomness of its own."""

_APART: Final = (
    *(nn.Linear, nn.Embedding, CellEmbedding, nn.LayerNorm, nn.GroupNorm, nn.Identity, nn.Flatten),
    *(nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Softplus),
)
"""Leaves that keep the records of a batch apart, in a sequence whose inputs are a matrix."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Records as a module's sums take them, made once for all rounds.

    Attributes:
        like: what it was made for: type, device and shapes of parameters, and whether a
            stack takes it.
        parts: of a fixed size.
        rooms: buffers of earlier sums, used again.
    """

    like: tuple[torch.dtype, torch.device, tuple[torch.Size, ...], bool]
    parts: tuple[Part, ...]
    rooms: dict[tuple[Grid, int], Passes] = field(default_factory=dict, repr=False)


def tabled(
    module: nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor | None = None,
) -> Table:
    """Cut records into parts of a fixed size, and round them where that can be done once.

    Args:
        module: what will be asked about; the table serves every module of the same shape.
        inputs: one row a record, shape ``(n, d)``, on the module's device.
        labels: handed to the slope beside the logits, shape ``(n,)``.
        weights: of the records, shape ``(n,)``; they act before the clip.

    Raises:
        PrivacyError: the module is refused (see `refuse`) or its state or a record's place
            changes what it gives, or shapes or devices do not fit.
    """
    refuse(module)
    _check_products()
    given = [inputs, labels, *([] if weights is None else [weights])]
    if inputs.ndim < 2 or any(tuple(part.shape) != (len(inputs),) for part in given[1:]):
        raise PrivacyError(
            "inputs, labels and weights have shapes that do not fit together",
            remedy="give inputs of shape (n, d), labels and weights of shape (n,)",
        )
    first = next(module.parameters())
    wrong = inputs.is_floating_point() and inputs.dtype != first.dtype
    if wrong or any(part.device != first.device for part in given):
        raise PrivacyError(
            f"the module is {first.dtype} on {first.device}, its inputs are not",
            remedy="move them to one device and one type",
        )
    stack = read_stack(module)
    sizes = stack.chunks if stack is not None else (_micro_batch(module),)
    _try_out(module, inputs)
    return Table(
        _like(module, stack), tuple(parts_of(stack, sizes, inputs.detach(), labels, weights))
    )


def clipped_sum(module: nn.Module, table: Table, slope: Slope, *, clip: float, steps: int) -> Ints:
    """Sum the clipped gradients of all records, exactly, on the released grid.

    Guarantee: adding or removing one record moves the sum by at most
    ``sqrt(sensitivity_squared(reach(module), steps))`` of `models.grids` in l2, whatever the
    records hold. A record whose gradient is not finite counts as zero. No record gives zeros.

    Args:
        module: from inputs to one logit a record, shape ``(n,)`` or ``(n, 1)``. Where it is
            decides where the work is done: on a graphics processor the sum is of integers
            just the same, and differs where a record's factor was rounded the other way.
        table: the records.
        slope: derivative of the loss in the logit, of (logits, labels), each of shape
            ``(m,)``. It must take record by record; it is called on batches of a fixed size,
            filled up with zeros.
        clip: norm of a record's gradient, > 0. A longer one is brought to 1 - 2^-7 of that
            where the module is a stack of float32, so that rounding rarely has to be undone.
        steps: the integer norm that ``clip`` is on the released grid, 1 to 2^20.

    Returns:
        int64, shape ``(P,)``: the module's P parameters in their order, in grid steps of
        ``clip / steps``. Sensitive until released.

    Raises:
        PrivacyError: the module is refused (see `refuse`) or is not of the table's shape, an
            argument is out of range, or matrix products are set to be less exact than
            their type.

    Source: Abadi et al. (2016), arXiv 1607.00133, Algorithm 1, for the clip.
    """
    stack = read_stack(module)
    if stack is None:  # nothing of a stack can be refused
        refuse(module)
    _check_products()
    if not (type(clip) is float and 0 < clip < math.inf):
        raise PrivacyError("clip is no finite number above 0", remedy="set clip to one, as a float")
    like = _like(module, stack)
    if table.like != like:
        raise PrivacyError(
            "the table was made for a module of another shape", remedy="make it for this one"
        )
    kind = like[1].type
    mixed = torch.is_autocast_enabled(kind)
    with torch.autocast(kind, enabled=False) if mixed else contextlib.nullcontext():
        if stack is not None:
            grid = fine_grid(steps, stack.precision.finest)
            return sum_stack(stack, table.parts, slope, clip, grid, table.rooms)
        grid = fine_grid(steps, min(_ROW_BITS, (61 - _count(module).bit_length()) // 2))
        return _sum_rows(module, table.parts, slope, clip, grid)


def reach(module: nn.Module) -> int:
    """How many of a module's parameters one record's gradient can touch; public.

    All of them, but for a stack that looks up cells: there, one vector a feature.
    """
    stack = read_stack(module)
    return _count(module) if stack is None else stack.reach


def refuse(module: nn.Module) -> None:
    """Refuse what cannot be clipped record by record, by name.

    Raises:
        PrivacyError: a part keeps statistics of other records, draws randomness of its own
            or rewrites its own parameters; a parameter is frozen or of another type than
            float32 or float64, or there are none or more than 2^24 where rows are formed.
    """
    for name, part in module.named_modules():
        kind = f"{name or 'the module'} is {type(part).__name__}"
        if isinstance(part, _MIXING):
            raise PrivacyError(
                f"{kind}, which mixes records", remedy="use GroupNorm or LayerNorm, or neither"
            )
        if isinstance(part, _RANDOM):
            raise PrivacyError(f"{kind}, which draws its own randomness", remedy="leave it out")
        if isinstance(part, nn.Embedding) and (
            part.max_norm is not None or part.scale_grad_by_freq or part.sparse
        ):
            raise PrivacyError(
                f"{kind} that rewrites its vectors or counts how often they are used",
                remedy="leave max_norm, scale_grad_by_freq and sparse alone",
            )
    kinds = {(p.dtype, p.device) for p in module.parameters()}
    frozen = [name for name, p in module.named_parameters() if not p.requires_grad]
    if frozen or len(kinds) != 1 or next(iter(kinds))[0] not in (torch.float32, torch.float64):
        raise PrivacyError(
            f"the module has {len(frozen)} frozen parameters and {len(kinds)} kinds of them, "
            "expected 0 and 1, float32 or float64 on one device",
            remedy="hand over what is learned alone; compute frozen parts before",
        )
    parameters = _count(module)
    if parameters > _MOST_CELLS and read_stack(module) is None:
        raise PrivacyError(
            f"the module has {parameters} parameters, and rows of more than {_MOST_CELLS} are "
            "not formed",
            remedy="make it a sequence of linear layers and activations, or smaller",
        )
    errors = ModuleValidator.validate(module, strict=False)
    if errors:
        raise PrivacyError(
            f"Opacus refuses the module: {errors[0]}", remedy="replace the part that it names"
        )


def bounded_slope(logits: torch.Tensor, bad: torch.Tensor) -> torch.Tensor:
    """Slope of the bounded loss of `models.odds` in the log-odds of good to bad.

    Guarantee: from -1 to 1.

    Args:
        logits: of good to bad, shape ``(n,)``.
        bad: 1 for a bad, 0 for a good, shape ``(n,)``.

    >>> bounded_slope(torch.tensor([0.0, 0.0, 800.0]), torch.tensor([0, 1, 1])).tolist()
    [-1.0, 1.0, 1.0]
    """
    sign = 1.0 - 2.0 * bad.to(logits.dtype)
    return -sign * torch.exp(-(sign * logits).clamp(min=0.0))


def _check_products() -> None:
    """Refuse settings under which a product of small whole numbers is not exact."""
    how = attrgetter("matmul.fp32_precision")  # not all of these are known to type checkers
    backends = (torch.backends.cuda, torch.backends.mkldnn)
    rough = [backend for backend in backends if how(backend) not in {"none", "ieee"}]
    if rough or torch.get_float32_matmul_precision() != "highest":
        raise PrivacyError(
            "matrix products of float32 are set to be less exact than float32",
            remedy='call torch.set_float32_matmul_precision("highest")',
        )


def _try_out(module: nn.Module, inputs: torch.Tensor) -> None:
    """Pass a public record through a module, before any other.

    Raises:
        PrivacyError: the module rewrote a buffer, or the record's gradient depends on its
            place in a batch: then removing one record could move those of others.
    """
    shape, stack = inputs.shape[1:], read_stack(module)
    record = torch.zeros(shape, dtype=inputs.dtype, device=inputs.device)
    if record.is_floating_point():
        numbers = torch.arange(record.numel(), dtype=inputs.dtype, device=inputs.device)
        record = torch.sin(numbers.square() + 1.0).view(shape)
    if stack is not None:
        alike = places_are_alike(stack, record, fine_grid(_PUBLIC_STEPS, stack.precision.finest))
    else:
        tried = copy.deepcopy(module)
        with torch.no_grad():
            tried(record[None])
        for (name, before), after in zip(module.named_buffers(), tried.buffers(), strict=True):
            if not torch.equal(before, after):
                raise PrivacyError(
                    f"{type(module).__name__} rewrites its buffer {name!r}",
                    remedy="make its output a function of parameters and one record",
                )
        batch = record.expand(_micro_batch(module), *shape).clone()
        _, rows = _rows_of(module)(batch)
        alike = bool((rows == rows[:1]).all())
    if not alike:
        raise PrivacyError(
            "a record's gradient depends on its place in a batch",
            remedy="use layers that treat all rows alike, or another build of torch",
        )


def _like(
    module: nn.Module, stack: Stack | None
) -> tuple[torch.dtype, torch.device, tuple[torch.Size, ...], bool]:
    """What a table for a module serves."""
    parameters = list(module.parameters())
    shapes = tuple(p.shape for p in parameters)
    return parameters[0].dtype, parameters[0].device, shapes, stack is not None


def _micro_batch(module: nn.Module) -> int:
    """Records whose rows are formed at a time: a public function of the module."""
    return max(1, min(_MOST_BATCH, 1 << (_MOST_CELLS // _count(module)).bit_length() - 1))


def _count(module: nn.Module) -> int:
    """How many parameters a module has."""
    return sum(p.numel() for p in module.parameters())


def _sum_rows(
    module: nn.Module, parts: Iterable[Part], slope: Slope, clip: float, grid: Grid
) -> Ints:
    """Form the rows of a few records at a time, clip and round each, and sum exactly."""
    total = np.zeros((2, _count(module)), dtype=np.int64)
    of_logits = _rows_of(module)
    for part in parts:
        logits, of_logit = of_logits(part.inputs)
        steep = slope(logits, part.labels)
        if part.weights is not None:
            steep = steep * part.weights
        rows = (of_logit.double() * steep.double()[:, None])[: part.count].cpu().numpy()
        with np.errstate(over="ignore", invalid="ignore"):
            rows *= grid.radius / clip
        fine = clip_rows(rows, clip_norm=float(grid.radius), grid=1.0)
        total += np.stack(grid.split(fine.sum(axis=0)))
    return grid.join(total[0], total[1])


def _rows_of(module: nn.Module) -> _Rows:
    """How a module's rows are made."""
    return _by_hooks(module) if _keeps_apart(module) else _one_by_one(module)


def _keeps_apart(module: nn.Module) -> bool:
    """Whether a module is a plain sequence of parts that are known to keep records apart."""
    parts = list(module.modules())
    names = list(module.named_parameters(remove_duplicate=False))
    return len(names) == len(list(module.parameters())) and all(
        type(part) in (nn.Sequential, *_APART)
        and not (isinstance(part, nn.Flatten) and part.start_dim < 1)
        and not (isinstance(part, nn.LayerNorm) and len(part.normalized_shape) != 1)
        for part in parts
    )


def _by_hooks(module: nn.Module) -> _Rows:
    """Logits, and their gradients record by record, by Opacus' hooks."""
    hooked = GradSampleModule(copy.deepcopy(module), loss_reduction="sum")

    def of_logits(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that inputs need no gradient: they are data
            logits = _one_each(hooked(inputs), len(inputs))
            torch.autograd.backward(logits.sum())
        rows = [p.grad_sample.flatten(1) for p in hooked.parameters()]
        hooked.zero_grad()
        return logits.detach(), torch.cat(rows, dim=1)

    return of_logits


def _one_by_one(module: nn.Module) -> _Rows:
    """Logits, and their gradients, with each record alone in a batch of one."""
    alone = copy.deepcopy(module)
    parameters = {name: p.detach() for name, p in alone.named_parameters()}
    buffers = dict(alone.named_buffers())

    def logit(at: dict[str, torch.Tensor], record: torch.Tensor) -> torch.Tensor:
        kept = {name: buffer.clone() for name, buffer in buffers.items()}
        found = torch.func.functional_call(alone, (at, kept), (record[None],))
        return _one_each(found, 1)[0]

    def of_logits(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        each = torch.func.vmap(torch.func.grad_and_value(logit), in_dims=(None, 0))
        try:
            rows, logits = each(parameters, inputs)
        except RuntimeError as error:
            raise PrivacyError(
                f"{type(module).__name__} cannot be passed one record at a time: it draws "
                "randomness, keeps a state or branches on a record",
                remedy="make its output a function of parameters and one record",
            ) from error
        return logits, torch.cat([rows[name].flatten(1) for name in parameters], dim=1)

    return of_logits


def _one_each(logits: torch.Tensor, size: int) -> torch.Tensor:
    """One logit a record, shape ``(size,)``."""
    if logits.numel() != size or tuple(logits.shape) not in {(size,), (size, 1)}:
        raise PrivacyError(
            "the module does not give one logit a record",
            remedy="end it with a layer of one output",
        )
    return logits.reshape(size)
