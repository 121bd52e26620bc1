"""What an institution may ask a coordinator about studies, by its certificate's name.

    GET  /v1/studies               the studies that name it
    GET  /v1/studies/<id>          plan, schema and roster
    POST /v1/studies/<id>/answer   what it says: approved, refused, or waiting for its people
    GET  /v1/studies/<id>/result   what the study has published, as a zip
    GET  /v1/roster                the roster, with the signatures so far
    POST /v1/roster                a member's own signature under it

A study that does not name the institution is not there for it.
"""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

from fedcredit.adapters.keyring import read_roster, write_roster
from fedcredit.adapters.studies import WORDS, Studies, StudyState
from fedcredit.errors import ConfigError, PeerError
from fedcredit.secagg.roster import add_signature
from fedcredit.units import InstitutionId

__all__ = ["ANSWER_LIMIT_BYTES", "Reply", "respond"]

ANSWER_LIMIT_BYTES: Final = 4096
_JSON: Final = "application/json"


class Reply(NamedTuple):
    """An answer, as HTTP has it."""

    status: int
    content_type: str
    body: bytes


def respond(folder: Path, institution: str, method: str, path: str, body: bytes) -> Reply:
    """Answer one request.

    Args:
        folder: the coordinator's.
        institution: whose certificate it came with.
        method: of HTTP.
        path: of HTTP, without a query.
        body: at most `ANSWER_LIMIT_BYTES`.
    """
    if path == "/v1/roster":
        return _roster(folder, institution, method, body)
    studies = Studies(folder)
    words = path.removeprefix("/v1/studies").strip("/").split("/")
    ours = {one.id: one for one in studies.all() if institution in one.institutions}
    if (method, words) == ("GET", [""]):
        return _json({"studies": [_shown(one) for one in ours.values()]})
    study = ours.get(words[0])
    if study is None:
        return _no(404, "no such study")
    place = studies.place(study)
    match (method, words[1:]):
        case ("GET", []):
            names = ("plan.json", "schema.toml", "roster.json")
            return _json({name: (place / name).read_text("utf-8") for name in names})
        case ("GET", ["result"]):
            return _result(place / "run")
        case ("POST", ["answer"]):
            return _answer(studies, study, institution, body)
    return _no(404, "no such thing")


def _answer(studies: Studies, study: StudyState, institution: str, body: bytes) -> Reply:
    """Keep what an institution says."""
    said = _table(body)
    word, note = said.get("word"), said.get("note")
    known = next((one for one in WORDS if one == word), None)
    if known is None or not isinstance(note, str):
        return _no(400, "an answer is a word and a note")
    try:
        return _json(_shown(studies.answer(study, institution, known, note)))
    except ConfigError as problem:
        return _no(409, problem.what)


def _roster(folder: Path, institution: str, method: str, body: bytes) -> Reply:
    """The roster, or a signature for it."""
    path = folder / "roster.json"
    if not path.exists():
        return _no(404, "there is no roster yet")
    if method == "POST":
        said = _table(body)
        try:
            signature = bytes.fromhex(str(said.get("signature")))
            signed = add_signature(read_roster(path), InstitutionId(institution), signature)
        except (ValueError, PeerError):
            return _no(409, "the signature is not the member's under this roster")
        write_roster(path, signed)
    return Reply(200, _JSON, path.read_bytes())


def _table(body: bytes) -> dict[str, object]:
    """An object of JSON; empty for anything else."""
    try:
        said = json.loads(body) if len(body) <= ANSWER_LIMIT_BYTES else None
    except (ValueError, RecursionError):
        said = None
    return said if isinstance(said, dict) else {}


def _result(run: Path) -> Reply:
    """All files of a run but the ledgers' bundle, which is for auditors."""
    if not run.is_dir():
        return _no(404, "the study is not over")
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as file:
        for path in sorted(run.iterdir()):
            if path.is_file() and path.name != "audit.zip":
                file.write(path, path.name)
    return Reply(200, "application/zip", buffer.getvalue())


def _shown(study: StudyState) -> dict[str, object]:
    """A study, for an institution: not what others have said of it."""
    return {"id": study.id, "name": study.name, "plan": study.plan, "state": study.state}


def _json(table: object) -> Reply:
    """A good answer."""
    return Reply(200, _JSON, json.dumps(table).encode())


def _no(status: int, why: str) -> Reply:
    """A refusal."""
    return Reply(status, _JSON, json.dumps({"error": why}).encode())
