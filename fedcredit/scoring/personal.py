"""A personal layer: the head of a released network, learned further on an institution's own rows.

What comes out follows from records without any noise. It is for the institution alone: it is
not a model that was released, has no claim, and is never sent, so no budget pays for it.
The file says which released model it belongs to, and fits no other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from fedcredit.codec import decode, encode
from fedcredit.data.records import Records
from fedcredit.errors import DataError, IntegrityError, PeerError
from fedcredit.models.bins import bins_of
from fedcredit.models.network import Network
from fedcredit.models.odds import probability_of_good
from fedcredit.scoring.model import ReleasedModel
from fedcredit.units import Flags, Floats

__all__ = ["Personal", "personalise", "read_personal", "with_personal", "write_personal"]

FORMAT: Final = "fedcredit/personal/1"
PRIOR_VARIANCE: Final = 0.07  # of what is learned further, for units that are together of norm 1
NEWTON_STEPS: Final = 12
FEWEST: Final = 50  # goods, and bads


@dataclass(frozen=True, slots=True, eq=False)
class Personal:
    """A head of an institution's own.

    Attributes:
        model: digest of the released model that it belongs to, hex.
        head: of its network, the shift last, shape ``(units + 1,)``. As sensitive as the rows.
    """

    model: str
    head: Floats

    def __repr__(self) -> str:
        """Never print what rows have touched."""
        return f"Personal(model={self.model!r})"


def personalise(released: ReleasedModel, records: Records) -> Personal:
    """Learn the head of a network further on the rows that are not held out.

    It is the posterior mode under the log-loss, with a normal prior around the released
    head, found by Newton's method. Directions that a monotone network keeps are kept.

    Args:
        released: a network.
        records: the institution's own.

    Returns:
        The head; for the institution alone.

    Raises:
        IntegrityError: the model is no network, or of another schema.
        DataError: there are fewer than `FEWEST` goods or bads.

    Source: projected Newton steps for bounds, Bertsekas (1982), SIAM J. Control Optim. 20.
    """
    network = _network_of(released)
    if network.schema_digest != records.schema.digest():
        raise IntegrityError(
            "the model was made for another data contract than the table's",
            remedy="open the table with the model's schema",
        )
    rows, base, good = _read(records, network)
    if min(good.sum(), (1.0 - good).sum()) < FEWEST:
        raise DataError(
            f"there are fewer than {FEWEST} goods or bads to learn from",
            remedy="use the released model as it is",
        )
    start = np.append(network.head, network.shift)
    prior = PRIOR_VARIANCE / network.head.size
    floor = np.where(_bounded(released, network), 0.0, -np.inf)
    head = start
    for _ in range(NEWTON_STEPS):
        chance = probability_of_good(base + rows @ head)
        slope = rows.T @ (chance - good) + (head - start) / prior
        free = ~((head <= floor) & (slope > 0))
        bent = (rows[:, free].T * (chance * (1.0 - chance))) @ rows[:, free]
        step = np.linalg.solve(bent + np.eye(int(free.sum())) / prior, slope[free])
        moved = head.copy()
        moved[free] -= step
        head = np.maximum(moved, floor)
    return Personal(released.digest, np.asarray(head, dtype=np.float64))


def with_personal(released: ReleasedModel, personal: Personal) -> ReleasedModel:
    """The model with the institution's own head: to score with, never to hand on.

    Raises:
        IntegrityError: the head belongs to another model.
    """
    network = _network_of(released)
    if personal.model != released.digest or personal.head.shape != (network.head.size + 1,):
        raise IntegrityError(
            "the personal layer belongs to another released model",
            remedy="make one for this model: fedcredit node personal",
        )
    return replace(released, model=network.with_head(personal.head))


def write_personal(personal: Personal) -> bytes:
    """The contents of its file."""
    return encode({"format": FORMAT, "model": personal.model, "head": personal.head})


def read_personal(data: bytes) -> Personal:
    """Read it; the inverse of `write_personal`.

    Raises:
        IntegrityError: the bytes are of no personal layer.
    """
    try:
        body = decode(data)
    except PeerError:
        body = {}
    match body:
        case {"format": "fedcredit/personal/1", "model": str(model), "head": np.ndarray() as head}:
            found = Personal(model, head)
            sound = head.dtype == np.float64 and head.ndim == 1 and bool(np.isfinite(head).all())
            if sound and write_personal(found) == data:
                return found
    raise IntegrityError(
        "the file holds no personal layer", remedy="make one: fedcredit node personal"
    )


def _network_of(released: ReleasedModel) -> Network:
    """The network of a released model."""
    if not isinstance(released.model, Network):
        raise IntegrityError(
            f"the model is of kind {released.model.kind!r}, a personal layer is for a network",
            remedy="have a study with learner = 'neural' or 'monotone'",
        )
    return released.model


def _bounded(released: ReleasedModel, network: Network) -> Flags:
    """Which numbers of the head must not be negative, so that directions are kept."""
    if not network.monotone:
        return np.zeros(network.head.size + 1, dtype=np.bool_)
    directed = np.array([column.sign != 0 for column in released.schema.features])
    return np.append(network.reads(directed), False)


def _read(records: Records, network: Network) -> tuple[Floats, Floats, Floats]:
    """Units with a 1 beside them, the scorecard's log-odds, and 1 for a good."""
    rows, base, good = [], [], []
    for batch in records.batches():
        kept = np.flatnonzero(~batch.held_out)
        cells = np.take(batch.cells, kept, axis=1)
        units = network.units(bins_of(network.scorecard.bins, cells))
        rows.append(np.column_stack([units, np.ones(kept.size)]))
        base.append(network.scorecard.log_odds(cells))
        good.append(1.0 - batch.bad[kept])
    if not rows:
        return np.zeros((0, network.head.size + 1)), np.zeros(0), np.zeros(0)
    return np.concatenate(rows), np.concatenate(base), np.concatenate(good)
