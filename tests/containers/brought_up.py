"""A consortium in containers: compose brings it up, and its people type into what runs.

Needs podman, podman-compose and the images, which `make images` builds.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Self
from zipfile import ZipFile

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PROJECT = "fedcredit-e2e"
FOLDER = "/srv/fedcredit"
NAMES = ("direct-bank", "north-bank", "south-bank", "telco", "utility")
ON_POSTGRES = "north-bank"
ON_PARQUET = "utility"
SIX_WORDS = re.compile(r"^ +((?:[a-z]+ ){5}[a-z]+)$", re.MULTILINE)
RECORDS = 24_000  # of all six institutions that are made up; five of them take part

POLICY = """
origin = "{name}.example/ledger"

[budget]
epsilon = 2.0
epsilon_local = 5.0
person_epsilon = 12.0
person_epsilon_local = 30.0

[period]
begins = "{year}-01-01"
ends = "{after}-01-01"

[study]
epsilon = 2.0
automatic_epsilon = {automatic}

[quorum]
witnesses = {quorum}
"""

WITNESS = """
[[witness]]
key = "{key}"
url = "http://{name}-witness:8470"
"""

POSTGRES = """
institution = "{name}"

[data]
source = "postgres"
dsn_file = "keys/dsn"
query_file = "query.sql"
"""

TYPES: Mapping[type[pl.DataType], str] = {
    pl.Int64: "bigint",
    pl.Float64: "double precision",
    pl.String: "text",
}


class Consortium:
    """Containers that run while the block does; nothing is left of them after it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._environment = {
            **os.environ,
            "FEDCREDIT_TABLES": str(base / "tables"),
            "FEDCREDIT_AUDIT": str(base / "audit"),
        }

    def __enter__(self) -> Self:
        self.compose("down", "-v", check=False)  # what a run that was killed has left
        try:
            self._make_tables()
            (self.base / "audit").mkdir(mode=0o755)
            self.compose("up", "-d")
            self._found()
            with ThreadPoolExecutor(2) as at_once:
                list(at_once.map(self._join, NAMES))
            self._begin_ledgers()
            self._sign_the_roster()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        (self.base / "logs.txt").write_text(self.logs(), "utf-8")
        self.compose("down", "-v", "-t", "2", check=False)
        left = self.podman("network", "ls", "--quiet", "--filter", f"name={PROJECT}_").split()
        if left:  # podman-compose 1.0 leaves them
            self.podman("network", "rm", *left)

    def compose(self, *words: str, check: bool = True) -> str:
        """Call podman-compose."""
        command = ["podman-compose", "-p", PROJECT, "-f", str(ROOT / "docker-compose.yml")]
        return self._run([*command, *words], check=check, timeout_s=180.0)

    def podman(self, *words: str, given: str = "", timeout_s: float = 60.0) -> str:
        """Call podman."""
        return self._run(["podman", *words], given=given, timeout_s=timeout_s)

    def status(self, *words: str) -> int:
        """Call podman for its exit status."""
        return subprocess.run(
            ["podman", *words], capture_output=True, check=False, timeout=60
        ).returncode

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"{PROJECT}_{service}_1"

    def call(
        self, service: str, *words: str, given: str = "", timeout_s: float = 120.0, status: int = 0
    ) -> str:
        """Run one of our commands in a service's container."""
        inside = ["podman", "exec", "-i", self.container(service), "fedcredit", *words]
        return self._run(inside, given=given, timeout_s=timeout_s, status=status)

    @contextmanager
    def lost(self, service: str) -> Iterator[None]:
        """A service's container is killed, and comes back when the block is over."""
        self.podman("kill", self.container(service))
        try:
            yield
        finally:
            self.podman("start", self.container(service))
            self.until(partial(self.healthy, service))

    def write(self, service: str, path: str, text: str) -> None:
        """Write a file for its owner's eyes."""
        script = f"umask 077 && cat > {path}"
        self.podman("exec", "-i", self.container(service), "sh", "-c", script, given=text)

    def read(self, service: str, path: str) -> str:
        """Read a file."""
        return self.podman("exec", self.container(service), "cat", path)

    def there(self, service: str, path: str) -> bool:
        """Whether a file is there."""
        return self.status("exec", self.container(service), "test", "-e", path) == 0

    def until(self, there: Callable[[], bool], patience_s: float = 90.0) -> None:
        """Wait."""
        end = time.monotonic() + patience_s
        while not there():
            assert time.monotonic() < end, self.logs()
            time.sleep(0.5)

    def healthy(self, service: str) -> bool:
        """Ask a service's own health check."""
        return self.status("healthcheck", "run", self.container(service)) == 0

    def running(self, service: str) -> bool:
        """Whether a service's container runs."""
        told = self.podman("inspect", "-f", "{{.State.Running}}", self.container(service))
        return told.strip() == "true"

    def image(self, service: str) -> str:
        """The image of a service."""
        return self.podman("inspect", "-f", "{{.Image}}", self.container(service)).strip()

    def addresses(self, service: str) -> tuple[str, ...]:
        """Of a service, in each of its networks."""
        told = json.loads(self.podman("inspect", self.container(service)))
        networks = told[0]["NetworkSettings"]["Networks"].values()
        return tuple(one["IPAddress"] for one in networks)

    def reaches(self, service: str, host: str, port: int) -> bool:
        """Whether a connection can be had from within a service's container."""
        code = f"from socket import create_connection as c; c(({host!r}, {port}), 2)"
        return self.status("exec", self.container(service), "python", "-c", code) == 0

    def resolves(self, service: str, host: str) -> bool:
        """Whether a name means anything within a service's container."""
        code = f"from socket import gethostbyname as g; g({host!r})"
        return self.status("exec", self.container(service), "python", "-c", code) == 0

    def ask_database(self, words: str) -> None:
        """The bank's database people say something to their database."""
        database = self.container(f"{ON_POSTGRES}-database")
        self.podman("exec", "-i", database, "psql", "-h", "/tmp", "-d", "bank", given=words)

    def audit(self) -> dict[str, object]:
        """Everybody hands a ledger over; the auditor's job looks at them and ends."""
        brought = self.base / "bundles"
        brought.mkdir()
        for service in (*NAMES, "coordinator"):
            self.call(service, "ledger", "bundle", FOLDER, "-o", "/tmp/audit.zip")
            copied = f"{brought}/{service}.zip"
            inside = [self.container(service), "cat", "/tmp/audit.zip"]
            with Path(copied).open("wb") as file:
                subprocess.run(["podman", "exec", *inside], stdout=file, check=True, timeout=60)
        whole = self.base / "audit.zip"
        with ZipFile(whole, "w") as out:
            for path in sorted(brought.iterdir()):
                with ZipFile(path) as one:
                    for name in one.namelist():
                        out.writestr(name, one.read(name))
        whole.chmod(0o644)
        shutil.move(whole, self.base / "audit/audit.zip")
        self.podman("wait", self.container("auditor"), timeout_s=120.0)
        said = self.podman("logs", self.container("auditor"))
        assert (
            self.podman("inspect", "-f", "{{.State.ExitCode}}", self.container("auditor")).strip()
            == "0"
        ), said
        found = json.loads(said)
        assert isinstance(found, dict)
        return found

    def services(self) -> tuple[str, ...]:
        """All that have a container."""
        label = f"label=io.podman.compose.project={PROJECT}"
        listed = self.podman("ps", "-a", "--filter", label, "--format", "json")
        return tuple(one["Labels"]["com.docker.compose.service"] for one in json.loads(listed))

    def logs(self) -> str:
        """The end of every container's log."""
        told = []
        for service in self.services():
            command = ["podman", "logs", "--tail", "25", self.container(service)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            told.append(f"--- {service}\n{done.stdout}{done.stderr}")
        return "\n".join(told)

    def _run(
        self,
        command: list[str],
        *,
        given: str = "",
        check: bool = True,
        timeout_s: float,
        status: int = 0,
    ) -> str:
        done = subprocess.run(
            command,
            input=given,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert not check or done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _make_tables(self) -> None:
        """The institutions' tables, made up: one as Parquet, the others as CSV."""
        made = self.base / "made-up"
        synthesize = [str(BIN / "fedcredit"), "data", "synthesize", str(made)]
        self._run([*synthesize, "--records", str(RECORDS)], timeout_s=120.0)
        for name in NAMES:
            folder = self.base / "tables" / name
            folder.mkdir(parents=True)
            frame = pl.read_parquet(made / f"consumer/{name}.parquet")
            if name == ON_PARQUET:
                frame.write_parquet(folder / "loans.parquet")
            else:
                frame.write_csv(folder / "loans.csv")

    def _found(self) -> None:
        """The operator founds the consortium; the coordinator that waited for it starts."""
        self.call(
            "coordinator", "coordinator", "init", FOLDER, "--consortium", "Delta",
            "--host", "coordinator",
        )  # fmt: skip
        self.until(partial(self.healthy, "coordinator"))

    def _join(self, name: str) -> None:
        """An institution joins; operator and institution compare six words."""
        self.call("coordinator", "coordinator", "invite", FOLDER, name, "-o", f"/tmp/{name}.json")
        self.call(name, "node", "init", FOLDER, "--name", name)
        self.write(name, f"{FOLDER}/invite.json", self.read("coordinator", f"/tmp/{name}.json"))
        if name == ON_POSTGRES:
            self._fill_database(name)
        else:
            text = self.read(name, f"{FOLDER}/node.toml")
            table = "parquet" if name == ON_PARQUET else "csv"
            text = text.replace("data/*.parquet", f"/srv/tables/*.{table}")
            self.write(name, f"{FOLDER}/node.toml", text)
        self._write_policy(name, "")
        join = ["fedcredit", "node", "join", FOLDER, f"{FOLDER}/invite.json"]
        with subprocess.Popen(
            ["podman", "exec", self.container(name), *join],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as asking:
            assert asking.stdout is not None
            said = ""
            while not (found := SIX_WORDS.findall(said)):
                line = asking.stdout.readline()
                assert line, said
                said += line
            self.call("coordinator", "coordinator", "approve", FOLDER, name, "--words", found[0])
            assert asking.wait(60) == 0, asking.stdout.read()

    def _fill_database(self, name: str) -> None:
        """The bank's database people: a table, and a role that may read it and no more."""
        database = self.container(f"{name}-database")
        ask = ("exec", "-i", database, "psql", "-h", "/tmp", "-v", "ON_ERROR_STOP=1", "-q")
        self.until(partial(self.healthy, f"{name}-database"))
        path = self.base / "tables" / name / "loans.csv"
        frame = pl.read_parquet(self.base / f"made-up/consumer/{name}.parquet")
        columns = ", ".join(f'"{one}" {TYPES[type(kind)]}' for one, kind in frame.schema.items())
        secret = os.urandom(16).hex()
        given = f"create table loans ({columns});\n"
        given += f"create role fedcredit login password '{secret}';\n"
        given += "grant select on loans to fedcredit;\n"
        self.podman(*ask, "-d", "bank", given=given)
        copied = "\\copy loans from stdin with (format csv, header)"
        self.podman(*ask, "-d", "bank", "-c", copied, given=path.read_text("utf-8"))
        dsn = f"postgresql://fedcredit:{secret}@{name}-database/bank"
        self.write(name, f"{FOLDER}/keys/dsn", dsn)
        self.write(name, f"{FOLDER}/query.sql", "select * from loans\n")
        self.write(name, f"{FOLDER}/node.toml", POSTGRES.format(name=name))

    def _begin_ledgers(self) -> None:
        """Everybody begins a ledger, and witnesses the others'."""
        witness = f"{FOLDER}/witness"
        keys = {name: self.call(name, "witness", "key", witness).strip() for name in NAMES}
        for name in NAMES:
            others = [one for one in NAMES if one != name]
            text = "".join(WITNESS.format(key=keys[one], name=one) for one in others)
            self._write_policy(name, text)
        text = "".join(WITNESS.format(key=keys[one], name=one) for one in NAMES)
        own = 'origin = "coordinator.example/ledger"\n[quorum]\nwitnesses = 3\n' + text
        self.write("coordinator", f"{FOLDER}/policy.toml", own)
        told = {name: self.call(name, "ledger", "init", FOLDER).split() for name in NAMES}
        told["coordinator"] = self.call(
            "coordinator", "ledger", "init", FOLDER, "--coordinator"
        ).split()
        for name in NAMES:
            for other, words in told.items():
                if other != name:
                    self.call(name, "witness", "add", witness, words[0], words[-1])

    def _write_policy(self, name: str, witnesses: str) -> None:
        year = time.gmtime().tm_year
        automatic = 0.5 if name == ON_POSTGRES else 2.0
        text = POLICY.format(name=name, year=year, after=year + 1, automatic=automatic, quorum=3)
        self.write(name, f"{FOLDER}/policy.toml", text + witnesses)

    def _sign_the_roster(self) -> None:
        """Each member looks at the roster and signs it, until it counts everywhere."""
        self.call("coordinator", "coordinator", "roster", FOLDER)
        for name in NAMES:
            self.until(partial(self.there, name, f"{FOLDER}/roster.json"))
            self.call(name, "node", "roster", "sign", FOLDER, "--yes")
        for name in NAMES:
            self.until(partial(self._counts, name))

    def _counts(self, name: str) -> bool:
        """Whether the roster counts for an institution."""
        words = ("fedcredit", "node", "roster", "show", FOLDER)
        return self.status("exec", self.container(name), *words) == 0
