"""Leaf sums: a record adds its rounded residual to one leaf a tree and one bin a feature."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.data.schema import Schema
from fedcredit.measures.leaves import sum_leaves
from fedcredit.models.bins import bins_of
from fedcredit.models.odds import residual
from fedcredit.models.queries import Leaves
from tests.models.strategies import queries, schemas, tables, whole


@settings(max_examples=60)
@given(data=st.data(), schema=schemas())
def test_each_sum_is_over_the_records_of_its_leaf_or_bin(
    data: st.DataObject, schema: Schema
) -> None:
    """Record by record in Python's integers: leaves tree by tree, then bins."""
    query = data.draw(queries(schema, "leaves"))
    assert isinstance(query, Leaves)
    records = data.draw(tables(schema, most=15))
    batch = whole(records)
    features = query.model.scorecard.bins
    bins = bins_of(features, batch.cells)
    signals = residual(query.model.log_odds(batch.cells), batch.bad).tolist()

    expected: list[int] = []
    for tree in range(len(query.forest.feature)):
        leaf = query.forest.leaf(tree, bins)
        steps = [round(one * query.leaf_steps) for one in signals]
        expected += [
            sum(step for step, at in zip(steps, leaf, strict=True) if at == number)
            for number in range(query.forest.leaves)
        ]
    for column, feature in zip(bins, features, strict=True):
        steps = [round(one * query.bin_steps) for one in signals]
        expected += [
            sum(step for step, at in zip(steps, column, strict=True) if at == rank)
            for rank in range(feature.woe.size)
        ]

    found = sum_leaves(records.batches(), query)

    assert found.dtype == np.int64
    assert found.tolist() == expected


@settings(max_examples=40)
@given(data=st.data(), schema=schemas())
def test_every_partition_of_the_records_has_the_same_total(
    data: st.DataObject, schema: Schema
) -> None:
    """A record is in exactly one leaf of every tree, and in one bin of every feature."""
    query = data.draw(queries(schema, "leaves"))
    assert isinstance(query, Leaves)
    found = sum_leaves(data.draw(tables(schema, most=15)).batches(), query)
    trees, leaves = len(query.forest.feature), query.forest.leaves
    sizes = [feature.woe.size for feature in query.model.scorecard.bins]

    by_tree = found[: trees * leaves].reshape(trees, leaves).sum(axis=1)
    edges = np.cumsum([0, *sizes])
    own = found[trees * leaves :]
    by_feature = [int(own[one:other].sum()) for one, other in pairwise(edges.tolist())]

    assert len(set(by_tree.tolist())) <= 1
    assert len(set(by_feature)) == 1
    if trees and query.leaf_steps == query.bin_steps:
        assert int(by_tree[0]) == by_feature[0]
