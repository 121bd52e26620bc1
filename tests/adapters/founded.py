"""Folders with a policy and a ledger, as `fedcredit ledger init` leaves them."""

from __future__ import annotations

from pathlib import Path

from fedcredit.adapters.ledgers import open_store
from fedcredit.adapters.policies import read_coordinator, read_policy, write_roles
from fedcredit.adapters.system import system_random, utc_now
from fedcredit.ledger.founding import Roles, draw_roles, found_ledger

POLICY = """
origin = "test.example/{name}"

[budget]
epsilon = {epsilon}
epsilon_local = 12.0
person_epsilon = 30.0
person_epsilon_local = 60.0

[period]
begins = "2020-01-01"
ends = "2100-01-01"

[study]
epsilon = {epsilon}
automatic_epsilon = {automatic}

[quorum]
witnesses = 0
beside_coordinator = 0
"""

CENTRE = """
origin = "test.example/coordinator"

[quorum]
witnesses = 0
beside_coordinator = 0
"""


def found(
    folder: Path, name: str, *, epsilon: float = 4.0, automatic: float = 4.0, policy: str = POLICY
) -> Roles:
    """An institution's policy, keys and ledger."""
    text = policy.format(name=name, epsilon=epsilon, automatic=automatic)
    (folder / "policy.toml").write_text(text, "utf-8")
    return _found(folder, name, "institution")


def found_centre(folder: Path) -> Roles:
    """A coordinator's."""
    (folder / "policy.toml").write_text(CENTRE, "utf-8")
    return _found(folder, "coordinator", "coordinator")


def _found(folder: Path, name: str, role: str) -> Roles:
    path = folder / "policy.toml"
    written = read_policy(path) if role == "institution" else read_coordinator(path)
    roles = draw_roles(system_random)
    write_roles(folder / "keys", roles)
    with open_store(folder / "ledger") as store:
        found_ledger(
            store,
            roles,
            written.policy,
            utc_now,
            origin=written.origin,
            institution=name,
            role=role,
        )
    return roles
