"""An institution as a member of a consortium: it answers whatever a coordinator may send.

    prepare   one-time keys for a turn, dealt once
    start     a private sum (see `institution`), masked; with it the keys of the round to come
    survive   one list of survivors is signed in a turn
    reveal    the shares that open their sum, once; then the turn's secrets are gone

The vault holds the secrets and the book says which steps were taken. A step is kept in the
vault, then written into the book, then sent: asked again, the member sends what it kept. If
an older vault was put back, the book knows better, and nothing is signed or revealed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fedcredit.errors import LocalError, PeerError
from fedcredit.federation.institution import Institution, private_sum
from fedcredit.federation.messages import decode_question, request_digest
from fedcredit.federation.turns import asked_of, session_of
from fedcredit.ledger.account import Standing
from fedcredit.ledger.entries import Step, StepName, reply_digest
from fedcredit.privacy.events import GaussianSum
from fedcredit.secagg.client import (
    Agreed,
    Masked,
    State,
    admit,
    agree,
    mask,
    reveal,
)
from fedcredit.secagg.dealing import (
    Dealt,
    deal,
)
from fedcredit.secagg.keys import Identity
from fedcredit.secagg.lanes import new_lanes
from fedcredit.secagg.messages import Prepare, Reveal, Start, Survive, decode_request
from fedcredit.secagg.packages import Prepared
from fedcredit.secagg.roster import Roster
from fedcredit.secagg.session import Session, Turn, check_floor
from fedcredit.secagg.shamir import RandomBytes
from fedcredit.secagg.states import Holding, Vault, decode_holding, encode_holding
from fedcredit.units import Ints

__all__ = ["Member", "answer"]


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One institution in one study of a consortium.

    Attributes:
        institution: its records, terms and book.
        identity: its own secret keys.
        roster: that counts for it; see `secagg.roster.check_roster`.
        vault: where one-time secrets are kept; one writer.
        random: secret bytes for one-time keys, never used twice.

    Raises:
        PrivacyError: the plan is below the institution's floor.
        PeerError: the roster gives the institution other keys than its own, or lacks a
            member of the plan.
    """

    institution: Institution
    identity: Identity
    roster: Roster
    vault: Vault
    random: RandomBytes
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        """Refuse the whole study before its first round rather than in the middle."""
        session = session_of(self.institution.plan, self.roster)
        check_floor(self.institution.terms.floor, session)
        if self.roster.member(self.institution.name) != self.identity.card:
            raise PeerError(
                f"the roster gives {self.institution.name!r} other keys than its own",
                remedy="have the members sign a roster with the right card",
            )
        object.__setattr__(self, "session", session)

    def __repr__(self) -> str:
        """Never print what is not public."""
        return f"Member({self.institution.name!r})"


def answer(member: Member, data: bytes) -> bytes:
    """Answer one message.

    Guarantee: the same message gets the same bytes, at no further cost; a turn is summed
    once, its survivors are signed once and its shares revealed once, whatever is sent,
    lost or started anew in between. Whatever is raised, nothing has left.

    Args:
        member: who answers; one call at a time.
        data: what the coordinator sent.

    Returns:
        The bytes of the answer.

    Raises:
        PeerError: the bytes are no message, or none that may be answered now.
        PrivacyError: it would cost more than the terms allow, or is below the floor.
        LocalError: something of ours was lost, or could not be made durable.
        IntegrityError: book or vault is damaged.
    """
    request = decode_request(data)
    match request:
        case Prepare():
            return _prepare(member, request)
        case Start():
            return _sum(member, data, request)
        case Survive() | Reveal():
            return _later_step(member, data, request)


def _prepare(member: Member, request: Prepare) -> bytes:
    """Keys for a turn that lies ahead: the same package, however often it is asked for."""
    plan, turn = member.institution.plan, request.turn
    if request.session != member.session.digest():
        raise PeerError(
            "keys are asked for another session than ours",
            remedy="have both sides load the same plan and the same roster",
        )
    if turn[0] >= len(plan.rounds) or turn[1] > plan.retries or turn <= _standing(member).last:
        raise PeerError(
            f"keys are asked for round {turn[0] + 1}, attempt {turn[1]}, which is over or was "
            "never planned",
            remedy="ask for keys of a turn that lies ahead",
        )
    holding, dealt = _deal_once(member, _holding(member), turn)
    member.vault.keep(member.session.digest(), encode_holding(holding))
    return Prepared(holding.lanes.cards, dealt.package).encode()


def _sum(member: Member, data: bytes, request: Start) -> bytes:
    """One private sum under masks."""
    institution = member.institution
    question = decode_question(request.question)
    turn: Turn = question.round, question.attempt

    def wrap(event: GaussianSum) -> Callable[[Ints], bytes]:
        """Check the whole start before anything is charged."""
        holding = _holding(member)
        dealt = holding.states.get(turn)
        if not isinstance(dealt, Dealt):
            raise PeerError(
                f"we hold no keys for round {turn[0] + 1}, attempt {turn[1]}",
                remedy="ask for a package first; a restored vault has lost the last one",
            )
        asked = asked_of(institution.plan, turn, request.question, event)
        admitted = admit(
            member.identity, member.session, institution.terms.floor, dealt, request, asked
        )

        def masked(value: Ints) -> bytes:
            """Mask, and keep what the turn's later steps need before the answer is recorded."""
            kept, following = holding, b""
            if turn[0] + 1 < len(institution.plan.rounds):
                kept, ahead = _deal_once(member, holding, (turn[0] + 1, 0))
                following = ahead.package
            state, reply = mask(member.identity, admitted, value, following)
            member.vault.keep(member.session.digest(), encode_holding(kept.took(turn, state)))
            return reply

        return masked

    return private_sum(institution, question, request_digest(data), wrap)


def _later_step(member: Member, data: bytes, request: Survive | Reveal) -> bytes:
    """Sign survivors or reveal shares: what was kept, if it was asked before."""
    holding, name = _holding(member), request_digest(data)
    if name in holding.replies:
        reply = holding.replies[name]
        turn = max(holding.states, key=lambda one: not isinstance(holding.states[one], Dealt))
    else:
        turn, state = _open_turn(holding, request.context)
        _check_not_taken(_standing(member), turn, _step_of(request))
        after: State
        if isinstance(request, Reveal):
            after, reply = reveal(member.identity, member.session, state, request)
        elif isinstance(state, Masked):
            after, reply = agree(member.identity, member.session, state, request)
        else:
            raise _taken(turn, "agree")
        kept = encode_holding(holding.took(turn, after, name, reply))
        member.vault.keep(member.session.digest(), kept)
    _write_step(member, turn, _step_of(request), name, reply)
    return reply


def _open_turn(holding: Holding, context: bytes) -> tuple[Turn, Masked | Agreed]:
    """The turn of a context whose sum is still masked."""
    for turn, state in holding.states.items():
        if isinstance(state, Masked | Agreed):
            masked = state.masked if isinstance(state, Agreed) else state
            if masked.context == context:
                return turn, state
    raise PeerError(
        "no turn of ours waits for this message",
        remedy="drop it; it is late, or of another manifest than the one we masked for",
    )


def _write_step(member: Member, turn: Turn, step: StepName, name: bytes, reply: bytes) -> None:
    """Write a step into the book, unless a crash came between book and sending."""
    steps = _standing(member).steps
    taken = steps.get((turn, step))
    if (taken is not None and taken.request == name.hex()) or (turn, "reveal") in steps:
        member.institution.book.settle()
        return
    member.institution.book.step(
        Step(
            plan=member.institution.plan.digest().hex(),
            round=turn[0],
            attempt=turn[1],
            step=step,
            request=name.hex(),
            reply=reply_digest(reply),
        )
    )


def _check_not_taken(standing: Standing, turn: Turn, step: StepName) -> None:
    """The book has the last word: a vault can be put back, and it would not know."""
    if (turn, "reveal") in standing.steps or (turn, step) in standing.steps:
        raise _taken(turn, step)
    if turn not in standing.releases:
        raise LocalError(
            f"round {turn[0] + 1}, attempt {turn[1]} was never answered, says the book",
            remedy="restore book and vault together; nothing is signed or revealed meanwhile",
        )


def _taken(turn: Turn, step: StepName) -> PeerError:
    """The error for a second way of the same step."""
    done = "signed other survivors" if step == "agree" else "revealed shares"
    return PeerError(
        f"in round {turn[0] + 1}, attempt {turn[1]} we have already {done}",
        remedy="ask again as a new attempt; no step of a turn is taken twice",
    )


def _step_of(request: Survive | Reveal) -> StepName:
    """What the book calls it."""
    return "agree" if isinstance(request, Survive) else "reveal"


def _deal_once(member: Member, holding: Holding, turn: Turn) -> tuple[Holding, Dealt]:
    """Keys for a turn: those that there are, or fresh ones."""
    held: State | None = holding.states.get(turn)
    if isinstance(held, Dealt):
        return holding, held
    if held is not None:
        raise LocalError(
            f"round {turn[0] + 1}, attempt {turn[1]} was masked, which the book does not say",
            remedy="restore book and vault together; no keys are dealt for a turn twice",
        )
    identity, session, random = member.identity, member.session, member.random
    lanes = holding.lanes
    if lanes.spent:
        lanes = new_lanes(identity, session, random)
    dealt, lanes = deal(identity, session, turn, lanes, random)
    return holding.dealt(dealt, lanes), dealt


def _holding(member: Member) -> Holding:
    """What the vault holds."""
    return decode_holding(member.vault.load(member.session.digest()))


def _standing(member: Member) -> Standing:
    """What the book says of the plan."""
    institution = member.institution
    return institution.book.standing(institution.plan.digest().hex())
