"""The folders that Flower's apps work in, and the apps as Flower finds them."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict, UserConfigValue

import coordinator.server_app
import nodes.client_app
from fedcredit.adapters.conducting import conduct_folder
from fedcredit.adapters.flower import LocalGrid, client_app, server_app
from fedcredit.adapters.hosting import Hosts
from fedcredit.adapters.keyring import write_identity, write_roster
from fedcredit.adapters.ledgers import Copy
from fedcredit.adapters.system import StandingClock
from fedcredit.cli.main import main
from fedcredit.data.schema import write_schema
from fedcredit.errors import (
    BudgetExceeded,
    ConfigError,
    IntegrityError,
    LocalError,
    PeerError,
    PrivacyError,
)
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.plan_json import plan_to_json
from fedcredit.secagg.roster import SignedRoster, sign_roster
from fedcredit.units import InstitutionId
from tests.adapters.founded import found, found_centre
from tests.federation.made import NAMES, SCHEMA, keys, plan, roster

DIGEST = plan("scorecard", retries=0).digest()


def table(rows: int, seed: int) -> str:
    generator = np.random.default_rng(seed)
    lines = ["income,late,housing,default"]
    for _ in range(rows):
        late = int(generator.integers(0, 4))
        bad = int(generator.random() < 0.1 + 0.2 * late)
        income = int(generator.integers(0, 8000))
        lines.append(f"{income},{late},{generator.choice(['own', 'rent'])},{bad}")
    return "\n".join(lines) + "\n"


def agree(folder: Path, study: StudyPlan) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schema.toml").write_text(write_schema(SCHEMA), "utf-8")
    (folder / "plan.json").write_text(plan_to_json(study), "utf-8")
    identities, _ = keys(NAMES)
    signed = SignedRoster(roster(study))
    for identity in identities.values():
        signed = sign_roster(signed, identity)
    write_roster(folder / "roster.json", signed)
    if folder.name in identities:
        write_identity(folder / "identity.json", identities[InstitutionId(folder.name)])
    return folder


@pytest.fixture
def study() -> StudyPlan:
    return plan("scorecard", retries=0)


@pytest.fixture
def bank(tmp_path: Path, study: StudyPlan) -> Path:
    folder = agree(tmp_path / NAMES[0], study)
    (folder / "table.csv").write_text(table(300, 0), "utf-8")
    text = f'institution = "{NAMES[0]}"\ntable = "table.csv"\n'
    (folder / "node.toml").write_text(text, "utf-8")
    found(folder, NAMES[0])
    return folder


@pytest.fixture
def folders() -> Iterator[Hosts]:
    held = Hosts()
    yield held
    held.close()


def test_a_study_runs_from_folders_alone(
    tmp_path: Path,
    study: StudyPlan,
    bank: Path,
    folders: Hosts,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Institutions and coordinator share nothing but the plan, the schema and messages."""
    for seed, name in enumerate(NAMES):
        folder = bank if name == NAMES[0] else agree(tmp_path / name, study)
        (folder / "table.csv").write_text(table(300, seed), "utf-8")
        text = (bank / "node.toml").read_text("utf-8").replace(NAMES[0], name)
        (folder / "node.toml").write_text(text, "utf-8")
        if folder != bank:
            found(folder, name)
    centre = agree(tmp_path / "centre", study)
    found_centre(centre)

    clock = StandingClock()
    configs = [{"folder": str(tmp_path / name)} for name in NAMES]
    grid = LocalGrid(client_app(folders), configs, clock=clock)
    run: dict[str, UserConfigValue] = {"folder": str(centre)}
    with caplog.at_level(logging.INFO, "fedcredit.coordinator"):
        server_app(conduct_folder, clock)(grid, Context(1, 0, {}, RecordDict(), run))

    metrics = json.loads((centre / "run" / "metrics.json").read_text("utf-8"))
    assert metrics["claims"]
    assert len(caplog.records) == len(study.rounds)
    assert "6 answered" in caplog.text
    replies = set()
    for name in NAMES:
        lines = Copy(tmp_path / name / "ledger").lines().splitlines()
        entries = [json.loads(line) for line in lines]
        assert 3 * len(study.rounds) <= len(entries) - 3 <= 4 * len(study.rounds)
        replies |= {(name, one["reply"]) for one in entries if one["kind"] == "release"}
    entries = [json.loads(line) for line in Copy(centre / "ledger").lines().splitlines()]
    received = {(one["institution"], one["reply"]) for one in entries if one["kind"] == "receipt"}
    assert received == replies

    with pytest.raises(ConfigError, match="exists"):
        server_app(conduct_folder, clock)(grid, Context(1, 0, {}, RecordDict(), run))


def test_an_institution_is_opened_once(bank: Path, folders: Hosts) -> None:
    """Its table is read once, and its book has one writer."""
    first = folders({"folder": str(bank)}, DIGEST)
    assert folders({"folder": str(bank)}, DIGEST) is first
    with pytest.raises(LocalError, match="open in another"):
        Hosts()({"folder": str(bank)}, DIGEST)


def test_a_message_of_another_plan_is_refused(bank: Path, folders: Hosts) -> None:
    with pytest.raises(PeerError, match="never put before us"):
        folders({"folder": str(bank)}, bytes(32))


def test_a_plan_beyond_the_allowance_is_refused(bank: Path, folders: Hosts) -> None:
    for name in ("ledger", "keys"):
        shutil.rmtree(bank / name)
    found(bank, NAMES[0], epsilon=0.9, automatic=0.9)
    with pytest.raises(BudgetExceeded):
        folders({"folder": str(bank)}, DIGEST)


def test_a_plan_that_nobody_has_approved_waits(bank: Path, folders: Hosts) -> None:
    """Above what the policy approves by itself, a person decides."""
    for name in ("ledger", "keys"):
        shutil.rmtree(bank / name)
    found(bank, NAMES[0], automatic=0.1)
    with pytest.raises(PrivacyError, match="approve"):
        folders({"folder": str(bank)}, DIGEST)
    assert main(["study", "approve", str(bank), "--officer", str(bank / "keys/officer.key")]) == 0
    assert folders({"folder": str(bank)}, DIGEST).institution.name == NAMES[0]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("fewest_institutions = 7", "6 institutions"),
        ("fewest_honest = 5", "4 honest"),
        ("fewest_colluders = 2", "against 1 colluders"),
        ("most_rounds = 4", "5 rounds"),
    ],
)
def test_a_plan_below_the_nodes_own_floor_is_refused(
    line: str, why: str, bank: Path, folders: Hosts
) -> None:
    """Before a record is read, and with the number that is too small or too large."""
    with (bank / "node.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n[floor]\n{line}\n")
    with pytest.raises(PrivacyError, match=why):
        folders({"folder": str(bank)}, DIGEST)


def test_keys_of_another_institution_are_refused(bank: Path, folders: Hosts) -> None:
    """As is a roster that its members have not signed."""
    (bank / "identity.json").unlink()
    write_identity(bank / "identity.json", keys(NAMES)[0][NAMES[1]])
    with pytest.raises(ConfigError, match=f"holds keys of '{NAMES[1]}'"):
        folders({"folder": str(bank)}, DIGEST)


def test_a_roster_that_nobody_signed_does_not_count(bank: Path, folders: Hosts) -> None:
    write_roster(bank / "roster.json", SignedRoster(keys(NAMES)[1]))
    with pytest.raises(PeerError, match="has no signature of 'bank-a'"):
        folders({"folder": str(bank)}, DIGEST)


def test_a_plan_for_another_schema_is_refused(bank: Path, study: StudyPlan, folders: Hosts) -> None:
    other = replace(study, schema=replace(SCHEMA, version=2))
    (bank / "plan.json").write_text(plan_to_json(other), "utf-8")
    with pytest.raises(IntegrityError):
        folders({"folder": str(bank)}, DIGEST)


@pytest.mark.parametrize(
    "name", ["node.toml", "schema.toml", "roster.json", "identity.json", "policy.toml"]
)
def test_a_missing_file_is_named(name: str, bank: Path, folders: Hosts) -> None:
    (bank / name).unlink()
    with pytest.raises(ConfigError, match=name):
        folders({"folder": str(bank)}, DIGEST)


def test_a_wrong_key_is_named(bank: Path, folders: Hosts) -> None:
    with (bank / "node.toml").open("a", encoding="utf-8") as file:
        file.write("epsilom = 1.0\n")
    with pytest.raises(ConfigError, match="'epsilom'"):
        folders({"folder": str(bank)}, DIGEST)


@pytest.mark.parametrize("config", [{}, {"folder": ""}, {"folder": "here"}, {"folder": "/none"}])
def test_a_folder_that_is_not_there_is_refused(config: dict[str, str], folders: Hosts) -> None:
    with pytest.raises(ConfigError, match="names no folder"):
        folders(dict(config), DIGEST)
    with pytest.raises(ConfigError, match="names no folder"):
        conduct_folder(lambda _: lambda *_: [], dict(config))


def test_flower_finds_the_apps_by_name(bank: Path) -> None:
    """As ``nodes.client_app:app`` and ``coordinator.server_app:app``, and they work."""
    grid = LocalGrid(nodes.client_app.app, [{"folder": str(bank)}, {}], clock=StandingClock())
    record = RecordDict({"fedcredit": ConfigRecord({"bytes": DIGEST})})
    sent = [Message(record, node, "query.hello") for node in (1, 2)]
    known, lost = grid.send_and_receive(sent)
    assert known.content["fedcredit"]["bytes"] == NAMES[0].encode()
    assert lost.error.reason == "ConfigError"
    with pytest.raises(ConfigError):
        coordinator.server_app.app(grid, grid.context)
