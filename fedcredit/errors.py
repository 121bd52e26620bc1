"""Every error that fedcredit raises: what happened, and what the reader can do about it.

An error may depend on public parameters only: one that depends on a customer's
row would itself be a release. `cli/main.py` turns `exit_status` into the
process's exit status, in that one place.

    FedCreditError
      +- ConfigError          1   a study, policy or node file is wrong
      |    +- SchemaError     1   a data contract is wrong, or still a draft
      +- DataError            1   a table breaks its contract
      +- UnreachableError     3   a party cannot be reached
      +- PrivacyError         4   a release would not be private as declared
      |    +- BudgetExceeded  4   a round would spend more than the policy allows
      +- IntegrityError       5   a file or model is not what its digest says
      +- PeerError            5   the other side broke the protocol
      |    +- EnrolmentRefused 5  an invitation, request or approval does not hold
      +- LocalError           5   this side broke the protocol
      +- StudyStopped        75   too few institutions answered; try again later
"""

from __future__ import annotations

__all__ = [
    "BudgetExceeded",
    "ConfigError",
    "DataError",
    "EnrolmentRefused",
    "FedCreditError",
    "IntegrityError",
    "LocalError",
    "PeerError",
    "PrivacyError",
    "SchemaError",
    "StudyStopped",
    "UnreachableError",
]


class FedCreditError(Exception):
    """Base class: what was found and expected, and the remedy.

    Both halves are shown to operators and written to logs, so neither may
    contain a customer's value, a key, a share or a mask.

    >>> print(ConfigError("threshold is 1, expected 3 or more", remedy="set threshold = 3"))
    threshold is 1, expected 3 or more
      fix: set threshold = 3
    """

    exit_status = 1

    def __init__(self, what: str, *, remedy: str) -> None:
        super().__init__(f"{what}\n  fix: {remedy}")
        self.what = what
        self.remedy = remedy


class ConfigError(FedCreditError):
    """A study, policy or node file is wrong."""


class SchemaError(ConfigError):
    """A data contract is wrong, or still holds drafts."""


class DataError(FedCreditError):
    """A table breaks its contract; the message names file, column and rule, never a value."""


class UnreachableError(FedCreditError):
    """A party cannot be reached."""

    exit_status = 3


class PrivacyError(FedCreditError):
    """A release would not be private as declared; nothing was released."""

    exit_status = 4


class BudgetExceeded(PrivacyError):
    """The round would spend more than the policy allows; nothing was released."""


class IntegrityError(FedCreditError):
    """A file or model is not what its digest says."""

    exit_status = 5


class PeerError(FedCreditError):
    """The other side broke the protocol; our state is unchanged."""

    exit_status = 5


class EnrolmentRefused(PeerError):
    """An invitation, a request to join or an approval does not hold; nothing was changed.

    Args:
        what: see `FedCreditError`.
        remedy: see `FedCreditError`.
        kind: one word for programs, such as ``expired``.
    """

    def __init__(self, what: str, *, remedy: str, kind: str = "refused") -> None:
        super().__init__(what, remedy=remedy)
        self.kind = kind


class LocalError(FedCreditError):
    """This side would break the protocol; our state is unchanged."""

    exit_status = 5


class StudyStopped(FedCreditError):
    """Too few institutions answered; nothing more is released."""

    exit_status = 75
