"""The demo speaks to nobody: whatever it opens, looks up or starts is written down.

Python tells an audit hook of every socket and every process before it acts, and the hook
stops what would leave the machine, so a failing test sends nothing either. Sockets that a
library opens without Python are looked for in the kernel's list of the process's files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCALE = "0.05"

WATCHED = '''
import ipaddress, json, os, sys, threading

left, here, begun, socket_files = [], [], [], set()
ASKS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
SENDS = ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg")
STARTS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork",
          "os.forkpty", "pty.spawn")

def loopback(place):
    """A path, an unnamed peer or an address of this machine's own."""
    if not isinstance(place, tuple):
        return True
    host = place[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

def watch(event, details):
    if event in STARTS:
        begun.append(event)
        raise PermissionError("stopped by the test")
    if event in SENDS:
        place = details[1]
    elif event in ASKS:
        place = (details[0],)
    else:
        return
    if place is None:  # a message on a socket that was connected, and judged, before
        return
    (here if loopback(place) else left).append(f"{event} {place!r}")
    if not loopback(place):
        raise PermissionError("stopped by the test")

def look():
    """Files of this process that are sockets, whoever opened them."""
    for name in os.listdir("/proc/self/fd"):
        try:
            file = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if file.startswith("socket:"):
            socket_files.add(file)

over = threading.Event()

def keep_looking():
    while not over.wait(0.005):
        look()

look()
given = set(socket_files)  # standard output may be one
sys.addaudithook(watch)
threading.Thread(target=keep_looking, daemon=True).start()
status, said = 0, ""
try:
    exec(sys.argv[2])
    if sys.argv[3:]:
        from fedcredit.cli.main import main
        status = main(sys.argv[3:])
    look()
except BaseException as problem:
    status, said = 1, type(problem).__name__
over.set()
with open(sys.argv[1], "w") as file:
    json.dump([status, said, left, here, begun, len(socket_files - given)], file)
'''


@dataclass(frozen=True)
class Seen:
    """What the hook wrote down: events that would leave, loopback, processes, socket files."""

    status: int
    said: str
    left: list[str]
    here: list[str]
    begun: list[str]
    sockets: int


def watched(folder: Path, planted: str, *words: str) -> Seen:
    """Run planted lines and then a command, under the hook, in a process of their own."""
    home = folder / "home"
    home.mkdir()
    environment = {
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home),
        "OMP_NUM_THREADS": "1",
    }
    notes = folder / "notes.json"
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(notes), planted, *words],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Seen(*json.loads(notes.read_text("utf-8")))


def test_the_demo_opens_no_connection_but_loopback(tmp_path: Path) -> None:
    """It ends well, and connects to nobody, looks nobody up and starts no other program."""
    seen = watched(tmp_path, "", "demo", "--scale", SCALE, "--keep", str(tmp_path / "demo"))
    assert (seen.status, seen.said) == (0, "")
    assert (tmp_path / "demo" / "report.html").is_file()
    assert seen.left == []
    assert seen.begun == []
    assert seen.here == [], "loopback would be allowed; the demo needs not even that"
    assert seen.sockets == 0


# An address of 192.0.2.0/24 and 2001:db8::/32 stands in documents only (RFC 5737, RFC 3849).
STRANGER = '("192.0.2.1", 9)'
LEAVING = {
    "connect": f"s = socket.socket(); s.setblocking(False); s.connect({STRANGER})",
    "connect_ex": f"s = socket.socket(); s.setblocking(False); s.connect_ex({STRANGER})",
    "version 6": 's = socket.socket(socket.AF_INET6); s.connect(("2001:db8::1", 9))',
    "datagram": f's = socket.socket(type=socket.SOCK_DGRAM); s.sendto(b"", {STRANGER})',
    "message": f's = socket.socket(type=socket.SOCK_DGRAM); s.sendmsg([b""], [], 0, {STRANGER})',
    "every address": 'socket.socket().bind(("0.0.0.0", 0))',
    "name": 'socket.getaddrinfo("host.invalid", 443)',
    "old name": 'socket.gethostbyname("host.invalid")',
    "library": 'import urllib.request; urllib.request.urlopen("http://192.0.2.1/", timeout=1)',
}
STARTING = {
    "subprocess": 'import subprocess; subprocess.run(["true"])',
    "system": 'os.system("true")',
    "exec": 'os.execv("/bin/true", ["true"])',
    "fork": "os.fork()",
    "spawn": 'os.posix_spawn("/bin/true", ["true"], {})',
}


@pytest.mark.parametrize("way", LEAVING)
def test_what_would_leave_is_seen_and_stopped(way: str, tmp_path: Path) -> None:
    """The control: each way out is written down before it is taken."""
    seen = watched(tmp_path, f"import socket; {LEAVING[way]}")
    assert len(seen.left) == 1
    assert "192.0.2.1" in seen.left[0] or way in ("version 6", "every address", "name", "old name")
    assert seen.status == 1


@pytest.mark.parametrize("way", STARTING)
def test_another_program_is_seen_and_stopped(way: str, tmp_path: Path) -> None:
    """The control: a program of its own could connect unseen, so none may start."""
    seen = watched(tmp_path, STARTING[way])
    assert seen.begun
    assert seen.status == 1


def test_loopback_is_told_from_the_world(tmp_path: Path) -> None:
    """The control: a server and a caller on this machine are seen, and let be."""
    planted = (
        'import socket; a = socket.socket(); a.bind(("127.0.0.1", 0)); a.listen()\n'
        "b = socket.create_connection(a.getsockname())"
    )
    seen = watched(tmp_path, planted)
    assert (seen.status, seen.left) == (0, [])
    assert {event.split()[0] for event in seen.here} == {
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
    }
    assert seen.sockets == 2, "and so are the socket files"


def test_a_planted_line_inside_the_demo_is_caught(tmp_path: Path) -> None:
    """The control in place: a call home from an institution's answer does not get out."""
    planted = f"""
import socket
import fedcredit.federation.institution as institution
asked = institution.check_fit
def call_home(schema, query):
    line = socket.socket()
    line.setblocking(False)
    line.connect({STRANGER})
    asked(schema, query)
institution.check_fit = call_home
"""
    words = ("demo", "--scale", "0.01", "--keep", str(tmp_path / "demo"))
    seen = watched(tmp_path, planted, *words)
    assert seen.left
    assert set(seen.left) == {"socket.connect ('192.0.2.1', 9)"}
    assert seen.status == 75, "nobody answers, so the study stops"
    assert not (tmp_path / "demo").exists()
