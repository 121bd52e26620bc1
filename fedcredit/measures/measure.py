"""A question and an institution's records make a bounded sum: the one way to ask a table."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np

from fedcredit.data.records import Batch, Records
from fedcredit.data.schema import Schema
from fedcredit.errors import ConfigError, PeerError
from fedcredit.measures.histograms import count_cells, count_scores
from fedcredit.measures.leaves import sum_leaves
from fedcredit.measures.rows import sum_gradients, sum_products
from fedcredit.models.queries import (
    Gradient,
    Histograms,
    Leaves,
    Moments,
    NetworkGradient,
    Query,
    ScoreHistogram,
)
from fedcredit.models.released import scorecard_of
from fedcredit.privacy.sums import BoundedSum

__all__ = ["check_able", "check_fit", "measure"]


def measure(records: Records, query: Query) -> BoundedSum:
    """Answer a question with one exact sum of integer rows, one row a record.

    Guarantee: adding or removing one record moves the sum by at most
    ``sqrt(query.sensitivity_squared)`` in l2. A question that does not fit the records'
    schema is refused before any record is read, so a refusal says nothing of them.

    Args:
        records: an institution's records; training questions see those that are not held
            out, evaluation sees those that are, and no record is seen by both.
        query: the question.

    Returns:
        The sum in grid steps, shape ``(query.dim,)``. Sensitive until released.

    Raises:
        PeerError: the question is about other features than the schema's.
    """
    check_fit(records.schema, query)
    batches = _part(records, held_out=query.part == "held-out")
    match query:
        case Histograms():
            value = count_cells(batches, query)
        case Moments():
            value = sum_products(batches, query)
        case Gradient():
            value = sum_gradients(batches, query)
        case Leaves():
            value = sum_leaves(batches, query)
        case NetworkGradient():
            from fedcredit.measures.network import sum_network  # torch is an extra

            value = sum_network(batches, query)
        case ScoreHistogram():
            value = count_scores(batches, query)
    return BoundedSum(value, query.sensitivity_squared)


def _part(records: Records, *, held_out: bool) -> Iterator[Batch]:
    """The batches of one side of the split."""
    for batch in records.batches():
        keep = np.flatnonzero(batch.held_out == held_out)
        yield Batch(np.take(batch.cells, keep, axis=1), batch.bad[keep], batch.held_out[keep])


def check_fit(schema: Schema, query: Query) -> None:
    """Refuse a question about other features than the schema's, before it costs anything.

    Raises:
        PeerError: it does not have one table of cells for each feature, of its size.
        ConfigError: this installation cannot answer it.
    """
    expected = tuple(feature.cell_count for feature in schema.features)
    named = schema.digest()
    match query:
        case Histograms():
            found = tuple(map(sum, zip(query.ordered, query.extra, strict=True)))
        case Moments():
            found = tuple(cells.size for cells in query.of_cell)
        case Gradient():
            found = tuple(feature.of_cell.size for feature in query.scorecard.bins)
            named = query.scorecard.schema_digest
        case NetworkGradient():
            check_able(query.kind)
            found = tuple(feature.of_cell.size for feature in query.network.scorecard.bins)
            named = query.network.schema_digest
        case Leaves() | ScoreHistogram():
            found = tuple(feature.of_cell.size for feature in scorecard_of(query.model).bins)
            named = query.model.schema_digest
    if found != expected or named != schema.digest():
        raise PeerError(
            f"a question of kind {query.kind!r} is about {len(found)} features whose cells are "
            f"not those of schema {schema.name!r} version {schema.version}",
            remedy="have the coordinator use the schema whose digest the plan names",
        )


def check_able(kind: str) -> None:
    """Refuse a kind of question that this installation cannot answer.

    Raises:
        ConfigError: it is about a network, and torch or Opacus is not installed.
    """
    if kind == NetworkGradient.kind and not (find_spec("torch") and find_spec("opacus")):
        raise ConfigError(
            "a question about a network needs torch and Opacus, which are not installed",
            remedy="install fedcredit[neural] on this node, and let it be asked again",
        )
