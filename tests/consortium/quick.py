"""A consortium of any size that is founded in seconds: for measuring, not for showing.

Its people's commands are called in this process, one after the other, and its nodes and
witnesses share as many processes as they are given. What runs then is what runs anywhere.
"""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

from fedcredit.adapters.invitation import read_invitation
from fedcredit.adapters.joining import Patience, join
from fedcredit.adapters.system import SystemClock
from fedcredit.cli.main import main
from tests.consortium.people import Consortium

NODES = """
import signal, sys
from pathlib import Path
from threading import Thread
from fedcredit.adapters.running import RunningNode

nodes = [RunningNode(Path(one)) for one in sys.argv[1:]]
threads = [Thread(target=one.run) for one in nodes]
signal.signal(signal.SIGTERM, lambda *_: [one.close() for one in nodes])
for one in threads:
    one.start()
for one in threads:
    one.join()
"""

WITNESSES = """
import sys
from pathlib import Path
from threading import Thread
from fedcredit.adapters.witness import WitnessServer
from fedcredit.adapters.witness_folder import open_witness

for one in sys.argv[1:]:
    folder, host, port = one.split("|")
    Thread(target=WitnessServer(open_witness(Path(folder)), host, int(port)).serve_forever).start()
"""

WITNESSED_BY = 3

POLICY = """
origin = "{name}.example/ledger"

[budget]
epsilon = 200.0
epsilon_local = 400.0
person_epsilon = 600.0
person_epsilon_local = 800.0

[period]
begins = "2020-01-01"
ends = "2099-01-01"

[study]
epsilon = 60.0
automatic_epsilon = 60.0
"""


class Quick(Consortium):
    """See the top of this file."""

    def __init__(self, base: Path, count: int, processes: int) -> None:
        """Set up.

        Args:
            base: an empty folder.
            count: of institutions, 4 or more with three witnesses each, or 3 with two.
            processes: for their nodes; with as many as institutions, each runs the command.
        """
        super().__init__(base)
        self.names = tuple(f"bank-{number:02}" for number in range(count))
        self._processes = processes

    def call(self, *words: str, timeout: float = 120.0, check: bool = True) -> str:
        del timeout
        said, complaint = io.StringIO(), io.StringIO()
        with redirect_stdout(said), redirect_stderr(complaint):
            status = main(words)
        assert not check or status == 0, f"{words}: {complaint.getvalue()}\n{self.logs()}"
        return said.getvalue()

    def join(self) -> None:
        patience = Patience(clock=SystemClock(), pause_s=0.1)
        self.until(self._answers)
        for seed, name in enumerate(self.names):
            folder, invite = self.invite(name, seed)
            join(folder, read_invitation(invite), patience, partial(self._approve, name))

    def _answers(self) -> bool:
        """Whether the coordinator takes requests."""
        return "the coordinator answers" in (self.base / "coordinator.log").read_text("utf-8")

    def _approve(self, name: str, words: str) -> None:
        """The operator has heard the words."""
        self.call("coordinator", "approve", str(self.centre), name, "--words", words)

    def witnesses_of(self, name: str) -> list[str]:
        """The next three around the table."""
        at = self.names.index(name) if name in self.names else -1
        following = (*self.names[at + 1 :], *self.names[: max(at, 0)])
        return list(following[:WITNESSED_BY])

    def run_nodes(self) -> None:
        if self._processes >= len(self.names):
            super().run_nodes()
            return
        for number in range(self._processes):
            folders = [str(self.folder(one)) for one in self.names[number :: self._processes]]
            self.start_python(f"nodes-{number}", NODES, *folders)

    def run_witnesses(self) -> None:
        places = [
            f"{self.folder(one) / 'witness'}|{self.host}|{self.ports[one]}" for one in self.names
        ]
        self.start_python("witnesses", WITNESSES, *places)

    def start_python(self, name: str, code: str, *words: str) -> None:
        """A process of this Python."""
        self.start_command(name, [sys.executable, "-c", code, *words])

    def node_pids(self) -> list[int]:
        """Of the processes in which nodes are."""
        return [one.pid for name, one in self._running.items() if name.startswith("node")]

    def _write_policy(self, name: str, witnesses: str) -> None:
        text = POLICY.format(name=name)
        (self.folder(name) / "policy.toml").write_text(text + witnesses, "utf-8")
