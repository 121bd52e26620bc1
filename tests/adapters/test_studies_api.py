"""What an institution may ask about studies: its own, and nothing that others have said."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from fedcredit.adapters.keyring import read_roster, write_roster
from fedcredit.adapters.studies import Studies, StudyState
from fedcredit.adapters.studies_api import ANSWER_LIMIT_BYTES, Reply, respond
from fedcredit.data.schema import write_schema
from fedcredit.secagg.roster import SignedRoster
from tests.federation.made import NAMES, SCHEMA, keys, plan

ME = NAMES[0]


@pytest.fixture
def study(tmp_path: Path) -> StudyState:
    return Studies(tmp_path).propose(plan(), write_schema(SCHEMA), b"{}")


def ask(folder: Path, path: str, body: bytes = b"", method: str = "", who: str = ME) -> Reply:
    return respond(folder, who, method or ("POST" if body else "GET"), path, body)


def test_the_studies_that_name_it_are_listed_without_the_answers_of_others(
    tmp_path: Path, study: StudyState
) -> None:
    Studies(tmp_path).answer(study, NAMES[1], "refused", "a secret reason")
    reply = ask(tmp_path, "/v1/studies")
    assert reply.status == 200
    (shown,) = json.loads(reply.body)["studies"]
    assert shown == {"id": study.id, "name": study.name, "plan": study.plan, "state": "proposed"}
    assert json.loads(ask(tmp_path, "/v1/studies", who="stranger").body) == {"studies": []}


def test_a_study_is_handed_out_to_whom_it_names(tmp_path: Path, study: StudyState) -> None:
    body = json.loads(ask(tmp_path, f"/v1/studies/{study.id}").body)
    assert set(body) == {"plan.json", "schema.toml", "roster.json"}
    assert body["schema.toml"] == write_schema(SCHEMA)
    assert ask(tmp_path, f"/v1/studies/{study.id}", who="stranger").status == 404


@pytest.mark.parametrize("word", ["approved", "refused", "waiting"])
def test_an_answer_is_kept(tmp_path: Path, study: StudyState, word: str) -> None:
    body = json.dumps({"word": word, "note": "n"}).encode()
    assert ask(tmp_path, f"/v1/studies/{study.id}/answer", body).status == 200
    assert Studies(tmp_path).find(study.id).answers[ME].word == word


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"[]",
        b'{"word": "maybe", "note": ""}',
        b'{"word": "approved"}',
        b'{"word": ["approved"], "note": ""}',
        b'{"word": "approved", "note": 7}',
        b"[" * 3000,
        json.dumps({"word": "approved", "note": "x" * ANSWER_LIMIT_BYTES}).encode(),
    ],
)
def test_what_is_no_answer_changes_nothing(tmp_path: Path, study: StudyState, body: bytes) -> None:
    assert ask(tmp_path, f"/v1/studies/{study.id}/answer", body).status == 400
    assert Studies(tmp_path).find(study.id).answers == {}


@pytest.mark.parametrize("path", ["/v1/studies/x", "/v1/studies/../..", "/v1/studies//answer"])
def test_a_study_that_is_not_there_is_not_there(
    tmp_path: Path, study: StudyState, path: str
) -> None:
    assert ask(tmp_path, path).status == 404
    assert ask(tmp_path, f"/v1/studies/{study.id}/nothing").status == 404
    assert ask(tmp_path, f"/v1/studies/{study.id}", method="DELETE").status == 404


def test_the_result_is_what_was_published_without_the_auditors_bundle(
    tmp_path: Path, study: StudyState
) -> None:
    assert ask(tmp_path, f"/v1/studies/{study.id}/result").status == 404
    run = Studies(tmp_path).place(study) / "run"
    run.mkdir()
    for name in ("report.html", "audit.zip"):
        (run / name).write_text(name, "utf-8")
    reply = ask(tmp_path, f"/v1/studies/{study.id}/result")
    with ZipFile(BytesIO(reply.body)) as file:
        assert file.namelist() == ["report.html"]


def test_a_member_signs_the_roster_for_itself_alone(tmp_path: Path) -> None:
    assert ask(tmp_path, "/v1/roster").status == 404
    identities, roster = keys(NAMES)
    write_roster(tmp_path / "roster.json", SignedRoster(roster))
    assert ask(tmp_path, "/v1/roster").body == (tmp_path / "roster.json").read_bytes()
    signature = identities[ME].sign(roster.digest()).hex()
    body = json.dumps({"signature": signature}).encode()
    assert ask(tmp_path, "/v1/roster", body, who=NAMES[1]).status == 409
    assert ask(tmp_path, "/v1/roster", body, who="stranger").status == 409
    assert ask(tmp_path, "/v1/roster", b'{"signature": 7}').status == 409
    assert read_roster(tmp_path / "roster.json").signatures == {}
    assert ask(tmp_path, "/v1/roster", body).status == 200
    assert set(read_roster(tmp_path / "roster.json").signatures) == {ME}
