"""An institution's own AUC is the textbook's, over its held-out records only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fedcredit.data.records import in_memory
from fedcredit.errors import DataError, IntegrityError
from fedcredit.scoring.ranking import own_auc
from tests.scoring.made import KINDS, SCHEMA, cells, model


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 1000))
def test_it_agrees_with_sklearn_on_the_held_out_records(kind: str, seed: int) -> None:
    """Ties and batches included; records that train are not looked at."""
    draw = np.random.default_rng(seed)
    applicants, bad = cells(300, seed), draw.integers(0, 2, 300).astype(np.uint8)
    aside = draw.random(300) < 0.4
    records = in_memory(SCHEMA, applicants, bad, aside, batch_rows=64)
    made = model(kind)
    expected = roc_auc_score(1 - bad[aside], made.log_odds(applicants)[aside])
    assert own_auc(records, made) == pytest.approx(float(expected), abs=1e-12)


def test_one_class_and_another_schema_are_refused() -> None:
    """No figure is better than a made-up one."""
    bad, aside = np.zeros(50, dtype=np.uint8), np.ones(50, dtype=np.bool_)
    with pytest.raises(DataError, match="no bads"):
        own_auc(in_memory(SCHEMA, cells(50), bad, aside), model("scorecard"))
    other = replace(SCHEMA, version=9)
    with pytest.raises(IntegrityError, match="another data contract"):
        own_auc(in_memory(other, cells(50), bad, aside), model("scorecard"))
