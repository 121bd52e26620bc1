"""An institution's node, by its folder: one ledger, one vault, any number of studies.

    node.toml  policy.toml  identity.json  keys/ledger.key  ledger/  vault/
    studies/<name>/plan.json  schema.toml  roster.json     what was put before the institution
                   approval.json  refusal.json             what its people have said to it

A study whose files lie in the folder itself is one like the others: so stock SuperNodes are
started, one study a folder. A node's configuration names its folder and nothing else, since
Flower shows it to whoever looks at the machine.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from threading import RLock
from typing import Final

from fedcredit.adapters.disk import write_file
from fedcredit.adapters.flower import NodeConfig
from fedcredit.adapters.folders import config_folder, read_agreed, read_node
from fedcredit.adapters.keyring import read_identity, read_roster
from fedcredit.adapters.ledgers import open_ledger
from fedcredit.adapters.policies import read_policy
from fedcredit.adapters.sources import open_source
from fedcredit.adapters.system import system_random
from fedcredit.adapters.vault import DiskVault
from fedcredit.data.strict import build
from fedcredit.errors import ConfigError, LocalError, PeerError, PrivacyError
from fedcredit.federation.addressed import answer_message
from fedcredit.federation.book import planned
from fedcredit.federation.institution import Institution
from fedcredit.federation.member import Member
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.terms import Terms, accept
from fedcredit.ledger.account import Account
from fedcredit.ledger.entries import Refuse
from fedcredit.ledger.ledger import Ledger
from fedcredit.secagg.roster import check_roster

__all__ = [
    "Approval",
    "Host",
    "Hosts",
    "plan_folders",
    "read_approval",
    "word_of",
    "write_approval",
    "write_refusal",
]

_APPROVAL: Final = "approval.json"
_REFUSAL: Final = "refusal.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's word on a study.

    Attributes:
        plan: its digest, hex.
        signature: of the privacy officer, hex; see `ledger.signing.approval_text`.
        note: for the ledger.
    """

    plan: str
    signature: str
    note: str = ""


class Host:
    """One institution; its ledger is open from the first study on.

    Every method may be called from any thread: there is one lock for all of it.
    """

    def __init__(self, folder: Path) -> None:
        """Read a folder; nothing is locked yet.

        Raises:
            ConfigError: a file is missing or wrong.
        """
        self.folder = folder
        self.node = read_node(folder)
        self.identity = read_identity(folder / "identity.json")
        if self.identity.name != self.node.institution:
            raise ConfigError(
                f"{folder / 'identity.json'} holds keys of {self.identity.name!r}, node.toml "
                f"says {self.node.institution!r}",
                remedy="put the institution's own keys there",
            )
        self._policy = read_policy(folder / "policy.toml")
        self._members: dict[bytes, Member] = {}
        self._lock = RLock()
        self._held = ExitStack()
        self._ledger: Ledger | None = None

    def answer(self, kind: str, data: bytes) -> bytes:
        """What the node says to one message; see `addressed.answer_message`."""
        with self._lock:
            return answer_message(kind, data, self.member)

    def member(self, plan: bytes) -> Member:
        """The member that takes part in a study, by the digest of its plan.

        Raises:
            PeerError: no such study was put before us, or its roster does not count for us.
            PrivacyError: the study asks for more than the policy allows, was refused, or
                waits for approval.
            ConfigError: a file of it is missing or wrong.
            LocalError: another process has the ledger open.
            IntegrityError: the ledger is damaged.
            DataError: the table breaks its contract.
        """
        with self._lock:
            if plan not in self._members:
                self._members[plan] = self._join(self._find(plan))
            return self._members[plan]

    def consider(self, place: Path) -> str:
        """Put a study before the policy: ``approved``, ``refused`` or ``waiting``.

        Args:
            place: the study's folder.

        Raises:
            ConfigError: a file of it is missing or wrong.
            LocalError: another process has the ledger open.
            IntegrityError: the ledger is damaged, or an approval is not the officer's.
        """
        with self._lock:
            _, plan = read_agreed(place)
            ledger = self._open()
            digest = plan.digest().hex()
            if (place / _REFUSAL).exists():
                return "refused"
            if not self._acceptable(ledger, plan):
                ledger.refuse(Refuse(plan=digest, round=0, attempt=0, request=digest, why="policy"))
                return "refused"
            try:
                self._propose(ledger, plan, place)
            except PrivacyError:
                return "waiting" if digest in ledger.account.plans else "refused"
            ledger.settle()
            return "approved"

    def close(self) -> None:
        """Give the ledger back."""
        with self._lock:
            self._members.clear()
            self._ledger = None
            self._held.close()

    def _find(self, plan: bytes) -> Path:
        """The folder of a study."""
        for place in plan_folders(self.folder):
            if read_agreed(place)[1].digest() == plan:
                return place
        raise PeerError(
            "a message of a study that was never put before us",
            remedy="have both sides load the same plan",
        )

    def _join(self, place: Path) -> Member:
        """Take part in a study; what can be refused is refused before the table is read."""
        schema, plan = read_agreed(place)
        if (place / _REFUSAL).exists():
            raise PrivacyError(f"plan {plan.name!r} was refused here", remedy="draw up another")
        roster = check_roster(read_roster(place / "roster.json"), self.identity.card)
        own = self.folder / "roster.json"
        if own.exists() and read_roster(own).roster.digest() != roster.digest():
            raise PeerError(
                "the study is under another roster than the one that counts here",
                remedy="have it proposed anew under the roster that members have signed last",
            )
        ledger = self._open()
        terms = self._terms(ledger)
        self._propose(ledger, plan, place)
        institution = Institution(
            self.node.institution,
            plan,
            terms,
            open_source(self.folder, self.node, schema, bytes.fromhex(plan.salt)),
            ledger,
            system_random,
            software=f"fedcredit {version('fedcredit')}",
        )
        vault = DiskVault(self.folder / "vault")
        return Member(institution, self.identity, roster, vault, system_random)

    def _terms(self, ledger: Ledger) -> Terms:
        """The least that the institution insists on."""
        return Terms(budget=ledger.policy.caps, **asdict(self.node.floor))

    def _acceptable(self, ledger: Ledger, plan: StudyPlan) -> bool:
        """Whether a plan meets the terms: people need not look at one that does not."""
        try:
            accept(self._terms(ledger), plan, self.node.institution)
        except PrivacyError:
            return False
        return True

    def _propose(self, ledger: Ledger, plan: StudyPlan, place: Path) -> None:
        """Write a plan into the ledger, with the officer's approval where there is one."""
        asked = planned(plan, ledger.policy.caps.institutions)
        try:
            ledger.propose(asked)
        except PrivacyError:
            if asked.plan not in ledger.account.plans or not (place / _APPROVAL).exists():
                raise
            given = read_approval(place)
            if given.plan != asked.plan:
                raise LocalError(
                    f"{place / _APPROVAL} approves another plan", remedy="approve this one"
                ) from None
            ledger.approve(asked.plan, bytes.fromhex(given.signature), given.note)

    def _open(self) -> Ledger:
        """The ledger, open."""
        if self._ledger is None:
            self._ledger = self._held.enter_context(open_ledger(self.folder, self._policy))
        return self._ledger


class Hosts:
    """Hosts by their folders, each opened once for as long as the process lives."""

    def __init__(self) -> None:
        self._open: dict[Path, Host] = {}

    def __call__(self, config: NodeConfig, plan: bytes) -> Member:
        """The member of a study whose node's configuration names its ``folder``.

        Args:
            config: of the node.
            plan: digest of the plan.

        Raises:
            ConfigError: there is no such folder; and whatever `Host` raises.
        """
        folder = config_folder(config)
        if folder not in self._open:
            self._open[folder] = Host(folder)
        host = self._open[folder]
        try:
            return host.member(plan)
        except PrivacyError:
            host.close()  # people may have to do something with the ledger now
            raise

    def close(self) -> None:
        """Give every ledger back."""
        for host in self._open.values():
            host.close()
        self._open.clear()


def plan_folders(folder: Path) -> list[Path]:
    """Where studies lie that were put before an institution."""
    places = [folder, *sorted((folder / "studies").glob("*/"))]
    return [place for place in places if (place / "plan.json").exists()]


def word_of(place: Path, plan: StudyPlan, account: Account) -> str:
    """Where a study stands at an institution: ``approved``, ``refused`` or ``waiting``.

    Args:
        place: the study's folder.
        plan: its plan.
        account: of the ledger.
    """
    if (place / _REFUSAL).exists():
        return "refused"
    known = account.plans.get(plan.digest().hex())
    if known is not None and known.approved:
        return "approved"
    return "waiting"


def write_refusal(place: Path, reason: str) -> None:
    """Keep a person's refusal beside the study."""
    write_file(place / _REFUSAL, (json.dumps({"reason": reason}, indent=2) + "\n").encode())


def write_approval(place: Path, given: Approval) -> None:
    """Keep a person's approval beside the study."""
    write_file(place / _APPROVAL, (json.dumps(asdict(given), indent=2) + "\n").encode())


def read_approval(place: Path) -> Approval:
    """Read it back.

    Raises:
        ConfigError: it is malformed.
    """
    path = place / _APPROVAL
    try:
        table = json.loads(path.read_text("ascii"))
    except (OSError, ValueError):
        table = None
    if not isinstance(table, dict):
        raise ConfigError(f"{path} is not an approval", remedy="approve the study again")
    given = build(Approval, table, str(path))
    if len(given.signature) != 128 or set(given.signature) - set("0123456789abcdef"):
        raise ConfigError(f"{path} holds no signature", remedy="approve the study again")
    return given
