"""A budget policy as a privacy officer writes it, in epsilons; and the keys of its ledger.

policy.toml          public to auditors: caps, period, purposes, witnesses and where they are
keys/root.key        secret, to be kept offline: grants the ledger's key, signs new policies
keys/officer.key     secret, the privacy officer's: approves plans, agrees where more may be spent
keys/ledger.key      secret, the node's: signs checkpoints
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fedcredit.adapters.keyring import read_secret, write_secret
from fedcredit.data.strict import build, parse_toml
from fedcredit.errors import ConfigError
from fedcredit.federation.terms import Allowance
from fedcredit.ledger.founding import Roles
from fedcredit.ledger.policy import BudgetPolicy, WitnessKey
from fedcredit.ledger.signing import SigningKey
from fedcredit.privacy.accounting import rho_for
from fedcredit.privacy.budget import Policy
from fedcredit.units import NanoRho

__all__ = [
    "CoordinatorFile",
    "PolicyFile",
    "read_coordinator",
    "read_key_file",
    "read_policy",
    "read_roles",
    "write_roles",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Period:
    """The days that a budget is for.

    Attributes:
        begins: first day, ``2026-01-01``.
        ends: first day after it.
    """

    begins: str
    ends: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _StudyCap:
    """What one study may have.

    Attributes:
        epsilon: most that a record may pay for it, retries included.
        automatic_epsilon: a study that can cost at most this needs nobody's approval.
        purposes: that it may have; none: any.
    """

    epsilon: float
    automatic_epsilon: float = 0.0
    purposes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _QuorumSize:
    """How many witnesses must have signed before anything leaves.

    Attributes:
        witnesses: of all.
        beside_coordinator: of those that are no coordinators.
    """

    witnesses: int = 2
    beside_coordinator: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _WitnessPlace:
    """A witness.

    Attributes:
        key: its verifier key, as it publishes it.
        url: where it answers.
        role: ``institution``, ``coordinator`` or ``regulator``.
    """

    key: str
    url: str
    role: str = "institution"


_QUORUM: Final = _QuorumSize()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFile:
    """What ``policy.toml`` says.

    Attributes:
        origin: name of the ledger, for good.
        budget: over all studies of the period.
        period: of the budget.
        study: what one of them may have.
        quorum: of the witnesses.
        witness: each of them.
    """

    origin: str
    budget: Allowance
    period: _Period
    study: _StudyCap
    quorum: _QuorumSize = _QUORUM
    witness: tuple[_WitnessPlace, ...] = ()

    @property
    def policy(self) -> BudgetPolicy:
        """The same as a ledger has it: caps on rho, rounded down.

        Raises:
            PrivacyError: a field is outside its range, or no quorum could be had.
        """
        caps, automatic = self.budget.policy, self.study.automatic_epsilon
        return BudgetPolicy(
            caps=caps,
            study_rho=rho_for(self.study.epsilon, caps.delta),
            automatic_rho=rho_for(automatic, caps.delta) if automatic else NanoRho(0),
            begins=self.period.begins,
            ends=self.period.ends,
            purposes=self.study.purposes,
            quorum=self.quorum.witnesses,
            beside_coordinator=self.quorum.beside_coordinator,
            witnesses=tuple(WitnessKey(one.key, one.role) for one in self.witness),
        )

    @property
    def places(self) -> dict[str, str]:
        """Where each witness answers, by its key."""
        return {one.key: one.url for one in self.witness}


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorFile:
    """What a coordinator's ``policy.toml`` says: it has no records, so no budget.

    Attributes:
        origin: name of the ledger, for good.
        quorum: of the witnesses.
        witness: each of them.
    """

    origin: str
    quorum: _QuorumSize = _QUORUM
    witness: tuple[_WitnessPlace, ...] = ()

    @property
    def policy(self) -> BudgetPolicy:
        """The same as a ledger has it: caps of nothing.

        Raises:
            PrivacyError: no quorum could be had.
        """
        none = NanoRho(0)
        return BudgetPolicy(
            caps=Policy(
                delta=1e-5,
                rho_cap=none,
                rho_local_cap=none,
                person_rho_cap=none,
                person_rho_local_cap=none,
            ),
            study_rho=none,
            automatic_rho=none,
            begins="2000-01-01",
            ends="9999-12-31",
            quorum=self.quorum.witnesses,
            beside_coordinator=self.quorum.beside_coordinator,
            witnesses=tuple(WitnessKey(one.key, one.role) for one in self.witness),
        )

    @property
    def places(self) -> dict[str, str]:
        """Where each witness answers, by its key."""
        return {one.key: one.url for one in self.witness}


def read_policy(path: Path) -> PolicyFile:
    """Read an institution's policy.

    Raises:
        ConfigError: the file is missing or malformed.
    """
    return build(PolicyFile, _table(path), str(path))


def read_coordinator(path: Path) -> CoordinatorFile:
    """Read a coordinator's policy.

    Raises:
        ConfigError: the file is missing or malformed.
    """
    return build(CoordinatorFile, _table(path), str(path))


def _table(path: Path) -> dict[str, object]:
    """A file's table."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"{path} cannot be read", remedy="write it, see docs/ledger.md, Policy"
        ) from None
    return parse_toml(text, str(path))


def write_roles(folder: Path, roles: Roles) -> None:
    """Write a ledger's keys, each for its owner's eyes; none is ever replaced.

    Raises:
        ConfigError: there is a key already, or none can be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, key in (("root", roles.root), ("officer", roles.officer), ("ledger", roles.key)):
        write_secret(folder / f"{name}.key", {"ed25519": key.seed.hex()})


def read_roles(folder: Path) -> Roles:
    """Read a ledger's keys back, before it is founded.

    Raises:
        ConfigError: one is missing, malformed, or others may read it.
    """
    root, officer, key = (
        read_key_file(folder / f"{name}.key") for name in ("root", "officer", "ledger")
    )
    return Roles(root, officer, key)


def read_key_file(path: Path) -> SigningKey:
    """Read a signing key.

    Raises:
        ConfigError: the file is missing, malformed, or others may read it.
    """
    table = read_secret(path)
    try:
        return SigningKey(bytes.fromhex(str(table["ed25519"])))
    except (KeyError, ValueError):
        raise ConfigError(f"{path} is no key", remedy="restore it from its backup") from None
