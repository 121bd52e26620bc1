"""Asking for cosignatures: nothing is measured, and nothing leaves, before a quorum has signed.

A witness signs a checkpoint only if it continues the last one that it signed, and a quorum is
more than half of all witnesses, so that any two have one in common. So a ledger that was set
back, or copied and gone on with twice, finds no quorum, unless enough of those who had
signed were set back with it.

Source: C2SP tlog-witness, https://c2sp.org/tlog-witness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from fedcredit.errors import FedCreditError, IntegrityError, LocalError, UnreachableError
from fedcredit.ledger.asking import Courier, ask
from fedcredit.ledger.notes import Note, read_checkpoint, verify
from fedcredit.ledger.policy import BudgetPolicy, WitnessKey
from fedcredit.ledger.signatures import Signature, read_key
from fedcredit.ledger.tree import Tree

__all__ = ["Cosign", "Quorum", "no_witnesses"]

Cosign: TypeAlias = Callable[[BudgetPolicy, Tree, Note], Note]
"""Returns a signed checkpoint of the whole tree with a quorum's cosignatures, or raises."""


class Quorum:
    """The witnesses of one ledger, and what each of them has signed for."""

    def __init__(
        self, courier: Courier, places: Mapping[str, str], before: Sequence[Note] = ()
    ) -> None:
        """Know how each witness is reached, and what it has signed for.

        Args:
            courier: carries requests.
            places: where each witness is, by verifier key. One that the policy names and
                that has no place is one that does not answer.
            before: the ledger's checkpoints so far, so that a witness which has forgotten
                what it signed is noticed after a restart too.

        Raises:
            ConfigError: a key is not one.
            IntegrityError: a checkpoint bears a false signature of a witness.
        """
        self._courier, self._places = courier, places
        self._seen: dict[str, int] = {}
        for key in places if before else ():
            witness = read_key(key)
            last = next((one for one in reversed(before) if verify(one, [witness])), None)
            if last is not None:
                self._seen[key] = read_checkpoint(last.body).size

    def __call__(self, policy: BudgetPolicy, tree: Tree, note: Note) -> Note:
        """See `Cosign`.

        Raises:
            UnreachableError: too few witnesses have answered.
            IntegrityError: too few have signed, and one of them has seen another ledger than
                this one.
        """
        signed: list[tuple[WitnessKey, Signature]] = []
        troubles: list[str] = []
        other = False
        for one in policy.witnesses:
            if _enough(policy, [witness for witness, _ in signed]):
                break
            try:
                signed.append((one, self._ask(one.key, tree, note)))
            except FedCreditError as problem:
                other = other or isinstance(problem, LocalError)
                troubles.append(f"{one.key.partition('+')[0]}: {problem.what}")
        if _enough(policy, [witness for witness, _ in signed]):
            return note.signed_too(*(signature for _, signature in signed))
        said = "; ".join(troubles) or "the policy names too few"
        if other:
            raise IntegrityError(
                f"the ledger is not the one that its witnesses have seen: {said}",
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
        place = self._places.get(key)
        if place is None:
            raise UnreachableError("no address is known", remedy="write it into policy.toml")
        seen = self._seen.get(key, 0)
        signature = ask(self._courier, place, read_key(key), note, tree, seen)
        self._seen[key] = read_checkpoint(note.body).size
        return signature


def no_witnesses(policy: BudgetPolicy, tree: Tree, note: Note) -> Note:
    """Cosigns nothing: for a ledger whose policy asks for no quorum.

    Raises:
        UnreachableError: the policy asks for one.
    """
    return Quorum(_nowhere, {})(policy, tree, note)


def _nowhere(where: str, request: bytes) -> tuple[int, bytes]:
    """A courier with no road."""
    del where, request
    raise UnreachableError("there is no network", remedy="name witnesses and their addresses")


def _enough(policy: BudgetPolicy, signed: list[WitnessKey]) -> bool:
    """Whether these are a quorum."""
    others = sum(one.role != "coordinator" for one in signed)
    return len(signed) >= policy.quorum and others >= policy.beside_coordinator
