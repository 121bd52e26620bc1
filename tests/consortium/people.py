"""The people of a consortium: what each of them types, and the processes that they start."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[2]
SIX_WORDS = re.compile(r"^ +((?:[a-z]+ ){5}[a-z]+)$", re.MULTILINE)
NAMES = ("bank", "shop", "telco")

POLICY = """
origin = "{name}.example/ledger"

[budget]
epsilon = 2.0
epsilon_local = 5.0
person_epsilon = 9.0
person_epsilon_local = 12.0

[period]
begins = "{year}-01-01"
ends = "{after}-01-01"

[study]
epsilon = 2.0
automatic_epsilon = {automatic}
"""

GET = """
import sys, httpx
print(httpx.get(sys.argv[1], trust_env=False).text)
"""

WITNESS = """
[[witness]]
key = "{key}"
url = "http://{host}:{port}"
"""


def _says_words(log: Path) -> bool:
    return bool(SIX_WORDS.search(log.read_text("utf-8")))


def order(words: str) -> None:
    """Have the system do something."""
    subprocess.run(words.split(), check=True, capture_output=True)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def table(seed: int) -> str:
    """Rows in which late payers default more often."""
    draw = np.random.default_rng(seed)
    lines = ["income,late,housing,default"]
    for _ in range(2000):
        late = int(draw.integers(0, 4))
        bad = int(draw.random() < 0.05 + 0.15 * late)
        lines.append(f"{draw.integers(0, 8000)},{late},{draw.choice(['own', 'rent'])},{bad}")
    return "\n".join(lines) + "\n"


class Consortium:
    """Folders, and processes that run while the block does."""

    names: tuple[str, ...] = NAMES
    host = "127.0.0.1"

    def __init__(self, base: Path) -> None:
        self.base, self.port = base, free_port()
        self.centre = base / "coordinator"
        self.metrics = {"coordinator": free_port(), "telco": free_port()}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def table(self, name: str, seed: int) -> str:
        """The rows of an institution."""
        del name
        return table(seed)

    def folder(self, name: str) -> Path:
        return self.base / name

    def inside(self, name: str) -> tuple[str, ...]:
        """What goes before a command so that it runs at an institution's."""
        del name
        return ()

    def host_of(self, name: str) -> str:
        """Where the others reach an institution."""
        del name
        return self.host

    def __enter__(self) -> Self:
        try:
            self._found()
            self.join()
            self._begin_ledgers()
            self.run_nodes()
            self._sign_the_roster()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running):
            self.end(name)

    def start(self, name: str, *words: str, before: Sequence[str] = ()) -> None:
        self.start_command(name, [*before, str(BIN / "fedcredit"), *words])

    def start_command(self, name: str, command: Sequence[str]) -> None:
        with (self.base / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                cwd=self.base,
                env=self._environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self, name: str, how: int = signal.SIGTERM) -> int:
        process = self._running.pop(name)
        os.killpg(process.pid, how)
        try:
            return process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()

    def exit_status(self, name: str) -> int:
        """Of a process that ends by itself."""
        return self._running.pop(name).wait(60)

    def call(self, *words: str, timeout: float = 120.0, check: bool = True) -> str:
        done = subprocess.run(
            [*self.inside(self._whose(words)), str(BIN / "fedcredit"), *words],
            cwd=self.base,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"{words}: {done.stderr}\n{self.logs()}"
        return done.stdout

    def _whose(self, words: Sequence[str]) -> str:
        """The institution whose folder a command is about, or nobody."""
        for word in words:
            if Path(word).is_relative_to(self.base):
                name, *_ = (*Path(word).relative_to(self.base).parts, "")
                if name in self.names:
                    return name
        return ""

    def seen(self, name: str) -> str:
        """The page of figures that a process shows to machines where it runs."""
        url = f"http://127.0.0.1:{self.metrics[name]}/metrics"
        return subprocess.run(
            [*self.inside(name), sys.executable, "-c", GET, url],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout

    def until(self, there: Callable[[], bool], patience_s: float = 90.0) -> None:
        end = time.monotonic() + patience_s
        while not there():
            assert time.monotonic() < end, self.logs()
            time.sleep(0.3)

    def logs(self) -> str:
        """The end of every log."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text('utf-8', 'replace')[-2500:]}"
            for path in sorted(self.base.glob("*.log"))
        )

    def pids(self) -> set[int]:
        """Of our processes and all that they have started."""
        parents: dict[int, int] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = path.read_text("ascii", "replace").rpartition(")")[2].split()
                parents[int(path.parent.name)] = int(fields[1])
        found = {process.pid for process in self._running.values()}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.base),
            "OMP_NUM_THREADS": "1",
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),  # this checkout, whichever is installed
        }

    def _seen(self, name: str) -> list[str]:
        """Some are run for machines to look at."""
        port = self.metrics.get(name)
        return ["--metrics-port", str(port), "--log-json"] if port else []

    def _found(self) -> None:
        """The operator founds the consortium and starts the coordinator."""
        self.call(
            "coordinator", "init", str(self.centre), "--consortium", "Delta",
            "--host", self.host, "--port", str(self.port),
        )  # fmt: skip
        self.superlink_port = free_port()
        self.run_coordinator()

    def run_coordinator(self) -> None:
        self.start(
            "coordinator", "coordinator", "run", str(self.centre),
            "--superlink-port", str(self.superlink_port), *self._seen("coordinator"),
        )  # fmt: skip

    def join(self) -> None:
        """Each institution joins; operator and institution compare six words."""
        for seed, name in enumerate(self.names):
            folder, invite = self.invite(name, seed)
            words = ("node", "join", str(folder), str(invite))
            self.start(f"join-{name}", *words, before=self.inside(name))
            log = self.base / f"join-{name}.log"
            self.until(partial(_says_words, log))
            (words,) = SIX_WORDS.findall(log.read_text("utf-8"))
            self.call("coordinator", "approve", str(self.centre), name, "--words", words)
            assert self._running.pop(f"join-{name}").wait(60) == 0, self.logs()

    def invite(self, name: str, seed: int) -> tuple[Path, Path]:
        """An invitation, and a folder that is ready for it."""
        folder, invite = self.folder(name), self.base / f"{name}.invite.json"
        self.call("coordinator", "invite", str(self.centre), name, "-o", str(invite))
        self.call("node", "init", str(folder), "--name", name)
        text = (folder / "node.toml").read_text("utf-8")
        (folder / "node.toml").write_text(text.replace("data/*.parquet", "table.csv"), "utf-8")
        (folder / "table.csv").write_text(self.table(name, seed), "utf-8")
        self._write_policy(name, "")
        return folder, invite

    def _begin_ledgers(self) -> None:
        """Everybody begins a ledger, and witnesses the others'."""
        self.ports = {name: free_port() for name in self.names}
        keys = {
            name: self.call("witness", "key", str(self.folder(name) / "witness")).strip()
            for name in self.names
        }
        places = {
            name: WITNESS.format(key=keys[name], host=self.host_of(name), port=self.ports[name])
            for name in self.names
        }
        for name in self.names:
            self._write_policy(name, "".join(places[one] for one in self.witnesses_of(name)))
        quorum = f"[quorum]\nwitnesses = {len(self.witnesses_of('coordinator')) // 2 + 1}\n"
        theirs = "".join(places[one] for one in self.witnesses_of("coordinator"))
        (self.centre / "policy.toml").write_text(
            f'origin = "coordinator.example/ledger"\n{quorum}{theirs}', "utf-8"
        )
        for name in (*self.names, "coordinator"):
            words = ["--coordinator"] if name == "coordinator" else []
            told = self.call("ledger", "init", str(self.base / name), *words).split()
            for other in self.witnesses_of(name):
                witness = str(self.folder(other) / "witness")
                self.call("witness", "add", witness, told[0], told[-1])
        self.run_witnesses()

    def witnesses_of(self, name: str) -> list[str]:
        """Who witnesses the ledger of an institution, or the coordinator's."""
        return [one for one in self.names if one != name]

    def run_nodes(self) -> None:
        for name in self.names:
            self.run_node(name)

    def run_witnesses(self) -> None:
        for name in self.names:
            self.run_witness(name)

    def run_node(self, name: str) -> None:
        words = ["node", "run", str(self.folder(name)), *self._seen(name)]
        self.start(f"node-{name}", *words, before=self.inside(name))

    def run_witness(self, name: str) -> None:
        witness, port = str(self.folder(name) / "witness"), str(self.ports[name])
        words = ["witness", "run", witness, "--host", self.host_of(name), "--port", port]
        self.start(f"witness-{name}", *words, before=self.inside(name))

    def _write_policy(self, name: str, witnesses: str) -> None:
        year = time.gmtime().tm_year
        automatic = 0.5 if name == "bank" else 2.0
        text = POLICY.format(name=name, year=year, after=year + 1, automatic=automatic)
        (self.folder(name) / "policy.toml").write_text(text + witnesses, "utf-8")

    def _sign_the_roster(self) -> None:
        """Each member looks at the roster and signs it."""
        self.call("coordinator", "roster", str(self.centre))
        for name in self.names:
            roster = self.folder(name) / "roster.json"
            self.until(roster.exists)
            self.call("node", "roster", "sign", str(self.folder(name)), "--yes")
        for name in self.names:

            def counts(name: str = name) -> bool:
                folder = str(self.folder(name))
                return "It counts" in self.call("node", "roster", "show", folder, check=False)

            self.until(counts)
