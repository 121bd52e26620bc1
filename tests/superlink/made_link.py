"""What the tests of a real SuperLink are made of: an app that echoes, and nodes."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Final

from fedcredit.adapters.envelopes import Handler
from fedcredit.adapters.fab import App
from fedcredit.adapters.fleet import FleetNode
from fedcredit.adapters.fleet_calls import HttpsLine
from fedcredit.adapters.node_keys import new_node_key
from fedcredit.adapters.superlink import SuperLink
from fedcredit.errors import BudgetExceeded, UnreachableError
from fedcredit.federation.addressed import HELLO
from tests.adapters.made_tls import certificates

ROOT: Final = Path(__file__).resolve().parents[2]
NAMES: Final = ("bank", "shop", "telco")

SERVER: Final = b'''
import json
import time
from pathlib import Path

from fedcredit.adapters.flower import server_app
from fedcredit.federation.messages import Answer


def conduct(reach, config):
    """Ask institutions for echoes, and write down what came and how fast."""
    ask = reach(b"")
    folder = Path(config["folder"])
    wanted = json.loads((folder / "ask.json").read_text("utf-8"))
    seconds, heard = [], []
    for data in wanted["data"]:
        begun = time.monotonic()
        said = list(ask(dict.fromkeys(wanted["names"], data.encode()), wanted["deadline_s"]))
        seconds.append(time.monotonic() - begun)
        heard.append(
            {
                one.sender: one.data.decode() if isinstance(one, Answer) else one.reason
                for one in said
            }
        )
    (folder / "told.part").write_text(json.dumps({"seconds": seconds, "heard": heard}), "utf-8")
    (folder / "told.part").rename(folder / "told.json")


app = server_app(conduct)
'''

CLIENT: Final = b"""
import os
from pathlib import Path

from flwr.clientapp import ClientApp

from fedcredit.adapters.envelopes import reply_to
from tests.superlink.made_link import echo

with Path(os.environ["MARK"]).open("a", encoding="utf-8") as mark:
    mark.write("code from the wire was run")

app = ClientApp()


@app.query("hello")
def hello(message, context):
    return reply_to(message, echo(str(context.node_config["institution"])))


@app.train("turn")
def turn(message, context):
    return reply_to(message, echo(str(context.node_config["institution"])))
"""


WATCH: Final = """
import os, sys

def watch(event, details):
    if event == "socket.connect":
        note(details[1])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        note(details[:2])

def note(what):
    with open(os.environ["WATCHED"], "a") as file:
        file.write(repr(what) + "\\n")

sys.addaudithook(watch)
"""


def echo(name: str) -> Handler:
    """A node that says its name and gives back what it is given, but for three words."""

    def handle(kind: str, data: bytes) -> bytes:
        if kind == HELLO:
            return name.encode()
        if data == b"refuse":
            raise BudgetExceeded("a round costs more", remedy="ask the officer")
        if data == b"fail":
            raise ValueError("income of Zebedee")
        return data.upper()

    return handle


def echo_app(remark: bytes = b"") -> App:
    """An app whose coordinator asks for echoes; another one for every remark."""
    return App.of(
        {
            "coordinator/__init__.py": b"",
            "coordinator/server_app.py": SERVER + remark,
            "nodes/__init__.py": b"",
            "nodes/client_app.py": CLIENT,
        }
    )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def federation(base: Path, *, poll_s: float = 0.3) -> Iterator[tuple[SuperLink, list[FleetNode]]]:
    """A SuperLink and three nodes in threads of this process, all connected."""
    pki = certificates(base / "pki")
    (base / "watch").mkdir()
    (base / "watch" / "sitecustomize.py").write_text(WATCH, "utf-8")
    told = {"PYTHONPATH": f"{base / 'watch'}:{ROOT}", "WATCHED": str(base / "watched.txt")}
    with SuperLink(base / "link", free_port(), pki, environment=told) as link:
        nodes = []
        for name in NAMES:
            link.register(name, new_node_key(base / f"{name}.key"))
            node = FleetNode(
                line(base, link, name), echo(name), digest=echo_app().digest, poll_s=poll_s
            )
            Thread(target=node.run, name=name, daemon=True).start()
            nodes.append(node)
        until(lambda: all(link.nodes().values()))
        try:
            yield link, nodes
        finally:
            for node in nodes:
                node.close()


def line(base: Path, link: SuperLink, name: str) -> HttpsLine:
    """The way of a node, whose key lies in the folder, to a SuperLink."""
    return HttpsLine(address=link.address, root=base / "pki" / "root.pem", key=base / f"{name}.key")


def until(there: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while True:
        try:
            if there():
                return
        except UnreachableError:
            pass
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


def conduct(
    base: Path,
    link: SuperLink,
    data: Sequence[str],
    names: Sequence[str] = NAMES,
    app: App | None = None,
    deadline_s: float = 60.0,
) -> tuple[list[float], list[dict[str, str]]]:
    """Run the app that asks for echoes: seconds of each trip, and what was said on it."""
    folder = base / f"run-{len(list(base.glob('run-*')))}"
    folder.mkdir()
    asked = {"data": list(data), "names": list(names), "deadline_s": deadline_s}
    (folder / "ask.json").write_text(json.dumps(asked), "utf-8")
    run = link.run({"folder": str(folder)}, app or echo_app())
    until(lambda: link.status(run).status == "finished", 180.0)
    assert link.status(run).outcome == "completed", link.status(run)
    told = json.loads((folder / "told.json").read_text("utf-8"))
    return told["seconds"], told["heard"]
