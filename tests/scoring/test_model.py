"""A released model is its two files: they give the same scores, or they are refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from fedcredit.codec import digest
from fedcredit.errors import IntegrityError
from fedcredit.scoring.model import FORMAT, read_model, write_model
from tests.scoring.made import KINDS, SCHEMA, cells, released

Edit = Callable[[dict[str, Any]], object]


def reseal(manifest: bytes, edit: Edit) -> bytes:
    """A manifest that a careful forger changed: its own digest is right again."""
    table = json.loads(manifest)
    del table["digest"]
    edit(table)
    body = json.dumps(table, sort_keys=True, indent=2, ensure_ascii=False).encode() + b"\n"
    table["digest"] = digest(f"{FORMAT} manifest", body).hex()
    return json.dumps(table, sort_keys=True, indent=2, ensure_ascii=False).encode() + b"\n"


@pytest.mark.parametrize("kind", KINDS)
def test_two_files_are_the_whole_model(kind: str) -> None:
    """Scores after reading are byte-equal, with no schema file beside the model."""
    ours = released(kind)
    weights, manifest = write_model(ours)
    theirs = read_model(weights, manifest)
    assert theirs.schema == ours.schema
    assert theirs.claim == ours.claim
    assert theirs.digest == ours.digest
    assert write_model(theirs) == (weights, manifest)
    for one, other in (
        (ours.scores(cells(300)).score, theirs.scores(cells(300)).score),
        (ours.scores(cells(300)).pd, theirs.scores(cells(300)).pd),
        (ours.scores(cells(300)).tier, theirs.scores(cells(300)).tier),
    ):
        assert one.tobytes() == other.tobytes()


@given(at=st.integers(0, 10**6), flip=st.integers(1, 255), which=st.booleans())
def test_a_changed_byte_is_refused(at: int, flip: int, which: bool) -> None:
    """Wherever a file is damaged, no score comes out of it."""
    files = [bytearray(data) for data in write_model(released("boosting"))]
    files[which][at % len(files[which])] ^= flip
    with pytest.raises(IntegrityError):
        read_model(bytes(files[0]), bytes(files[1]))


@given(data=st.binary(max_size=60), manifest=st.binary(max_size=60))
def test_any_bytes_at_all_are_refused_politely(data: bytes, manifest: bytes) -> None:
    with pytest.raises(IntegrityError):
        read_model(data, manifest)


def test_deep_json_is_refused() -> None:
    """Nesting does not exhaust the stack."""
    with pytest.raises(IntegrityError):
        read_model(b"", b"[" * 100_000)
    with pytest.raises(IntegrityError, match="expected fewer"):
        read_model(b"", b" " * (1 << 24) + b"1")


FORGERIES: dict[str, Edit] = {
    "other weights": lambda t: t.update(weights_sha256="0" * 64),
    "other schema digest": lambda t: t.update(schema_digest="0" * 64),
    "other column": lambda t: t.update(schema=t["schema"].replace("income", "salary")),
    "no schema": lambda t: t.update(schema="not toml"),
    "schema is a number": lambda t: t.update(schema=3),
    "other kind": lambda t: t.update(kind="additive"),
    "no figure in force": lambda t: t.update(in_force="none"),
    "plan is a number": lambda t: t.update(plan_digest=7),
    "unknown key": lambda t: t.update(extra=1),
    "no claim": lambda t: t.pop("claim"),
    "no epsilon": lambda t: t["claim"].pop("epsilon"),
    "cost is a truth": lambda t: t["claim"].update(rho=True),
    "falling scale": lambda t: t["scale"].update(points_to_double=-50),
    "scale is no integer": lambda t: t["scale"].update(points_to_double=50.0),
    "scale is no table": lambda t: t.update(scale=[]),
    "fewer features": lambda t: t["features"].pop(),
    "unknown model": lambda t: t["model"].update(kind="neural"),
    "no coefficients": lambda t: t["model"].pop("coefficients"),
    "other tensor": lambda t: t["model"]["coefficients"].update(tensor="model.covariance"),
    "unknown tensor": lambda t: t["model"]["coefficients"].update(tensor="elsewhere"),
    "intercept is text": lambda t: t["model"].update(intercept="high"),
    "intercept is whole": lambda t: t["model"].update(intercept=2),
    "fewer bins": lambda t: t["model"]["bins"].pop(),
    "fewer labels": lambda t: t["model"]["bins"][0].update(labels=["all"]),
    "model of other schema": lambda t: t["model"].update(schema="0" * 64),
    "other format": lambda t: t.update(format="fedcredit/model/9"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_manifest_that_does_not_fit_is_refused(forgery: str) -> None:
    """Even with its own digest made right again."""
    weights, manifest = write_model(released("scorecard"))
    read_model(weights, reseal(manifest, lambda table: None))
    with pytest.raises(IntegrityError):
        read_model(weights, reseal(manifest, FORGERIES[forgery]))


def test_numbers_that_the_manifest_does_not_name_are_refused() -> None:
    """Nothing travels along unseen."""
    _, manifest = write_model(released("scorecard"))
    for other in (save({"x": np.zeros(3)}), b"no safetensors"):
        name = hashlib.sha256(other).hexdigest()
        with pytest.raises(IntegrityError):
            read_model(other, reseal(manifest, partial(dict.update, weights_sha256=name)))


def test_a_model_is_not_written_with_another_contract() -> None:
    with pytest.raises(IntegrityError, match="another data contract"):
        write_model(replace(released("scorecard"), schema=replace(SCHEMA, version=9)))


def test_the_manifest_says_what_a_deployer_must_know() -> None:
    """Plain JSON: kind, scale, claims with the one in force, digests, and the contract itself."""
    table = json.loads(write_model(released("boosting"))[1])
    assert table["kind"] == "boosting"
    assert table["in_force"] == "local"
    assert table["claim"]["epsilon_local"] > table["claim"]["epsilon"] > 0
    assert [one["institutions"] for one in table["claim"]["persons"]] == [1, 2, 3]
    assert table["scale"]["points_to_double"] == 50
    assert table["schema_digest"] == SCHEMA.digest()
    assert [feature["name"] for feature in table["features"]] == ["income", "late", "home"]
