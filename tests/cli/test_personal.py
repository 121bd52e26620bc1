"""A layer of our own is made beside the ledger, which does not move, and serves our own scoring."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fedcredit.adapters.tables import open_table
from fedcredit.cli.main import main
from fedcredit.federation.plan import StudyPlan
from fedcredit.privacy.accounting import claims
from fedcredit.scoring.model import ReleasedModel, write_model
from fedcredit.scoring.personal import personalise, read_personal
from fedcredit.scoring.points import STANDARD_SCALE
from tests.adapters.founded import found
from tests.adapters.test_folders import agree, table
from tests.federation.made import NAMES, SCHEMA, plan
from tests.models.strategies import model_of
from tests.scoring.made import EVENTS

ME = NAMES[0]


def released(study: StudyPlan, kind: str = "neural") -> ReleasedModel:
    return ReleasedModel(
        model=model_of(kind, SCHEMA, 7),
        schema=SCHEMA,
        scale=STANDARD_SCALE,
        study=study.name,
        plan_digest=study.digest().hex(),
        claim=claims(EVENTS, 1e-5),
        in_force="distributed",
        training="made up",
    )


def save(model: ReleasedModel, folder: Path) -> Path:
    folder.mkdir()
    for name, data in zip(("model.safetensors", "manifest.json"), write_model(model), strict=True):
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def study() -> StudyPlan:
    return plan("neural", retries=0)


@pytest.fixture
def node(tmp_path: Path, study: StudyPlan) -> Path:
    folder = agree(tmp_path / ME, study)
    (folder / "node.toml").write_text(f'institution = "{ME}"\ntable = "table.csv"\n', "utf-8")
    (folder / "table.csv").write_text(table(2000, 0), "utf-8")
    found(folder, ME)
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    files = (one for one in folder.rglob("*") if one.is_file())
    return {str(one.relative_to(folder)): one.read_bytes() for one in files}


def test_nothing_is_charged_released_or_sent(
    node: Path,
    tmp_path: Path,
    study: StudyPlan,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every file of the node is as it was, the ledger among them, and no socket is opened."""

    def no_socket(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    model = save(released(study), tmp_path / "run")
    before, model_before = everything(node), everything(model)
    monkeypatch.setattr(socket, "socket", no_socket)

    assert main(["node", "personal", str(node), "--model", str(model)]) == 0

    after = everything(node)
    layer = after.pop("personal.layer")
    assert after == before
    assert any(name.startswith("ledger") for name in before)
    assert everything(model) == model_before
    assert read_personal(layer).model == released(study).digest
    assert (node / "personal.layer").stat().st_mode & 0o077 == 0
    shown = capsys.readouterr().out
    assert "nothing was charged or sent" in shown
    assert "on our held-out records" in shown


def test_our_own_scores_are_those_of_the_layer_and_the_released_ones_stay(
    node: Path, tmp_path: Path, study: StudyPlan
) -> None:
    made = released(study)
    model, layer = save(made, tmp_path / "run"), tmp_path / "own.layer"
    assert main(["node", "personal", str(node), "--model", str(model), "--out", str(layer)]) == 0
    source, out = str(node / "table.csv"), tmp_path / "scores.parquet"
    call = ["score", "--model", str(model), "--in", source, "--out", str(out)]

    assert main(call) == 0
    theirs = pl.read_parquet(out)["pd"].to_numpy()
    assert main([*call, "--personal", str(layer)]) == 0
    ours = pl.read_parquet(out)["pd"].to_numpy()

    bad = pl.read_csv(source)["default"].to_numpy()
    loss = [-np.log(np.where(bad == 1, pd, 1 - pd)).mean() for pd in (theirs, ours)]
    assert loss[1] < loss[0]


def test_a_layer_of_another_model_is_refused(node: Path, tmp_path: Path, study: StudyPlan) -> None:
    model = save(released(study), tmp_path / "run")
    other = save(released(plan("monotone", retries=0), "monotone"), tmp_path / "other")
    assert main(["node", "personal", str(node), "--model", str(model)]) == 0
    out = tmp_path / "scores.csv"
    call = ["score", "--in", str(node / "table.csv"), "--out", str(out)]
    layer = ["--personal", str(node / "personal.layer")]

    assert main([*call, "--model", str(other), *layer]) == 5
    assert main([*call, "--model", str(model), "--personal", str(tmp_path / "none")]) == 1
    assert main([*call, "--model", str(model), "--personal", str(node / "table.csv")]) == 5
    assert not out.exists()


def test_a_model_of_a_study_that_was_never_put_before_us_is_refused(
    node: Path, tmp_path: Path, study: StudyPlan
) -> None:
    other = save(released(plan("monotone", retries=0), "monotone"), tmp_path / "other")
    card = save(released(study, "scorecard"), tmp_path / "card")
    nowhere = str(tmp_path / "no" / "file")
    model = save(released(study), tmp_path / "run")

    assert main(["node", "personal", str(node), "--model", str(other)]) == 1
    assert main(["node", "personal", str(node), "--model", str(card)]) == 5
    assert main(["node", "personal", str(node), "--model", str(node)]) == 1
    assert main(["node", "personal", str(node), "--model", str(model), "--out", nowhere]) == 1
    assert not (node / "personal.layer").exists()


def test_the_layer_is_the_one_that_follows_from_the_rows_that_are_not_held_out(
    node: Path, tmp_path: Path, study: StudyPlan
) -> None:
    """Under the study's own split."""
    made = released(study)
    assert main(["node", "personal", str(node), "--model", str(save(made, tmp_path / "run"))]) == 0
    records = open_table(str(node / "table.csv"), SCHEMA, bytes.fromhex(study.salt))

    found_head = read_personal((node / "personal.layer").read_bytes()).head

    assert found_head.tobytes() == personalise(made, records).head.tobytes()
