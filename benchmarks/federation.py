"""Seconds of a secure round over TLS, beside what a message costs at Flower's own nodes.

For each size a consortium is founded with a coordinator, nodes, witnesses and ledgers, and
runs a whole study; then the same machine's SuperLink carries bare messages: to nodes of ours,
and to flower-supernode with Flower's own waiting. `--help` lists what can be set.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tests' consortium, certificates and app that echoes

from fedcredit.adapters.fab import App  # noqa: E402
from fedcredit.adapters.node_keys import new_node_key  # noqa: E402
from fedcredit.adapters.superlink import SuperLink  # noqa: E402
from fedcredit.data.schema import write_schema  # noqa: E402
from fedcredit.errors import UnreachableError  # noqa: E402
from tests.adapters.made_tls import certificates  # noqa: E402
from tests.consortium.quick import Quick  # noqa: E402
from tests.federation.made import SCHEMA  # noqa: E402
from tests.superlink.made_link import CLIENT, echo_app, free_port  # noqa: E402

PATIENCE_S: Final = 600.0
SIZES: Final = (3, 10, 30)
SHARED: Final = 6  # processes for the nodes of more institutions than ten
BARS_S: Final = {3: 3.0, 10: 8.0, 30: 20.0}
STUDY_BAR_S: Final = 60.0
NODE_BAR_MB: Final = 150.0

STUDY: Final = """
name = "benchmark"
purpose = "to see how long it takes"
learner = "{learner}"
schema = "schema.toml"
salt = "00000000000000000000000000000001"
seed = "00000000000000000000000000000002"
retries = 1
deadline_s = 120.0
"""

NODE: Final = """
import sys
from pathlib import Path
from fedcredit.adapters.fleet import FleetNode
from fedcredit.adapters.fleet_calls import HttpsLine
from tests.superlink.made_link import echo, echo_app
address, root, key, name = sys.argv[1:]
line = HttpsLine(address=address, root=Path(root), key=Path(key))
FleetNode(line, echo(name), digest=echo_app().digest).run()
"""

STOCK_SERVER: Final = b'''
import json
import time
from pathlib import Path

from flwr.app import Message
from flwr.serverapp import ServerApp

from fedcredit.adapters.envelopes import record_of

app = ServerApp()


@app.main()
def main(grid, context):
    """Ask every node for an echo, as Flower's own strategies do."""
    folder = Path(context.run_config["folder"])
    wanted = json.loads((folder / "ask.json").read_text("utf-8"))
    while len(nodes := sorted(grid.get_node_ids())) < len(wanted["names"]):
        time.sleep(0.5)
    seconds, heard = [], []
    for data in wanted["data"]:
        begun = time.monotonic()
        sent = [Message(record_of(data.encode()), node, "train.turn", ttl=600) for node in nodes]
        said = list(grid.send_and_receive(sent, timeout=wanted["deadline_s"]))
        seconds.append(time.monotonic() - begun)
        heard.append([str(one.metadata.src_node_id) for one in said if one.has_content()])
    (folder / "told.part").write_text(json.dumps({"seconds": seconds, "heard": heard}), "utf-8")
    (folder / "told.part").rename(folder / "told.json")
'''


@dataclass(frozen=True, slots=True)
class Rounds:
    """What a study has taken.

    Attributes:
        nodes: how many.
        processes: that they share.
        seconds: of each round, from the end of the one before; the first from the start of
            Flower's run, in which nodes are looked for.
        study_s: from the order to the published model.
        start_s: from the first command until everybody had signed the roster.
        node_bytes: the most memory that a node's process had at rest.
        processor_s: processor time of all processes of the study, its ServerApp's start in it:
            what it needs of a machine, however busy that is.
    """

    nodes: int
    processes: int
    seconds: tuple[float, ...]
    study_s: float
    start_s: float
    node_bytes: int
    processor_s: float

    @property
    def median_s(self) -> float:
        """Of a round that found its nodes there."""
        return statistics.median(self.seconds[1:])


@dataclass(frozen=True, slots=True)
class Trips:
    """What bare messages to every node and back have taken.

    Attributes:
        nodes: how many.
        seconds: of each trip but the first, which finds out who the nodes are.
    """

    nodes: int
    seconds: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """Of a trip."""
        return statistics.median(self.seconds)


def rounds(base: Path, count: int, learner: str) -> Rounds:
    """Found a consortium, run one study, and end it."""
    processes = count if count <= 10 else SHARED
    (base / "schema.toml").write_text(write_schema(SCHEMA), "utf-8")
    (base / "study.toml").write_text(STUDY.format(learner=learner), "utf-8")
    begun = time.monotonic()
    with Quick(base, count, processes) as world:
        start_s = time.monotonic() - begun
        centre = str(world.centre)
        said = world.call("study", "propose", centre, str(base / "study.toml"))
        place = world.centre / "studies" / said.split()[0]
        until(lambda: (place / "state.json").read_text("utf-8").count('"approved"') == count)
        time.sleep(3.0)
        rest = max(resident(pid) for pid in world.node_pids())
        used = sum(map(processor, world.pids()))
        begun, started_at = time.monotonic(), time.time()
        world.call("study", "start", centre, place.name)
        until(lambda: (place / "run").is_dir() or (place / "ended.txt").exists(), world.logs)
        study_s = time.monotonic() - begun
        if not (place / "run").is_dir():
            raise SystemExit((place / "ended.txt").read_text("utf-8") + world.logs())
        lines = (place / "progress.jsonl").read_text("ascii").splitlines()
        used = sum(map(processor, world.pids())) - used
        if any(len(json.loads(one)["answered"]) != count for one in lines):
            raise SystemExit("an institution was missing from a round")
    ends = [path.stat().st_mtime for path in sorted((place / "journal").glob("*.result"))]
    seconds = [end - before for before, end in zip([started_at, *ends], ends, strict=False)]
    return Rounds(count, processes, tuple(seconds), study_s, start_s, rest, used)


def trips(base: Path, count: int, times: int, *, stock: bool) -> Trips:
    """Echoes by bare messages, to nodes of ours or to Flower's."""
    names = [f"node-{number}" for number in range(count)]
    files = certificates(base / "pki")
    told = {"PYTHONPATH": str(ROOT)}
    app = App.of(
        {
            "coordinator/__init__.py": b"",
            "coordinator/server_app.py": STOCK_SERVER,
            "nodes/__init__.py": b"",
            "nodes/client_app.py": CLIENT,
        }
    )
    with SuperLink(base / "link", free_port(), files, environment=told) as link:
        for name in names:
            link.register(name, new_node_key(base / f"{name}.key"))
        with running([node(base, link, files.root, name, stock=stock) for name in names]):
            until(lambda: all(link.nodes().values()))
            folder = base / "run"
            folder.mkdir()
            data = [str(number) for number in range(times + 1)]
            asked = {"data": data, "names": names, "deadline_s": PATIENCE_S}
            (folder / "ask.json").write_text(json.dumps(asked), "utf-8")
            run = link.run({"folder": str(folder)}, app if stock else echo_app())
            until(lambda: link.status(run).status == "finished")
            state = link.status(run)
            if state.outcome != "completed":
                raise SystemExit(f"the run has failed: {state.details}")
            heard = json.loads((folder / "told.json").read_text("utf-8"))
            if any(len(one) != count for one in heard["heard"]):
                raise SystemExit("a node was not heard")
            return Trips(count, tuple(heard["seconds"][1:]))


def node(
    base: Path, link: SuperLink, root: Path, name: str, *, stock: bool
) -> subprocess.Popen[bytes]:
    """A node in a process of its own."""
    bin_, home = Path(sys.executable).parent, base / name
    home.mkdir()
    key = str(base / f"{name}.key")
    if stock:
        words = [str(bin_ / "flower-supernode"), "--superlink", link.address]
        words += ["--root-certificates", str(root), "--auth-supernode-private-key", key]
        words += ["--host", "127.0.0.1", "--port", str(free_port())]
        words += ["--node-config", f'institution="{name}"']
    else:
        words = [sys.executable, "-c", NODE, link.address, str(root), key, name]
    environment = {
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "HOME": str(home),
        "MARK": str(home / "mark"),
        "PATH": f"{bin_}{os.pathsep}{os.defpath}",
        "PYTHONPATH": str(ROOT),
    }
    with (home / "log").open("wb") as log:
        return subprocess.Popen(
            words, env=environment, stdout=log, stderr=log, start_new_session=True
        )


@contextmanager
def running(nodes: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Nodes that end with the block, and all that they have started."""
    try:
        yield
    finally:
        for one in nodes:
            os.killpg(one.pid, signal.SIGKILL)
            one.wait()


def until(there: Callable[[], bool], logs: Callable[[], str] = str) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            if there():
                return
        except UnreachableError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"it took too long\n{logs()}")


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def processor(pid: int) -> float:
    """Seconds of processor time of a process and of those that it has seen end."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


def shown(studies: Sequence[Rounds], ours: Trips, stock: Trips) -> Iterator[str]:
    """The figures for people."""
    yield "nodes  a round s (median, from to)   bar  first  the study s  nodes' processes"
    for one in studies:
        least, most = min(one.seconds[1:]), max(one.seconds[1:])
        yield (
            f"{one.nodes:>5}  {one.median_s:6.2f}  ({least:.2f} to {most:.2f})"
            f"{BARS_S.get(one.nodes, 0.0):>12.0f}  {one.seconds[0]:5.1f}  "
            f"{one.study_s:6.1f} for {len(one.seconds)} rounds  {one.processes}, "
            f"{one.processor_s:.1f} s of processor time"
        )
    first = studies[0]
    yield f"a node at rest: {first.node_bytes / 1e6:.0f} MB (bar {NODE_BAR_MB:.0f})"
    yield f"a bare message to {ours.nodes} nodes and back: {ours.median_s:.2f} s"
    yield f"the same at flower-supernode: {stock.median_s:.2f} s; a round has three or four"


def figures(studies: Sequence[Rounds], ours: Trips, stock: Trips) -> dict[str, object]:
    """The same for programs."""
    found: dict[str, object] = {}
    for one in studies:
        found[f"seconds_per_round/nodes{one.nodes}"] = round(one.median_s, 3)
        found[f"study_seconds/nodes{one.nodes}"] = round(one.study_s, 2)
        found[f"processor_seconds/nodes{one.nodes}"] = round(one.processor_s, 2)
    found["node_at_rest_mb"] = round(studies[0].node_bytes / 1e6, 1)
    found[f"seconds_per_trip/nodes{ours.nodes}"] = round(ours.median_s, 3)
    found[f"seconds_per_stock_trip/nodes{stock.nodes}"] = round(stock.median_s, 3)
    return found | {"studies": [asdict(one) for one in studies], "stock": asdict(stock)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=list(SIZES), help="of studies")
    parser.add_argument("--trips", type=int, default=20, help="to nodes of ours")
    parser.add_argument("--stock-trips", type=int, default=5, help="to flower-supernode")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as base:
        ours = trips(Path(base), 3, chosen.trips, stock=False)
    with tempfile.TemporaryDirectory() as base:
        stock = trips(Path(base), 3, chosen.stock_trips, stock=True)
    print(f"trips: {ours.median_s:.2f} s, stock {stock.median_s:.2f} s", file=sys.stderr)
    studies = []
    for count in chosen.nodes:
        with tempfile.TemporaryDirectory() as base:
            learner = "boosting" if count == min(chosen.nodes) else "scorecard"
            studies.append(rounds(Path(base), count, learner))
        print(f"{count} nodes: {studies[-1].median_s:.2f} s a round", file=sys.stderr)
    if chosen.json:
        print(json.dumps(figures(studies, ours, stock), indent=2))
    else:
        print("\n".join(shown(studies, ours, stock)))


if __name__ == "__main__":
    main()
