"""A node's way to its coordinator's front, over real TLS, with studies as they are served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest

from fedcredit.adapters.coordinator_folder import revoke_institution
from fedcredit.adapters.joining import CoordinatorPlace
from fedcredit.adapters.link import FrontDesk, fetch_result, fleet_line
from fedcredit.adapters.running import studies_app
from fedcredit.adapters.studies import Studies
from fedcredit.data.schema import write_schema
from fedcredit.errors import ConfigError, PeerError, UnreachableError
from fedcredit.units import InstitutionId
from tests.adapters.enrolled import HOST, Consortium, serving, upstream
from tests.federation.made import NAMES, SCHEMA, plan

ME = NAMES[0]


@pytest.fixture
def consortium(tmp_path: Path) -> Consortium:
    made = Consortium(tmp_path).found()
    made.member(ME)
    return made


@pytest.fixture
def node(consortium: Consortium) -> Iterator[Path]:
    """A node that has joined, and the front that it reaches."""
    app = partial(studies_app, consortium.folder)
    apps = {"/v1/studies": app, "/v1/roster": app}
    with upstream(consortium) as place, serving(consortium, place, apps=apps) as port:
        folder = consortium.node(ME)
        there = CoordinatorPlace(
            consortium="Delta",
            url=f"https://{HOST}:{port}",
            name=InstitutionId(ME),
            role="institution",
        )
        (folder / "coordinator.json").write_text(json.dumps(asdict(there)), "utf-8")
        (folder / "keys/authority.pem").write_bytes(
            (consortium.folder / "pki/authority.pem").read_bytes()
        )
        yield folder


def test_a_member_reads_and_answers_its_studies(consortium: Consortium, node: Path) -> None:
    studies = Studies(consortium.folder)
    state = studies.propose(plan(), write_schema(SCHEMA), b"{}")
    desk = FrontDesk(node)
    (listed,) = json.loads(desk.get("/v1/studies"))["studies"]
    assert listed["id"] == state.id
    desk.post(f"/v1/studies/{state.id}/answer", b'{"word": "approved", "note": ""}')
    assert studies.find(state.id).answers[ME].word == "approved"
    with pytest.raises(PeerError, match="status 404"):
        desk.get("/v1/studies/none")
    with pytest.raises(PeerError, match="status 413"):
        desk.post(f"/v1/studies/{state.id}/answer", bytes(1 << 16))
    desk.close()


def test_what_a_study_has_published_is_fetched(consortium: Consortium, node: Path) -> None:
    studies = Studies(consortium.folder)
    state = studies.propose(plan(), write_schema(SCHEMA), b"{}")
    with pytest.raises(PeerError, match="404"):
        fetch_result(node, state.id)
    run = studies.place(state) / "run"
    run.mkdir()
    (run / "report.html").write_bytes(b"a report")
    assert fetch_result(node, state.id) == {"report.html": b"a report"}


def test_whoever_is_revoked_is_told_so(consortium: Consortium, node: Path) -> None:
    desk = FrontDesk(node)
    desk.get("/v1/studies")
    revoke_institution(consortium.folder, ME, "merger", consortium.now)
    with pytest.raises(PeerError, match="status 403"):
        desk.get("/v1/studies")


def test_a_coordinator_that_is_not_there_is_named(node: Path) -> None:
    place = json.loads((node / "coordinator.json").read_text("utf-8"))
    (node / "coordinator.json").write_text(
        json.dumps(place | {"url": f"https://{HOST}:1"}), "utf-8"
    )
    with pytest.raises(UnreachableError, match=f"{HOST}:1"):
        FrontDesk(node).get("/v1/studies")


def test_a_node_that_has_not_joined_is_told_to(consortium: Consortium) -> None:
    consortium.node("shop")
    with pytest.raises(ConfigError, match="join"):
        FrontDesk(consortium.folder.parent / "shop")


def test_flower_is_reached_through_the_same_front(node: Path) -> None:
    line = fleet_line(node)
    assert line.address.startswith(f"{HOST}:")
    assert (line.certificate, line.root) == (node / "keys/member.pem", node / "keys/authority.pem")
    assert line.public_key.startswith(b"-----BEGIN PUBLIC KEY-----")
