"""A model and its parts are the same thing, and parts that make no model are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.codec import decode, encode
from fedcredit.data.columns import Categorical, Numeric
from fedcredit.data.schema import Schema
from fedcredit.models.bins import Scorecard
from fedcredit.models.released import Model, from_wire, scorecard_of, to_wire
from tests.models.strategies import (
    MODELS,
    model_of,
    models,
    records_of,
    schema_of,
    schemas,
    whole,
)

SCHEMA = schema_of(
    Numeric("income", "EUR", 0.0, 9000.0, cells=9),
    Categorical("home", ("own", "rent"), other=True),
    Numeric("late", "payments", 0.0, 5.0, step=1.0),
)
Parts = dict[str, Any]
Edit = Callable[[Parts], object]


def parts_of(kind: str) -> Parts:
    """The parts of a model as the codec gives them back."""
    return cast("Parts", decode(encode(to_wire(model_of(kind, SCHEMA, 8, trees=2)))))


def card_in(parts: Parts) -> Parts:
    """The scorecard in the parts of any model."""
    if parts["kind"] == "boosting":
        return card_in(parts["additive"])
    return parts if parts["kind"] == "scorecard" else cast("Parts", parts["scorecard"])


def first_bins(parts: Parts, **changes: object) -> None:
    """Change the parts of the first feature."""
    card = card_in(parts)
    first, *others = card["bins"]
    card["bins"] = ({**first, **changes}, *others)


def equal(one: object, other: object) -> bool:
    """Arrays and texts, level by level, to the bit."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return set(one) == set(other) and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, Sequence) and isinstance(other, Sequence) and not isinstance(one, str):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


@given(schema=schemas(), data=st.data(), seed=st.integers(0, 2**32))
def test_a_model_comes_back_from_its_bytes(schema: Schema, data: st.DataObject, seed: int) -> None:
    """All its parts to the bit, and so the log-odds of any record."""
    ours = data.draw(models(schema))

    theirs = from_wire(decode(encode(to_wire(ours))))

    assert type(theirs) is type(ours)
    assert equal(to_wire(theirs), to_wire(ours))
    cells = whole(records_of(schema, 10, seed)).cells
    assert theirs.log_odds(cells).tobytes() == ours.log_odds(cells).tobytes()


@pytest.mark.parametrize("kind", MODELS)
def test_every_model_has_a_scorecard_and_the_schemas_digest(kind: str) -> None:
    model: Model = model_of(kind, SCHEMA, 8)
    card = scorecard_of(model)

    assert isinstance(card, Scorecard)
    assert (model.kind, model.schema_digest) == (kind, SCHEMA.digest())
    assert card.schema_digest == SCHEMA.digest()


BINS: dict[str, tuple[type[Exception], Edit]] = {
    "a name that is no text": (TypeError, lambda p: first_bins(p, name=7)),
    "labels that are no sequence": (TypeError, lambda p: first_bins(p, labels="abc")),
    "a label that is no text": (
        TypeError,
        lambda p: first_bins(p, labels=(1,) * len(p["bins"][0]["labels"])),
    ),
    "cells that are no bytes": (TypeError, lambda p: first_bins(p, of_cell=np.zeros(10))),
    "cells that are no array": (TypeError, lambda p: first_bins(p, of_cell=(0,) * 10)),
    "cells in two dimensions": (
        ValueError,
        lambda p: first_bins(p, of_cell=np.zeros((2, 5), dtype=np.uint8)),
    ),
    "no cell": (ValueError, lambda p: first_bins(p, of_cell=np.zeros(0, dtype=np.uint8))),
    "a cell in a bin that is not there": (
        ValueError,
        lambda p: first_bins(p, of_cell=np.full(10, 99, dtype=np.uint8)),
    ),
    "counts for other bins": (ValueError, lambda p: first_bins(p, goods=np.ones(77))),
    "counts that are integers": (TypeError, lambda p: first_bins(p, goods=np.ones(3, int))),
    "counts that are no array": (TypeError, lambda p: first_bins(p, goods=3.0)),
    "a WoE that is infinite": (
        ValueError,
        lambda p: first_bins(p, woe=np.full(len(p["bins"][0]["labels"]), np.inf)),
    ),
    "a WoE that is no number": (
        ValueError,
        lambda p: first_bins(p, woe_se=np.full(len(p["bins"][0]["labels"]), np.nan)),
    ),
    "negative counts": (
        ValueError,
        lambda p: first_bins(p, goods=np.full(len(p["bins"][0]["labels"]), -1e6)),
    ),
    "no count above 0": (
        ValueError,
        lambda p: first_bins(
            p,
            goods=np.zeros(len(p["bins"][0]["labels"])),
            bads=np.zeros(len(p["bins"][0]["labels"])),
        ),
    ),
}

CARD: dict[str, tuple[type[Exception], Edit]] = {
    "another kind": (ValueError, lambda p: p.update(kind="forest")),
    "no kind": (KeyError, lambda p: p.pop("kind")),
    "no bins": (KeyError, lambda p: p.pop("bins")),
    "bins that are no sequence": (TypeError, lambda p: p.update(bins={})),
    "a feature that is no mapping": (TypeError, lambda p: p.update(bins=(1, 2, 3))),
    "a feature less": (ValueError, lambda p: p.update(bins=p["bins"][1:])),
    "a coefficient less": (
        ValueError,
        lambda p: p.update(coefficients=p["coefficients"][1:]),
    ),
    "an infinite coefficient": (
        ValueError,
        lambda p: p.update(coefficients=np.full(3, np.inf)),
    ),
    "a covariance of another shape": (ValueError, lambda p: p.update(covariance=np.eye(3))),
    "a covariance that is no number": (
        ValueError,
        lambda p: p.update(covariance=np.full((4, 4), np.nan)),
    ),
    "an intercept that is an integer": (TypeError, lambda p: p.update(intercept=1)),
    "an infinite intercept": (ValueError, lambda p: p.update(intercept=np.inf)),
    "a digest that is no text": (TypeError, lambda p: p.update(schema=b"ab")),
    "a feature without WoE": (
        KeyError,
        lambda p: p.update(bins=({k: v for k, v in p["bins"][0].items() if k != "woe"},)),
    ),
}

ADDITIVE: dict[str, tuple[type[Exception], Edit]] = {
    "a scorecard of another kind": (TypeError, lambda p: p["scorecard"].update(kind="additive")),
    "no scorecard": (KeyError, lambda p: p.pop("scorecard")),
    "a feature's shifts less": (ValueError, lambda p: p.update(shifts=p["shifts"][1:])),
    "a shift less": (
        ValueError,
        lambda p: p.update(shifts=(p["shifts"][0][1:], *p["shifts"][1:])),
    ),
    "shifts that are numbers": (TypeError, lambda p: p.update(shifts=(1.0, 2.0, 3.0))),
    "an infinite shift": (
        ValueError,
        lambda p: p.update(shifts=tuple(np.full(len(s), np.inf) for s in p["shifts"])),
    ),
}

BOOSTED: dict[str, tuple[type[Exception], Edit]] = {
    "no additive part": (KeyError, lambda p: p.pop("additive")),
    "a scorecard where the additive part should be": (
        TypeError,
        lambda p: p.update(additive=card_in(p)),
    ),
    "splits that are no integers": (
        TypeError,
        lambda p: p.update(feature=p["feature"].astype(np.float64)),
    ),
    "splits that are no table": (TypeError, lambda p: p.update(threshold=p["threshold"][0])),
    "splits that are no array": (TypeError, lambda p: p.update(feature=((0,), (1,)))),
    "thresholds of other trees": (
        ValueError,
        lambda p: p.update(threshold=p["threshold"][:1]),
    ),
    "a split on a feature that is not there": (
        ValueError,
        lambda p: p.update(feature=np.full_like(p["feature"], 3)),
    ),
    "a split on a feature before the first": (
        ValueError,
        lambda p: p.update(feature=np.full_like(p["feature"], -1)),
    ),
    "trees too deep for a byte": (
        ValueError,
        lambda p: p.update(
            feature=np.zeros((2, 9), dtype=np.int64),
            threshold=np.zeros((2, 9), dtype=np.int64),
            leaf_values=np.zeros((2, 512)),
        ),
    ),
    "leaves of other trees": (ValueError, lambda p: p.update(leaf_values=np.zeros((3, 2)))),
    "an infinite leaf": (
        ValueError,
        lambda p: p.update(leaf_values=np.full_like(p["leaf_values"], np.inf)),
    ),
}

NETWORK: dict[str, tuple[type[Exception], Edit]] = {
    "no scorecard beside the network": (KeyError, lambda p: p.pop("scorecard")),
    "vectors that are no sequence": (TypeError, lambda p: p.update(vectors={})),
    "a feature's vectors less": (ValueError, lambda p: p.update(vectors=p["vectors"][1:])),
    "vectors of two widths": (
        ValueError,
        lambda p: p.update(vectors=(np.zeros((len(p["vectors"][0]), 9)), *p["vectors"][1:])),
    ),
    "vectors of no number": (
        ValueError,
        lambda p: p.update(
            vectors=tuple(part[:, :0] for part in p["vectors"]),
            weights=p["weights"][:, :0],
        ),
    ),
    "vectors that are flat": (
        TypeError,
        lambda p: p.update(vectors=tuple(part.ravel() for part in p["vectors"])),
    ),
    "an infinite vector": (
        ValueError,
        lambda p: p.update(vectors=tuple(np.full_like(part, np.inf) for part in p["vectors"])),
    ),
    "weights of other vectors": (
        ValueError,
        lambda p: p.update(weights=p["weights"][:, 1:]),
    ),
    "weights that are integers": (TypeError, lambda p: p.update(weights=np.ones((2, 3), int))),
    "no unit": (
        ValueError,
        lambda p: p.update(weights=p["weights"][:0], biases=np.zeros(0), head=np.zeros(0)),
    ),
    "too many units": (
        ValueError,
        lambda p: p.update(
            weights=np.zeros((4097, p["weights"].shape[1])),
            biases=np.zeros(4097),
            head=np.zeros(4097),
        ),
    ),
    "a head of other units": (ValueError, lambda p: p.update(head=np.append(p["head"], 1.0))),
    "a head that is no number": (
        ValueError,
        lambda p: p.update(head=np.full_like(p["head"], np.nan)),
    ),
    "a shift that is an integer": (TypeError, lambda p: p.update(shift=1)),
    "a shift beyond measure": (ValueError, lambda p: p.update(shift=1e101)),
}

MALFORMED = [
    *((kind, *case) for kind in ("scorecard",) for case in {**BINS, **CARD}.items()),
    *(("additive", *case) for case in ADDITIVE.items()),
    *(("boosting", *case) for case in BOOSTED.items()),
    *(("neural", *case) for case in NETWORK.items()),
]


@pytest.mark.parametrize(("kind", "what", "case"), MALFORMED, ids=[row[1] for row in MALFORMED])
def test_parts_that_make_no_model_are_refused(
    kind: str, what: str, case: tuple[type[Exception], Edit]
) -> None:
    """With the error that the docstring names for it."""
    error, edit = case
    parts = parts_of(kind)
    edit(parts)

    with pytest.raises(error):
        from_wire(parts)


@pytest.mark.parametrize("body", [None, 1, "scorecard", (), np.zeros(3)])
def test_what_is_no_mapping_is_no_model(body: object) -> None:
    with pytest.raises(TypeError):
        from_wire(body)


@pytest.mark.parametrize("kind", MODELS)
def test_the_parts_that_the_refusals_start_from_are_a_model(kind: str) -> None:
    """Else the refusals above would show nothing."""
    assert from_wire(parts_of(kind)).kind == kind
