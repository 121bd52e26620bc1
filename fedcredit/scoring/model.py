"""The released model as two files, and back: numbers in safetensors, all else in a manifest.

The manifest holds the data contract, the layout of the features, the score scale, the
digest of the plan and the privacy claims, so that a table can be scored with nothing
beside these two files. Each part is pinned by a digest: a file that was damaged or
exchanged is refused. A digest is no signature; whoever fears a forger compares
`ReleasedModel.digest` with the one that the study's ledger names.

No pickle anywhere: reading a model runs no code (safetensors, and JSON that must be
byte for byte what this module would write).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fedcredit.codec import Value, digest
from fedcredit.data.schema import Schema, read_schema, write_schema
from fedcredit.data.strict import build
from fedcredit.errors import FedCreditError, IntegrityError
from fedcredit.models.released import Model, from_wire, to_wire
from fedcredit.privacy.accounting import Claim
from fedcredit.scoring.points import ScoreScale, pd_of, tiers_of
from fedcredit.scoring.table import check_layout
from fedcredit.units import Bytes8, Floats, Ints

__all__ = ["FORMAT", "ReleasedModel", "Scores", "read_model", "write_model"]

FORMAT: Final = "fedcredit/model/1"
_MOST_MANIFEST_BYTES: Final = 1 << 24
_FETCH_AGAIN: Final = "fetch the model's two files again and compare its digest with the study's"


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a table's applicants are given, one entry an applicant.

    Attributes:
        score: from 350 to 950, higher is better, shape ``(n,)``.
        pd: probability of default, shape ``(n,)``.
        tier: index into `points.TIERS`, shape ``(n,)``.
    """

    score: Ints
    pd: Floats
    tier: Ints


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ReleasedModel:
    """A model with all that is needed to use it and to know what it cost.

    Attributes:
        model: what a learner released.
        schema: the data contract whose cells it reads.
        scale: how its log-odds become points.
        study: the name of the study it comes from.
        plan_digest: SHA-256 of that study's plan, in hex.
        claim: what all releases of the study reveal.
        in_force: which of the claim's figures holds: ``local`` when sums were opened one by
            one, ``distributed`` when only their total was ever seen.
        training: what is publicly known of the sample, in a sentence.
    """

    model: Model
    schema: Schema
    scale: ScoreScale
    study: str
    plan_digest: str
    claim: Claim
    in_force: Literal["local", "distributed"]
    training: str

    def scores(self, cells: Bytes8) -> Scores:
        """Score applicants.

        Args:
            cells: public cells in the order of the contract's features, shape ``(F, n)``.

        Returns:
            Score, probability of default and tier of each.
        """
        log_odds = self.model.log_odds(cells)
        score = self.scale.scores(log_odds)
        return Scores(score, pd_of(log_odds), tiers_of(score))

    @property
    def digest(self) -> str:
        """SHA-256 over both files, in hex: the name of this very model."""
        weights, manifest = write_model(self)
        return digest(FORMAT, weights, manifest).hex()


def write_model(released: ReleasedModel) -> tuple[bytes, bytes]:
    """The contents of ``model.safetensors`` and ``manifest.json``.

    Guarantee: the same model gives the same bytes on every machine.

    Raises:
        IntegrityError: the model does not fit the schema.
    """
    check_layout(released.model, released.schema)
    tensors: dict[str, NDArray[np.generic]] = {}
    structure = _take_tensors(to_wire(released.model), "model", tensors)
    weights = save({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)})
    manifest = {
        "format": FORMAT,
        "kind": released.model.kind,
        "study": released.study,
        "plan_digest": released.plan_digest,
        "schema_digest": released.schema.digest(),
        "schema": write_schema(released.schema),
        "scale": asdict(released.scale),
        "claim": asdict(released.claim),
        "in_force": released.in_force,
        "training": released.training,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "features": [
            {"name": column.name, "cells": column.cell_count} for column in released.schema.features
        ],
        "model": structure,
    }
    return weights, _seal(manifest)


def read_model(weights: bytes, manifest: bytes) -> ReleasedModel:
    """Read a model from the contents of its two files.

    Guarantee: for any bytes at all, returns the model whose two files these are, or
    raises IntegrityError.

    Args:
        weights: the bytes of ``model.safetensors``.
        manifest: the bytes of ``manifest.json``.

    Returns:
        The model; `write_model` of it gives back the same bytes.

    Raises:
        IntegrityError: a digest, a name or a shape is not what the manifest says, or the
            manifest is not in the one form in which it is written.
    """
    table = _unseal(manifest)
    if hashlib.sha256(weights).hexdigest() != table.get("weights_sha256"):
        raise _refusal("model.safetensors is not the file that manifest.json names")
    try:
        released = _build(table, load(weights))
        again = write_model(released)
    except SafetensorError:
        raise _refusal("model.safetensors is not a safetensors file") from None
    except IntegrityError:
        raise
    except FedCreditError as problem:
        raise _refusal(f"manifest.json does not fit together: {problem.what}") from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise _refusal("manifest.json lacks a part, or a part is of another kind") from None
    if again != (weights, manifest):
        raise _refusal("the two files are not in the form in which fedcredit writes them")
    return released


def _build(table: Mapping[str, object], tensors: dict[str, NDArray[np.generic]]) -> ReleasedModel:
    """The model that a manifest and its tensors describe."""
    schema = read_schema(_text(table["schema"]), "the manifest's schema")
    if schema.digest() != table["schema_digest"]:
        raise _refusal("the manifest's schema is not the one that its digest names")
    model = from_wire(_put_tensors(table["model"], tensors))
    if tensors:
        raise _refusal("model.safetensors holds numbers that the manifest does not name")
    in_force = table["in_force"]
    if in_force not in ("local", "distributed"):
        raise TypeError("in_force")
    return ReleasedModel(
        model=model,
        schema=schema,
        scale=build(ScoreScale, _table(table["scale"]), "scale"),
        study=_text(table["study"]),
        plan_digest=_text(table["plan_digest"]),
        claim=build(Claim, _table(table["claim"]), "claim"),
        in_force=in_force,
        training=_text(table["training"]),
    )


def _take_tensors(
    value: Value, path: str, tensors: dict[str, NDArray[np.generic]]
) -> dict[str, object] | list[object] | object:
    """A copy of a nested value in which each array is replaced by its name."""
    if isinstance(value, np.ndarray):
        tensors[path] = value
        return {"tensor": path}
    if isinstance(value, Mapping):
        return {key: _take_tensors(part, f"{path}.{key}", tensors) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_take_tensors(part, f"{path}.{i}", tensors) for i, part in enumerate(value)]
    return value


def _put_tensors(value: object, tensors: dict[str, NDArray[np.generic]]) -> object:
    """The inverse: each named tensor is used once, and taken out of ``tensors``."""
    if isinstance(value, dict):
        if set(value) == {"tensor"}:
            return tensors.pop(value["tensor"])
        return {key: _put_tensors(part, tensors) for key, part in value.items()}
    if isinstance(value, list):
        return tuple(_put_tensors(part, tensors) for part in value)
    return value


def _seal(manifest: Mapping[str, object]) -> bytes:
    """Write a manifest in its one form, with the digest of all the rest."""
    body = _canonical(manifest)
    return _canonical({**manifest, "digest": digest(f"{FORMAT} manifest", body).hex()})


def _unseal(data: bytes) -> dict[str, object]:
    """Read a manifest and check its digest.

    Raises:
        IntegrityError: it is not JSON, too large, of another format, or was changed.
    """
    if len(data) > _MOST_MANIFEST_BYTES:
        raise _refusal(f"manifest.json has {len(data)} bytes, expected fewer than 16 million")
    try:
        table = json.loads(data)
    except (ValueError, RecursionError):
        raise _refusal("manifest.json is not JSON") from None
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise IntegrityError(
            f"manifest.json is not of the format {FORMAT!r}",
            remedy="read it with the release of fedcredit that wrote it",
        )
    body = {key: value for key, value in table.items() if key != "digest"}
    try:
        sealed = _seal(body)
    except (ValueError, RecursionError):
        sealed = b""
    if sealed != data:
        raise _refusal("manifest.json was changed since it was written")
    return body


def _canonical(value: Mapping[str, object]) -> bytes:
    """JSON with sorted keys, two blanks an indent, one line feed at the end, no NaN."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def _table(value: object) -> dict[str, object]:
    """A value that must be a table."""
    if not isinstance(value, dict):
        raise TypeError("not a table")
    return value


def _text(value: object) -> str:
    """A value that must be text."""
    if not isinstance(value, str):
        raise TypeError("not text")
    return value


def _refusal(found: str) -> IntegrityError:
    """The error for files that are not a released model."""
    return IntegrityError(f"not a model that a study released: {found}", remedy=_FETCH_AGAIN)
