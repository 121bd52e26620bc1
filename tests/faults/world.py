"""Folders, processes and a coordinator for the tests of faults; what is seen becomes evidence."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from fedcredit.adapters.policies import read_policy
from fedcredit.adapters.system import utc_now
from fedcredit.adapters.witness_folder import add_ledger, new_key, witness_key
from fedcredit.data.schema import write_schema
from fedcredit.errors import FedCreditError
from fedcredit.federation.member import Member, answer
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.plan_json import plan_to_json
from fedcredit.federation.study import Target
from fedcredit.ledger.signatures import PLAIN, VerifierKey
from fedcredit.secagg.opening import Opened
from fedcredit.secagg.session import Turn
from fedcredit.units import InstitutionId
from tests.faults.checker import KILLED, Capture, Ended, Evidence, judge
from tests.federation.driven import Driven, prepare
from tests.federation.made import NAMES, QUERY, SCHEMA, Party, plan, records

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAM: Final = (sys.executable, "-m", "fedcredit.cli.main")
PATIENCE_S: Final = 60.0
MEMBERS: Final = NAMES[:3]
ME: Final = MEMBERS[0]
ORIGIN: Final = "bank.example/ledger"
RETRIES: Final = 6

POLICY: Final = """
origin = "{origin}"

[budget]
epsilon = {epsilon}
epsilon_local = 20.0
person_epsilon = 40.0
person_epsilon_local = 40.0

[period]
begins = "{begins}"
ends = "{ends}"

[study]
epsilon = {epsilon}
automatic_epsilon = {epsilon}

[quorum]
witnesses = 2
beside_coordinator = 1
"""
PLACE: Final = """
[[witness]]
key = "{key}"
url = "{url}"
role = "{role}"
"""
NODE: Final = 'institution = "{name}"\ntable = "table.csv"\n'


class Died(Exception):
    """The process was killed before it said anything."""


class Refused(Exception):
    """The institution said no."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status, self.said = status, said


def environment() -> dict[str, str]:
    """Of every program that is started."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def fedcredit(*words: str | Path) -> Ended:
    """Run the program to its end."""
    done = subprocess.run(
        [*PROGRAM, *map(str, words)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return Ended(done.returncode, done.stdout + done.stderr)


class WitnessProcess:
    """`fedcredit witness run` on this machine."""

    def __init__(self, folder: Path, port: int = 0, wrap: Sequence[str] = ()) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*wrap, *PROGRAM, "witness", "run", str(folder), "--port", str(port)],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout
        self.url = self.process.stdout.readline().split()[-1]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    @property
    def key(self) -> str:
        """Its verifier key."""
        return str(witness_key(self.folder))

    def forget(self) -> None:
        """As if it had never signed: for another test, with a ledger of the same name."""
        for path in [*(self.folder / "seen").iterdir(), *(self.folder / "accused").iterdir()]:
            path.unlink()

    def seen(self) -> list[bytes]:
        """The notes that it keeps."""
        return [path.read_bytes() for path in sorted((self.folder / "seen").glob("*.note"))]

    def accused(self) -> list[bytes]:
        """The notes that it was offered without a proof."""
        return [path.read_bytes() for path in sorted((self.folder / "accused").glob("*.note"))]

    def end(self) -> None:
        """Kill it, as nobody asks a machine before its power goes."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


def study(name: str = "made-up") -> StudyPlan:
    """A plan for three institutions."""
    return plan(
        "counting", MEMBERS, name=name, retries=RETRIES, target=Target(epsilon=1.0), deadline_s=60.0
    )


def incomes() -> list[str]:
    """Values of records that would be found again wherever they went."""
    return [f"{1000 + 13 * at}.{50327 + 71 * at}" for at in range(120)]


def table() -> str:
    """A small table."""
    draw = np.random.default_rng(5)
    rows = [
        f"{income},{draw.integers(0, 4)},{draw.choice(['own', 'rent'])},{int(draw.random() < 0.2)}"
        for income in incomes()
    ]
    return "\n".join(["income,late,housing,default", *rows]) + "\n"


def make_witnesses(base: Path) -> list[WitnessProcess]:
    """Three that run; the last is a coordinator's."""
    found = []
    for name in ("one.example/witness", "two.example/witness", "centre.example/witness"):
        folder = base / name.partition(".")[0]
        new_key(folder, name)
        found.append(WitnessProcess(folder))
    return found


def write_policy(folder: Path, places: Mapping[str, str], epsilon: float = 6.0) -> None:
    """The policy, with addresses by key; the last witness is a coordinator's."""
    today = date.fromisoformat(utc_now()[:10])
    begins, ends = today - timedelta(days=30), today + timedelta(days=300)
    text = POLICY.format(origin=ORIGIN, begins=begins, ends=ends, epsilon=epsilon)
    roles = ["institution"] * (len(places) - 1) + ["coordinator"]
    for (key, url), role in zip(places.items(), roles, strict=True):
        text += PLACE.format(key=key, url=url, role=role)
    (folder / "policy.toml").write_text(text, "utf-8")


def make_bank(folder: Path, witnesses: Sequence[WitnessProcess]) -> None:
    """The folder of an institution, with a ledger as `fedcredit ledger init` begins it."""
    folder.mkdir(parents=True)
    (folder / "name.json").write_text(json.dumps(str(ME)), "utf-8")
    (folder / "node.toml").write_text(NODE.format(name=ME), "utf-8")
    (folder / "schema.toml").write_text(write_schema(SCHEMA), "utf-8")
    (folder / "plan.json").write_text(plan_to_json(study()), "utf-8")
    (folder / "table.csv").write_text(table(), "utf-8")
    write_policy(folder, {one.key: one.url for one in witnesses})
    begun = fedcredit("ledger", "init", folder)
    assert begun.status == 0, begun.said
    vkey = VerifierKey(ORIGIN, PLAIN, public_key(folder))
    for one in witnesses:
        add_ledger(one.folder, ORIGIN, vkey)


def public_key(folder: Path) -> bytes:
    """The ledger's key, from its first entry."""
    first = (folder / "ledger" / "ledger.jsonl").read_bytes().splitlines()[0]
    return bytes.fromhex(json.loads(first)["key"])


@dataclass
class World:
    """One institution under test, two that work, and whoever watches."""

    base: Path
    witnesses: list[WitnessProcess]
    plan: StudyPlan = field(default_factory=study)
    evidence: Evidence = field(default_factory=Evidence)
    others: dict[InstitutionId, Member] = field(default_factory=dict)
    asked: int = 0
    nodes: list[NodeProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("asked", "wire"):
            (self.base / name).mkdir(exist_ok=True)
        self.evidence.secrets = incomes()
        self.forget_others()

    def forget_others(self) -> None:
        """The two that work begin the study anew: who would answer an old turn again."""
        self.others = {
            name: Party(self.plan, name, records(40, seed))()
            for seed, name in enumerate(MEMBERS[1:], 1)
        }

    @property
    def bank(self) -> Path:
        """Its folder."""
        return self.base / "bank"

    def start(self, wrap: Sequence[str] = (), **spec: object) -> NodeProcess:
        """Start the institution; the error it met instead is raised."""
        node = NodeProcess(self, wrap, spec)
        self.nodes.append(node)
        node.await_ready()
        return node

    def begin(self, wrap: Sequence[str] = (), **spec: object) -> NodeProcess | None:
        """Start the institution; None if it ended before it could answer."""
        try:
            return self.start(wrap, **spec)
        except (Died, Refused):
            return None

    @contextmanager
    def aside(self) -> Iterator[Evidence]:
        """Evidence of a ledger that is not the one which will be judged."""
        kept, self.evidence = self.evidence, Evidence(secrets=self.evidence.secrets)
        try:
            yield self.evidence
        finally:
            self.evidence = kept

    def lines(self, folder: Path | None = None) -> bytes:
        """The ledger's bytes."""
        return ((folder or self.bank) / "ledger" / "ledger.jsonl").read_bytes()

    def notes(self, folder: Path | None = None) -> bytes:
        """The checkpoints' bytes."""
        return ((folder or self.bank) / "ledger" / "checkpoints.note").read_bytes()

    def kinds(self, folder: Path | None = None) -> list[str]:
        """What stands in the ledger."""
        return [json.loads(line)["kind"] for line in self.lines(folder).splitlines()]

    def sent(self) -> list[bytes]:
        """All that left but for keys, each once."""
        return list({one.reply for one in self.evidence.captures if one.kind != "prepare"})

    def others_say(self, requests: Mapping[InstitutionId, bytes]) -> dict[InstitutionId, bytes]:
        """What the two that work say."""
        return {name: answer(one, requests[name]) for name, one in self.others.items()}

    def turn(self, say: Callable[[str, Turn, bytes], bytes], turn: Turn = (0, 0)) -> Opened:
        """A whole turn; the institution under test is asked last."""

        def each(kind: str, requests: Mapping[InstitutionId, bytes]) -> dict[InstitutionId, bytes]:
            return self.others_say(requests) | {ME: say(kind, turn, requests[ME])}

        everyone = dict.fromkeys(MEMBERS, b"")
        packages = each("prepare", dict.fromkeys(everyone, prepare(self.plan, turn)))
        driven = Driven(self.plan, packages, turn, QUERY)
        survive = driven.survive(each("start", driven.starts))
        reveal = driven.reveal(each("survive", dict.fromkeys(everyone, survive)))
        return driven.open(each("reveal", dict.fromkeys(everyone, reveal)))

    def persist(
        self, node: NodeProcess | None, index: int = 0, *, first: int = 0
    ) -> tuple[Opened, int]:
        """A round as a patient coordinator gets it: asked again, and then as the next attempt.

        Args:
            node: that may die; started afresh whenever it is gone.
            index: of the round.
            first: attempt to begin with.

        Returns:
            What was opened, and at which attempt.
        """
        current = node

        def say(kind: str, turn: Turn, data: bytes) -> bytes:
            nonlocal current
            for _ in range(3):
                try:
                    if current is None or current.gone:
                        current = self.start()
                    return current.ask(kind, turn, data)
                except Died:
                    continue
            raise AssertionError("it dies without being killed")

        for attempt in range(first, RETRIES + 1):
            try:
                return self.turn(say, (index, attempt)), attempt
            except (Refused, FedCreditError):  # the others say no to a turn that is over
                continue
        raise AssertionError("no attempt was answered: " + self.evidence.ended[-1].said)

    def verdict(self, folder: Path | None = None, witnesses: int = 3) -> list[str]:
        """What the checker says of a folder's ledger, once every process has ended.

        Only the first few witnesses are heard where the others were shown a forged ledger.
        """
        for node in self.nodes:
            node.end()
        self.evidence.lines, self.evidence.notes = self.lines(folder), self.notes(folder)
        self.evidence.seen = [note for one in self.witnesses[:witnesses] for note in one.seen()]
        return judge(self.evidence)


class NodeProcess:
    """`tests.faults.node`, and a line to it."""

    def __init__(self, world: World, wrap: Sequence[str], spec: Mapping[str, object]) -> None:
        self.world, self.gone = world, False
        self.folder = Path(str(spec.get("folder", world.bank)))
        whole = {
            "folder": str(world.bank),
            "asked": str(world.base / "asked"),
            "wire": str(world.base / "wire"),
            **spec,
        }
        self.errors = (world.base / f"errors-{len(world.nodes):03}.txt").open(
            "w+", encoding="utf-8"
        )
        self.process = subprocess.Popen(
            [*wrap, sys.executable, "-m", "tests.faults.node", json.dumps(whole)],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def await_ready(self) -> None:
        """Return once it answers."""
        self._line()

    def tell(self, kind: str, turn: Turn, data: bytes) -> tuple[int, str, Turn]:
        """Put a question, without waiting."""
        self.world.asked += 1
        number = self.world.asked
        (self.world.base / "asked" / f"{number:05}.bin").write_bytes(data)
        assert self.process.stdin
        try:
            self.process.stdin.write(f"{number}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has just died, which the next reading finds
        return number, kind, turn

    def hear(self, asked: tuple[int, str, Turn]) -> bytes:
        """What left in answer to a question."""
        number, kind, turn = asked
        try:
            said = self._line()
        finally:
            reply = self._capture(number, kind, turn)
        if "error" in said:
            raise Refused(-1, f"{said['error']}: {said['what']}")
        return reply

    def ask(self, kind: str, turn: Turn, data: bytes) -> bytes:
        """Question and answer."""
        return self.hear(self.tell(kind, turn, data))

    def end(self) -> None:
        """Let it end by itself; nothing is asked any more."""
        if not self.gone:
            self.process.communicate()
            self._ended()

    def kill(self) -> None:
        """SIGKILL, at whatever it does."""
        self.process.kill()
        self.process.communicate()
        self._ended()

    def _line(self) -> dict[str, object]:
        """One line of it; if there is none, what it ended with is raised."""
        assert self.process.stdout
        late = threading.Event()

        def stop() -> None:
            late.set()
            self.process.kill()

        timer = threading.Timer(PATIENCE_S, stop)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        assert not late.is_set(), "a question was not answered in time"
        if line:
            found = json.loads(line)
            assert isinstance(found, dict)
            return found
        self.process.communicate()
        ended = self._ended()
        if ended.status == KILLED:
            raise Died
        raise Refused(ended.status, ended.said)

    def _ended(self) -> Ended:
        """Note how it ended."""
        self.gone = True
        self.errors.seek(0)
        ended = Ended(self.process.returncode, self.errors.read())
        self.errors.close()
        self.world.evidence.ended.append(ended)
        return ended

    def _capture(self, number: int, kind: str, turn: Turn) -> bytes:
        """Whatever left, with the ledger as it is on the disk at this moment."""
        path = self.world.base / "wire" / f"{number:05}.bin"
        reply = path.read_bytes() if path.exists() else b""
        if reply:
            name = self.world.plan.digest().hex()
            lines, notes = self.world.lines(self.folder), self.world.notes(self.folder)
            capture = Capture(kind, name, turn, reply, lines, notes)
            self.world.evidence.captures.append(capture)
        return reply


def copied(template: Path, base: Path, witnesses: list[WitnessProcess]) -> World:
    """A world of its own, with witnesses that have forgotten every other one."""
    for one in witnesses:
        one.forget()
    shutil.copytree(template, base / "bank", copy_function=shutil.copy2)
    return World(base, witnesses)


def places(folder: Path) -> dict[str, str]:
    """Addresses of witnesses by their keys."""
    return read_policy(folder / "policy.toml").places
