"""Keys and rosters as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcredit.adapters.keyring import (
    card_to_json,
    read_card,
    read_identity,
    read_roster,
    write_identity,
    write_roster,
)
from fedcredit.errors import ConfigError, LocalError, PeerError
from fedcredit.secagg.keys import Kind, new_identity
from fedcredit.secagg.roster import Roster, SignedRoster, sign_roster
from fedcredit.units import InstitutionId
from tests.federation.made import NAMES, Stream, keys


@pytest.mark.parametrize("kind", ["x25519", "mlkem768-x25519"])
def test_an_identity_reads_back(kind: Kind, tmp_path: Path) -> None:
    """The same card, for its owner's eyes."""
    identity = new_identity(InstitutionId("bank"), Stream("keys"), kind)
    path = tmp_path / "identity.json"
    write_identity(path, identity)
    assert read_identity(path).card == identity.card
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_identity_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "identity.json"
    write_identity(path, keys(NAMES)[0][NAMES[0]])
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=r"0640.*others may read"):
        read_identity(path)


def test_an_identity_is_never_replaced(tmp_path: Path) -> None:
    identity = keys(NAMES)[0][NAMES[0]]
    write_identity(tmp_path / "identity.json", identity)
    with pytest.raises(ConfigError, match="exists"):
        write_identity(tmp_path / "identity.json", identity)
    with pytest.raises(ConfigError, match="cannot be written"):
        write_identity(tmp_path / "nowhere" / "identity.json", identity)


def test_keys_of_another_length_are_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "identity.json"
    path.write_text('{"name": "bank", "signing": "00", "sealing": "00"}', "utf-8")
    path.chmod(0o600)
    with pytest.raises(LocalError, match="not of the length of keys"):
        read_identity(path)


def test_a_roster_reads_back_with_its_signatures(tmp_path: Path) -> None:
    """Those of members before, too."""
    identities, roster = keys(NAMES)
    second = Roster(1, roster.digest(), roster.members[:-1])
    signed = SignedRoster(second)
    for identity in identities.values():
        signed = sign_roster(signed, identity)
    write_roster(tmp_path / "roster.json", signed)
    read = read_roster(tmp_path / "roster.json")
    assert read.roster == second
    assert dict(read.signatures) == dict(signed.signatures)
    assert dict(read.approvals) == dict(signed.approvals)
    assert set(read.approvals) == {NAMES[-1]}


def test_a_card_reads_back(tmp_path: Path) -> None:
    card = keys(NAMES)[0][NAMES[0]].card
    (tmp_path / "card.json").write_text(card_to_json(card), "utf-8")
    assert read_card(tmp_path / "card.json") == card


def test_keys_that_are_none_are_named(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text('{"name": "bank", "signing": "zz", "sealing": "00"}', "utf-8")
    with pytest.raises(ConfigError, match="not hex"):
        read_card(path)
    path.write_text('{"name": "bank", "signing": "00", "sealing": "00"}', "utf-8")
    with pytest.raises(PeerError, match="a key of 'bank' is not one"):
        read_card(path)
