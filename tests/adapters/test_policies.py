"""policy.toml: epsilons as a privacy officer writes them, and the keys of a ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedcredit.adapters.policies import (
    read_coordinator,
    read_key_file,
    read_policy,
    write_roles,
)
from fedcredit.errors import ConfigError, PrivacyError
from fedcredit.ledger.policy import WitnessKey
from fedcredit.privacy.accounting import epsilon_of
from tests.adapters.founded import CENTRE, POLICY
from tests.federation.books import ROLES
from tests.ledger.made import Pair

PLAIN = POLICY.format(name="bank", epsilon=4.0, automatic=1.0)
A, B = (str(Pair(f"{name}.example/witness").witness) for name in "ab")
WITNESSES = f"""
[[witness]]
key = "{A}"
url = "https://a.example"

[[witness]]
key = "{B}"
url = "https://b.example"
role = "coordinator"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "policy.toml"
    path.write_text(text, "utf-8")
    return path


def quorum(count: int, beside: int) -> str:
    return PLAIN.replace(
        "witnesses = 0\nbeside_coordinator = 0",
        f"witnesses = {count}\nbeside_coordinator = {beside}",
    )


def test_epsilons_become_caps_that_are_never_above_them(tmp_path: Path) -> None:
    rules = read_policy(write(tmp_path, PLAIN)).policy
    caps = rules.caps
    for cap, epsilon in (
        (caps.rho_cap, 4.0),
        (caps.rho_local_cap, 12.0),
        (caps.person_rho_cap, 30.0),
        (caps.person_rho_local_cap, 60.0),
        (rules.study_rho, 4.0),
        (rules.automatic_rho, 1.0),
    ):
        assert 0.999 * epsilon < epsilon_of(cap, caps.delta) <= epsilon
    assert (rules.begins, rules.ends, rules.purposes) == ("2020-01-01", "2100-01-01", ())
    assert (caps.delta, caps.institutions) == (1e-5, 3)


def test_by_default_nothing_is_approved_without_a_person_and_two_witnesses_sign(
    tmp_path: Path,
) -> None:
    text = PLAIN.partition("[quorum]")[0].replace("automatic_epsilon = 1.0", "")
    rules = read_policy(write(tmp_path, text + WITNESSES)).policy
    assert rules.automatic_rho == 0
    assert (rules.quorum, rules.beside_coordinator) == (2, 1)


def test_witnesses_have_keys_roles_and_places(tmp_path: Path) -> None:
    written = read_policy(write(tmp_path, quorum(2, 1) + WITNESSES))
    assert written.policy.witnesses == (WitnessKey(A, "institution"), WitnessKey(B, "coordinator"))
    assert written.places == {A: "https://a.example", B: "https://b.example"}


@pytest.mark.parametrize(
    "text",
    [
        quorum(3, 1) + WITNESSES,
        quorum(2, 2) + WITNESSES,
        quorum(1, 2) + WITNESSES,
        quorum(-1, 0),
        quorum(1, 0) + WITNESSES.replace(B, A),
        quorum(1, 0) + WITNESSES.replace(A, "no key"),
        quorum(1, 0) + WITNESSES.replace('"coordinator"', '"friend"'),
        PLAIN.replace('ends = "2100-01-01"', 'ends = "2020-01-01"'),
        PLAIN.replace("epsilon = 4.0", "epsilon = 0.0", 1),
        PLAIN.replace("epsilon = 4.0", "epsilon = -4.0", 1),
        PLAIN.replace("epsilon = 4.0", "epsilon = nan", 1),
        PLAIN.replace("epsilon = 4.0", "epsilon = inf", 1),
        PLAIN.replace("epsilon_local = 12.0", "epsilon_local = 1e300", 1),
        PLAIN.replace("automatic_epsilon = 1.0", "automatic_epsilon = -1.0"),
        PLAIN.replace("automatic_epsilon = 1.0", "automatic_epsilon = nan"),
        PLAIN.replace("[period]", "delta = 0.0\n[period]"),
        PLAIN.replace("[period]", "delta = 1.0\n[period]"),
        PLAIN.replace("[period]", "institutions = 0\n[period]"),
        PLAIN.replace("[quorum]", 'purposes = ["Süd"]\n[quorum]'),
    ],
)
def test_a_policy_that_could_not_be_kept_is_refused(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises((PrivacyError, ConfigError)):
        _ = read_policy(path).policy


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "origin"),
        (PLAIN.replace('"test.example/bank"', "7"), "origin"),
        (PLAIN + "\nextra = 1", "extra"),
        (PLAIN.replace("epsilon_local", "epsilon_locla"), "epsilon_locla"),
        (PLAIN.replace('"2020-01-01"', "2020-01-01"), "begins"),
        (PLAIN.replace("witnesses = 0", 'witnesses = "2"'), "witnesses"),
        ("[[[", "policy.toml"),
    ],
)
def test_a_slip_in_a_policy_is_named(text: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=named):
        read_policy(write(tmp_path, text))


def test_a_policy_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    for read in (read_policy, read_coordinator):
        with pytest.raises(ConfigError, match="cannot be read"):
            read(tmp_path / "policy.toml")
    (tmp_path / "policy.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_policy(tmp_path / "policy.toml")


def test_a_coordinator_has_witnesses_and_no_budget(tmp_path: Path) -> None:
    text = CENTRE.replace("witnesses = 0", "witnesses = 2") + WITNESSES
    written = read_coordinator(write(tmp_path, text))
    assert written.policy.allows_nothing
    assert written.policy.quorum == 2
    assert written.places == {A: "https://a.example", B: "https://b.example"}
    with pytest.raises(ConfigError, match="budget"):
        read_coordinator(write(tmp_path, PLAIN))
    with pytest.raises(PrivacyError):
        _ = read_coordinator(
            write(tmp_path, CENTRE.replace("witnesses = 0", "witnesses = 3"))
        ).policy


def test_keys_are_for_their_owner_and_are_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    write_roles(folder, ROLES)
    assert folder.stat().st_mode & 0o777 == 0o700
    for name, key in (("root", ROLES.root), ("officer", ROLES.officer), ("ledger", ROLES.key)):
        path = folder / f"{name}.key"
        assert path.stat().st_mode & 0o777 == 0o600
        assert read_key_file(path).public == key.public
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ConfigError, match="exists"):
        write_roles(folder, ROLES)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "{",
        '{"ed25519": 7}',
        '{"ed25519": "zz"}',
        '{"ed25519": "00"}',
        json.dumps({"ed25519": "00" * 33}),
        json.dumps({"x25519": "00" * 32}),
    ],
)
def test_what_is_no_key_is_refused_and_not_shown(text: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.key"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"ledger\.key") as raised:
        read_key_file(path)
    assert "00" * 32 not in str(raised.value)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    write_roles(tmp_path / "keys", ROLES)
    path = tmp_path / "keys" / "ledger.key"
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="others may read it"):
        read_key_file(path)
    with pytest.raises(ConfigError):
        read_key_file(tmp_path / "none.key")
