"""A question has one byte form, and bytes that are no question are refused as the peer's fault."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.codec import decode, encode
from fedcredit.data.columns import Categorical, Numeric
from fedcredit.data.schema import Schema
from fedcredit.errors import LocalError, PeerError
from fedcredit.models.bins import Scorecard
from fedcredit.models.network import Network
from fedcredit.models.queries import (
    Gradient,
    Histograms,
    Leaves,
    Moments,
    NetworkGradient,
    Query,
    ScoreHistogram,
    decode_query,
    encode_query,
)
from fedcredit.models.trees import Boosted, Forest
from tests.models.strategies import ASKED, any_query, model_of, queries, schema_of, schemas

SCHEMA = schema_of(
    Numeric("income", "EUR", 0.0, 9000.0, cells=9, special=(-9.0,)),
    Categorical("home", ("own", "rent"), other=True),
    Numeric("late", "payments", 0.0, 5.0, step=1.0),
)
CARD = cast("Scorecard", model_of("scorecard", SCHEMA, 8))
BOOSTED = cast("Boosted", model_of("boosting", SCHEMA, 8, trees=2))
NETWORK = cast("Network", model_of("neural", SCHEMA, 8))
TABLES = tuple(feature.of_cell for feature in CARD.bins)
VALUES = tuple(feature.woe for feature in CARD.bins)
GOOD: Mapping[str, Query] = {
    "histograms": Histograms((9, 0, 6), (2, 4, 1), ((1, 4), (1,), (1, 2)), 16),
    "moments": Moments(TABLES, (VALUES, VALUES), 2.5, 100),
    "gradient": Gradient(CARD, 2.5, 1000),
    "leaves": Leaves(BOOSTED, BOOSTED.forest, 10, 20),
    "network": NetworkGradient(NETWORK, "all", 2.5, 1000),
    "score-histogram": ScoreHistogram(BOOSTED, np.linspace(-1.0, 1.0, 11), 16),
}


def read_or_refused(data: bytes) -> Query | None:
    """The question that bytes stand for, or None where the peer is at fault; nothing else."""
    try:
        return decode_query(data)
    except PeerError:
        return None


@pytest.mark.parametrize("kind", ASKED)
@settings(max_examples=30)
@given(data=st.data(), schema=schemas())
def test_a_question_comes_back_from_its_bytes(
    kind: str, data: st.DataObject, schema: Schema
) -> None:
    """The same bytes again, so every field came back; and what it costs is what it cost."""
    ours = data.draw(queries(schema, kind))

    theirs = decode_query(encode_query(ours))

    assert type(theirs) is type(ours)
    assert encode_query(theirs) == encode_query(ours)
    assert (theirs.kind, theirs.part, theirs.dim, theirs.sensitivity_squared) == (
        ours.kind,
        ours.part,
        ours.dim,
        ours.sensitivity_squared,
    )
    assert ours.part == ("held-out" if kind == "score-histogram" else "train")


@pytest.mark.parametrize("kind", ASKED)
@settings(max_examples=150)
@given(
    edits=st.lists(st.tuples(st.integers(0, 2**20), st.integers(1, 255)), min_size=1, max_size=3)
)
def test_changed_bytes_are_refused_or_another_question(
    kind: str, edits: list[tuple[int, int]]
) -> None:
    """Never another error, and never the question that was sent."""
    sent = encode_query(GOOD[kind])
    changed = bytearray(sent)
    for at, flip in edits:
        changed[at % len(sent)] ^= flip

    found = read_or_refused(bytes(changed))

    assert found is None or encode_query(found) == bytes(changed)


@pytest.mark.parametrize("kind", ASKED)
def test_bytes_cut_short_are_refused_wherever_they_are_cut(kind: str) -> None:
    sent = encode_query(GOOD[kind])

    for end in range(len(sent)):
        with pytest.raises(PeerError):
            decode_query(sent[:end])
    with pytest.raises(PeerError):
        decode_query(sent + b"\x00")


@given(data=st.binary(max_size=60))
def test_any_bytes_are_refused_or_a_question(data: bytes) -> None:
    found = read_or_refused(data)

    assert found is None or encode_query(found) == data


def places(value: object, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every part of a decoded message."""
    yield above
    if isinstance(value, Mapping):
        for key in value:
            yield from places(value[key], (*above, key))
    elif isinstance(value, tuple):
        for at, item in enumerate(value):
            yield from places(item, (*above, at))


def put(value: Any, place: tuple[Any, ...], new: object) -> Any:  # noqa: ANN401 - any message
    """The message with another part in that place."""
    if not place:
        return new
    first, *rest = place
    if isinstance(value, Mapping):
        return {**value, first: put(value[first], tuple(rest), new)}
    items = list(value)
    items[first] = put(items[first], tuple(rest), new)
    return tuple(items)


@pytest.mark.parametrize(
    "new",
    [
        True,
        -1,
        0,
        300,
        0.5,
        -1e9,
        "",
        "scorecard",
        b"\x01\x02",
        (),
        (-1, 2),
        {},
        {"kind": "scorecard"},
        {"kind": "additive"},
        {"kind": "boosting"},
        {"kind": "neural"},
        np.zeros(0),
        np.zeros((2, 3)),
        np.full(2, 255, dtype=np.uint8),
        np.array([-1, 1]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", ASKED)
def test_a_part_of_another_type_is_refused_or_another_question(kind: str, new: object) -> None:
    """Every part of every question, at every level, in turn."""
    message = decode(encode_query(GOOD[kind]))

    for place in places(message):
        data = encode(put(message, place, new))
        found = read_or_refused(data)
        assert found is None or encode_query(found) == data


@pytest.mark.parametrize("kind", ASKED)
def test_a_part_less_is_refused(kind: str) -> None:
    message = cast("dict[str, Any]", decode(encode_query(GOOD[kind])))

    for missing in message["body"]:
        body = {key: part for key, part in message["body"].items() if key != missing}
        with pytest.raises(PeerError):
            decode_query(encode({"kind": kind, "body": body}))


def test_a_part_more_is_refused() -> None:
    """Else one question would have many byte forms."""
    message = cast("dict[str, Any]", decode(encode_query(GOOD["gradient"])))
    message["body"]["comment"] = "hello"

    with pytest.raises(PeerError):
        decode_query(encode(message))


MALFORMED: dict[str, Callable[[], object]] = {
    "no feature": lambda: Histograms((), (), ()),
    "extra of other features": lambda: Histograms((9,), (2, 1), ((1,),)),
    "a negative number of cells": lambda: Histograms((-1,), (2,), ((1,),)),
    "a feature without cells": lambda: Histograms((0,), (0,), ((1,),)),
    "more cells than a byte names": lambda: Histograms((200,), (100,), ((1,),)),
    "a feature without levels": lambda: Histograms((9,), (2,), ((),)),
    "no finest level": lambda: Histograms((9,), (2,), ((4,),)),
    "levels that do not rise": lambda: Histograms((9,), (2,), ((1, 4, 4),)),
    "one feature": lambda: Moments(TABLES[:1], (VALUES[:1],), 1.0, 1),
    "no block": lambda: Moments(TABLES, (), 1.0, 1),
    "a block of other features": lambda: Moments(TABLES, (VALUES[:2],), 1.0, 1),
    "a bin without a value": lambda: Moments(TABLES, ((np.zeros(0),) * 3,), 1.0, 1),
    "a value that is infinite": lambda: Moments(
        TABLES, (tuple(np.full(v.size, np.inf) for v in VALUES),), 1.0, 1
    ),
    "a feature without cells here": lambda: Moments(
        (np.zeros(0, dtype=np.uint8), *TABLES[1:]), (VALUES,), 1.0, 1
    ),
    "no clip": lambda: Gradient(CARD, 0.0, 10),
    "a negative clip": lambda: Moments(TABLES, (VALUES,), -1.0, 10),
    "an infinite clip": lambda: Gradient(CARD, np.inf, 10),
    "no steps": lambda: Gradient(CARD, 1.0, 0),
    "steps that are no integer": lambda: Gradient(CARD, 1.0, cast("int", 1.0)),
    "steps that are a truth value": lambda: Gradient(CARD, 1.0, cast("int", True)),
    "more steps than add up exactly": lambda: Gradient(CARD, 1.0, (1 << 20) + 1),
    "a count without steps": lambda: Histograms((9,), (2,), ((1,),), 0),
    "a score count without steps": lambda: ScoreHistogram(CARD, np.zeros(1), 0),
    "no steps in a leaf": lambda: Leaves(BOOSTED, BOOSTED.forest, 0, 1),
    "no steps in a bin": lambda: Leaves(BOOSTED, BOOSTED.forest, 1, 0),
    "trees of depth 0": lambda: Leaves(BOOSTED, forest(0, 0, 0), 1, 1),
    "trees of depth 9": lambda: Leaves(BOOSTED, forest(1, 9, 0), 1, 1),
    "trees over features beyond the last": lambda: Leaves(BOOSTED, forest(1, 2, 3), 1, 1),
    "trees over features before the first": lambda: Leaves(BOOSTED, forest(1, 2, -1), 1, 1),
    "thresholds of other trees": lambda: Leaves(
        BOOSTED, replace(forest(1, 2, 0), threshold=np.zeros((2, 2), dtype=np.int64)), 1, 1
    ),
    "splits that are no table": lambda: Leaves(
        BOOSTED, Forest(np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int64)), 1, 1
    ),
    "layers that are not there": lambda: NetworkGradient(NETWORK, "body", 1.0, 1),
    "layers that are no text": lambda: NetworkGradient(NETWORK, cast("str", ("head",)), 1.0, 1),
    "a network whose numbers leave float32": lambda: NetworkGradient(
        replace(NETWORK, head=np.full_like(NETWORK.head, 1.1e6)), "head", 1.0, 1
    ),
    "a network whose shift is absurd": lambda: NetworkGradient(
        replace(NETWORK, shift=-1.1e6), "head", 1.0, 1
    ),
    "a network that holds no number": lambda: NetworkGradient(
        replace(NETWORK, weights=np.full_like(NETWORK.weights, np.nan)), "all", 1.0, 1
    ),
    "a network's gradient without a clip": lambda: NetworkGradient(NETWORK, "all", 0.0, 1),
    "a network's gradient without steps": lambda: NetworkGradient(NETWORK, "all", 1.0, 0),
    "no edge": lambda: ScoreHistogram(CARD, np.zeros(0)),
    "edges that do not ascend": lambda: ScoreHistogram(CARD, np.array([0.0, 0.0])),
    "too many edges": lambda: ScoreHistogram(CARD, np.arange(65_536.0)),
}


def forest(trees: int, depth: int, feature: int) -> Forest:
    """Trees that ask one feature at every depth."""
    table = np.full((trees, depth), feature, dtype=np.int64)
    return Forest(table, np.zeros((trees, depth), dtype=np.int64))


@pytest.mark.parametrize("what", MALFORMED)
def test_a_question_whose_parts_do_not_fit_is_refused(what: str) -> None:
    with pytest.raises(PeerError, match="parts that do not fit together"):
        MALFORMED[what]()


@pytest.mark.parametrize(
    "message",
    [
        1,
        (),
        {},
        {"kind": "histograms"},
        {"kind": "rows", "body": {}},
        {"kind": ("histograms",), "body": {}},
    ],
)
def test_a_message_of_no_known_kind_is_refused(message: Any) -> None:  # noqa: ANN401 - any message
    with pytest.raises(PeerError):
        decode_query(encode(message))


def test_leaves_are_asked_of_a_boosted_model_and_gradients_of_a_scorecard() -> None:
    leaves = cast("dict[str, Any]", decode(encode_query(GOOD["leaves"])))
    gradient = cast("dict[str, Any]", decode(encode_query(GOOD["gradient"])))
    leaves["body"]["model"], gradient["body"]["scorecard"] = (
        gradient["body"]["scorecard"],
        leaves["body"]["model"],
    )

    for message in (leaves, gradient):
        with pytest.raises(PeerError):
            decode_query(encode(message))


def test_a_number_that_has_no_bytes_is_our_own_fault() -> None:
    """A learner that made one is stopped before anything is sent."""
    broken = replace(CARD, intercept=float("nan"))

    with pytest.raises(LocalError):
        encode_query(Gradient(broken, 1.0, 1))


@settings(max_examples=60)
@given(data=st.data(), schema=schemas())
def test_dim_and_sensitivity_follow_from_public_fields(data: st.DataObject, schema: Schema) -> None:
    """Computed here once more, the other way round."""
    query = data.draw(any_query(schema))
    features = len(schema.features)

    match query:
        case Histograms():
            levels = [
                -(-query.ordered[f] // g) + (query.extra[f] if g == 1 else 0)
                for f in range(features)
                for g in query.groups[f]
            ]
            expected = 2 * sum(levels), len(levels) * query.steps**2
        case Moments():
            pairs = [(one, two) for two in range(features) for one in range(two)]
            blocks = len(query.values)
            expected = blocks * len(pairs), blocks * ((query.steps**4 + 1) // 2)
        case Gradient():
            expected = features + 1, query.steps**2
        case Leaves():
            sizes = [len(feature.labels) for feature in query.model.scorecard.bins]
            trees, depth = query.forest.feature.shape
            expected = (
                trees * 2**depth + sum(sizes),
                trees * query.leaf_steps**2 + features * query.bin_steps**2,
            )
        case NetworkGradient():
            network = query.network
            units, inputs = network.weights.shape
            vectors = sum(part.size for part in network.vectors)
            lower = units * (inputs + 1) if query.learned == "all" else 0
            once, every = (inputs, vectors) if query.learned == "all" else (0, 0)
            reach = once + lower + units + 1
            rounding = 2 * query.steps * math.sqrt(reach)
            expected = (
                every + lower + units + 1,
                query.steps**2 + reach + math.ceil(rounding),
            )
        case ScoreHistogram():
            expected = 2 * (query.edges.size + 1), query.steps**2

    assert (query.dim, query.sensitivity_squared) == expected
    assert type(query.dim) is int
    assert type(query.sensitivity_squared) is int
