"""The baseline that others use: local DP-SGD by Opacus, averaged by Flower, on public data.

Each of ten institutions takes many steps of DP-SGD on its own records with all of its noise
(Opacus: hooks, clip, floating-point Gaussian), and Flower's FedAvg or FedProx averages the
networks. Every institution's epsilon is its own, over all of its steps, since nobody else's
noise is added to what it sends. `plain_dp_mlp` is the same network trained by the same
DP-SGD on all records in one place: what there would be without institutions.

Columns are `raw`, as a table has them, which is what others start from, or `cells`, the
product's public schema: the place of an ordered cell, and every other cell apart.

In their favour, and paid for by nothing: columns are winsorised and standardised with exact
quantiles and moments of all training records, Flower weighs institutions by their exact
number of records, batches are divided by a rate times that number, and the choice of
learning rate, width and rounds was charged to nobody. Batches are Poisson samples at a
public rate, drawn as one mask.

    python benchmarks/fedavg_dp.py --data FOLDER [--sets gmsc,taiwan] [--seeds 3] [--json]
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg, FedProx
from flwr.supercore.task_identity import TaskIdentity
from opacus import GradSampleModule
from opacus.accountants.utils import get_noise_multiplier
from opacus.optimizers import DPOptimizer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from torch import nn

from fedcredit.units import Bytes8, Floats, Ints

if TYPE_CHECKING:
    from benchmarks.utility import Data  # which calls this file

__all__ = ["Recipe", "fedavg_rows", "plain_dp_mlp"]

DELTA = 1e-5
STRATEGIES = {"fedavg + opacus": 0.0, "fedprox + opacus": 0.1}
"""Names, and how strongly the proximal term pulls back to the network of the round."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How DP-SGD is run.

    Attributes:
        rounds: of averaging.
        local_steps: of DP-SGD in each round.
        rate: chance of a record to be in a step's batch.
        learning_rate: of SGD.
        momentum: of it.
        clip: norm of a record's gradient.
        width: of the one hidden layer.
    """

    rounds: int = 10
    local_steps: int = 10
    rate: float = 0.1
    learning_rate: float = 4.0
    momentum: float = 0.0
    clip: float = 0.5
    width: int = 32


FEDERATED = Recipe()
POOLED = Recipe(rounds=1, local_steps=100)


def fedavg_rows(
    inputs: Floats,
    bad: Bytes8,
    parts: list[Ints],
    test: Ints,
    epsilon: float = 1.0,
    seed: int = 0,
    recipe: Recipe = FEDERATED,
) -> Iterator[tuple[str, float]]:
    """Train by each of `STRATEGIES`, and yield its name and its exact AUC.

    Args:
        inputs: columns that need no private scale, shape ``(n, d)``.
        bad: 1 for a bad, shape ``(n,)``.
        parts: rows of each institution.
        test: rows that nobody trains on.
        epsilon: of each institution on its own, at `DELTA`, over the whole training.
        seed: of initial weights, batches and noise.
        recipe: how DP-SGD is run.
    """
    logging.getLogger("flwr").setLevel(logging.WARNING)
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 1  # of messages
    scaled = standardised(inputs, np.concatenate(parts))
    sigma = noise_multiplier(epsilon, recipe.rate, recipe.rounds * recipe.local_steps)
    for name, proximal in STRATEGIES.items():
        module = network(inputs.shape[1], recipe.width, seed)
        banks = [
            Bank(scaled[rows], labels_of(bad[rows]), sigma, recipe, 1000 * seed + at)
            for at, rows in enumerate(parts)
        ]
        strategy = FedAvg() if proximal == 0.0 else FedProx(proximal_mu=proximal)
        for round_ in range(recipe.rounds):
            replies = [
                answer(bank, bank.train(module, proximal), at) for at, bank in enumerate(banks)
            ]
            averaged, _ = strategy.aggregate_train(round_ + 1, replies)
            if averaged is None:
                raise SystemExit("Flower did not average")
            module.load_state_dict(averaged.to_torch_state_dict())
        yield name, auc(module, scaled[test], bad[test])


def plain_dp_mlp(
    inputs: Floats,
    bad: Bytes8,
    train: Ints,
    test: Ints,
    epsilon: float = 1.0,
    seed: int = 0,
    recipe: Recipe = POOLED,
) -> float:
    """Train on all records in one place by the same DP-SGD: the exact AUC.

    Arguments are those of `fedavg_rows`, with all training rows in one.
    """
    scaled = standardised(inputs, train)
    sigma = noise_multiplier(epsilon, recipe.rate, recipe.rounds * recipe.local_steps)
    bank = Bank(scaled[train], labels_of(bad[train]), sigma, recipe, 1000 * seed)
    module = network(inputs.shape[1], recipe.width, seed)
    for _ in range(recipe.rounds):
        module = bank.train(module, 0.0)
    return auc(module, scaled[test], bad[test])


@lru_cache
def noise_multiplier(epsilon: float, rate: float, steps: int) -> float:
    """Noise of a step over its clip, by Opacus' PRV accountant; never by its GDP one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(
            get_noise_multiplier(
                target_epsilon=epsilon,
                target_delta=DELTA,
                sample_rate=rate,
                steps=steps,
                accountant="prv",
            )
        )


def standardised(inputs: Floats, train: Ints) -> torch.Tensor:
    """Columns between their outer hundredths, then of mean 0 and deviation 1: float32.

    A column that is the same in more than all but a hundredth is left between its ends.
    """
    low, high = np.quantile(inputs[train], (0.01, 0.99), axis=0)
    same = low == high
    low[same], high[same] = inputs[train].min(axis=0)[same], inputs[train].max(axis=0)[same]
    inputs = np.clip(inputs, low, high)
    mean, spread = inputs[train].mean(axis=0), inputs[train].std(axis=0)
    scaled = (inputs - mean) / np.maximum(spread, 1e-3)
    return torch.from_numpy(np.clip(scaled, -5.0, 5.0).astype(np.float32))


def raw_columns(data: Data) -> Floats:
    """Columns as a table has them: numbers, the mean where one is missing, categories apart."""
    columns = []
    for feature in data.schema.features:
        series = data.raw[feature.name]
        if feature.ordered:
            if not series.dtype.is_numeric():
                series = series.cast(pl.String).str.replace_all(r"[$,\s]", "")
            numbers = series.cast(pl.Float64, strict=False).fill_nan(None)
            columns.append(numbers.fill_null(strategy="mean").to_numpy())
        else:
            text = series.cast(pl.String).fill_null("")
            columns += [(text == kind).cast(pl.Float64).to_numpy() for kind in text.unique().sort()]
    return np.column_stack(columns)


def labels_of(bad: Bytes8) -> torch.Tensor:
    """Labels as the loss takes them."""
    return torch.from_numpy(bad.astype(np.float32))


def network(width: int, hidden: int, seed: int) -> nn.Sequential:
    """One hidden layer."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1))


class Bank:
    """An institution with its records, and its own noise."""

    def __init__(
        self, inputs: torch.Tensor, labels: torch.Tensor, sigma: float, recipe: Recipe, seed: int
    ) -> None:
        """Keep what all rounds use."""
        self.inputs, self.labels, self.sigma, self.recipe = inputs, labels, sigma, recipe
        self.generator = torch.Generator().manual_seed(seed)

    def train(self, start: nn.Sequential, proximal: float) -> nn.Sequential:
        """Local steps of DP-SGD from the network of the round."""
        module = copy.deepcopy(start)
        hooked = GradSampleModule(module, loss_reduction="sum")
        recipe = self.recipe
        optimiser = DPOptimizer(
            torch.optim.SGD(hooked.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum),
            noise_multiplier=self.sigma,
            max_grad_norm=recipe.clip,
            expected_batch_size=recipe.rate * len(self.labels),
            generator=self.generator,
        )
        loss = nn.BCEWithLogitsLoss(reduction="sum")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that inputs need no gradient: they are data
            for _ in range(recipe.local_steps):
                coins = torch.rand(len(self.labels), generator=self.generator)
                drawn = torch.nonzero(coins < recipe.rate)[:, 0]
                optimiser.zero_grad()
                loss(hooked(self.inputs[drawn])[:, 0], self.labels[drawn]).backward()
                optimiser.pre_step()  # clips, adds noise, divides
                for new, old in zip(hooked.parameters(), start.parameters(), strict=True):
                    # The pull towards the round's network knows no record.
                    new.grad.add_(new.detach() - old.detach(), alpha=proximal)
                optimiser.original_optimizer.step()
        hooked.to_standard_module()
        return module


def answer(bank: Bank, module: nn.Module, node: int) -> Message:
    """What a client of Flower's would send back."""
    content = RecordDict(
        {
            "arrays": ArrayRecord(module.state_dict()),
            "metrics": MetricRecord({"num-examples": len(bank.labels)}),
        }
    )
    return Message(content, dst_node_id=node + 1, message_type="train")


def auc(module: nn.Module, inputs: torch.Tensor, bad: Bytes8) -> float:
    """Exact AUC on public data."""
    with torch.no_grad():
        score = module(inputs)[:, 0].numpy()
    return float(roc_auc_score(bad, score)) if np.isfinite(score).all() else 0.5


def main() -> None:
    """Run the baseline alone."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # before Opacus' benchmarks
    from benchmarks.utility import load, one_hot, shares  # noqa: PLC0415 - it calls this file

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the Parquet files")
    parser.add_argument("--sets", default="gmsc,taiwan", help="which, separated by commas")
    parser.add_argument("--seeds", type=int, default=3, help="splits")
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    for name in options.sets.split(","):
        begun, data = time.perf_counter(), load(options.data, name)
        columns = {"raw": raw_columns(data), "cells": one_hot(data)}
        every, found = np.arange(data.bad.size), dict[str, list[float]]()
        for seed, (kind, inputs) in product(range(options.seeds), columns.items()):
            train, test = train_test_split(
                every, test_size=0.2, stratify=data.bad, random_state=seed
            )
            pooled = plain_dp_mlp(inputs, data.bad, train, test, options.epsilon, seed)
            found.setdefault(f"plain dp mlp, {kind}", []).append(pooled)
            parts = shares(data, train, "iid", seed)
            for model, value in fedavg_rows(inputs, data.bad, parts, test, options.epsilon, seed):
                found.setdefault(f"{model}, {kind}", []).append(value)
        for model, values in found.items():
            error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if values[1:] else 0.0
            figures[f"auc/{name}/{model}"] = float(np.mean(values))
            figures[f"se/{name}/{model}"] = error
            if not options.json:
                print(f"{name:8} {model:26} {np.mean(values):.4f} ± {error:.4f}")
        if not options.json:
            print(f"  {time.perf_counter() - begun:.0f} s", flush=True)
    if options.json:
        print(json.dumps({name: float(f"{value:.5g}") for name, value in figures.items()}))


if __name__ == "__main__":
    main()
