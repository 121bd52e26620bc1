"""Leaving over TLS: what the coordinator knows then, and what the node still does."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from fedcredit.adapters.coordinator_folder import read_register, revoke_institution
from fedcredit.adapters.front import SuperLinkPlace
from fedcredit.adapters.joining import join, renew
from fedcredit.adapters.leaving import leave
from fedcredit.adapters.left import LEFT, read_left
from fedcredit.adapters.notebook import NOTES
from fedcredit.adapters.running import RunningNode
from fedcredit.errors import ConfigError, EnrolmentRefused, UnreachableError
from tests.adapters.enrolled import Consortium, serving
from tests.adapters.test_joining import approval, invited, joined, standing, waiting_for

AT = "2026-11-25T12:00:00Z"
LATER = "2026-11-26T12:00:00Z"


def kept(folder: Path) -> dict[str, bytes]:
    """Everything in a node's folder but the one file that says that it has left."""
    return {
        str(one.relative_to(folder)): one.read_bytes()
        for one in folder.rglob("*")
        if one.is_file() and one.name != LEFT
    }


def notes(consortium: Consortium) -> list[str]:
    return (consortium.folder / NOTES).read_text("ascii").splitlines()


def test_who_leaves_is_let_in_no_more_and_keeps_every_file(
    consortium: Consortium, port: int
) -> None:
    folder = joined(consortium, port)
    before = kept(folder)
    assert standing(consortium, port, folder) == 200, "the control"
    assert leave(folder, "merger", AT)
    assert standing(consortium, port, folder) == 403
    assert kept(folder) == before
    found = read_register(consortium.folder).named("bank")
    assert (found.state, found.reason) == ("revoked", "it left: merger")
    (line,) = notes(consortium)
    assert line.endswith(" bank leaves the consortium: merger")


def test_to_leave_twice_is_to_leave_once(consortium: Consortium, port: int) -> None:
    """Also where the answer was lost, and so the node does not know that it was heard."""
    folder = joined(consortium, port)
    assert leave(folder, "", AT)
    assert not leave(folder, "", LATER)
    path = folder / LEFT
    path.write_text(json.dumps(json.loads(path.read_text("ascii")) | {"told": False}), "ascii")
    assert leave(folder, "", LATER)
    left = read_left(folder)
    assert left is not None
    assert (left.at, left.told) == (AT, True)
    assert len(notes(consortium)) == 1


def test_who_was_put_out_before_has_left_all_the_same(consortium: Consortium, port: int) -> None:
    folder = joined(consortium, port)
    revoke_institution(consortium.folder, "bank", "key lost", consortium.now)
    assert leave(folder, "", AT)
    assert read_register(consortium.folder).named("bank").reason == "key lost"


def test_a_coordinator_that_is_away_keeps_nobody(
    consortium: Consortium, place: SuperLinkPlace
) -> None:
    with serving(consortium, place) as port:
        folder = joined(consortium, port)
    with pytest.raises(UnreachableError, match="the coordinator does not know") as problem:
        leave(folder, "", AT)
    assert "fedcredit coordinator revoke FOLDER bank" in problem.value.remedy
    with pytest.raises(ConfigError, match="has left the consortium"):
        RunningNode(folder)
    assert read_register(consortium.folder).named("bank").state == "member"


def test_a_node_that_has_left_neither_runs_nor_renews(consortium: Consortium, port: int) -> None:
    folder = joined(consortium, port)
    leave(folder, "", AT)
    with pytest.raises(ConfigError, match="has left the consortium"):
        RunningNode(folder)
    with pytest.raises(ConfigError, match="has left the consortium"):
        renew(folder, waiting_for(), print)


def test_who_is_invited_anew_comes_back_with_its_ledger(consortium: Consortium, port: int) -> None:
    folder, words = joined(consortium, port), list[str]()
    ledger = (folder / "keys/ledger.key").read_bytes()
    leave(folder, "", AT)
    patience = waiting_for(approval(consortium, words))
    join(folder, invited(consortium, port), patience, words.append)
    assert read_left(folder) is None
    assert standing(consortium, port, folder) == 200
    assert (folder / "keys/ledger.key").read_bytes() == ledger


def test_an_invitation_that_fails_leaves_it_out(consortium: Consortium, port: int) -> None:
    folder = joined(consortium, port)
    leave(folder, "", AT)
    with pytest.raises(UnreachableError, match="nobody has approved"):
        join(folder, invited(consortium, port), waiting_for(), print)
    assert read_left(folder) is not None


@pytest.mark.parametrize("reason", ["two\nlines", "caf\u00e9", "x" * 201])
def test_a_reason_that_is_no_plain_text_changes_nothing(
    reason: str, consortium: Consortium, port: int
) -> None:
    folder = joined(consortium, port)
    with pytest.raises(ConfigError, match="not a plain text"):
        leave(folder, reason, AT)
    assert read_left(folder) is None
    with consortium.client(port, folder / "keys/member.pem") as line:
        assert line.post("/enrol/leave", json={"reason": reason}).status_code == 400
    assert standing(consortium, port, folder) == 200


def test_only_a_member_can_leave_and_only_for_itself(consortium: Consortium, port: int) -> None:
    folder = joined(consortium, port)
    with consortium.client(port) as line:
        assert line.post("/enrol/leave", json={"reason": ""}).status_code == 401
    with consortium.client(port, folder / "keys/member.pem") as line:
        other = {"reason": "", "name": "shop"}
        assert line.post("/enrol/leave", json=other).status_code == 400
    assert standing(consortium, port, folder) == 200


def test_a_certificate_that_has_ended_cannot_tell(
    consortium: Consortium, place: SuperLinkPlace
) -> None:
    """The operator does it then; the node has stopped."""
    with serving(consortium, place) as port:
        folder = joined(consortium, port)
        path = folder / "coordinator.json"
    with serving(consortium, place, ahead=timedelta(days=400)) as port:
        told = json.loads(path.read_text("utf-8")) | {"url": f"https://127.0.0.1:{port}"}
        path.write_text(json.dumps(told), "utf-8")
        with pytest.raises(EnrolmentRefused, match="has ended"):
            leave(folder, "", AT)
    left = read_left(folder)
    assert left is not None
    assert not left.told


def test_what_says_that_it_has_left_is_read_strictly_and_written_anew(
    consortium: Consortium, port: int
) -> None:
    folder = joined(consortium, port)
    (folder / LEFT).write_text("[]", "ascii")
    with pytest.raises(ConfigError, match="is not a JSON object"):
        read_left(folder)
    with pytest.raises(ConfigError, match="has left the consortium"):
        RunningNode(folder)
    assert leave(folder, "", AT)
    left = read_left(folder)
    assert left is not None
    assert left.told


def test_a_node_that_never_joined_cannot_leave(consortium: Consortium) -> None:
    folder = consortium.node("bank")
    with pytest.raises(ConfigError, match=r"coordinator\.json"):
        leave(folder, "", AT)
    assert read_left(folder) is None
