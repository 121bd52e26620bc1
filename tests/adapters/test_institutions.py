"""The register: which step follows which, and that a refused one changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fedcredit.adapters.institutions import (
    NO_CARD,
    Institution,
    PublicCard,
    Register,
    approve,
    ask,
    ask_renewal,
    check_card,
    invite,
    of_token,
    revoke,
    token_hash,
    words_for,
)
from fedcredit.adapters.node_folder import card_of, init_node
from fedcredit.adapters.pki import Authority, new_authority, new_key, request_for
from fedcredit.adapters.system import system_random
from fedcredit.errors import ConfigError, EnrolmentRefused, PeerError
from tests.federation.made import Stream

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
EARLY, ENDS, LATE = "2026-11-25T12:00:00Z", "2026-12-02T12:00:00Z", "2026-12-02T12:00:01Z"
TOKEN = "ab" * 32
OTHER_KIND = (
    Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
).decode()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return new_authority("Delta", NOW, Stream("authority"))


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> PublicCard:
    return new_card(tmp_path_factory.mktemp("bank"), "bank")


def new_card(folder: Path, name: str) -> PublicCard:
    init_node(folder, name, 2026, system_random)
    return card_of(folder, request_for(new_key(), name).decode())


def invited(name: str = "bank") -> Register:
    return invite(Register(), name, "institution", token_hash(TOKEN), ENDS)


def approved(register: Register, words: str, authority: Authority) -> Register:
    return approve(
        register,
        "bank",
        words,
        lambda request: authority.institution("bank", request, NOW, system_random),
    )


def kind(step: Callable[[], object]) -> str:
    with pytest.raises(EnrolmentRefused) as refusal:
        step()
    return refusal.value.kind


def test_one_is_invited_asks_is_approved_and_revoked(
    card: PublicCard, authority: Authority
) -> None:
    register = ask(invited(), "bank", TOKEN, card, EARLY)
    waiting = register.named("bank")
    assert (waiting.state, waiting.card) == ("waiting", card)
    assert waiting.words == words_for("bank", card)
    register = approved(register, waiting.words.upper(), authority)
    member = register.named("bank")
    assert (member.state, len(member.serials)) == ("member", 1)
    assert register.revoked() == ()
    register = revoke(register, "bank", "left")
    assert (register.named("bank").state, register.named("bank").reason) == ("revoked", "left")
    assert register.revoked() == (int(member.serials[0], 16),)


def test_a_token_is_kept_as_its_hash_alone(card: PublicCard) -> None:
    register = ask(invited(), "bank", TOKEN, card, EARLY)
    assert TOKEN not in register.data().decode()
    assert of_token(register, "bank", TOKEN).name == "bank"


def test_a_register_reads_back(card: PublicCard, authority: Authority) -> None:
    register = ask(invited(), "bank", TOKEN, card, EARLY)
    register = invite(register, "auditor", "auditor", token_hash("x"), ENDS)
    register = approved(register, register.named("bank").words, authority)
    assert Register.read(register.data(), "there") == register
    for bad in (b"", b"[]", b"{", b'{"institutions": 1}', b'{"members": []}', b"\xff"):
        with pytest.raises(ConfigError):
            Register.read(bad, "there")


@pytest.mark.parametrize(
    ("name", "token", "now", "word"),
    [
        ("bank", "cd" * 32, EARLY, "unknown"),
        ("bank", "", EARLY, "unknown"),
        ("bank", token_hash(TOKEN), EARLY, "unknown"),  # the hash is no token
        ("shop", TOKEN, EARLY, "unknown"),
        ("bank", TOKEN, ENDS, "expired"),
        ("bank", TOKEN, LATE, "expired"),
    ],
)
def test_a_false_or_late_token_is_refused(
    name: str, token: str, now: str, word: str, card: PublicCard
) -> None:
    assert kind(lambda: ask(invited(), name, token, card, now)) == word


def test_a_token_is_good_for_one_card(card: PublicCard, authority: Authority) -> None:
    """To send the same again is no second use, before and after the approval, and when late."""
    register = ask(invited(), "bank", TOKEN, card, EARLY)
    assert ask(register, "bank", TOKEN, card, LATE) == register
    other = replace(card, request=request_for(new_key(), "bank").decode())
    assert kind(lambda: ask(register, "bank", TOKEN, other, EARLY)) == "used"
    member = approved(register, register.named("bank").words, authority)
    assert ask(member, "bank", TOKEN, card, EARLY) == member
    assert kind(lambda: ask(member, "bank", TOKEN, other, EARLY)) == "used"
    gone = revoke(member, "bank", "left")
    assert kind(lambda: ask(gone, "bank", TOKEN, card, EARLY)) == "used"


def test_a_name_is_taken_from_the_request_to_the_revocation(
    card: PublicCard, authority: Authority
) -> None:
    """One that was only invited is invited anew, and the first token is good no more."""
    other = token_hash("cd" * 32)
    again = invite(invited(), "bank", "institution", other, ENDS)
    assert kind(lambda: ask(again, "bank", TOKEN, card, EARLY)) == "unknown"
    waiting = ask(invited(), "bank", TOKEN, card, EARLY)
    member = approved(waiting, waiting.named("bank").words, authority)
    assert kind(lambda: invite(waiting, "bank", "institution", other, ENDS)) == "taken"
    assert kind(lambda: invite(member, "bank", "institution", other, ENDS)) == "taken"


def test_who_was_revoked_can_be_invited_and_the_old_certificate_stays_revoked(
    card: PublicCard, authority: Authority
) -> None:
    waiting = ask(invited(), "bank", TOKEN, card, EARLY)
    member = approved(waiting, waiting.named("bank").words, authority)
    gone = revoke(member, "bank", "key lost")
    again = invite(gone, "bank", "institution", token_hash("cd" * 32), ENDS)
    assert again.revoked() == gone.revoked() != ()
    assert again.named("bank").state == "invited"
    assert again.named("bank").serials == ()


@pytest.mark.parametrize("field", ["request", "signing", "sealing", "ledger", "witness", "node"])
def test_the_words_change_with_every_key_and_the_name(
    field: str, card: PublicCard, tmp_path: Path
) -> None:
    """So an approval of the words is one of each of them."""
    other = new_card(tmp_path, "bank")
    mixed = replace(card, **{field: getattr(other, field)})
    assert words_for("bank", mixed) != words_for("bank", card)
    assert words_for("tank", card) != words_for("bank", card)


def test_wrong_words_let_nobody_in(card: PublicCard, authority: Authority) -> None:
    register = ask(invited(), "bank", TOKEN, card, EARLY)
    words = register.named("bank").words.split()
    for wrong in ("", " ".join(words[:5]), " ".join(reversed(words)), " ".join([*words, words[0]])):
        assert kind(partial(approved, register, wrong, authority)) == "words"


def test_nobody_is_approved_who_does_not_wait(card: PublicCard, authority: Authority) -> None:
    """An approval without a request would be one of no words at all."""
    with pytest.raises(ConfigError, match="nobody is called 'bank'"):
        approved(Register(), "", authority)
    assert kind(lambda: approved(invited(), "", authority)) == "state"
    waiting = ask(invited(), "bank", TOKEN, card, EARLY)
    words = waiting.named("bank").words
    member = approved(waiting, words, authority)
    assert kind(lambda: approved(member, words, authority)) == "state"
    gone = revoke(waiting, "bank", "stolen")
    assert kind(lambda: approved(gone, words, authority)) == "state"
    assert kind(lambda: revoke(gone, "bank", "again")) == "state"


def test_a_member_renews_with_a_new_key_and_new_words(
    card: PublicCard, authority: Authority
) -> None:
    """Until then the old certificate counts, and it counts on beside the new one to its end."""
    waiting = ask(invited(), "bank", TOKEN, card, EARLY)
    member = approved(waiting, waiting.named("bank").words, authority)
    request = request_for(new_key(), "bank").decode()
    asked = ask_renewal(member, "bank", request)
    assert asked.named("bank").state == "member"
    assert asked.named("bank").certificate == member.named("bank").certificate
    assert kind(lambda: approved(asked, member.named("bank").words, authority)) == "words"
    renewed = approved(asked, asked.named("bank").words, authority).named("bank")
    assert len(renewed.serials) == 2
    assert renewed.card.request == request
    assert renewed.card.node == card.node
    assert (
        len(revoke(approved(asked, asked.named("bank").words, authority), "bank", "x").revoked())
        == 2
    )
    with pytest.raises(PeerError):
        ask_renewal(member, "bank", "none")
    assert kind(lambda: ask_renewal(waiting, "bank", request)) == "state"


@pytest.mark.parametrize(
    "change",
    [
        {"request": "none"},
        {"signing": "00"},
        {"signing": "zz"},
        {"sealing": "00" * 32},
        {"ledger": "none"},
        {"witness": ""},
        {"node": ""},
        {"node": OTHER_KIND},  # Flower takes ECDSA P-384 alone
    ],
    ids=["request", "short", "no-hex", "sealing", "ledger", "witness", "node", "ed25519"],
)
def test_a_card_with_a_false_key_is_refused(change: dict[str, str], card: PublicCard) -> None:
    check_card("bank", "institution", card)
    assert kind(lambda: check_card("bank", "institution", replace(card, **change))) == "malformed"


def test_an_auditor_shows_a_request_and_nothing_else(card: PublicCard) -> None:
    check_card("auditor", "auditor", PublicCard(request=card.request))
    assert kind(lambda: check_card("auditor", "auditor", card)) == "malformed"
    assert kind(lambda: check_card("auditor", "auditor", NO_CARD)) == "malformed"
    assert kind(lambda: check_card("bank", "institution", PublicCard(request=card.request)))


def test_the_register_is_in_order_and_has_each_name_once() -> None:
    register = Register()
    for name in ("c", "a", "b", "a"):
        register = invite(register, name, "institution", token_hash(name), ENDS)
    assert [one.name for one in register.institutions] == ["a", "b", "c"]
    assert isinstance(register.named("a"), Institution)
