"""Asking for cosignatures: nothing is measured, and nothing leaves, before a quorum has signed.

A witness signs a checkpoint only if it continues the last one that it signed. So a ledger
that was set back, or copied and gone on with twice, finds no quorum, unless as many
witnesses as the quorum has were set back with it.

Source: C2SP tlog-witness, https://c2sp.org/tlog-witness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from fedcredit.errors import FedCreditError, IntegrityError, UnreachableError
from fedcredit.ledger.notes import Note, read_checkpoint, verify
from fedcredit.ledger.policy import BudgetPolicy, WitnessKey
from fedcredit.ledger.signatures import Signature, read_key, read_signatures, to_base64
from fedcredit.ledger.tree import Tree, consistency_proof

__all__ = ["Cosign", "Courier", "Quorum", "no_witnesses"]

Courier: TypeAlias = Callable[[bytes], tuple[int, bytes]]
"""Takes an ``add-checkpoint`` request to one witness; returns status and body, or raises
UnreachableError."""

_OK: Final = 200
_CONFLICT: Final = 409
_LONGEST_SIZE: Final = 20

Cosign: TypeAlias = Callable[[BudgetPolicy, Tree, Note], Note]
"""Returns a signed checkpoint of the whole tree with a quorum's cosignatures, or raises."""


class Quorum:
    """The witnesses of one ledger, and what each of them has seen."""

    def __init__(self, couriers: Mapping[str, Courier]) -> None:
        """Know how each witness is reached.

        Args:
            couriers: by verifier key. A witness that the policy names and that nobody knows
                how to reach is one that does not answer.
        """
        self._couriers = couriers
        self._seen: dict[str, int] = {}

    def __call__(self, policy: BudgetPolicy, tree: Tree, note: Note) -> Note:
        """See `Cosign`.

        Raises:
            UnreachableError: too few witnesses have answered.
            IntegrityError: too few have signed, and one of them has seen more than we have.
        """
        signed: list[tuple[WitnessKey, Signature]] = []
        troubles: list[str] = []
        ahead = 0
        for one in policy.witnesses:
            if _enough(policy, [witness for witness, _ in signed]):
                break
            name = one.key.partition("+")[0]
            try:
                signed.append((one, self._ask(one.key, tree, note)))
            except _Ahead as problem:
                ahead = max(ahead, problem.size)
                troubles.append(f"{name} has seen {problem.size} entries")
            except FedCreditError as problem:
                troubles.append(f"{name}: {problem.what}")
        if _enough(policy, [witness for witness, _ in signed]):
            return note.signed_too(*(signature for _, signature in signed))
        said = "; ".join(troubles) or "none could be asked"
        if ahead:
            raise IntegrityError(
                f"the ledger is behind its witnesses ({len(tree)} < {ahead}): {said}",
                remedy="an older copy was put back, or another process goes on with this ledger; "
                "restore the latest one; nothing is spent meanwhile",
            )
        raise UnreachableError(
            f"{len(signed)} of {policy.quorum} witnesses have signed for the ledger: {said}",
            remedy="see that the witnesses run and can be reached; what is written stays, and "
            "nothing is measured or sent meanwhile",
        )

    def _ask(self, key: str, tree: Tree, note: Note) -> Signature:
        """One witness's cosignature."""
        courier = self._couriers.get(key)
        if courier is None:
            raise UnreachableError("no address is known", remedy="write it into policy.toml")
        size = read_checkpoint(note.body).size
        for _ in range(2):  # once more if it has seen another size than we thought
            seen = self._seen.get(key, 0)
            proof = consistency_proof(tree, seen, size) if seen else ()
            status, body = courier(_request(seen, proof, note))
            if status == _CONFLICT and body.strip().isdigit() and len(body) < _LONGEST_SIZE:
                if int(body) > size:
                    raise _Ahead(int(body))
                self._seen[key] = int(body)
                continue
            if status != _OK:
                raise UnreachableError(f"status {status}", remedy="look at the witness")
            trusted = read_key(key)
            for signature in read_signatures(body):
                if trusted in verify(note.signed_too(signature), [trusted]):
                    self._seen[key] = size
                    return signature
            break
        raise UnreachableError("it did not sign", remedy="look at the witness")


def no_witnesses(policy: BudgetPolicy, tree: Tree, note: Note) -> Note:
    """Cosigns nothing: for a ledger whose policy asks for no quorum.

    Raises:
        UnreachableError: the policy asks for one.
    """
    return Quorum({})(policy, tree, note)


class _Ahead(Exception):
    """A witness has signed for more entries than we have."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def _request(seen: int, proof: tuple[bytes, ...], note: Note) -> bytes:
    """The body of an ``add-checkpoint`` request."""
    lines = [f"old {seen}\n", *(f"{to_base64(one)}\n" for one in proof), "\n"]
    return "".join(lines).encode() + note.data()


def _enough(policy: BudgetPolicy, signed: list[WitnessKey]) -> bool:
    """Whether these are a quorum."""
    others = sum(one.role != "coordinator" for one in signed)
    return len(signed) >= policy.quorum and others >= policy.beside_coordinator
