"""Joining over TLS: the whole way in, and each way in which it is refused."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fedcredit.adapters.asgi import Receive, Scope, Send
from fedcredit.adapters.coordinator_folder import (
    CoordinatorSettings,
    approve_institution,
    change_register,
    init_coordinator,
    invite_institution,
    read_register,
    renew_servers,
    revoke_institution,
)
from fedcredit.adapters.front import SuperLinkPlace
from fedcredit.adapters.institutions import Role
from fedcredit.adapters.invitation import Invitation
from fedcredit.adapters.joining import Patience, join, member_warning, read_place, renew
from fedcredit.adapters.pki import pem_of, read_certificate
from fedcredit.adapters.system import StandingClock, system_random
from fedcredit.errors import ConfigError, EnrolmentRefused, PeerError, UnreachableError
from tests.adapters.enrolled import HOST, Consortium, serving, upstream


def invited(
    consortium: Consortium, port: int, name: str = "bank", role: Role = "institution"
) -> Invitation:
    made = invite_institution(
        consortium.folder, name, role, timedelta(days=7), consortium.now, system_random
    )
    return replace(made, url=f"https://{HOST}:{port}")


def waiting_for(act: Callable[[], None] | None = None) -> Patience:
    """Patience that lets the test act in the first pause, and gives up in the third."""

    class Clock(StandingClock):
        def wait(self, seconds: float) -> None:
            if self.now() == 0 and act is not None:
                act()
            super().wait(seconds)

    return Patience(clock=Clock(), most_s=2.0, pause_s=1.0)


def approval(consortium: Consortium, words: list[str], name: str = "bank") -> Callable[[], None]:
    def act() -> None:
        approve_institution(consortium.folder, name, words[-1], consortium.now, system_random)

    return act


def joined(consortium: Consortium, port: int) -> Path:
    words: list[str] = []
    folder = consortium.node("bank")
    patience = waiting_for(approval(consortium, words))
    join(folder, invited(consortium, port), patience, words.append)
    return folder


def standing(consortium: Consortium, port: int, folder: Path) -> int:
    with consortium.client(port, folder / "keys/member.pem") as line:
        return line.post("/v1/studies").status_code


def test_a_node_joins_with_a_key_that_never_left_it(consortium: Consortium, port: int) -> None:
    """The words that its people read are those of the keys that came."""
    folder = joined(consortium, port)
    assert standing(consortium, port, folder) == 200
    found = read_place(folder)
    assert (found.consortium, found.name, found.role) == ("Delta", "bank", "institution")
    path = folder / "keys/member.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    secret = path.read_text().split("-----")[2].strip()
    known = b"".join(one.read_bytes() for one in consortium.folder.rglob("*") if one.is_file())
    assert secret.encode() not in known
    assert not (folder / "keys/member.next.pem").exists()
    with pytest.raises(ConfigError, match="has joined already"):
        join(folder, invited(consortium, port, "shop"), waiting_for(), print)


def test_an_auditor_joins_without_a_node(consortium: Consortium, port: int) -> None:
    words: list[str] = []
    folder = consortium.base / "auditor"
    invitation = invited(consortium, port, "auditor", "auditor")
    patience = waiting_for(approval(consortium, words, "auditor"))
    join(folder, invitation, patience, words.append)
    assert standing(consortium, port, folder) == 200
    assert read_place(folder).role == "auditor"


def test_a_step_that_broke_off_is_done_again(consortium: Consortium, port: int) -> None:
    """The same words, and no second use of the token."""
    words: list[str] = []
    folder, invitation = consortium.node("bank"), invited(consortium, port)
    for _ in range(2):
        with pytest.raises(UnreachableError, match="nobody has approved"):
            join(folder, invitation, waiting_for(), words.append)
    approval(consortium, words)()
    join(folder, invitation, waiting_for(), words.append)
    assert len(set(words)) == 1
    assert standing(consortium, port, folder) == 200


def test_a_certificate_is_renewed_with_a_new_key(consortium: Consortium, port: int) -> None:
    """The old one counts until then; a renewal that nobody approves changes nothing."""
    folder, words = joined(consortium, port), list[str]()
    before = (folder / "keys/member.pem").read_bytes()
    with pytest.raises(UnreachableError):
        renew(folder, waiting_for(), words.append)
    assert (folder / "keys/member.pem").read_bytes() == before
    assert standing(consortium, port, folder) == 200
    renew(folder, waiting_for(approval(consortium, words)), words.append)
    after = (folder / "keys/member.pem").read_bytes()
    assert before.split(b"-----")[2] != after.split(b"-----")[2]
    assert standing(consortium, port, folder) == 200
    assert len(read_register(consortium.folder).named("bank").serials) == 2


def test_a_certificate_that_ends_soon_is_warned_of(consortium: Consortium, port: int) -> None:
    folder = joined(consortium, port)
    now = consortium.now
    assert member_warning(folder, now) == ""
    assert member_warning(folder, now + timedelta(days=334)) == ""
    assert "ends in 29 days" in member_warning(folder, now + timedelta(days=336, hours=-1))
    assert "has ended" in member_warning(folder, now + timedelta(days=366))


def refusal(consortium: Consortium, invitation: Invitation, patience: Patience) -> str:
    with pytest.raises(EnrolmentRefused) as found:
        join(consortium.node(invitation.name), invitation, patience, lambda _: None)
    return found.value.kind


def test_a_false_token_is_refused(consortium: Consortium, port: int) -> None:
    invitation = replace(invited(consortium, port), token="ab" * 32)
    assert refusal(consortium, invitation, waiting_for()) == "unknown"
    assert read_register(consortium.folder).named("bank").state == "invited"


def test_a_token_that_was_used_with_other_keys_is_refused(
    consortium: Consortium, port: int
) -> None:
    """As when somebody has read the invitation before its owner: the owner sees it."""
    invitation = invited(consortium, port)
    thief = Consortium(consortium.base / "thief")
    with pytest.raises(UnreachableError):
        join(thief.node("bank"), invitation, waiting_for(), lambda _: None)
    assert refusal(consortium, invitation, waiting_for()) == "used"


def test_an_invitation_that_has_ended_is_refused(
    consortium: Consortium, place: SuperLinkPlace
) -> None:
    with serving(consortium, place, ahead=timedelta(days=8)) as port:
        assert refusal(consortium, invited(consortium, port), waiting_for()) == "expired"


def test_one_that_is_revoked_while_it_waits_is_told(consortium: Consortium, port: int) -> None:
    def act() -> None:
        revoke_institution(consortium.folder, "bank", "words differed", consortium.now)

    assert refusal(consortium, invited(consortium, port), waiting_for(act)) == "state"


def test_one_that_is_revoked_cannot_renew(consortium: Consortium, port: int) -> None:
    folder = joined(consortium, port)
    revoke_institution(consortium.folder, "bank", "left", consortium.now)
    with pytest.raises(EnrolmentRefused) as found:
        renew(folder, waiting_for(), lambda _: None)
    assert found.value.kind == "revoked"


def test_another_coordinator_is_not_told_the_token(
    consortium: Consortium, port: int, tmp_path: Path
) -> None:
    """Whoever answers at the address without a certificate of the invitation's authority."""
    other = Consortium(tmp_path / "other").found()
    with upstream(other) as there, serving(other, there) as false:
        invitation = invited(consortium, false)
        with pytest.raises(PeerError, match=r"no secure connection .*: self-signed certificate"):
            join(consortium.node("bank"), invitation, waiting_for(), lambda _: None)
    assert read_register(other.folder).institutions == ()


@pytest.mark.parametrize("name", ["shop", "bank"])
def test_a_certificate_that_is_of_no_use_is_not_kept(
    name: str, consortium: Consortium, port: int, tmp_path: Path
) -> None:
    """One with another's name, and one of another authority, for the node's own key."""
    other = Consortium(tmp_path / "other").found() if name == "bank" else consortium
    words: list[str] = []

    def act() -> None:
        approval(consortium, words)()
        found = read_register(consortium.folder).named("bank")
        request = found.card.request.encode()
        made = other.authority.institution(name, request, consortium.now, system_random)
        changed = replace(found, certificate=pem_of(made).decode())
        change_register(consortium.folder, lambda register: register.put(changed))

    folder = consortium.node("bank")
    with pytest.raises(PeerError, match="another's, or not of the consortium's authority"):
        join(folder, invited(consortium, port), waiting_for(act), words.append)
    assert not (folder / "keys/member.pem").exists()


def test_an_answer_that_is_not_the_fronts_is_named(consortium: Consortium) -> None:
    """Such as a page of something that stands where the coordinator should."""

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"<html>" + bytes(1 << 20)})

    with upstream(consortium, page) as there:
        invitation = replace(invited(consortium, 1), url=there.url)
        with pytest.raises(PeerError, match="status 200 and no reason"):
            join(consortium.node("bank"), invitation, waiting_for(), print)


def test_a_coordinator_that_cannot_be_reached_is_named(consortium: Consortium) -> None:
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UnreachableError, match=str(port)):
        join(consortium.node("bank"), invited(consortium, port), waiting_for(), print)


def test_an_invitation_for_another_is_not_used(consortium: Consortium, port: int) -> None:
    invitation = invited(consortium, port, "shop")
    with pytest.raises(ConfigError, match="is for 'shop', the node is 'bank'"):
        join(consortium.node("bank"), invitation, waiting_for(), print)
    assert read_register(consortium.folder).named("shop").state == "invited"


def test_a_damaged_key_that_waits_is_named(consortium: Consortium, port: int) -> None:
    folder = consortium.node("bank")
    (folder / "keys/member.next.pem").write_text("none")
    with pytest.raises(ConfigError, match=r"member\.next\.pem is malformed"):
        join(folder, invited(consortium, port), waiting_for(), print)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"url": 1}'])
def test_a_damaged_place_is_named(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"coordinator\.json cannot be read"):
        read_place(tmp_path)
    (tmp_path / "coordinator.json").write_text(text)
    with pytest.raises(ConfigError, match=r"coordinator\.json"):
        read_place(tmp_path)


def test_a_renewed_server_is_the_same_coordinator(consortium: Consortium) -> None:
    """Another key, the same authority."""
    before = (consortium.folder / "pki/server.pem").read_bytes()
    renew_servers(consortium.folder, consortium.now, system_random)
    after = (consortium.folder / "pki/server.pem").read_bytes()
    assert read_certificate(before) != read_certificate(after)
    with upstream(consortium) as there, serving(consortium, there) as port:
        assert standing(consortium, port, joined(consortium, port)) == 200


def test_a_consortium_is_founded_once(consortium: Consortium) -> None:
    settings = CoordinatorSettings(consortium="Delta", hosts=(HOST,), port=8443)
    before = (consortium.folder / "pki/authority.key").read_bytes()
    with pytest.raises(ConfigError, match="there is a consortium"):
        init_coordinator(consortium.folder, settings, consortium.now, system_random)
    assert (consortium.folder / "pki/authority.key").read_bytes() == before


def test_what_is_secret_is_for_its_owners_eyes(consortium: Consortium) -> None:
    for path in consortium.folder.rglob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600, path
    text = (consortium.folder / "institutions.json").read_text()
    assert json.loads(text) == {"institutions": []}


def test_changes_of_the_register_side_by_side_are_all_kept(consortium: Consortium) -> None:
    """As of a front that takes a request while its operator invites."""
    names = [f"bank-{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: invited(consortium, 1, name), names))
    found = [one.name for one in read_register(consortium.folder).institutions]
    assert sorted(found) == sorted(names)
