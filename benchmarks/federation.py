"""What a message to every node and back costs, at a real SuperLink on this machine.

A SuperLink with TLS, authentication and its state in memory, its executor, and nodes that
are a process each; the coordinator's app asks all of them for an echo, again and again. No
study is run. `python benchmarks/federation.py --help` lists what can be set.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tests' certificates and their app that echoes

from fedcredit.adapters.node_keys import new_node_key  # noqa: E402
from fedcredit.adapters.superlink import SuperLink  # noqa: E402
from fedcredit.errors import UnreachableError  # noqa: E402
from tests.adapters.made_tls import certificates  # noqa: E402
from tests.superlink.made_link import echo_app, free_port  # noqa: E402

PATIENCE_S: Final = 300.0

NODE: Final = """
import sys
from pathlib import Path
from fedcredit.adapters.fleet import FleetNode
from fedcredit.adapters.fleet_calls import HttpsLine
import fedcredit.adapters.folders
from tests.superlink.made_link import echo, echo_app
address, root, key, name, poll_s = sys.argv[1:]
line = HttpsLine(address=address, root=Path(root), key=Path(key))
FleetNode(line, echo(name), digest=echo_app().digest, poll_s=float(poll_s)).run()
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was seen.

    Attributes:
        nodes: how many.
        payload_bytes: of a message, each way.
        node_poll_s: seconds between questions of a node that is at rest.
        trips: seconds of each trip but the first, which finds out who the nodes are.
        first_trip_s: seconds of that one.
        start_s: from the SuperLink's start until all nodes were there.
        run_s: from the order of a run until its end.
        node_bytes: the most memory that a node had at rest (resident).
        link_bytes: the SuperLink's, at the end.
        link_cpu_s: its processor time for a trip.
    """

    nodes: int
    payload_bytes: int
    node_poll_s: float
    trips: tuple[float, ...]
    first_trip_s: float
    start_s: float
    run_s: float
    node_bytes: int
    link_bytes: int
    link_cpu_s: float


def measure(base: Path, count: int, trips: int, payload: int, poll_s: float) -> Measured:
    """Start everything, run the app once, and end everything."""
    names = [f"node-{number}" for number in range(count)]
    files = certificates(base / "pki")
    told = {"PYTHONPATH": str(ROOT)}
    begun = time.monotonic()
    with SuperLink(base / "link", free_port(), files, environment=told) as link:
        nodes = [node(base, link, files.root, name, poll_s) for name in names]
        try:
            until(lambda: all(link.nodes().values()))
            start_s = time.monotonic() - begun
            time.sleep(2.0)
            rest = max(resident(one.pid) for one in nodes)
            folder = base / "run"
            folder.mkdir()
            data = [f"{number}".ljust(payload, ".") for number in range(trips + 1)]
            asked = {"data": data, "names": names, "deadline_s": PATIENCE_S}
            (folder / "ask.json").write_text(json.dumps(asked), "utf-8")
            pid = link.pid or 0
            cpu, begun = processor(pid), time.monotonic()
            run = link.run({"folder": str(folder)}, echo_app())
            until(lambda: link.status(run).status == "finished")
            run_s, cpu = time.monotonic() - begun, processor(pid) - cpu
            state = link.status(run)
            if state.outcome != "completed":
                raise SystemExit(f"the run has failed: {state.details}")
            heard = json.loads((folder / "told.json").read_text("utf-8"))
            if any(len(one) != count for one in heard["heard"]):
                raise SystemExit("a node was not heard")
            seconds = heard["seconds"]
            return Measured(
                nodes=count,
                payload_bytes=payload,
                node_poll_s=poll_s,
                trips=tuple(seconds[1:]),
                first_trip_s=seconds[0],
                start_s=start_s,
                run_s=run_s,
                node_bytes=rest,
                link_bytes=resident(pid),
                link_cpu_s=cpu / (trips + 1),
            )
        finally:
            for one in nodes:
                one.kill()
                one.wait()


def node(
    base: Path, link: SuperLink, root: Path, name: str, poll_s: float
) -> subprocess.Popen[bytes]:
    """A node in a process of its own, with all that an institution's node imports."""
    key = base / f"{name}.key"
    link.register(name, new_node_key(key))
    words = [link.address, str(root), str(key), name, str(poll_s)]
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(base), "PATH": os.defpath}
    return subprocess.Popen([sys.executable, "-c", NODE, *words], env=environment)


def until(there: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            if there():
                return
        except UnreachableError:
            pass
        time.sleep(0.1)
    raise SystemExit("it took too long")


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def processor(pid: int) -> float:
    """Seconds of processor time that a process has had."""
    words = Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def shown(seen: Measured) -> str:
    """The figures for people."""
    trips = sorted(seen.trips)
    median = statistics.median(trips)
    return f"""\
{seen.nodes} nodes, {seen.payload_bytes} bytes each way, polls every {seen.node_poll_s} s at rest
a trip       {median:.2f} s, the median of {len(trips)}; {trips[0]:.2f} to {trips[-1]:.2f} s
first trip   {seen.first_trip_s:.2f} s, with finding out who the nodes are
start        {seen.start_s:.1f} s until all nodes were there
run          {seen.run_s:.1f} s from the order to its end
SuperLink    {seen.link_cpu_s:.2f} s of processor time a trip, {seen.link_bytes / 1e6:.0f} MB
a node       {seen.node_bytes / 1e6:.0f} MB at rest"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--trips", type=int, default=30)
    parser.add_argument("--payload", type=int, default=100, help="bytes of a message, each way")
    parser.add_argument("--poll", type=float, default=0.3, help="seconds between polls of a node")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as base:
        seen = measure(Path(base), chosen.nodes, chosen.trips, chosen.payload, chosen.poll)
    print(json.dumps(asdict(seen), indent=2) if chosen.json else shown(seen))


if __name__ == "__main__":
    main()
