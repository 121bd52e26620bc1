"""One institution as a process of its own, with its ledger and vault on the disk.

    python -m tests.faults.node SPEC

Each line of standard input is the number of a file in ``asked``; the answer goes to ``wire``,
which is the network: whatever stands there has left. Nothing in the product knows of this:
the ports that it is handed are wrapped, and each wrapper passes named points, at one of which
the process may kill itself.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fedcredit.adapters.ledgers import DiskStore, open_store
from fedcredit.adapters.policies import read_key_file, read_policy
from fedcredit.adapters.system import system_random, utc_now
from fedcredit.adapters.tables import open_table
from fedcredit.adapters.vault import DiskVault
from fedcredit.adapters.witness import HttpCourier
from fedcredit.data.records import Records
from fedcredit.data.schema import read_schema
from fedcredit.errors import FedCreditError
from fedcredit.federation.institution import Institution
from fedcredit.federation.member import Member, answer
from fedcredit.federation.plan_json import plan_from_json
from fedcredit.federation.terms import Limits, Terms
from fedcredit.ledger.ledger import Ledger, whole_notes
from fedcredit.ledger.notes import Note, read_notes
from fedcredit.ledger.policy import BudgetPolicy
from fedcredit.ledger.quorum import Quorum
from fedcredit.ledger.tree import Tree
from fedcredit.measures.measure import measure
from fedcredit.models.queries import Query
from fedcredit.privacy.sums import BoundedSum
from fedcredit.secagg.messages import decode_request
from fedcredit.units import InstitutionId
from tests.federation.made import keys

UNEXPECTED = 70


@dataclass(frozen=True)
class Spec:
    """How the process is to be.

    Attributes:
        folder: of the institution.
        asked: folder of questions.
        wire: folder of answers.
        die: the point to die at; "" for none.
        times: how often that point is passed, the last time included.
        points: a file to write every point to; "" for none.
        ahead_s: how far the clock is ahead.
        files: how many more files may be opened once the process answers; -1 for any number.
        go_on: whether it goes on after an error.
    """

    folder: str
    asked: str
    wire: str
    die: str = ""
    times: int = 1
    points: str = ""
    ahead_s: int = 0
    files: int = -1
    go_on: bool = False


class Points:
    """Where the process is: every wrapper says so, before and after."""

    def __init__(self, spec: Spec) -> None:
        self._die, self._log, self._left = spec.die, spec.points, spec.times
        self.entry = self.question = "none"

    def __call__(self, name: str) -> None:
        """Pass a point, or die there."""
        if self._log:
            with Path(self._log).open("a", encoding="ascii") as file:
                file.write(f"{name}\n")
        if self._here(name):
            die()

    def _here(self, name: str) -> bool:
        """Whether this is where to die."""
        self._left -= name == self._die
        return name == self._die and self._left == 0

    def around(self, name: str, act: Callable[[], None]) -> None:
        """Do something between two points."""
        self(f"before {name}")
        act()
        self(f"after {name}")

    def torn(self, name: str, path: Path, data: bytes) -> None:
        """Pass a point at which half of what is written is on the disk."""
        if self._here(f"half {name}"):
            with path.open("ab") as file:
                file.write(data[: len(data) // 2])
            die()
        if self._log:
            self(f"half {name}")


def die() -> None:
    """As the kernel does it when memory runs out, or somebody pulls the plug of the process."""
    os.kill(os.getpid(), signal.SIGKILL)


class WatchedStore:
    """A ledger's store."""

    def __init__(self, inner: DiskStore, folder: Path, point: Points) -> None:
        self._inner, self._folder, self._point = inner, folder, point

    def lines(self) -> bytes:
        return self._inner.lines()

    def notes(self) -> bytes:
        return self._inner.notes()

    def cut(self, lines: int, notes: int) -> None:
        self._point.around("cut", lambda: self._inner.cut(lines, notes))

    def append(self, line: bytes) -> None:
        self._point.entry = str(json.loads(line)["kind"])
        name = f"append of {self._point.entry}"
        self._point.torn(name, self._folder / "ledger.jsonl", line)
        self._point.around(name, lambda: self._inner.append(line))

    def note(self, note: bytes) -> None:
        cosigned = note.count("\N{EM DASH} ".encode()) > 1
        name = f"{'cosigned' if cosigned else 'signed'} note of {self._point.entry}"
        self._point.torn(name, self._folder / "checkpoints.note", note)
        self._point.around(name, lambda: self._inner.note(note))

    def keep(self, name: str, reply: bytes) -> None:
        self._point.around("reply kept", lambda: self._inner.keep(name, reply))

    def kept(self, name: str) -> bytes:
        return self._inner.kept(name)


class WatchedCourier:
    """A way to the witnesses."""

    def __init__(self, inner: HttpCourier, point: Points) -> None:
        self._inner, self._point = inner, point

    def __call__(self, where: str, request: bytes) -> tuple[int, bytes]:
        self._point(f"before a witness of {self._point.entry}")
        answer = self._inner(where, request)
        self._point(f"after a witness of {self._point.entry}")
        return answer


class WatchedVault:
    """A vault."""

    def __init__(self, inner: DiskVault, point: Points) -> None:
        self._inner, self._point = inner, point

    def load(self, session: bytes) -> bytes:
        return self._inner.load(session)

    def keep(self, session: bytes, data: bytes) -> None:
        name = f"vault at {self._point.question}"
        self._point.around(name, lambda: self._inner.keep(session, data))


def member_of(spec: Spec, point: Points, held: ExitStack) -> Member:
    """The institution in a folder, as `adapters.folders` opens it, with every port wrapped."""
    folder = Path(spec.folder)
    written = read_policy(folder / "policy.toml")
    key = read_key_file(folder / "keys" / "ledger.key")
    schema = read_schema((folder / "schema.toml").read_text("utf-8"), "schema.toml")
    plan = plan_from_json((folder / "plan.json").read_text("utf-8"), "plan.json", schema)
    records = open_table(str(folder / "table.csv"), schema, bytes.fromhex(plan.salt))
    name = InstitutionId(json.loads((folder / "name.json").read_text("utf-8")))
    identities, roster = keys(plan.institutions)
    store = held.enter_context(open_store(folder / "ledger"))
    before = store.notes()
    quorum = Quorum(
        WatchedCourier(HttpCourier(), point),
        written.places,
        read_notes(before[: whole_notes(before)]),
    )

    def cosign(policy: BudgetPolicy, tree: Tree, note: Note) -> Note:
        point(f"before the quorum of {point.entry}")
        signed = quorum(policy, tree, note)
        point(f"after the quorum of {point.entry}")
        return signed

    def measured(records: Records, query: Query) -> BoundedSum:
        point("before the measurement")
        exact = measure(records, query)
        point("after the measurement")
        return exact

    def now() -> str:
        if not spec.ahead_s:
            return utc_now()
        moment = datetime.now(UTC) + timedelta(seconds=spec.ahead_s)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    ledger = Ledger(WatchedStore(store, folder / "ledger", point), key, cosign, now)
    terms = Terms(budget=ledger.policy.caps, **asdict(Limits()))
    institution = Institution(name, plan, terms, records, ledger, system_random, measured)
    vault = WatchedVault(DiskVault(folder / "vault"), point)
    return Member(institution, identities[name], roster, vault, system_random)


def send(path: Path, data: bytes) -> None:
    """Let bytes go, in one call."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(file, data)
    os.close(file)


def serve(spec: Spec) -> int:
    """Answer until there are no more questions."""
    point = Points(spec)
    with ExitStack() as held:
        member = member_of(spec, point, held)
        print(json.dumps({"ready": True}), flush=True)
        if spec.files >= 0:
            most = len(list(Path("/proc/self/fd").iterdir())) - 1 + spec.files
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        for line in sys.stdin:
            number = int(line)
            try:
                data = (Path(spec.asked) / f"{number:05}.bin").read_bytes()
                point.question = type(decode_request(data)).__name__.lower()
                reply = answer(member, data)
            except FedCreditError as problem:
                if not spec.go_on:
                    raise
                said = {"error": type(problem).__name__, "what": problem.what}
                print(json.dumps(said), flush=True)
                continue
            point(f"before {point.question} is sent")
            send(Path(spec.wire) / f"{number:05}.bin", reply)
            point(f"after {point.question} is sent")
            print(json.dumps({"said": number}), flush=True)
    return 0


def main() -> int:
    """Run, and end as the program `fedcredit` does."""
    try:
        return serve(Spec(**json.loads(sys.argv[1])))
    except FedCreditError as problem:
        print(f"error: {problem.what}\n  fix: {problem.remedy}", file=sys.stderr)
        return problem.exit_status
    except Exception as problem:  # noqa: BLE001 - as the program does: its text could hold a row
        place = traceback.extract_tb(problem.__traceback__)[-1]
        what = f"an unexpected error ({type(problem).__name__}) at {place.filename}:{place.lineno}"
        print(f"error: {what}\n  fix: report it", file=sys.stderr)
        return UNEXPECTED


if __name__ == "__main__":
    sys.exit(main())
