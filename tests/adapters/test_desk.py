"""The enrolment desk: whatever is sent, the answer is a refusal or the sender's own state."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.adapters.coordinator_folder import invite_institution, read_register
from fedcredit.adapters.desk import Desk
from fedcredit.adapters.system import system_random
from fedcredit.errors import EnrolmentRefused
from tests.adapters.enrolled import Consortium

TEXT = st.text(st.characters(), max_size=20) | st.sampled_from(["bank", "ab" * 32, "\ud800"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={"name": TEXT | JSON, "token": TEXT | JSON, "card": JSON, "request": TEXT | JSON},
)


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    made = Consortium(tmp_path_factory.mktemp("consortium")).found()
    made.member("bank")
    return made


@pytest.fixture(scope="module")
def desk(consortium: Consortium) -> Desk:
    return Desk(consortium.folder, lambda: consortium.now)


def is_refused(desk: Desk, data: bytes) -> None:
    """By every call that takes a body, and by a class that names what is wrong."""
    for call in (desk.join, desk.collect, lambda one: desk.renew("bank", one)):
        with pytest.raises(EnrolmentRefused) as refusal:
            call(data)
        assert refusal.value.kind in ("malformed", "unknown", "used")


@given(data=st.binary(max_size=200))
def test_bytes_that_mean_nothing_are_refused(data: bytes, desk: Desk) -> None:
    is_refused(desk, data)


@given(table=JSON | FIELDS)
def test_json_that_is_no_request_is_refused(table: object, desk: Desk) -> None:
    is_refused(desk, json.dumps(table).encode())


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 30_000,
        b'{"name":' * 3_000,
        b'{"name": "bank", "token": "\\ud800"}',
        b'{"request": "\\udfff"}',
        b'{"name": "bank", "name": "bank", "token": "x", "card": {}}',
        b'{"name": ' + b"9" * 5_000 + b', "token": "x"}',
        b"\xef\xbb\xbf{}",
    ],
    ids=["deep", "deep-objects", "half", "half-request", "twice", "long-number", "mark"],
)
def test_json_that_is_made_to_hurt_is_refused(text: bytes, desk: Desk) -> None:
    is_refused(desk, text)


def test_who_asks_is_told_its_own_state_and_no_more(consortium: Consortium, desk: Desk) -> None:
    invitation = invite_institution(
        consortium.folder, "shop", "institution", timedelta(days=1), consortium.now, system_random
    )
    who = {"name": "shop", "token": invitation.token}
    assert desk.collect(json.dumps(who).encode()) == {"state": "invited", "certificate": ""}
    card = asdict(consortium.card("shop"))
    told = desk.join(json.dumps({**who, "card": card}).encode())
    assert told == {"state": "waiting", "certificate": ""}
    assert read_register(consortium.folder).named("shop").state == "waiting"
    assert desk.certificate("bank")["state"] == "member"


def test_the_desk_needs_no_key_of_the_authority(consortium: Consortium, desk: Desk) -> None:
    """So the process that strangers reach runs without it, and cannot let anybody in."""
    path = consortium.folder / "pki/authority.key"
    before = path.read_bytes()
    path.unlink()
    try:
        invitation = invite_institution(
            consortium.folder,
            "telco",
            "institution",
            timedelta(days=1),
            consortium.now,
            system_random,
        )
        card = asdict(consortium.card("telco"))
        who = {"name": "telco", "token": invitation.token, "card": card}
        assert desk.join(json.dumps(who).encode())["state"] == "waiting"
    finally:
        path.write_bytes(before)
