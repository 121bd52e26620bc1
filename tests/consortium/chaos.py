"""A consortium that things happen to, and the judge of what is left of it.

Each of four institutions may be lost from a sum, since three are enough. The node of one of
them lives in a network namespace of its own, behind a pair of virtual Ethernet interfaces, so
that it can be cut off in either direction; another's folder is a small disk that can be full.
It needs root, as `make faults` does.
"""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from fedcredit.adapters.coordinator_folder import AUTHORITY
from fedcredit.adapters.folders import read_agreed
from fedcredit.adapters.studies import Studies, StudyState
from fedcredit.adapters.superlink import SuperLink
from fedcredit.adapters.superlink_programs import Certificates
from fedcredit.adapters.tables import open_table
from fedcredit.data.schema import write_schema
from fedcredit.learners.evaluation import evaluation_query
from fedcredit.learners.program import NoisyTotal
from fedcredit.learners.registry import learner_named
from fedcredit.measures.measure import measure
from tests.consortium.people import Consortium, order
from tests.consortium.traces import opened_of, survivors, taken
from tests.faults.checker import Ended, Evidence, judge
from tests.federation.made import SCHEMA

FULL = "utility"
"""Whose disk can be full."""
FAR = "telco"
"""Whose node is in a namespace of its own."""

DISK = "6m"
MOST_SDS = 8.0  # that a true total is off by: in 10^5 numbers, one of 10^9 such totals is
GONE_S = 1.5  # how soon whoever looks after processes starts one again
STOPPED = re.compile(r"study '.*' stopped in round \d+ of \d+: |its runs came to nothing: ")

STUDY = """
name = "{name}"
purpose = "to show what it survives"
learner = "{learner}"
schema = "schema.toml"
salt = "00000000000000000000000000000001"
seed = "00000000000000000000000000000002"
threshold = 3
colluders = 1
retries = {retries}
deadline_s = {deadline_s}

[target]
epsilon = {epsilon}
{rest}
"""

POLICY = """
origin = "{name}.example/ledger"

[budget]
epsilon = 200.0
epsilon_local = 400.0
person_epsilon = 600.0
person_epsilon_local = 800.0

[period]
begins = "{year}-01-01"
ends = "{after}-01-01"

[study]
epsilon = 60.0
automatic_epsilon = 60.0
"""


@dataclass(frozen=True)
class Usage:
    """What a process had at a moment: bytes of memory, and open files."""

    resident: int
    files: int


class Chaos(Consortium):
    """See the top of this file."""

    names = ("bank", "shop", FAR, FULL)

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.space, self._numbers = f"fed{os.getpid()}", 0
        net = f"10.213.{os.getpid() % 256}"
        self.host, self.there = f"{net}.1", f"{net}.2"
        self._disk = self.folder(FULL)
        self.known: set[str] = set()  # what was found wrong before, and is meant to be

    def __enter__(self) -> Self:
        for words in (
            f"ip netns add {self.space}",
            f"ip link add {self.near} type veth peer name far netns {self.space}",
            f"ip address add {self.host}/30 dev {self.near}",
            f"ip link set {self.near} up",
            f"ip -n {self.space} address add {self.there}/30 dev far",
            f"ip -n {self.space} link set far up",
            f"ip -n {self.space} link set lo up",
        ):
            order(words)
        self._disk.mkdir()
        order(f"mount -t tmpfs -o size={DISK} tmpfs {self._disk}")
        (self.base / "schema.toml").write_text(write_schema(SCHEMA), "utf-8")
        return super().__enter__()

    def __exit__(self, *exit_: object) -> None:
        super().__exit__(*exit_)
        for words in (
            f"umount -l {self._disk}",
            f"ip link del {self.near}",
            f"ip netns del {self.space}",
        ):
            with suppress(subprocess.CalledProcessError):
                order(words)

    @property
    def near(self) -> str:
        """The interface on this side."""
        return f"v{os.getpid()}"

    def run_node(self, name: str) -> None:
        before = ("ip", "netns", "exec", self.space) if name == FAR else ()
        self.start(f"node-{name}", "node", "run", str(self.folder(name)), before=before)

    def table(self, name: str, seed: int) -> str:
        return super().table(name, seed) + "".join(f"{one},1,own,0\n" for one in canaries(name))

    def _write_policy(self, name: str, witnesses: str) -> None:
        year = time.gmtime().tm_year
        text = POLICY.format(name=name, year=year, after=year + 1)
        (self.folder(name) / "policy.toml").write_text(text + witnesses, "utf-8")

    # ------------------------------------------------------------------------------ studies

    @property
    def studies(self) -> Studies:
        return Studies(self.centre)

    def propose(
        self,
        *,
        learner: str = "scorecard",
        retries: int = 5,
        deadline_s: float = 12.0,
        epsilon: float = 1.0,
        names: Sequence[str] = (),
    ) -> StudyState:
        """Put a new study before the institutions."""
        self._numbers += 1
        rest = "".join(f'[[institutions]]\nname = "{one}"\ntable = ""\n' for one in names)
        text = STUDY.format(
            name=f"study {self._numbers}",
            learner=learner,
            retries=retries,
            deadline_s=deadline_s,
            epsilon=epsilon,
            rest=rest,
        )
        path = self.base / f"study-{self._numbers}.toml"
        path.write_text(text, "utf-8")
        said = self.call("study", "propose", str(self.centre), str(path))
        return self.studies.find(said.split()[0])

    def begin(self, study: StudyState, answers: int | None = None) -> Path:
        """Start it once so many have answered; its folder at the coordinator's."""
        wanted = len(study.institutions) if answers is None else answers
        self.until(lambda: self._decided(study) >= wanted)
        self.studies.move(study, "started")
        return self.studies.place(study)

    def _decided(self, study: StudyState) -> int:
        answers = self.studies.find(study.id).answers.values()
        return sum(one.word != "waiting" for one in answers)

    def ended(self, study: StudyState, patience_s: float = 180.0) -> StudyState:
        """Wait until it is done or stopped."""
        self.until(lambda: self.studies.find(study.id).state in ("done", "stopped"), patience_s)
        return self.studies.find(study.id)

    def at(self, place: Path, page: str, patience_s: float = 120.0) -> None:
        """Wait until a study's journal has a page: the step after it is under way then."""
        path, end = place / "journal" / page, time.monotonic() + patience_s
        while not path.exists():
            assert time.monotonic() < end, f"no {page}\n{self.logs()}"
            time.sleep(0.002)

    def whole_study(self) -> None:
        """The next study runs, with everybody, and all is well."""
        study = self.propose()
        place = self.begin(study)
        assert self.ended(study).state == "done", self.logs()
        assert self.wrong(study) == []
        assert all(set(one) == set(study.institutions) for one in survivors(place))

    # ------------------------------------------------------------------------------- faults

    def link(self) -> SuperLink:
        """Whoever reaches Flower's own port on the coordinator's machine."""
        pki = self.centre / "pki"
        certificates = Certificates(
            root=self.centre / AUTHORITY,
            certificate=pki / "superlink.pem",
            key=pki / "superlink.key",
        )
        return SuperLink(self.base / "aside", self.superlink_port, certificates)

    def log(self, name: str) -> str:
        """What a process of ours has said."""
        return (self.base / f"{name}.log").read_text("utf-8", "replace")

    def lines(self, name: str) -> list[dict[str, object]]:
        """What stands in the ledger of an institution."""
        lines = (self.folder(name) / "ledger" / "ledger.jsonl").read_bytes().splitlines()
        return [json.loads(one) for one in lines]

    def charges(self, name: str) -> list[dict[str, object]]:
        """What an institution has paid."""
        return [one for one in self.lines(name) if one["kind"] == "charge"]

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def pid_of(self, program: str) -> int:
        """A program that the coordinator has started, by a word of its command."""
        below = self.pids_below(self.pid("coordinator"))
        found = [one for one in sorted(below) if program in command(one)]
        assert found, f"{program} does not run\n{self.logs()}"
        return found[0]

    def pids_below(self, pid: int) -> set[int]:
        """What a process has started, and those."""
        with suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").parent.parent.glob("*/children")
            found = {int(one) for path in children for one in path.read_text().split()}
            return found.union(*(self.pids_below(one) for one in found))
        return set()

    def kill(self, name: str) -> None:
        """Kill a process of ours, and nothing else that it has started."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def kill_program(self, program: str) -> None:
        """Kill what the coordinator has started; it is the coordinator's to start it again."""
        os.kill(self.pid_of(program), signal.SIGKILL)

    def killed_and_back(self, name: str) -> None:
        """Kill a process, and start it again as whoever looks after it would."""
        self.kill(name)
        time.sleep(GONE_S)
        kind, _, whose = name.partition("-")
        if kind == "node":
            self.run_node(whose)
        elif kind == "witness":
            self.run_witness(whose)
        else:
            self.run_coordinator()

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """A process hangs while the block runs."""
        os.kill(self.pid(name), signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid(name), signal.SIGCONT)

    @contextmanager
    def full(self) -> Iterator[None]:
        """The disk of `FULL` has no room while the block runs."""
        path = self._disk / "full"
        with path.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        try:
            yield
        finally:
            path.unlink()

    @contextmanager
    def cut(self, way: str) -> Iterator[None]:
        """The node of `FAR` is cut off: ``both`` ways, or nothing comes ``in`` or ``out``."""
        there, back = {
            "both": (
                f"ip -n {self.space} link set far down",
                f"ip -n {self.space} link set far up",
            ),
            "out": (
                f"ip -n {self.space} route add blackhole {self.host}/32",
                f"ip -n {self.space} route del blackhole {self.host}/32",
            ),
            "in": (
                f"ip route add blackhole {self.there}/32",
                f"ip route del blackhole {self.there}/32",
            ),
        }[way]
        order(there)
        try:
            yield
        finally:
            order(back)

    def usages(self, *names: str) -> dict[str, Usage]:
        """Of processes of ours, and of Flower's."""
        pids = {name: self.pid(name) for name in names}
        return {
            name: self.usage(pid)
            for name, pid in {**pids, "superlink": self.pid_of("flower-superlink")}.items()
        }

    def usage(self, pid: int) -> Usage:
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return Usage(pages * os.sysconf("SC_PAGE_SIZE"), files)

    # -------------------------------------------------------------------------------- judge

    def wrong(self, study: StudyState) -> list[str]:
        """What is wrong with the world after a study; it may have been stopped."""
        now, place = self.studies.find(study.id), self.studies.place(study)
        wrong = []
        if now.state == "stopped" and not STOPPED.match(now.why):
            wrong.append(f"it stopped without a reason of its own: {now.why!r}")
        if now.state == "stopped" and (place / "run").exists():
            wrong.append("it stopped, and something was published")
        wrong += self._wrong_sums(place, done=now.state == "done")
        for name in self.names:
            wrong += [f"{name}: {one}" for one in self._wrong_ledger(name)]
            wrong += [f"{name}: {one}" for one in self._wrong_releases(name, place)]
        wrong += [f"the auditor: {one}" for one in self._audited()]
        for path in self.base.glob("*.log"):
            if "Traceback" in path.read_text("utf-8", "replace"):
                wrong.append(f"I7: a traceback in {path.name}")
        return [one for one in wrong if one not in self.known]

    def _wrong_sums(self, place: Path, *, done: bool) -> list[str]:
        """I6: every total against the plain sum over its survivors' own tables."""
        schema, plan = read_agreed(place)
        salt, learner = bytes.fromhex(plan.salt), learner_named(plan.learner)
        tables = {
            name: open_table(str(self.folder(name) / "table.csv"), schema, salt)
            for name in plan.institutions
        }
        training = sum(one.part == "train" for one in plan.rounds)
        program = learner.start(schema, bytes.fromhex(plan.seed), plan.noise_levels[:training])
        wrong: list[str] = []
        for index in range(len(plan.rounds)):
            query = program.query() if index < training else evaluation_query(program.model())
            opened = opened_of(place, index, plan.retries)
            if opened is None:
                return [*wrong, f"round {index + 1} has no total"] if done else wrong
            exact = sum(measure(tables[one], query).value for one in opened.survivors)
            variance = len(opened.survivors) * plan.event(index, query).variance
            off = np.abs(opened.total - exact).max() / math.sqrt(variance)
            if len(opened.survivors) < plan.threshold or off > MOST_SDS:
                wrong.append(f"I6: the total of round {index + 1} is off by {off:.1f} sd")
            if index < training:
                program = program.fold(NoisyTotal(opened.total, variance))
        return wrong

    def _wrong_ledger(self, name: str) -> list[str]:
        """I2, I4 and I10, by the judge that knows nothing of the product."""
        ledger = self.folder(name) / "ledger"
        lines = (ledger / "ledger.jsonl").read_bytes()
        origin = json.loads(lines.splitlines()[0])["origin"]
        seen = [
            path.read_bytes()
            for other in self.names
            for path in (self.folder(other) / "witness" / "seen").glob("*.note")
        ]
        log = (self.base / f"node-{name}.log").read_text("utf-8", "replace")
        evidence = Evidence(
            lines=lines,
            notes=(ledger / "checkpoints.note").read_bytes(),
            seen=[one for one in seen if one.startswith(f"{origin}\n".encode())],
            ended=[Ended(0, log)],
            secrets=canaries(name),
        )
        return judge(evidence)

    def _wrong_releases(self, name: str, place: Path) -> list[str]:
        """I1 and I9: one charge and one output a turn; what the coordinator took is the one."""
        lines = (self.folder(name) / "ledger" / "ledger.jsonl").read_bytes().splitlines()
        turns: Counter[tuple[str, str, int, int]] = Counter()
        released: dict[tuple[str, int, int], str] = {}
        wrong = []
        for one in map(json.loads, lines):
            kind = one["kind"]
            if kind not in ("charge", "release", "agree", "reveal"):
                continue
            turn = one["plan"], one["round"], one["attempt"]
            turns[kind, *turn] += 1
            if kind == "release":
                released[turn] = one["reply"]
            if kind != "charge" and not turns["charge", *turn]:
                wrong.append(f"I1: {kind} of {turn} without a charge before it")
        wrong += [f"I9: {count} times {turn}" for turn, count in turns.items() if count > 1]
        _, plan = read_agreed(place)
        for turn_, reply in taken(place, name).items():
            if released.get((plan.digest().hex(), *turn_)) != reply:
                wrong.append(f"I9: the answer taken in {turn_} is none that the ledger names")
        return wrong

    def _audited(self) -> list[str]:
        """What `ledger verify` finds in everybody's ledgers."""
        bundle = self.base / "audit.zip"
        bundle.unlink(missing_ok=True)
        places = [str(self.folder(name)) for name in self.names]
        self.call("ledger", "bundle", *places, str(self.centre), "-o", str(bundle))
        found = json.loads(self.call("ledger", "verify", str(bundle), "--json", check=False))
        centre = found["coordinator"]
        problems = [str(one) for one in found["problems"]]
        if centre["matched"] != centre["receipts"]:
            problems.append(f"{centre['matched']} of {centre['receipts']} receipts match")
        return problems if found["verdict"] == "holds" or problems else [str(found)]


def command(pid: int) -> str:
    """A process's command line; empty if it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def canaries(name: str) -> list[str]:
    """Values in a table that would be known again anywhere."""
    return [f"{1000 + 13 * at}.{sum(name.encode())}{327 + at}" for at in range(20)]
