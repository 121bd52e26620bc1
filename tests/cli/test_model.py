"""`fedcredit model`: what it says where its extra is missing or there is no model."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcredit.cli import model
from fedcredit.cli.main import main
from fedcredit.scoring.model import write_model
from tests.scoring.made import released


def test_where_onnx_is_not_installed_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = zip(
        ("model.safetensors", "manifest.json"), write_model(released("neural")), strict=True
    )
    for name, data in files:
        (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(model, "find_spec", lambda name: None)

    assert main(["model", "export", str(tmp_path), "--out", str(tmp_path / "m.onnx")]) == 1

    assert "fedcredit[onnx]" in capsys.readouterr().err
    assert not (tmp_path / "m.onnx").exists()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    assert main(["model", "export", str(tmp_path), "--out", str(tmp_path / "m.onnx")]) == 1
