"""What a private gradient step costs: plain torch, ours, and Opacus in three modes.

`plain` is one full gradient of the same module on the same batch without any privacy:
forward, loss, backward. `ours` is the clipped sum of `fedcredit.measures.persample` on a
table that was made before, as for all rounds of a study but the first: integer rows, exact
sum, rounded once. `hooks`, `functorch` and `ghost` are Opacus' ways to the clipped sum, up
to where its optimiser would add noise. Noise is in none of them.

Processor time of one thread in one process; of every way the best of several runs, taken in
turns, since other work may share the machine. Ways that form a gradient for every record
stop at batches of 16,384: 500 features take 5 GB of memory there.

    python benchmarks/dp_step.py [--json] [--quick] [--device cuda]
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from typing import Final

import torch
from opacus import GradSampleModule
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import (
    GradSampleModuleFastGradientClipping,
)
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
from torch import nn

from fedcredit.measures.persample import clipped_sum, tabled

WIDTHS: Final = (50, 500)
BATCHES: Final = (4096, 16384, 65536)
HIDDEN: Final = 64
CLIP: Final = 1.0
STEPS: Final = 1 << 12
BAR_PLAIN, BAR_HOOKS = 1.6, 30.0
MOST_FORMED: Final = 16384  # records of which a gradient each is formed at a time
RUNS: Final = {"plain": 9, "ours": 9, "hooks": 2, "functorch": 2, "ghost": 4}
SHORT_S: Final = 0.02  # a run is of so many steps that it takes this long

Figures = dict[str, float]
Step = Callable[[], object]
LOSS = nn.BCEWithLogitsLoss(reduction="sum")


def main() -> None:
    """Measure, and print a table or one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="the smallest batch alone")
    parser.add_argument("--device", default="cpu", help="cuda, where there is one")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # hooks of Opacus fire without gradients of inputs

    figures: Figures = {}
    for kind in ("lr", "mlp"):
        for width in WIDTHS:
            for batch in BATCHES[:1] if options.quick else BATCHES:
                measure(kind, width, batch, options.device, figures)
                if not options.json:
                    show(f"{kind}{width}_b{batch}", figures)
    if options.json:
        print(json.dumps({name: float(f"{value:.4g}") for name, value in figures.items()}))
    else:
        verdicts(figures)


def model(kind: str, width: int, device: str) -> nn.Sequential:
    """Logistic regression, or two hidden layers of 64."""
    torch.manual_seed(width)
    if kind == "lr":
        return nn.Sequential(nn.Linear(width, 1)).to(device)
    return nn.Sequential(
        *(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU()),
        nn.Linear(HIDDEN, 1),
    ).to(device)


def slope(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Of the loss that the other ways differentiate."""
    return torch.sigmoid(logits) - labels


def measure(kind: str, width: int, batch: int, device: str, figures: Figures) -> None:
    """Add the figures of one module and batch."""
    at = f"{kind}{width}_b{batch}"
    inputs = torch.rand(batch, width, device=device)
    labels = (torch.rand(batch, device=device) < 0.2).float()
    ways: dict[str, Step] = {
        "plain": plain(model(kind, width, device), inputs, labels),
        "ours": ours(model(kind, width, device), inputs, labels),
        "ghost": ghost(model(kind, width, device), inputs, labels),
    }
    if batch <= MOST_FORMED:
        for mode in ("hooks", "functorch"):
            ways[mode] = opacus(model(kind, width, device), inputs, labels, mode)
    best = in_turns(ways, device)
    for name, seconds in best.items():
        figures[f"{name}_ms/{at}"] = seconds * 1e3
        if name != "plain":
            figures[f"{name}_over_torch/{at}"] = seconds / best["plain"]
        if name not in {"plain", "ours"}:
            figures[f"{name}_over_ours/{at}"] = seconds / best["ours"]


def in_turns(ways: dict[str, Step], device: str) -> dict[str, float]:
    """Seconds of one step of each way: the best of its runs, which take turns."""
    clock = time.perf_counter if device != "cpu" else time.thread_time

    def run(step: Step, count: int) -> float:
        begun = clock()
        for _ in range(count):
            step()
        if device != "cpu":
            torch.cuda.synchronize()
        return (clock() - begun) / count

    counts = {}
    for name, step in ways.items():
        counts[name] = max(1, round(SHORT_S / max(run(step, 1), 1e-6)))
        counts[name] = max(1, round(SHORT_S / max(run(step, counts[name]), 1e-6)))
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(max(RUNS.values())):
        for name, step in ways.items():
            if turn < RUNS[name]:
                best[name] = min(best[name], run(step, counts[name]))
    return best


def plain(module: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> Step:
    """A gradient without privacy."""

    def step() -> None:
        module.zero_grad()
        LOSS(module(inputs)[:, 0], labels).backward()

    return step


def ours(module: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> Step:
    """The product's clipped integer sum."""
    table = tabled(module, inputs, labels)
    return lambda: clipped_sum(module, table, slope, clip=CLIP, steps=STEPS)


def opacus(module: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, mode: str) -> Step:
    """A gradient for every record, clipped and summed by Opacus' optimiser."""
    hooked = GradSampleModule(module, loss_reduction="sum", force_functorch=mode == "functorch")
    optimiser = DPOptimizer(
        torch.optim.SGD(hooked.parameters(), lr=0.0),
        noise_multiplier=0.0,
        max_grad_norm=CLIP,
        expected_batch_size=1,
        loss_reduction="sum",
    )

    def step() -> None:
        optimiser.zero_grad()
        LOSS(hooked(inputs)[:, 0], labels).backward()
        optimiser.clip_and_accumulate()

    return step


def ghost(module: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> Step:
    """Norms without gradients, and a second backward pass of the reweighted loss."""
    hooked = GradSampleModuleFastGradientClipping(
        module, max_grad_norm=CLIP, use_ghost_clipping=True, loss_reduction="sum"
    )
    optimiser = DPOptimizerFastGradientClipping(
        torch.optim.SGD(hooked.parameters(), lr=0.0),
        noise_multiplier=0.0,
        max_grad_norm=CLIP,
        expected_batch_size=1,
        loss_reduction="sum",
    )
    criterion = DPLossFastGradientClipping(
        hooked, optimiser, nn.BCEWithLogitsLoss(reduction="sum"), loss_reduction="sum"
    )

    def step() -> None:
        optimiser.zero_grad()
        criterion(hooked(inputs)[:, 0], labels).backward()
        optimiser.accumulate()

    return step


def show(at: str, figures: Figures) -> None:
    """Print one row: milliseconds of plain torch, and how often that the others take."""
    if len([name for name in figures if name.startswith("plain")]) == 1:
        heads = ("ours", "hooks", "functorch", "ghost")
        print(f"{'':14}{'plain ms':>10}" + "".join(f"{head + ' x':>13}" for head in heads))
    row = f"{at:14}{figures[f'plain_ms/{at}']:10.2f}"
    for name in ("ours", "hooks", "functorch", "ghost"):
        ratio = figures.get(f"{name}_over_torch/{at}")
        row += f"{'-' if ratio is None else f'{ratio:.2f}':>13}"
    print(row, flush=True)


def verdicts(figures: Figures) -> None:
    """Print both bars beside the worst figure of each."""
    ratios = {name: value for name, value in figures.items() if name.startswith("ours_over_torch")}
    worst = max(ratios, key=lambda name: ratios[name])
    met = "met" if ratios[worst] <= BAR_PLAIN else f"missed on {above(ratios)} of {len(ratios)}"
    print(
        f"ours over plain torch: at most {ratios[worst]:.2f} ({worst.split('/')[1]}); "
        f"bar {BAR_PLAIN} {met}"
    )
    hooks = {name: value for name, value in figures.items() if name.startswith("hooks_over_ours/m")}
    least = min(hooks, key=lambda name: hooks[name])
    met = "met" if hooks[least] >= BAR_HOOKS else "missed"
    print(
        f"Opacus hooks over ours, MLP: at least {hooks[least]:.1f} ({least.split('/')[1]}); "
        f"bar {BAR_HOOKS:g} {met}"
    )


def above(ratios: Figures) -> int:
    """Rows above the bar."""
    return sum(value > BAR_PLAIN for value in ratios.values())


if __name__ == "__main__":
    main()
