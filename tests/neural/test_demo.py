"""The demo and a simulated study train a network, and leave one that scores and can be exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedcredit.cli.main import main
from fedcredit.models.network import Network
from fedcredit.scoring.model import read_model
from tests.cli.test_study import SCHEMA, STUDY, table


@pytest.fixture(autouse=True)
def _threads_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_the_demo_trains_a_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep = tmp_path / "demo"
    assert main(["demo", "--learner", "neural", "--scale", "0.05", "--keep", str(keep)]) == 0

    told = capsys.readouterr()
    assert "round 9 of 10, network: 6 of 6 answered" in told.err
    assert "AUC together" in told.out
    released = read_model(
        (keep / "model.safetensors").read_bytes(), (keep / "manifest.json").read_bytes()
    )
    assert isinstance(released.model, Network)
    page = (keep / "report.html").read_text("utf-8")
    assert "<td>network</td>" in page
    assert "no declared direction" in page
    assert main(["model", "export", str(keep), "--out", str(tmp_path / "model.onnx")]) == 0
    assert main(["ledger", "verify", str(keep / "audit.zip")]) == 0


def test_a_simulated_study_trains_a_monotone_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [STUDY.replace('"scorecard"', '"monotone"')]
    for at in range(4):
        table(1500, at).write_csv(tmp_path / f"{at}.csv")
        lines.append(f'[[institutions]]\nname = "bank-{at}"\ntable = "{at}.csv"\n')
    (tmp_path / "study.toml").write_text("\n".join(lines), "utf-8")
    (tmp_path / "schema.toml").write_text(SCHEMA, "utf-8")
    out = tmp_path / "run"

    assert main(["study", "simulate", str(tmp_path / "study.toml"), "--out", str(out)]) == 0

    assert json.loads((out / "manifest.json").read_bytes())["kind"] == "monotone"
    capsys.readouterr()
