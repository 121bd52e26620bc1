"""How well a model ranks an institution's own held-out records: a figure for its own eyes.

It holds no noise, so it is no release: the institution looks at it and sends it to nobody.
What may be shown to others is `learners.evaluation`, which is charged.
"""

from __future__ import annotations

import numpy as np

from fedcredit.data.records import Records
from fedcredit.errors import DataError, IntegrityError
from fedcredit.models.released import Model

__all__ = ["own_auc"]


def own_auc(records: Records, model: Model) -> float:
    """The chance that a held-out good scores above a held-out bad, half of it for a tie.

    Args:
        records: the institution's own; those that are held out are read.
        model: any released model of the records' schema.

    Returns:
        AUC, exact, without noise.

    Raises:
        IntegrityError: the model is of another schema.
        DataError: no good or no bad is held out.

    Source: Hanley & McNeil (1982), equation 1.
    """
    if model.schema_digest != records.schema.digest():
        raise IntegrityError(
            f"the model was made for another data contract than {records.schema.name!r} "
            f"version {records.schema.version}",
            remedy="open the table with the model's schema",
        )
    scores, outcomes = [np.empty(0)], [np.empty(0, dtype=np.uint8)]
    for batch in records.batches():
        rows = np.flatnonzero(batch.held_out)
        scores.append(model.log_odds(np.take(batch.cells, rows, axis=1)))
        outcomes.append(batch.bad[rows])
    bad = np.concatenate(outcomes) == 1
    values, ranks = np.unique(np.concatenate(scores), return_inverse=True)
    goods = np.bincount(ranks[~bad], minlength=values.size).astype(np.float64)
    bads = np.bincount(ranks[bad], minlength=values.size).astype(np.float64)
    pairs = goods.sum() * bads.sum()
    if pairs == 0:
        raise DataError(
            "there are no goods or no bads among the held-out records",
            remedy="judge the model on a larger table",
        )
    return float((goods * (np.cumsum(bads) - bads / 2)).sum() / pairs)
