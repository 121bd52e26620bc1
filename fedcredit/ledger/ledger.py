"""A ledger with one writer: an entry is durable, signed for and witnessed before it is acted on.

    append     the line is on the disk
    sign       the checkpoint that covers it is on the disk
    cosign     a quorum of others has signed that checkpoint, and that is on the disk

`charge`, `agree` and `reveal` return after the third step, and the bytes of an answer are
handed out after it. Whatever fails in between, the ledger never says less than what may
have left: what was charged and not released is burned, and nothing is ever given back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from fedcredit.errors import (
    BudgetExceeded,
    IntegrityError,
    LocalError,
    PrivacyError,
)
from fedcredit.ledger.account import Account, Standing
from fedcredit.ledger.chain import Chain, Written, damaged
from fedcredit.ledger.entries import (
    Approve,
    Audit,
    Burn,
    Charge,
    Close,
    Entry,
    KeyRotate,
    Note,
    Planned,
    PolicyChange,
    Receipt,
    Refuse,
    Release,
    Step,
    reply_digest,
)
from fedcredit.ledger.notes import (
    Checkpoint,
    read_checkpoint,
    read_notes,
    sign_checkpoint,
    verify,
)
from fedcredit.ledger.notes import Note as SignedNote
from fedcredit.ledger.policy import BudgetPolicy
from fedcredit.ledger.quorum import Cosign
from fedcredit.ledger.signatures import PLAIN, VerifierKey
from fedcredit.ledger.signing import (
    SigningKey,
    policy_text,
    rotation_text,
)
from fedcredit.ledger.store import Store

__all__ = ["Ledger", "whole_notes"]

_MOST_REFUSALS: Final = 100  # a plan: whoever asks in vain for ever must not fill the disk
_MOST_REFUSED_PLANS: Final = 100


class Ledger:
    """One ledger, open for writing; see `founding` for a new one."""

    def __init__(
        self,
        store: Store,
        sign: SigningKey,
        cosign: Cosign,
        now: Callable[[], str],
        root: SigningKey | None = None,
    ) -> None:
        """Read a ledger, and burn what a crash has left open.

        Args:
            store: where it is.
            sign: the key in force; with ``root``, the one that is to take over from a lost one.
            cosign: how a quorum is asked, see `quorum`.
            now: time of day, ``2026-11-25T14:11:40Z``.
            root: only where the key in force is lost.

        Raises:
            IntegrityError: the ledger is damaged, or behind its own checkpoints, or not
                this key's.
            LocalError: what a crash left behind could not be set aside.
        """
        self._store, self._sign, self._cosign, self._now = store, sign, cosign, now
        self._chain = Chain()
        self._waiting: Charge | None = None
        self._note = SignedNote(b"", ())
        self._signed_size = self._cosigned_size = 0
        data = store.lines()
        whole = data.rfind(b"\n") + 1
        for line in data[:whole].splitlines(keepends=True):
            self._chain.take(line)
        if not self.written:
            raise damaged(0, "there is no first entry")
        self._check_notes(len(data), whole)
        if self.account.keys[-1] != sign.public.hex():
            if root is None:
                raise IntegrityError(
                    f"the ledger of {self.origin} is signed by another key than ours",
                    remedy="give the key in force, or have the root hand over to this one",
                )
            self.rotate(sign, root)
        if self._signed_size < len(self.written):
            self._sign_head()
        self._burn("the process ended before the answer was recorded")

    @property
    def written(self) -> Sequence[Written]:
        """All entries, in order."""
        return self._chain.written

    @property
    def account(self) -> Account:
        """What follows from them."""
        return self._chain.account

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self.account.genesis.origin

    @property
    def policy(self) -> BudgetPolicy:
        """In force."""
        return self.account.policy

    @property
    def head(self) -> Checkpoint:
        """Of all that is written."""
        return Checkpoint(self.origin, len(self.written), self._chain.tree.root())

    def standing(self, plan: str) -> Standing:
        """Where the institution stands with one plan; see `Account.standing`."""
        return self.account.standing(plan)

    def propose(self, entry: Planned) -> None:
        """Write a plan, and approve it where the policy does so by itself.

        Raises:
            PrivacyError: the policy refuses it, which is recorded; or it waits for a person.
        """
        if entry.plan not in self.account.plans:
            try:
                self._append(entry)
            except PrivacyError as problem:
                refusal = Refuse(
                    plan=entry.plan, round=0, attempt=0, request=entry.plan, why=_why(problem)
                )
                self.refuse(refusal)
                raise
        if not self.account.plans[entry.plan].approved:
            self._append(Approve(plan=entry.plan, by="policy"))

    def approve(self, plan: str, signature: bytes, note: str) -> None:
        """Write that the privacy officer has approved a plan.

        Args:
            plan: its digest, hex.
            signature: of the officer, under `signing.approval_text`.
            note: for people; plain.

        Raises:
            LocalError: the plan does not stand in the ledger, or is approved already.
            IntegrityError: the signature is not the officer's.
        """
        self._append(Approve(plan=plan, by="officer", note=note, second=signature.hex()))

    def charge(self, entry: Charge) -> None:
        """Charge; durable and cosigned on return.

        A charge that is still waiting for its quorum is not written twice.

        Raises:
            PrivacyError: a cap or the policy is against it; recorded by `refuse`, not here.
            LocalError: it does not follow, or could not be made durable.
            UnreachableError: there is no quorum; nothing may be measured.
        """
        if not self.waits(entry):
            self.account.check_charge(entry, self._now()[:10])
            self._burn("its answer was never recorded")
            self._append(entry)
            self._waiting = entry
        self.settle()
        self._waiting = None

    def waits(self, entry: Charge) -> bool:
        """Whether just this charge is written and nothing has been measured for it."""
        waiting = self._waiting
        return waiting is not None and (waiting.plan, waiting.turn, waiting.request) == (
            entry.plan,
            entry.turn,
            entry.request,
        )

    def release(self, entry: Release, reply: bytes) -> None:
        """Write a release and keep its bytes; durable and cosigned on return.

        Raises:
            LocalError: it does not follow, or could not be made durable.
            UnreachableError: there is no quorum; the answer may not leave yet.
        """
        if reply_digest(reply) != entry.reply:
            raise LocalError("a release does not name its reply", remedy="report this as a bug")
        self._store.keep(entry.reply, reply)
        self._append(entry)
        self.settle()

    def reply(self, entry: Release) -> bytes:
        """The very bytes of a release, once a quorum has signed for it.

        Raises:
            IntegrityError: they are not what was released.
            UnreachableError: there is no quorum.
        """
        data = self._store.kept(entry.reply)
        if reply_digest(data) != entry.reply:
            raise IntegrityError(
                f"the stored reply of round {entry.round + 1}, attempt {entry.attempt} is not "
                "what was released",
                remedy="restore the ledger's folder from its backup; nothing is sent meanwhile",
            )
        self.settle()
        return data

    def step(self, entry: Step) -> None:
        """Write a step; durable and cosigned on return.

        Raises:
            LocalError: it does not follow, or could not be made durable.
            UnreachableError: there is no quorum; the step's answer may not leave yet.
        """
        self._append(entry)
        self.settle()

    def refuse(self, entry: Refuse) -> None:
        """Write a refusal, once a question, and no more than so many a plan."""
        of_plan = self.account.refusals.get(entry.plan, set())
        full = len(self.account.refusals) >= _MOST_REFUSED_PLANS and not of_plan
        if entry.request not in of_plan and len(of_plan) < _MOST_REFUSALS and not full:
            self._append(entry)

    def change_policy(
        self, policy: BudgetPolicy, root: SigningKey, officer: SigningKey | None = None
    ) -> None:
        """Put another policy in force.

        Args:
            policy: the new one.
            root: signs it.
            officer: signs it too; needed where more may be spent.

        Raises:
            PrivacyError: the officer is needed, or the period is one that was.
            IntegrityError: a key is not the right one.
        """
        text = policy_text(self.origin, len(self.written), policy)
        second = "" if officer is None else officer(text).hex()
        self._append(PolicyChange(policy=policy, root=root(text).hex(), second=second))

    def rotate(self, new: SigningKey, root: SigningKey | None = None) -> None:
        """Hand over to another key; every later checkpoint is signed by it.

        Args:
            new: the key from now on.
            root: signs in the place of the key so far.

        Raises:
            IntegrityError: the root is not the ledger's.
        """
        key = new.public.hex()
        text = rotation_text(self.origin, len(self.written), key)
        by_old = self._sign(text).hex() if root is None else ""
        by_root = "" if root is None else root(text).hex()
        self._append(KeyRotate(key=key, proof=new(text).hex(), old=by_old, root=by_root), new)

    def write(self, entry: Planned | Receipt | Close | Audit | Note) -> None:
        """Write an entry that asks for nothing and changes no rule."""
        self._append(entry)

    def settle(self) -> None:
        """Return when a quorum has cosigned all that is written.

        Raises:
            UnreachableError: there is no quorum.
            IntegrityError: a witness has seen more than we have: this ledger was set back.
        """
        size = len(self.written)
        if self._cosigned_size == size:
            return
        note = self._cosign(self.policy, self._chain.tree, self._note)
        if note != self._note:
            self._store.note(note.data())
        self._note, self._cosigned_size = note, size

    def _append(self, entry: Entry, sign: SigningKey | None = None) -> None:
        """Write one line and sign for it, with the key that is in force after it."""
        time = self._now()
        line = self._chain.line_of(entry, time)
        self._store.append(line)
        self._chain.add(line, entry, time)
        self._sign = sign or self._sign
        self._sign_head()

    def _check_notes(self, size: int, whole: int) -> None:
        """Hold the ledger against its last checkpoint, and set aside what a crash cut off."""
        data = self._store.notes()
        read = whole_notes(data)
        notes = read_notes(data[:read])
        if notes:
            self._note = notes[-1]
            self._signed_size = read_checkpoint(self._note.body).size
        if self._signed_size > len(self.written):
            raise IntegrityError(
                f"the ledger has {len(self.written)} whole entries, and we have signed for "
                f"{self._signed_size}",
                remedy="restore the ledger from its backup; nothing is released meanwhile",
            )
        at = Checkpoint(self.origin, self._signed_size, self._chain.tree.root(self._signed_size))
        if notes and (at.body() != self._note.body or not self._is_ours(self._note)):
            raise damaged(self._signed_size - 1, "it is not what we have signed for")
        if whole < size or read < len(data):
            self._store.cut(whole, read)

    def _is_ours(self, note: SignedNote) -> bool:
        """Whether the key that was in force has signed a checkpoint."""
        before = (one.entry for one in self.written[: self._signed_size])
        keys = [self.account.genesis.key, *(e.key for e in before if isinstance(e, KeyRotate))]
        key = VerifierKey(self.origin, PLAIN, bytes.fromhex(keys[-1]))
        return key in verify(note, [key])

    def _sign_head(self) -> None:
        """Sign for all that is written."""
        self._note = sign_checkpoint(self.head, self.origin, self._sign, self._sign.public)
        self._store.note(self._note.data())
        self._signed_size = len(self.written)

    def _burn(self, why: str) -> None:
        """Write off a charge that nothing will follow."""
        if self.account.open is not None:
            charge = self.account.open[1]
            self._append(
                Burn(plan=charge.plan, round=charge.round, attempt=charge.attempt, why=why)
            )
            self._waiting = None


def whole_notes(data: bytes) -> int:
    """How many bytes of checkpoints there are up to the last whole signature line."""
    dash, end = "\N{EM DASH} ".encode(), data.rfind(b"\n") + 1
    while end and not data.startswith(dash, data.rfind(b"\n", 0, end - 1) + 1):
        end = data.rfind(b"\n", 0, end - 1) + 1
    return end


def _why(problem: PrivacyError) -> str:
    """What a refusal is called."""
    return "budget" if isinstance(problem, BudgetExceeded) else "policy"
