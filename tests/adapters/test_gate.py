"""The gate: what a certificate is worth, by the files as they are at this moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from fedcredit.adapters.coordinator_folder import (
    REGISTER,
    REVOKED,
    change_register,
    read_register,
    revoke_institution,
)
from fedcredit.adapters.gate import Gate
from fedcredit.adapters.institutions import Register
from fedcredit.adapters.pki import new_key, pem_of, read_certificate, request_for
from fedcredit.adapters.system import system_random
from fedcredit.errors import ConfigError
from tests.adapters.enrolled import Consortium


@pytest.fixture
def consortium(tmp_path: Path) -> Consortium:
    made = Consortium(tmp_path).found()
    made.member("bank")
    return made


def der(consortium: Consortium) -> bytes:
    certificate = read_register(consortium.folder).named("bank").certificate.encode()
    return read_certificate(certificate).public_bytes(Encoding.DER)


def test_a_member_is_one_from_its_first_day_to_its_last(consortium: Consortium) -> None:
    shift = timedelta()

    def now() -> datetime:
        return consortium.now + shift

    gate, shown = Gate(consortium.folder, now), der(consortium)
    for days, worth in ((0, "member"), (364, "member"), (365, "ended"), (-1, "ended")):
        shift = timedelta(days=days)
        assert gate.standing(shown).worth == worth
    shift = timedelta()
    assert gate.standing(shown).institution[0].name == "bank"
    assert gate.standing(b"").worth == "stranger"


def test_what_shows_no_certificate_of_an_institution_is_unknown(consortium: Consortium) -> None:
    """A server's, one of a name that is not in the register, one that was never written there."""
    gate, authority = Gate(consortium.folder, lambda: consortium.now), consortium.authority
    key = new_key()
    server = authority.server(key.public_key(), ("fed.example",), consortium.now, system_random)
    others = [
        authority.institution(name, request_for(key, name), consortium.now, system_random)
        for name in ("shop", "bank", "BANK", "")
        if name
    ]
    for one in (server, *others):
        found = gate.standing(one.public_bytes(Encoding.DER))
        assert (found.worth, found.institution) == ("unknown", ())


@pytest.mark.parametrize("file", ["register", "list"])
def test_either_file_alone_shuts_out(file: str, consortium: Consortium) -> None:
    """As when a revocation crashes between the two."""
    gate, shown = Gate(consortium.folder, lambda: consortium.now), der(consortium)
    before = (consortium.folder / REGISTER).read_bytes(), (consortium.folder / REVOKED).read_bytes()
    revoke_institution(consortium.folder, "bank", "left", consortium.now)
    if file == "register":
        (consortium.folder / REVOKED).write_bytes(before[1])
    else:
        (consortium.folder / REGISTER).write_bytes(before[0])
    assert gate.standing(shown).worth == "revoked"


def test_who_is_struck_from_the_register_is_unknown(consortium: Consortium) -> None:
    gate, shown = Gate(consortium.folder, lambda: consortium.now), der(consortium)
    change_register(consortium.folder, lambda _: Register())
    assert gate.standing(shown).worth == "unknown"


@pytest.mark.parametrize("name", [REGISTER, REVOKED])
def test_a_file_that_is_gone_lets_nobody_in(name: str, consortium: Consortium) -> None:
    gate, shown = Gate(consortium.folder, lambda: consortium.now), der(consortium)
    (consortium.folder / name).unlink()
    with pytest.raises(ConfigError, match=r"cannot be read"):
        gate.standing(shown)
    assert gate.standing(b"").worth == "stranger"
    with pytest.raises(ConfigError, match=r"cannot be read"):
        Gate(consortium.folder, lambda: consortium.now)


def test_a_list_that_another_authority_has_signed_lets_nobody_in(
    consortium: Consortium, tmp_path: Path
) -> None:
    other = Consortium(tmp_path / "other").found()
    gate, shown = Gate(consortium.folder, lambda: consortium.now), der(consortium)
    (consortium.folder / REVOKED).write_bytes((other.folder / REVOKED).read_bytes())
    with pytest.raises(ConfigError, match="not signed by the authority"):
        gate.standing(shown)
    assert pem_of(other.authority.certificate) != pem_of(consortium.authority.certificate)
