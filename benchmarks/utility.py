"""Utility of private models beside non-private ones, on paired splits, in one run.

    python benchmarks/utility.py --data FOLDER [--sets taiwan,gmsc] [--seeds 3]
        [--baseline] [--json]

Gap = AUC points (hundredths) below non-private pooled LightGBM on the same split. The
private studies are whole studies of the product: ten institutions, the real charge,
discrete noise and fold of every round. AUC here is exact, on a stratified 80/20 split of a
public data set; in the product it is itself a private release. Networks need torch. With
``--baseline`` stand beside them what others do: networks trained by DP-SGD on each
institution's own rows and averaged (benchmarks/fedavg_dp.py).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from fedcredit.adapters.system import utc_now
from fedcredit.adapters.tables import open_table
from fedcredit.data.columns import canonical_text
from fedcredit.data.records import in_memory
from fedcredit.data.schema import Schema, read_schema
from fedcredit.federation.alone import learn_alone
from fedcredit.federation.consortium import found
from fedcredit.federation.coordinator import Transport
from fedcredit.federation.institution import Institution
from fedcredit.federation.ledgers import unwitnessed
from fedcredit.federation.member import Member
from fedcredit.federation.messages import Answer, Heard
from fedcredit.federation.plan import StudyPlan, alone
from fedcredit.federation.simulate import finish, plain_calls, run_study
from fedcredit.federation.study import Study, Target, draw_up
from fedcredit.federation.terms import terms_of
from fedcredit.learners.registry import learner_named
from fedcredit.secagg.states import InMemoryVault
from fedcredit.units import Bytes8, Floats, InstitutionId, Ints

SETS = {
    "gmsc": "give_me_some_credit",
    "taiwan": "taiwan_default",
    "heloc": "heloc",
    "adult": "adult",
    "bank": "bank_marketing",
    "sba": "sba_national_part22k",
    "german": "german_credit",
}
BARS = {"gmsc": 0.7, "taiwan": 1.5, "heloc": 1.2, "adult": 2.5, "bank": 2.5}
AIMS = {"gmsc": 0.4, "taiwan": 0.75, "heloc": 0.8, "adult": 1.3, "bank": 1.5}
SCORECARD_BAR = 0.3
EPSILONS = (0.5, 1.0, 3.0, 8.0)
LEARNERS = ("scorecard", "additive", "boosting", "neural", "monotone")
NETWORKS = ("neural", "monotone")
NEAR_BOOSTING = 0.5  # points that the best network may be behind boosting
MLPS = ("plain DP-SGD MLP, raw", "plain DP-SGD MLP, cells")
AHEAD_OF_MLP = {"gmsc": 1.0}  # points that it must be ahead of the plain DP-SGD network; else 0
INSTITUTIONS = 10
SCHEMAS = Path(__file__).parent.parent / "configs" / "schema"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one study sends, for one institution.

    Attributes:
        rounds: of the study.
        out: bytes that the coordinator sends to it.
        back: bytes that it sends.
    """

    rounds: int
    out: int
    back: int


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """A data set: as cells for the product, and raw for the yardsticks."""

    name: str
    schema: Schema
    cells: Bytes8
    bad: Bytes8
    raw: pl.DataFrame


def load(folder: Path, name: str) -> Data:
    """Read a set under its schema; the yardsticks see the same columns, unbinned."""
    stem = SETS[name]
    path = folder / f"{stem}.parquet"
    schema = read_schema((SCHEMAS / f"{stem}.toml").read_text(), f"{stem}.toml")
    batches = list(open_table(str(path), schema, b"benchmark").batches())
    frame = pl.read_parquet(path)
    labels = {canonical_text(value) for value in (*schema.label.good, *schema.label.bad)}
    outcome = frame[schema.label.column].cast(pl.String).fill_null("")
    keep = pl.Series([canonical_text(value) in labels for value in outcome.to_list()])
    raw = frame.filter(keep).select(feature.name for feature in schema.features)
    cells = np.concatenate([batch.cells for batch in batches], axis=1)
    bad = np.concatenate([batch.bad for batch in batches])
    if len(raw) != bad.size:
        raise SystemExit(f"{name}: {len(raw)} labelled rows, {bad.size} records")
    return Data(name, schema, cells, bad, raw)


# ------------------------------------------------------------------------------- yardsticks


def gradient_boosting(data: Data, train: Ints, test: Ints, leaves: int = 15) -> Floats:
    """LightGBM on raw columns; with two leaves a tree it is an additive model."""
    columns = []
    for feature in data.schema.features:
        series = data.raw[feature.name]
        if series.dtype.is_numeric() and feature.ordered:
            columns.append(series.cast(pl.Float64).to_numpy())
        elif feature.ordered:
            text = series.cast(pl.String).str.replace_all(r"[$,\s]", "")
            columns.append(text.cast(pl.Float64, strict=False).to_numpy())
        else:
            columns.append(series.cast(pl.String).rank("dense").cast(pl.Float64).to_numpy())
    table = np.column_stack(columns)
    codes = [i for i, feature in enumerate(data.schema.features) if not feature.ordered]
    rounds = 250 if leaves > 2 else 600
    model = lightgbm.train(
        {
            "objective": "binary",
            "learning_rate": 0.05,
            "num_leaves": leaves,
            "min_data_in_leaf": 40,
            "feature_fraction": 0.6,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "num_threads": 2,
            "verbose": -1,
            "seed": 0,
            "deterministic": True,
        },
        lightgbm.Dataset(table[train], data.bad[train], categorical_feature=codes),
        num_boost_round=rounds,
    )
    return np.asarray(model.predict(table[test]), dtype=np.float64)


def one_hot(data: Data) -> Floats:
    """Linear columns: the place of an ordered cell from 0 to 1, and every other cell."""
    columns = []
    for feature, cells in zip(data.schema.features, data.cells, strict=True):
        if feature.ordered:
            inside = cells < feature.ordered
            columns.append(np.where(inside, cells / max(feature.ordered - 1, 1), 0.0))
        codes = [c for c in range(feature.ordered, feature.cell_count) if (cells == c).any()]
        columns += [(cells == code).astype(np.float64) for code in codes]
    return np.column_stack(columns)


def logistic(data: Data, train: Ints, test: Ints) -> Floats:
    """Logistic regression on schema-scaled columns."""
    rows = one_hot(data)
    fit = LogisticRegression(C=1.0, max_iter=1000).fit(rows[train], data.bad[train])
    return np.asarray(fit.decision_function(rows[test]), dtype=np.float64)


def woe_scorecard(data: Data, train: Ints, test: Ints, bins: int = 20) -> Floats:
    """The classic scorecard: 20 quantile bins, exact WoE, logistic regression."""
    columns = []
    bad = data.bad[train].astype(np.float64)
    base = math.log(bad.sum() / (bad.size - bad.sum()))
    for feature, cells in zip(data.schema.features, data.cells, strict=True):
        counts = np.bincount(cells[train], minlength=feature.cell_count)
        of_cell = np.arange(feature.cell_count) + bins
        run = slice(0, feature.ordered)
        below = np.cumsum(counts[run]) - counts[run] / 2
        of_cell[run] = np.minimum(bins * below / max(counts[run].sum(), 1), bins - 1)
        size = int(of_cell.max()) + 1
        ones = np.bincount(of_cell[cells[train]], bad, minlength=size) + 0.5
        zeros = np.bincount(of_cell[cells[train]], 1 - bad, minlength=size) + 0.5
        columns.append((np.log(ones / zeros) - base)[of_cell[cells]])
    rows = np.column_stack(columns)
    fit = LogisticRegression(C=1.0, max_iter=1000).fit(rows[train], data.bad[train])
    return np.asarray(fit.decision_function(rows[test]), dtype=np.float64)


YARDSTICKS: dict[str, Callable[[Data, Ints, Ints], Floats]] = {
    "lightgbm": gradient_boosting,
    "lightgbm stumps": lambda data, train, test: gradient_boosting(data, train, test, leaves=2),
    "logistic": logistic,
    "woe scorecard": woe_scorecard,
}


# --------------------------------------------------------------------------------- studies


def noise_bytes(*names: object) -> Callable[[int], bytes]:
    """Repeatable bytes for a benchmark's noise; a product's come from the system."""
    seed = hashlib.sha256(repr(names).encode()).digest()
    generator = np.random.Generator(np.random.PCG64(list(seed)))
    return generator.bytes


def shares(data: Data, rows: Ints, how: str, seed: int) -> list[Ints]:
    """Share out the rows over ten institutions, alike or by a Dirichlet(0.5) draw a class."""
    rng = np.random.default_rng(seed)
    owner = rng.integers(INSTITUTIONS, size=rows.size)
    if how == "dirichlet":
        for label in (0, 1):
            where = np.flatnonzero(data.bad[rows] == label)
            weights = rng.dirichlet(np.full(INSTITUTIONS, 0.5))
            owner[where] = rng.choice(INSTITUTIONS, size=where.size, p=weights)
    return [rows[owner == k] for k in range(INSTITUTIONS)]


def plan_of(data: Data, learner: str, epsilon: float, noise: str, seed: int) -> StudyPlan:
    """The plan of one study, without evaluation."""
    study = Study(
        name=f"benchmark {data.name}",
        purpose="benchmark on a public data set",
        learner=learner,
        salt="00" * 16,
        seed=hashlib.sha256(f"{data.name}/{seed}".encode()).hexdigest(),
        target=Target(epsilon=epsilon, delta=1e-5),
        noise="local" if noise == "local" else "distributed",
        retries=0,
        evaluate=False,
    )
    names = tuple(InstitutionId(f"bank-{k}") for k in range(INSTITUTIONS))
    return draw_up(study, learner_named(learner), data.schema, names)


class Counting:
    """A transport that counts what goes over it."""

    def __init__(self, ask: Transport) -> None:
        self.ask, self.out, self.back = ask, 0, 0

    def __call__(
        self, requests: Mapping[InstitutionId, bytes], deadline_s: float
    ) -> Iterator[Heard]:
        """Hand everything on."""
        self.out += sum(map(len, requests.values()))
        for heard in self.ask(requests, deadline_s):
            self.back += len(heard.data) if isinstance(heard, Answer) else 0
            yield heard


def private(
    data: Data,
    parts: list[Ints],
    plan: StudyPlan,
    test: Ints,
    *seed: object,
    traffic: dict[str, Traffic] | None = None,
) -> float:
    """Run one study over institutions that hold the given rows; exact AUC on the test rows."""
    institutions = {
        name: Institution(
            name=name,
            plan=plan,
            terms=terms_of(plan),
            records=in_memory(
                plan.schema,
                np.ascontiguousarray(data.cells[:, rows]),
                data.bad[rows],
                np.zeros(rows.size, dtype=np.bool_),
            ),
            book=unwitnessed(name, terms_of(plan).budget, os.urandom, utc_now),
            random=noise_bytes(name, *seed),
        )
        for name, rows in zip(plan.institutions, parts, strict=True)
    }
    learner = learner_named(plan.learner)
    if plan.noise == "alone":
        (institution,) = institutions.values()
        model = learn_alone(institution, learner)
    else:
        identities, roster = found(plan.institutions, os.urandom, "x25519")
        members = {
            name: Member(one, identities[name], roster, InMemoryVault(), os.urandom)
            for name, one in institutions.items()
        }
        ask = Counting(plain_calls(members))
        model = finish(run_study(plan, learner, ask, roster)).model
        if traffic is not None:
            share = len(plan.institutions)
            traffic[plan.learner] = Traffic(len(plan.rounds), ask.out // share, ask.back // share)
    log_odds = model.log_odds(np.ascontiguousarray(data.cells[:, test]))
    return float(roc_auc_score(data.bad[test], -log_odds))


def one_split(
    data: Data,
    seed: int,
    modes: tuple[str, ...],
    traffic: dict[str, Traffic],
    *,
    baseline: bool = False,
) -> Iterator[tuple[str, str, float]]:
    """Yield (model, epsilon, AUC) of every model on one split."""
    every = np.arange(data.bad.size)
    train, test = train_test_split(every, test_size=0.2, stratify=data.bad, random_state=seed)
    for name, yardstick in YARDSTICKS.items():
        yield name, "none", float(roc_auc_score(data.bad[test], yardstick(data, train, test)))
    for learner in LEARNERS:
        for epsilon in EPSILONS:
            key = f"eps{epsilon:g}"
            fair = plan_of(data, learner, epsilon, "distributed", seed)
            spread = shares(data, train, "iid", seed)
            auc = private(data, spread, fair, test, "iid", seed, epsilon, traffic=traffic)
            yield learner, key, auc
            if learner in NETWORKS:
                continue
            if "dirichlet" in modes and learner == "boosting":
                uneven = shares(data, train, "dirichlet", seed)
                auc = private(data, uneven, fair, test, "iid", seed, epsilon)
                yield f"{learner} dirichlet", key, auc
            if "local" in modes:
                full = plan_of(data, learner, epsilon, "local", seed)
                auc = private(data, spread, full, test, "local", seed, epsilon)
                yield f"{learner} local", key, auc
            single = alone(fair, fair.institutions[0])
            if "pooled" in modes:
                auc = private(data, [train], single, test, "pooled", seed, epsilon)
                yield f"{learner} pooled", key, auc
            if "alone" in modes and learner == "boosting" and epsilon == 1.0:
                found = [
                    private(data, [rows], single, test, "alone", k, seed)
                    for k, rows in enumerate(spread)
                ]
                yield f"{learner} alone", key, float(np.mean(found))
    if baseline:
        yield from baselines(data, train, test, seed)


def baselines(data: Data, train: Ints, test: Ints, seed: int) -> Iterator[tuple[str, str, float]]:
    """What others do, at epsilon 1: see benchmarks/fedavg_dp.py."""
    others = import_module("fedavg_dp")  # needs torch, Opacus and Flower
    parts = shares(data, train, "iid", seed)
    for kind, rows in {"raw": others.raw_columns(data), "cells": one_hot(data)}.items():
        pooled = others.plain_dp_mlp(rows, data.bad, train, test, 1.0, seed)
        yield f"plain DP-SGD MLP, {kind}", "eps1", float(pooled)
        for name, auc in others.fedavg_rows(rows, data.bad, parts, test, 1.0, seed):
            yield f"{name}, {kind}", "eps1", float(auc)


def equal_to_pooled(data: Data) -> bool:
    """Whether one table, cut in three ways, gives one and the same model for the same noise."""
    rows = np.arange(data.bad.size)
    plan = plan_of(data, "boosting", 1.0, "distributed", 0)
    empty = [rows[:0]] * (INSTITUTIONS - 1)
    cuts = [[rows, *empty], shares(data, rows, "iid", 1), shares(data, rows, "dirichlet", 2)]
    return len({private(data, parts, plan, rows, "same") for parts in cuts}) == 1


# ---------------------------------------------------------------------------------- report

Figures = dict[str, dict[str, dict[str, float]]]


def summary(found: dict[tuple[str, str], list[float]]) -> Figures:
    """Mean AUC, its standard error, and the paired gap to LightGBM, in points."""
    reference = np.array(found["lightgbm", "none"])
    out: Figures = {}
    for (model, key), values in found.items():
        gaps = 100 * (reference - np.array(values))
        out.setdefault(model, {})[key] = {
            "auc": float(np.mean(values)),
            "se": _se(np.array(values)),
            "gap": float(gaps.mean()),
            "gap_se": _se(gaps),
            "seeds": float(len(values)),
        }
    return out


def _se(values: Floats) -> float:
    """Standard error of a mean."""
    return float(values.std(ddof=1) / math.sqrt(values.size)) if values.size > 1 else 0.0


def within(name: str, figures: Figures) -> bool:
    """Whether a bar lies within a standard error of its figure."""
    gap = figures["boosting"]["eps1"]
    behind = figures["scorecard"]["eps1"]["gap"] - figures["woe scorecard"]["none"]["gap"]
    near = abs(behind - SCORECARD_BAR) <= figures["scorecard"]["eps1"]["gap_se"]
    return name in BARS and (near or abs(gap["gap"] - BARS[name]) <= gap["gap_se"])


def show(name: str, figures: Figures) -> None:
    """Print one set's table: AUC, and the gap in points with its standard error."""
    print(f"\n{name}: AUC (gap to LightGBM in points ± standard error)")
    print(f"  {'model':24}" + "".join(f"{f'epsilon {e:g}':>26}" for e in EPSILONS))
    for model, by_key in figures.items():
        keys = ["none"] if "none" in by_key else [f"eps{e:g}" for e in EPSILONS]
        cells = [
            f"{by_key[k]['auc']:.4f} ({by_key[k]['gap']:5.2f} ± {by_key[k]['gap_se']:.2f})"
            if k in by_key
            else ""
            for k in keys
        ]
        print(f"  {model:24}" + "".join(f"{cell:>26}" for cell in cells))


def verdicts(every: dict[str, Figures]) -> None:
    """Print each bar and aim beside its figure."""
    print("\nat epsilon 1, ten institutions, default profile: points below LightGBM")
    for name, bar in BARS.items():
        if name in every:
            gap = every[name]["boosting"]["eps1"]
            line = f"  {name:8} boosting {gap['gap']:5.2f} ± {gap['gap_se']:.2f}"
            for word, limit in (("bar", bar), ("aim", AIMS[name])):
                met = "met" if gap["gap"] <= limit else f"missed by {gap['gap'] - limit:.2f}"
                line += f"   {word} {limit:.2f} {met}"
            print(line)
    print("scorecard: points below the non-private WoE scorecard (bar 0.30)")
    for name in BARS:
        if name in every:
            ours, theirs = every[name]["scorecard"]["eps1"], every[name]["woe scorecard"]["none"]
            behind = ours["gap"] - theirs["gap"]
            met = "met" if behind <= SCORECARD_BAR else f"missed by {behind - SCORECARD_BAR:.2f}"
            print(f"  {name:8} {behind:5.2f}   {met}")


def networks(every: dict[str, Figures], traffic: dict[str, dict[str, Traffic]]) -> None:
    """Print the bars of the networks, and what each study sends."""
    print(f"networks at epsilon 1: points behind boosting (bar {NEAR_BOOSTING:.2f})")
    for name, figures in every.items():
        auc = {
            model: by_key["eps1"]["auc"] for model, by_key in figures.items() if "eps1" in by_key
        }
        best = max(NETWORKS, key=lambda model: auc[model])
        behind = 100 * (auc["boosting"] - auc[best])
        met = "met" if behind <= NEAR_BOOSTING else f"missed by {behind - NEAR_BOOSTING:.2f}"
        line = f"  {name:8} {best:8} {behind:5.2f} {met}"
        print(line)
        for other in (one for one in MLPS if one in auc):
            ahead, bar = 100 * (auc[best] - auc[other]), AHEAD_OF_MLP.get(name, 0.0)
            met = "met" if ahead >= bar else f"missed by {bar - ahead:.2f}"
            print(f"  {name:8} ahead of {other} by {ahead:.2f}, bar {bar:.2f} {met}")
    print("rounds, and kilobytes to and from each institution")
    for name, by_learner in traffic.items():
        each = (
            f"{k} {t.rounds}, {t.out / 1e3:.0f} and {t.back / 1e3:.0f}"
            for k, t in by_learner.items()
        )
        print(f"  {name:8} " + "; ".join(each))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the Parquet files")
    parser.add_argument("--sets", default=",".join(SETS), help="which, separated by commas")
    parser.add_argument("--seeds", type=int, default=3, help="splits; 5 where a bar is near")
    parser.add_argument(
        "--modes", default="pooled,dirichlet,local,alone", help="besides ten institutions, iid"
    )
    parser.add_argument("--baseline", action="store_true", help="run what others do, too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    out = sys.stderr if options.json else sys.stdout
    every: dict[str, Figures] = {}
    traffic: dict[str, dict[str, Traffic]] = {}
    exact: dict[str, bool] = {}
    for name in options.sets.split(","):
        started = time.perf_counter()
        data = load(options.data, name)
        found: dict[tuple[str, str], list[float]] = {}
        modes = tuple(options.modes.split(","))
        for seed in range(max(options.seeds, 5)):
            if seed >= options.seeds and not within(name, summary(found)):
                break
            sent = traffic.setdefault(name, {})
            for model, key, auc in one_split(data, seed, modes, sent, baseline=options.baseline):
                found.setdefault((model, key), []).append(auc)
        every[name], exact[name] = summary(found), equal_to_pooled(data)
        seconds = time.perf_counter() - started
        if not options.json:
            show(name, every[name])
        print(f"  federated equals pooled exactly: {exact[name]}; {seconds:.0f} s", file=out)
    if options.json:
        shown = {
            name: {
                "figures": every[name],
                "equal": exact[name],
                "traffic": {k: asdict(one) for k, one in traffic[name].items()},
            }
            for name in every
        }
        print(json.dumps(shown))
    else:
        verdicts(every)
        networks(every, traffic)


if __name__ == "__main__":
    main()
