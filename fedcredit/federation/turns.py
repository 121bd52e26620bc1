"""A round of a plan as a turn of secure aggregation: the same on both sides.

Institution and coordinator each work these out from the plan and the question; nothing
here is believed because it was sent.
"""

from __future__ import annotations

from fedcredit.errors import PrivacyError
from fedcredit.federation.plan import StudyPlan
from fedcredit.privacy.events import GaussianSum, event_to_dict
from fedcredit.secagg.ring import noise_reach, ring_for
from fedcredit.secagg.roster import Roster
from fedcredit.secagg.session import Asked, Session, Turn

__all__ = ["asked_of", "session_of"]


def session_of(plan: StudyPlan, roster: Roster) -> Session:
    """The session of a study under a roster.

    Raises:
        PeerError: an institution of the plan is not in the roster.
        PrivacyError: the plan is for one institution, or could be opened for one.
    """
    if plan.noise == "alone":
        raise PrivacyError(
            "an institution alone has nobody to hide among",
            remedy="train alone without a coordinator, or name three institutions or more",
        )
    return Session(plan.digest(), roster, plan.institutions, plan.threshold, plan.colluders)


def asked_of(plan: StudyPlan, turn: Turn, question: bytes, event: GaussianSum) -> Asked:
    """What is summed in a turn: bound, ring and every number of the event.

    Guarantee: no honest sum wraps, noise reaching twelve standard deviations included.

    Args:
        plan: of the study.
        turn: round and attempt.
        question: its exact bytes.
        event: what the question does to an institution's records.
    """
    members, bound = len(plan.institutions), plan.bound(event)
    reach = noise_reach(members, event.variance)
    return Asked(
        turn=turn,
        dim=event.dim,
        ring=ring_for(members, bound, reach),
        question=question,
        parameters={"bound": bound, **event_to_dict(event)},
    )
