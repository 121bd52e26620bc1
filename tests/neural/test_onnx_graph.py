"""A model as ONNX gives the scores that the product gives, for every kind and every cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.cli.main import main
from fedcredit.models.network import Network
from fedcredit.models.trees import Boosted, Forest
from fedcredit.scoring.model import ReleasedModel, write_model
from fedcredit.scoring.onnx_graph import to_onnx
from fedcredit.units import Bytes8
from tests.scoring.made import KINDS, SCHEMA, cells, released


def run(graph: bytes, applicants: Bytes8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-odds, PD and score, by onnxruntime."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    log_odds, pd, score = session.run(None, {"cells": applicants.T.astype(np.int64)})
    return log_odds, pd, score


def scores_are_equal(model: ReleasedModel, applicants: Bytes8) -> None:
    """To the rounding of sums; points to the last one."""
    log_odds, pd, score = run(to_onnx(model), applicants)
    expected = model.scores(applicants)
    assert log_odds == pytest.approx(model.model.log_odds(applicants), rel=1e-12, abs=1e-12)
    assert pd == pytest.approx(expected.pd, rel=1e-9, abs=1e-12)
    assert score.tolist() == expected.score.tolist()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(seed=st.integers(0, 2**16))
def test_scores_are_those_of_the_product(kind: str, seed: int) -> None:
    scores_are_equal(released(kind, seed), cells(300, seed))


def test_a_network_of_the_size_that_studies_release_scores_equally() -> None:
    made = released("neural")
    card = made.model
    assert isinstance(card, Network)
    rng = np.random.default_rng(1)
    vectors = tuple(rng.normal(size=(len(one), 2)) for one in card.vectors)
    network = Network(
        card.scorecard,
        vectors,
        rng.normal(size=(256, 6)),
        rng.normal(size=256),
        rng.normal(size=256) / 16,
        0.1,
        monotone=False,
    )
    scores_are_equal(replace(made, model=network), cells(3000))


def test_boosting_without_trees_is_its_additive_part() -> None:
    made = released("boosting")
    boosted = made.model
    assert isinstance(boosted, Boosted)
    empty = np.zeros((0, 1), dtype=np.int64)
    bare = replace(boosted, forest=Forest(empty, empty), leaf_values=np.zeros((0, 2)))

    scores_are_equal(replace(made, model=bare), cells(300))


def test_no_applicant_is_no_score() -> None:
    log_odds, pd, score = run(to_onnx(released("neural")), cells(0))

    assert (log_odds.shape, pd.shape, score.shape) == ((0,), (0,), (0,))


def test_the_file_names_the_model_and_is_the_same_twice() -> None:
    made = released("neural")

    graph = to_onnx(made)

    known = {one.key: one.value for one in onnx.load_from_string(graph).metadata_props}
    assert known["digest"] == made.digest
    assert known["schema"] == SCHEMA.digest()
    assert known["features"] == "income,late,home"
    assert to_onnx(made) == graph


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, out = released("neural"), tmp_path / "model.onnx"
    files = zip(("model.safetensors", "manifest.json"), write_model(made), strict=True)
    for name, data in files:
        (tmp_path / name).write_bytes(data)

    assert main(["model", "export", str(tmp_path), "--out", str(out)]) == 0

    assert made.digest in capsys.readouterr().out
    assert out.read_bytes() == to_onnx(made)
    assert main(["model", "export", str(tmp_path), "--out", str(tmp_path / "no" / "m")]) == 1
    assert main(["model", "export", str(tmp_path / "none"), "--out", str(out)]) == 1
