"""A run folder holds the whole study: what was agreed, learned, charged and found."""

from __future__ import annotations

import csv
import io
import json
from functools import cache

import numpy as np

from fedcredit.adapters.system import system_random
from fedcredit.data.records import Records, in_memory
from fedcredit.data.schema import read_schema
from fedcredit.federation.institution import Institution
from fedcredit.federation.plan_json import plan_from_json
from fedcredit.federation.simulate import StudyResult, finish, plain_calls, run_study
from fedcredit.federation.study import Study, draw_up
from fedcredit.federation.terms import terms_of
from fedcredit.learners.registry import learner_named
from fedcredit.report.folder import FILES, findings_of, release_model, run_files
from fedcredit.scoring.model import read_model
from tests.federation.books import MemoryBook
from tests.federation.made import joined, keys
from tests.report.made import NAMES
from tests.scoring.made import SCHEMA


def records(seed: int) -> Records:
    draw = np.random.default_rng(seed)
    cells = np.stack([draw.integers(0, one.cell_count, 2000) for one in SCHEMA.features])
    bad = draw.random(2000) < 0.05 + 0.1 * cells[1] / 6
    return in_memory(SCHEMA, cells.astype(np.uint8), bad.astype(np.uint8), draw.random(2000) < 0.2)


@cache
def study(*, evaluate: bool) -> StudyResult:
    """A small study that was really run."""
    wanted = Study(
        name="small", purpose="a test", learner="scorecard", salt="00" * 16, seed="11" * 16,
        evaluate=evaluate,
    )  # fmt: skip
    learner = learner_named("scorecard")
    plan = draw_up(wanted, learner, SCHEMA, NAMES)
    members = {
        name: Institution(name, plan, terms_of(plan), records(k), MemoryBook(), system_random)
        for k, name in enumerate(NAMES)
    }
    return finish(run_study(plan, learner, plain_calls(joined(plan, members)), keys(NAMES)[1]))


def files(*, evaluate: bool = True, audit: bytes = b"a zip") -> dict[str, bytes]:
    result = study(evaluate=evaluate)
    found = findings_of(result, release_model(result), made_on="2026-11-23", software="fedcredit")
    return run_files(found, audit)


def test_every_file_is_there() -> None:
    assert tuple(sorted(files())) == tuple(sorted(FILES))


def test_the_model_and_the_plan_read_back() -> None:
    """Each file is complete in itself, and all name the same plan."""
    written, result = files(), study(evaluate=True)
    model = read_model(written["model.safetensors"], written["manifest.json"])
    schema = read_schema(written["schema.toml"].decode(), "schema.toml")
    plan = plan_from_json(written["plan.json"].decode(), "plan.json", schema)
    assert plan == result.plan
    assert model.plan_digest == plan.digest().hex()
    assert model.schema == schema
    assert model.claim == result.claim
    record = json.loads(written["model_record.json"])
    assert record["study"]["model_digest"] == model.digest


def test_the_bundle_of_ledgers_is_there_where_there_is_one() -> None:
    """A coordinator does not see its institutions' ledgers."""
    assert files()["audit.zip"] == b"a zip"
    assert set(files()) - set(files(audit=b"")) == {"audit.zip"}


def test_the_charges_are_the_events() -> None:
    """What was asked in every attempt."""
    result = study(evaluate=True)
    lines = [json.loads(line) for line in files()["charges.jsonl"].splitlines()]
    assert len(lines) == len(result.events)
    assert {line["entry"] for line in lines} == {"charge"}


def test_metrics_lead_with_the_claim_in_force() -> None:
    metrics = json.loads(files()["metrics.json"])
    assert metrics["claims"]["in_force_name"] == "distributed"
    assert metrics["metrics"]["auc_se"] > 0
    assert json.loads(files(evaluate=False)["metrics.json"])["metrics"] == {}


def test_the_points_table_covers_every_feature() -> None:
    lines = list(csv.DictReader(io.StringIO(files()["points.csv"].decode())))
    assert {line["variable"] for line in lines[1:]} == {"income", "late", "home"}


def test_no_file_holds_a_figure_for_own_eyes_or_an_exact_count() -> None:
    """Counts of records anywhere in the folder are noisy ones."""
    record = json.loads(files()["model_record.json"])
    assert record["own"] == []
    assert record["applicant"] == []
    exact = {sum(int(b.held_out.sum()) for k in range(4) for b in records(k).batches())}
    assert not exact & {round(record["metrics"]["records"], 6)}
    assert "noisy" in record["scale"]["sample"]
