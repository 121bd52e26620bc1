"""A whole study over Flower as it is installed: a SuperLink, three SuperNodes, one `flwr run`.

Nothing of ours stands in for anything: stock programs carry the messages, every message
starts a process of its own, and the institutions share nothing but files that their people
exchanged beforehand. `make superlink` runs it; it takes some minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from fedcredit.adapters.keyring import write_identity, write_roster
from fedcredit.adapters.system import system_random
from fedcredit.data.schema import write_schema
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.plan_json import plan_to_json
from fedcredit.secagg.keys import new_identity
from fedcredit.secagg.roster import Roster, SignedRoster, sign_roster
from fedcredit.units import InstitutionId
from tests.federation.made import SCHEMA, plan

ROOT: Final = Path(__file__).resolve().parents[2]
BIN: Final = Path(sys.executable).parent
NAMES: Final = tuple(InstitutionId(name) for name in ("bank", "shop", "telco"))
PATIENCE_S: Final = 900

APP: Final = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "fedcredit-app"
version = "1.0.0"
license = { file = "LICENSE" }
dependencies = ["flwr>=1.41"]

[tool.flwr.app]
publisher = "fedcredit"
fab-format-version = 1
flwr-version-target = "1.41.0"
fab-include = ["LICENSE", "nodes/**/*.py", "coordinator/**/*.py"]

[tool.flwr.app.components]
serverapp = "coordinator.server_app:app"
clientapp = "nodes.client_app:app"

[tool.flwr.app.config]
folder = ""
"""

NODE: Final = """
institution = "{name}"
table = "table.csv"
"""

POLICY: Final = """
origin = "consortium.example/{name}"

[budget]
epsilon = 1.5
epsilon_local = 4.0
person_epsilon = 9.0
person_epsilon_local = 12.0

[period]
begins = "{year}-01-01"
ends = "{next}-01-01"

[study]
epsilon = 1.5
automatic_epsilon = 1.5
"""

CENTRE: Final = """
origin = "consortium.example/coordinator"
"""

WITNESS: Final = """
[[witness]]
key = "{key}"
url = "http://127.0.0.1:{port}"
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def table(seed: int) -> str:
    """Rows in which late payers default more often."""
    draw = np.random.default_rng(seed)
    lines = ["income,late,housing,default"]
    for _ in range(2000):
        late = int(draw.integers(0, 4))
        bad = int(draw.random() < 0.05 + 0.15 * late)
        lines.append(f"{draw.integers(0, 8000)},{late},{draw.choice(['own', 'rent'])},{bad}")
    return "\n".join(lines) + "\n"


def folders(base: Path) -> tuple[StudyPlan, Path]:
    """A folder for each institution and one for the coordinator."""
    study = plan("scorecard", NAMES, retries=1, deadline_s=240.0)
    identities = [new_identity(name, system_random) for name in NAMES]
    signed = SignedRoster(Roster(0, b"", tuple(one.card for one in identities)))
    for identity in identities:
        signed = sign_roster(signed, identity)
    for seed, name in enumerate((*NAMES, "coordinator")):
        folder = base / name
        folder.mkdir()
        (folder / "schema.toml").write_text(write_schema(SCHEMA), "utf-8")
        (folder / "plan.json").write_text(plan_to_json(study), "utf-8")
        write_roster(folder / "roster.json", signed)
        if name in NAMES:
            (folder / "table.csv").write_text(table(seed), "utf-8")
            (folder / "node.toml").write_text(NODE.format(name=name), "utf-8")
            write_identity(folder / "identity.json", identities[seed])
    return study, base / "coordinator"


def fedcredit(*words: str) -> str:
    """What a command of ours prints."""
    done = subprocess.run([BIN / "fedcredit", *words], capture_output=True, text=True, check=True)
    return done.stdout


def ledgers(base: Path) -> list[tuple[str, list[str]]]:
    """A ledger for each side, which the others' witnesses sign for; how these are started."""
    sides = (*NAMES, "coordinator")
    ports = {name: free_port() for name in NAMES}
    keys = {
        name: fedcredit(
            "witness", "key", str(base / name / "witness"), "--name", f"{name}.example/witness"
        ).strip()
        for name in NAMES
    }
    year = time.gmtime().tm_year
    for name in sides:
        text = CENTRE if name == "coordinator" else POLICY
        text = text.format(name=name, year=year, next=year + 1)
        text += "".join(
            WITNESS.format(key=keys[one], port=ports[one]) for one in NAMES if one != name
        )
        (base / name / "policy.toml").write_text(text, "utf-8")
        words = ["--coordinator"] if name == "coordinator" else []
        told = fedcredit("ledger", "init", str(base / name), *words)
        key = told.split()[-1]
        for other in NAMES:
            if other != name:
                fedcredit(
                    "witness",
                    "add",
                    str(base / other / "witness"),
                    f"consortium.example/{name}",
                    key,
                )
    return [
        (
            f"witness-{name}",
            [
                str(BIN / "fedcredit"),
                "witness",
                "run",
                str(base / name / "witness"),
                "--port",
                str(ports[name]),
            ],
        )
        for name in NAMES
    ]


def environment(base: Path) -> dict[str, str]:
    """Flower's own habits off, and its own files in a folder of ours."""
    return {
        "HOME": str(base),
        "FLWR_HOME": str(base / "flwr"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }


@contextmanager
def running(base: Path, commands: Sequence[tuple[str, list[str]]]) -> Iterator[None]:
    """Programs that run while the block does, each with its log."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name, command in commands:
            with (base / f"{name}.log").open("wb") as log:
                started.append(
                    subprocess.Popen(
                        command,
                        env=environment(base),
                        cwd=base,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
            time.sleep(1.0 if name != "superlink" else 6.0)
        yield
    finally:
        for one in started:
            os.killpg(one.pid, 9)
            one.wait()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of everything, after the study."""
    base = tmp_path_factory.mktemp("superlink")
    _, centre = folders(base)
    app = base / "app"
    for package in ("nodes", "coordinator"):
        shutil.copytree(ROOT / package, app / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "LICENSE", app / "LICENSE")
    (app / "pyproject.toml").write_text(APP, "utf-8")
    port = free_port()
    (base / "flwr").mkdir()
    (base / "flwr" / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "127.0.0.1:{port}"\n'
        "insecure = true\n",
        "utf-8",
    )
    link = [str(BIN / "flower-superlink"), "--insecure", "--host", "127.0.0.1"]
    commands = [("superlink", [*link, "--port", str(port)]), *ledgers(base)]
    for name in NAMES:
        node = [str(BIN / "flower-supernode"), "--insecure", "--superlink", f"127.0.0.1:{port}"]
        node += ["--host", "127.0.0.1", "--port", str(free_port())]
        node += ["--node-config", f'folder="{base / name}"']
        commands.append((f"node-{name}", node))
    with running(base, commands):
        run = [str(BIN / "flwr"), "run", str(app), "here", "--stream"]
        done = subprocess.run(
            [*run, "--run-config", f'folder="{centre}"'],
            env=environment(base),
            cwd=base,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        (base / "run.log").write_text(done.stdout + done.stderr, "utf-8")
    return base


def test_a_study_completes_over_a_stock_superlink(study: Path) -> None:
    """All rounds, all institutions, the claim in force, and a report."""
    shown = (study / "run.log").read_text("utf-8")
    assert (study / "coordinator" / "run" / "report.html").exists(), shown[-3000:]
    metrics = json.loads((study / "coordinator" / "run" / "metrics.json").read_text("utf-8"))
    assert metrics["claims"]["in_force_name"] == "distributed"
    assert metrics["claims"]["in_force"]["epsilon"] <= 1.0
    assert metrics["metrics"]["auc"] > 0.6


def test_every_institution_charged_each_round_once(study: Path) -> None:
    """And took each later step of a turn once, says its ledger."""
    for name in NAMES:
        lines = (study / name / "ledger" / "ledger.jsonl").read_text("utf-8").splitlines()
        entries = [json.loads(line) for line in lines]
        for kind in ("charge", "release", "reveal"):
            turns = [(one["round"], one["attempt"]) for one in entries if one["kind"] == kind]
            assert len(turns) == len(set(turns)) >= 5
        assert len([one for one in entries if one["kind"] == "agree"]) <= len(entries)


def test_an_auditor_can_check_the_ledgers_of_all_sides(study: Path) -> None:
    """Cosigned by two others before anything left; receipts are releases."""
    sides = [str(study / name) for name in (*NAMES, "coordinator")]
    fedcredit("ledger", "bundle", *sides, "--out", str(study / "audit.zip"))
    found = json.loads(fedcredit("ledger", "verify", str(study / "audit.zip"), "--json"))
    assert (found["verdict"], found["problems"]) == ("holds", [])
    assert found["coordinator"]["matched"] == found["coordinator"]["receipts"] > 0
    assert all(len(one["cosigned"]) >= 2 for one in found["ledgers"])


def test_a_restart_of_every_node_between_messages_loses_no_secret(study: Path) -> None:
    """Stock nodes start a process for each message: all state came from vault and ledger."""
    for name in NAMES:
        (vault,) = (study / name / "vault").iterdir()
        assert vault.stat().st_mode & 0o077 == 0
        assert vault.stat().st_size < 10_000
