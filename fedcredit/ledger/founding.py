"""Founding a ledger: the keys of its roles, and the first entry that they agree to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fedcredit.errors import LocalError
from fedcredit.ledger.chain import Chain
from fedcredit.ledger.entries import Genesis
from fedcredit.ledger.notes import Checkpoint, sign_checkpoint
from fedcredit.ledger.policy import BudgetPolicy
from fedcredit.ledger.signing import SigningKey, grant_text
from fedcredit.ledger.store import Store
from fedcredit.ledger.tree import leaf_hash

__all__ = ["Roles", "draw_roles", "found_ledger"]


@dataclass(frozen=True, slots=True)
class Roles:
    """The keys of one ledger; see `signing` for what each is for.

    Attributes:
        root: kept offline.
        officer: of the privacy officer.
        key: of the process that writes.
    """

    root: SigningKey
    officer: SigningKey
    key: SigningKey


def draw_roles(random: Callable[[int], bytes]) -> Roles:
    """Draw the keys of a ledger.

    Args:
        random: secret bytes; 96 are drawn.
    """
    return Roles(SigningKey(random(32)), SigningKey(random(32)), SigningKey(random(32)))


def found_ledger(
    store: Store,
    roles: Roles,
    policy: BudgetPolicy,
    now: Callable[[], str],
    *,
    origin: str,
    institution: str,
    role: str = "institution",
) -> None:
    """Write a ledger's first entry.

    Args:
        store: an empty one.
        roles: its keys.
        policy: in force from the start.
        now: time of day.
        origin: name of the log, without spaces and plus signs.
        institution: whose it is.
        role: ``institution`` or ``coordinator``.

    Raises:
        LocalError: there is a ledger already, or a text is no plain one.
        IntegrityError: two roles have one key.
    """
    if store.lines() or store.notes():
        raise LocalError("there is a ledger already", remedy="open it, or name another folder")
    key, officer = roles.key.public.hex(), roles.officer.public.hex()
    genesis = Genesis(
        origin=origin,
        institution=institution,
        role=role,
        root=roles.root.public.hex(),
        officer=officer,
        key=key,
        policy=policy,
        grant=roles.root(grant_text(origin, key, officer)).hex(),
    )
    line = Chain().line_of(genesis, now())
    store.append(line)
    head = Checkpoint(origin, 1, leaf_hash(line))
    store.note(sign_checkpoint(head, origin, roles.key, roles.key.public).data())
