"""`fedcredit node`: keys, cards, and a roster that counts when its members have signed it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fedcredit.cli.main import main

NAMES = ("bank", "shop", "telco")


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """A folder with keys for each institution."""
    for name in NAMES:
        assert main(["node", "keys", str(tmp_path / name), "--name", name]) == 0
    return {name: tmp_path / name for name in NAMES}


def draft(places: dict[str, Path], *more: str) -> int:
    cards = [str(place / "card.json") for place in places.values()]
    out = str(places["bank"] / "roster.json")
    return main(["node", "roster", "draft", *cards, "--out", out, *more])


def signed_by_all(places: dict[str, Path]) -> None:
    assert draft(places) == 0
    last = places["bank"]
    for place in places.values():
        if place != last:
            shutil.copy(last / "roster.json", place / "roster.json")
        assert main(["node", "roster", "sign", str(place), "--yes"]) == 0
        last = place


def test_keys_are_for_their_owner_and_are_never_replaced(
    places: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """And the card holds none of them."""
    path = places["bank"] / "identity.json"
    assert path.stat().st_mode & 0o777 == 0o600
    secret = json.loads(path.read_text("utf-8"))
    card = (places["bank"] / "card.json").read_text("utf-8")
    assert secret["signing"] not in card
    assert secret["sealing"] not in card
    before = path.read_bytes()
    assert main(["node", "keys", str(places["bank"]), "--name", "bank"]) == 1
    assert "exists" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_name_must_be_one_that_plans_can_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["node", "keys", str(tmp_path), "--name", "North Bank"]) == 1
    assert "cannot be a file's" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_roster_counts_when_all_three_have_signed(
    places: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """With two signatures of three it does not, and says what is missing."""
    assert draft(places) == 0
    bank = str(places["bank"])
    assert main(["node", "roster", "sign", bank, "--yes"]) == 0
    capsys.readouterr()
    assert main(["node", "roster", "show", bank]) == 5
    shown = capsys.readouterr()
    assert "1 of 3 have signed, 3 needed" in shown.out
    assert "fewer than 3 true signatures" in shown.err
    (places["bank"] / "roster.json").unlink()

    signed_by_all(places)
    capsys.readouterr()
    telco = str(places["telco"])
    assert main(["node", "roster", "show", telco]) == 0
    assert capsys.readouterr().out.endswith("It counts for telco.\n")
    assert main(["node", "roster", "show", telco, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["counts"]
    assert [one["name"] for one in found["members"]] == list(NAMES)
    assert all(one["signed"] for one in found["members"])


def test_a_coordinator_that_changes_a_key_is_noticed(
    places: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Another member's: its signature is false. Our own: we do not sign."""
    signed_by_all(places)
    path = places["telco"] / "roster.json"
    table = json.loads(path.read_text("utf-8"))
    stranger = places["bank"].parent / "stranger"
    assert main(["node", "keys", str(stranger), "--name", "shop"]) == 0
    card = json.loads((stranger / "card.json").read_text("utf-8"))
    table["members"][1] |= card
    path.write_text(json.dumps(table), "utf-8")
    assert main(["node", "roster", "show", str(places["telco"])]) == 5
    assert "is false" in capsys.readouterr().err
    shutil.copy(path, places["shop"] / "roster.json")
    assert main(["node", "roster", "sign", str(places["shop"]), "--yes"]) == 5
    assert "other keys than its own" in capsys.readouterr().err


def test_nothing_is_signed_without_a_yes(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert draft(places) == 0
    monkeypatch.setattr("typer.confirm", lambda _: False)
    path = places["bank"] / "roster.json"
    before = path.read_bytes()
    assert main(["node", "roster", "sign", str(places["bank"])]) == 1
    assert path.read_bytes() == before
    monkeypatch.setattr("typer.confirm", lambda _: True)
    assert main(["node", "roster", "sign", str(places["bank"])]) == 0
    assert path.read_bytes() != before


def test_a_later_roster_names_the_one_before(places: dict[str, Path]) -> None:
    """And an existing file is never overwritten."""
    signed_by_all(places)
    assert draft(places) == 1
    second = places["bank"].parent / "second.json"
    cards = [str(place / "card.json") for place in places.values()]
    before = str(places["telco"] / "roster.json")
    words = ["node", "roster", "draft", *cards, "--out", str(second), "--after", before]
    assert main(words) == 0
    assert json.loads(second.read_text("utf-8"))["epoch"] == 1


@pytest.mark.parametrize("text", ["", "[]", "{", '{"name": "x"}', "\xff"])
def test_a_malformed_card_is_named(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "card.json"
    card.write_text(text, "latin-1")
    out = str(tmp_path / "roster.json")
    assert main(["node", "roster", "draft", str(card), "--out", out]) == 1
    assert "card.json" in capsys.readouterr().err
