"""Metrics of a model from one private sum: score histograms by class on held-out records.

Every figure follows from noisy counts in public bins of the model's log-odds, so it costs
the one release and nothing more. Each comes with a standard error that holds the noise.

Source: AUC as a U statistic with half credit for a shared bin, Hanley & McNeil (1982),
equation 1, and its sampling error, equation 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fedcredit.learners.program import COUNT_STEPS, NoisyTotal
from fedcredit.models.odds import probability_of_good
from fedcredit.models.queries import ScoreHistogram
from fedcredit.models.released import Model
from fedcredit.units import Floats

__all__ = ["CalibrationRow", "Evaluation", "evaluate", "evaluation_query"]

BINS = 100
MOST_LOG_ODDS = 6.0
ROWS = 10


@dataclass(frozen=True, slots=True)
class CalibrationRow:
    """One row of the calibration table; counts are noisy.

    Attributes:
        records: noisy number of records.
        expected: mean PD that the model gives them.
        observed: noisy share of bads among them.
        observed_se: its standard error, from sampling and noise.
    """

    records: float
    expected: float
    observed: float
    observed_se: float


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What the held-out records say of a model.

    Attributes:
        records: noisy number of held-out records.
        bad_rate: noisy share of bads.
        auc: area under the ROC curve; ``auc_se`` its standard error, sampling and noise.
        ks: largest gap between the classes' cumulative shares, with ``ks_se``.
        brier: mean squared error of the PD.
        log_loss: mean negative log-likelihood.
        noise_sd: sd of the noise in every count.
        edges: inner edges of the bins, in log-odds of good to bad.
        goods: noisy counts of goods by bin.
        bads: noisy counts of bads by bin.
        calibration: by tenth of the records, from the riskiest on.
    """

    records: float
    bad_rate: float
    auc: float
    auc_se: float
    ks: float
    ks_se: float
    brier: float
    log_loss: float
    noise_sd: float
    edges: Floats
    goods: Floats
    bads: Floats
    calibration: tuple[CalibrationRow, ...]

    @property
    def gini(self) -> float:
        """2 AUC - 1."""
        return 2.0 * self.auc - 1.0


def evaluation_query(model: Model) -> ScoreHistogram:
    """Ask how held-out records of each class fall into public bins of the log-odds."""
    edges = np.linspace(-MOST_LOG_ODDS, MOST_LOG_ODDS, BINS + 1)[1:-1]
    return ScoreHistogram(model, edges, COUNT_STEPS)


def evaluate(query: ScoreHistogram, total: NoisyTotal) -> Evaluation:
    """Read the metrics from the noisy histograms.

    Args:
        query: the question, from `evaluation_query`.
        total: its answer.
    """
    goods, bads = np.split(total.value / query.steps, 2)
    variance = total.variance / query.steps**2
    n_good, n_bad = max(float(goods.sum()), 1.0), max(float(bads.sum()), 1.0)
    records = n_good + n_bad
    auc, auc_se = _auc(goods, bads, n_good, n_bad, variance)
    gaps = np.cumsum(bads / n_bad - goods / n_good)
    best = int(np.argmax(gaps))
    low, high = float(np.cumsum(bads)[best] / n_bad), float(np.cumsum(goods)[best] / n_good)
    pd = 1.0 - probability_of_good(_middles(query.edges))
    brier = float((goods * pd**2 + bads * (1.0 - pd) ** 2).sum() / records)
    loss = float(-(goods * np.log1p(-pd) + bads * np.log(pd)).sum() / records)
    return Evaluation(
        records=records,
        bad_rate=n_bad / records,
        auc=auc,
        auc_se=auc_se,
        ks=min(max(float(gaps[best]), 0.0), 1.0),
        ks_se=math.sqrt(
            (_share(low) + variance * (best + 1) / n_bad) / n_bad
            + (_share(high) + variance * (best + 1) / n_good) / n_good
        ),
        brier=min(max(brier, 0.0), 1.0),
        log_loss=max(loss, 0.0),
        noise_sd=math.sqrt(variance),
        edges=query.edges,
        goods=goods,
        bads=bads,
        calibration=_calibration(goods, bads, pd, variance),
    )


def _share(part: float) -> float:
    """Sampling variance of a share, times the number of records."""
    part = min(max(part, 0.0), 1.0)
    return part * (1.0 - part)


def _middles(edges: Floats) -> Floats:
    """A log-odds for every bin: its middle, or half a width beyond the outer edges."""
    width = (edges[-1] - edges[0]) / max(edges.size - 1, 1)
    return np.concatenate([edges - width / 2, [edges[-1] + width / 2]])


def _auc(
    goods: Floats, bads: Floats, n_good: float, n_bad: float, variance: float
) -> tuple[float, float]:
    """AUC with its standard error: the chance that a good outscores a bad."""
    bads_below = np.cumsum(bads) - bads / 2
    goods_above = goods.sum() - np.cumsum(goods) + goods / 2
    auc = float((goods * bads_below).sum() / (n_good * n_bad))
    auc = min(max(auc, 0.0), 1.0)
    # First order in the noise: how the ratio moves with every count.
    by_good = bads_below / (n_good * n_bad) - auc / n_good
    by_bad = goods_above / (n_good * n_bad) - auc / n_bad
    noise = variance * float((by_good**2).sum() + (by_bad**2).sum())
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    sampling = (auc * (1 - auc) + (n_bad - 1) * (q1 - auc**2) + (n_good - 1) * (q2 - auc**2)) / (
        n_good * n_bad
    )
    return auc, math.sqrt(noise + max(sampling, 0.0))


def _calibration(
    goods: Floats, bads: Floats, pd: Floats, variance: float
) -> tuple[CalibrationRow, ...]:
    """Tenths of the records by score; whole bins, so tenths are only nearly equal."""
    counts = goods + bads
    reached = np.maximum.accumulate(np.clip(np.cumsum(counts) - counts / 2, 0.0, None))
    tenth = np.minimum((ROWS * reached / max(counts.sum(), 1.0)).astype(int), ROWS - 1)
    rows = []
    for row in range(ROWS):
        inside = tenth == row
        records = float(counts[inside].sum())
        if records <= 0 or not inside.any():
            continue
        noise = variance * int(inside.sum())
        observed = float(bads[inside].sum()) / records
        positive = np.maximum(counts[inside], 0.0)
        expected = float((positive * pd[inside]).sum() / max(positive.sum(), 1e-9))
        # Noise in the bads, and in the records that divide them.
        spread = _share(observed) * records + noise * ((1 - observed) ** 2 + observed**2)
        rows.append(
            CalibrationRow(
                records,
                expected,
                min(max(observed, 0.0), 1.0),
                math.sqrt(spread) / records,
            )
        )
    return tuple(rows)
