"""The coordinator's turn: one secure sum over any transport, in three trips.

    (prepare  only to members without a package for the turn: at the start, after absence)
    start     to each participant its own; uploads come back until the deadline
    survive   the list of survivors; done as soon as enough have signed it
    reveal    those signatures; done as soon as enough shares give the sum

What is decided is decided by `secagg.server`; here is the order in which it is asked. The
coordinator sees masked vectors, one-time public keys, sealed shares, signatures, and the
shares that open the sum: the sum is all that they tell it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Protocol, TypeVar, runtime_checkable

from fedcredit.codec import digest
from fedcredit.errors import PeerError
from fedcredit.federation.journal import InMemoryJournal, Journal, TurnJournal, TurnResult
from fedcredit.federation.messages import Heard, Refusal
from fedcredit.ledger.entries import reply_digest
from fedcredit.secagg.lanes import Cards
from fedcredit.secagg.messages import Agreement, Prepare, encode_request
from fedcredit.secagg.opening import (
    Opened,
    Opening,
    ask_shares,
    open_sum,
    receive_shares,
)
from fedcredit.secagg.server import (
    Aborted,
    Agreeing,
    Collecting,
    Gathering,
    close,
    only,
    receive_agreement,
    receive_following,
    receive_package,
    receive_upload,
    start,
    unaltered,
)
from fedcredit.secagg.session import Asked, Session, encode_manifest
from fedcredit.units import InstitutionId

__all__ = ["Transport", "conduct_turn"]

_State = TypeVar("_State")
_TRIES = 2  # a message that was lost is made good by sending the very same bytes once more


@runtime_checkable
class Transport(Protocol):
    """A way to reach institutions."""

    def __call__(
        self, requests: Mapping[InstitutionId, bytes], deadline_s: float
    ) -> Iterable[Heard]:
        """Send each institution its own request.

        Returns:
            What they say, as it comes. Whoever has said nothing after ``deadline_s``
            seconds is left out; one that says something twice may be in it twice. The
            caller may stop listening before the end.
        """
        ...


def conduct_turn(
    session: Session,
    asked: Asked,
    packages: Mapping[InstitutionId, bytes],
    invited: tuple[InstitutionId, ...],
    ask: Transport,
    deadline_s: float,
    cards: Mapping[InstitutionId, Cards] = MappingProxyType({}),
    journal: Journal | None = None,
) -> TurnResult:
    """Conduct one turn.

    Args:
        session: of the study.
        asked: what is summed.
        packages: for this turn, that rode along with the uploads of the last one.
        invited: whom to ask, of the session's members.
        ask: how they are reached.
        deadline_s: seconds they have for each trip.
        cards: from the last turn of the session. Whose are not here is asked for a package.
        journal: of the study; the turn goes on where it stood there.

    Returns:
        The end of the turn. An aborted one has revealed nothing.
    """
    pages = TurnJournal(journal or InMemoryJournal(), asked.turn)
    before = pages.result()
    if before is not None:
        return before
    result = _Turn(session, asked, invited, ask, deadline_s, pages).conduct(packages, cards)
    pages.keep_result(result)
    return result


class _Turn:
    """One turn under way."""

    def __init__(
        self,
        session: Session,
        asked: Asked,
        invited: tuple[InstitutionId, ...],
        ask: Transport,
        deadline_s: float,
        pages: TurnJournal,
    ) -> None:
        self.pages = pages
        self.session, self.asked, self.invited = session, asked, invited
        self.ask, self.deadline_s = ask, deadline_s
        self.troubles: dict[InstitutionId, str] = {}
        self.replies: dict[InstitutionId, str] = {}
        self.cards: Mapping[InstitutionId, Cards] = {}

    def conduct(
        self, packages: Mapping[InstitutionId, bytes], cards: Mapping[InstitutionId, Cards]
    ) -> TurnResult:
        """All trips, or as many as it takes to see that there will be no sum."""
        begun_with, known = self.pages.packages()
        gathering = self._gather(begun_with or packages, known or cards, ask=not begun_with)
        self.cards = gathering.cards
        begun = start(gathering, self.asked)
        if isinstance(begun, Aborted):
            return self._over(begun, None, b"")
        collecting, requests = begun
        dealt = {name: one.package.encode() for name, one in gathering.packages.items()}
        self.pages.keep_packages(dealt, gathering.cards)
        collecting = self._trip(
            collecting,
            requests,
            self._receive_upload,
            taken=lambda state: tuple(state.uploads),
            enough=lambda state: len(state.uploads) >= self.session.threshold,
        )
        listed = self.pages.survivors()
        if listed:  # they may have signed this list, and will sign no other
            collecting = only(collecting, listed)
        silent = set(self.invited) - set(collecting.uploads)
        self.troubles = dict.fromkeys(sorted(silent), "no answer") | self.troubles
        closed = close(collecting)
        kept = () if isinstance(closed, Aborted) else closed[0].survivors
        if set(kept) != set(collecting.uploads):
            sound = unaltered(collecting)
            wrong = sorted(set(collecting.uploads) - set(sound.uploads))
            self.troubles |= dict.fromkeys(wrong, "an upload that was altered on its way")
            collecting = sound
        if isinstance(closed, Aborted):
            return self._over(closed, collecting, b"")
        agreeing, survive = closed
        if listed not in ((), agreeing.survivors):
            gone = Aborted("a survivor that others have signed for does not answer any more")
            return self._over(gone, collecting, b"")
        self.pages.keep_survivors(agreeing.survivors)
        return self._over(self._open(agreeing, survive), collecting, survive)

    def _gather(
        self,
        packages: Mapping[InstitutionId, bytes],
        cards: Mapping[InstitutionId, Cards],
        *,
        ask: bool,
    ) -> Gathering:
        """Packages that are there, and if asked those of members that have none."""
        state = Gathering(self.session, self.asked.turn, cards=cards)
        for name in self.invited:
            if name in packages:
                state = self._take(state, name, packages[name], receive_following)
        if not ask:
            return state
        self.troubles.clear()  # whoever's package was wrong is asked for another
        request = encode_request(Prepare(self.session.digest(), self.asked.turn))
        return self._trip(
            state,
            {name: request for name in self.invited if name not in state.packages},
            receive_package,
            taken=lambda state: tuple(state.packages),
            enough=lambda state: len(state.packages) >= self.session.threshold,
        )

    def _open(self, agreeing: Agreeing, survive: bytes) -> Opened | Aborted:
        """The second and the third trip."""
        for name, data in self.pages.signed().items():
            agreeing = self._take(agreeing, name, data, receive_agreement)
        agreeing = self._trip(
            agreeing,
            {} if agreeing.enough else dict.fromkeys(agreeing.survivors, survive),
            receive_agreement,
            taken=lambda state: tuple(state.signatures),
            enough=lambda state: state.enough,
            hurry=True,
        )
        asked = ask_shares(agreeing)
        if isinstance(asked, Aborted):
            return asked
        opening, reveal = asked
        self.pages.keep_signed(
            {name: Agreement(one).encode() for name, one in agreeing.signatures.items()}
        )
        while True:
            before = len(opening.shares) + len(opening.liars)
            opening = self._trip(
                opening,
                {
                    name: reveal
                    for name in agreeing.survivors
                    if name not in opening.shares and name not in opening.liars
                },
                receive_shares,
                taken=lambda state: (*state.shares, *state.liars),
                enough=lambda state: state.enough,
                hurry=True,
            )
            outcome = open_sum(opening) if opening.enough else opening
            if not isinstance(outcome, Opening):
                return outcome
            for liar in outcome.liars:
                self.troubles[liar] = "revealed false shares"
            if not opening.enough or len(opening.shares) + len(opening.liars) == before:
                return Aborted(f"{len(outcome.shares)} members revealed shares, too few")
            opening = outcome

    def _receive_upload(self, state: Collecting, sender: InstitutionId, data: bytes) -> Collecting:
        """Take an upload, and note which bytes it was, for the ledger."""
        state = receive_upload(state, sender, data)
        self.replies[sender] = reply_digest(data)
        return state

    def _trip(
        self,
        state: _State,
        requests: Mapping[InstitutionId, bytes],
        receive: Callable[[_State, InstitutionId, bytes], _State],
        *,
        taken: Callable[[_State], tuple[InstitutionId, ...]],
        enough: Callable[[_State], bool],
        hurry: bool = False,
    ) -> _State:
        """Send, and take what comes; below the threshold send the very same bytes once more.

        A resend costs nothing, since a member has one answer for one message; a retry of
        the turn costs a charge. So lost messages are made good before a turn is retried.
        What went wrong in an earlier trip is not made good by a later one.
        """
        earlier, self.troubles = self.troubles, {}
        try:
            return self._tries(state, requests, receive, taken, enough, hurry=hurry)
        finally:
            self.troubles = earlier | self.troubles

    def _tries(
        self,
        state: _State,
        requests: Mapping[InstitutionId, bytes],
        receive: Callable[[_State, InstitutionId, bytes], _State],
        taken: Callable[[_State], tuple[InstitutionId, ...]],
        enough: Callable[[_State], bool],
        *,
        hurry: bool,
    ) -> _State:
        """See `_trip`."""
        for _ in range(_TRIES):
            left = {name: data for name, data in requests.items() if name not in taken(state)}
            for heard in self.ask(left, self.deadline_s) if left else ():
                if heard.sender not in requests:
                    self.troubles[heard.sender] = "was not asked"
                    continue
                if isinstance(heard, Refusal):
                    self.troubles[heard.sender] = f"refused: {heard.reason}"
                    continue
                state = self._take(state, heard.sender, heard.data, receive)
                if hurry and enough(state):
                    return state
            if enough(state):
                break
        return state

    def _take(
        self,
        state: _State,
        sender: InstitutionId,
        data: bytes,
        receive: Callable[[_State, InstitutionId, bytes], _State],
    ) -> _State:
        """Take one message, or note what is wrong with it."""
        try:
            state = receive(state, sender, data)
        except PeerError as problem:
            self.troubles[sender] = problem.what
        else:
            self.troubles.pop(sender, None)
        return state

    def _over(
        self, outcome: Opened | Aborted, collecting: Collecting | None, survive: bytes
    ) -> TurnResult:
        """The end."""
        if isinstance(outcome, Aborted):
            for dealer in outcome.blamed:
                self.troubles[dealer] = "dealt shares that were of no use"
        uploads = {} if collecting is None else collecting.uploads
        manifest = b"" if collecting is None else encode_manifest(collecting.manifest)
        return TurnResult(
            outcome,
            tuple(sorted(uploads)),
            dict(sorted(self.troubles.items())),
            {name: one.following for name, one in uploads.items() if one.following},
            self.cards,
            digest("fedcredit/turn/1", manifest, survive),
            dict(sorted(self.replies.items())),
        )
