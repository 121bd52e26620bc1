"""The examination of a folder: a sound one is well, and each fault put into it is named."""

from __future__ import annotations

import errno
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as real_version
from pathlib import Path
from types import SimpleNamespace

import pytest

from fedcredit.adapters import premises
from fedcredit.adapters.doctor import Surroundings, examine
from fedcredit.adapters.finding import Finding, exit_status
from fedcredit.adapters.front import SuperLinkPlace
from fedcredit.adapters.left import Left, write_left
from fedcredit.adapters.system import StandingClock, utc_moment
from fedcredit.adapters.way import system_resolve
from fedcredit.adapters.witness import WitnessServer
from fedcredit.adapters.witness_folder import open_witness, witness_key
from fedcredit.data.schema import write_schema
from fedcredit.errors import ConfigError
from fedcredit.federation.plan_json import plan_to_json
from tests.adapters.enrolled import AUTHORITY, HOST, Consortium, serving, upstream
from tests.adapters.founded import found, found_centre
from tests.adapters.made_database import Database, write_place
from tests.federation.made import plan


class SlowClock(StandingClock):
    """A second passes between two looks."""

    def now(self) -> float:
        self.wait(1.0)
        return super().now()


def around(
    *, ahead: timedelta = timedelta(), environment: Mapping[str, str] | None = None
) -> Surroundings:
    return Surroundings(
        resolve=system_resolve,
        now=lambda: utc_moment() + ahead,
        clock=StandingClock(),
        environment=environment or {},
    )


@pytest.fixture
def consortium(tmp_path: Path) -> Consortium:
    made = Consortium(tmp_path).found()
    made.member("bank")
    return made


@pytest.fixture
def port(consortium: Consortium) -> Iterator[int]:
    place: SuperLinkPlace
    with upstream(consortium) as place, serving(consortium, place) as there:
        yield there


@pytest.fixture
def node(consortium: Consortium, port: int) -> Path:
    """A node's folder in which all is well."""
    folder = consortium.base / "bank"
    place = {"consortium": "Delta", "url": f"https://{HOST}:{port}", "name": "bank"}
    (folder / "coordinator.json").write_text(json.dumps(place | {"role": "institution"}))
    (folder / "keys/authority.pem").write_bytes((consortium.folder / AUTHORITY).read_bytes())
    (folder / "keys/member.pem").chmod(0o600)
    (folder / "keys/member.next.pem").unlink()
    for name in ("root", "officer", "ledger"):
        (folder / f"keys/{name}.key").unlink()
    found(folder, "bank")
    (folder / "data").mkdir()
    (folder / "data/a.csv").write_text("income,default\n1,0\n", "utf-8")
    (folder / "node.toml").write_text('institution = "bank"\ntable = "data/*.csv"\n', "utf-8")
    return folder


def faults(findings: list[Finding]) -> dict[str, str]:
    return {one.check: one.what for one in findings if not one.ok}


def test_a_sound_node_is_well(node: Path) -> None:
    looked = examine(node, around())
    assert faults(looked) == {}
    assert exit_status(looked) == 0
    assert {one.check for one in looked} == {
        "name", "port", "tls", "membership", "clock", "certificate", "versions", "disk", "fsync",
        "secrets", "keys", "table", "memory", "ledger", "witness", "egress",
    }  # fmt: skip
    assert not (node / ".doctor").exists()


def test_a_sound_coordinator_is_well(consortium: Consortium, port: int) -> None:
    settings = consortium.folder / "coordinator.toml"
    settings.write_text(settings.read_text("utf-8").replace("8443", str(port)), "utf-8")
    found_centre(consortium.folder)
    looked = examine(consortium.folder, around())
    assert faults(looked) == {}
    assert "members" in {one.check for one in looked}


def test_a_coordinator_whose_members_must_renew_is_told(consortium: Consortium, port: int) -> None:
    found_centre(consortium.folder)
    looked = faults(examine(consortium.folder, around(ahead=timedelta(days=340))))
    assert "bank in 2" in looked["members"]
    assert ", in 2" in looked["certificate"]


def test_a_certificate_that_ends_soon_or_has_ended_is_named(node: Path) -> None:
    soon = faults(examine(node, around(ahead=timedelta(days=340))))
    assert ", in 24 days" in soon["certificate"]
    over = faults(examine(node, around(ahead=timedelta(days=400))))
    assert "has ended" in over["certificate"]


def test_a_certificates_end_is_said_while_it_is_far(node: Path) -> None:
    (said,) = [one.what for one in examine(node, around()) if one.check == "certificate"]
    assert f"ends on {utc_moment() + timedelta(days=365):%Y-%m-%d}, in 364 days" in said


def test_a_node_that_has_left_is_named_and_is_a_fault_while_nobody_knows(node: Path) -> None:
    write_left(node, Left(at="2026-11-25T12:00:00Z", reason="", told=False))
    assert "its coordinator does not know" in faults(examine(node, around()))["left"]
    write_left(node, Left(at="2026-11-25T12:00:00Z", reason="", told=True))
    looked = examine(node, around())
    assert "left" not in faults(looked)
    assert "at 2026-11-25T12:00:00Z" in next(one.what for one in looked if one.check == "left")


def test_a_certificate_of_another_authority_is_named(node: Path, tmp_path: Path) -> None:
    other = Consortium(tmp_path / "other").found()
    (node / "keys/authority.pem").write_bytes((other.folder / AUTHORITY).read_bytes())
    looked = examine(node, around())
    assert "is not signed by the authority" in faults(looked)["certificate"]
    assert exit_status(looked) == 3


@pytest.mark.parametrize("name", ["identity.json", "keys/ledger.key", "keys/member.pem"])
def test_a_secret_that_others_may_read_is_named(name: str, node: Path) -> None:
    (node / name).chmod(0o644)
    assert str(node / name) in faults(examine(node, around()))["secrets"]


def test_a_damaged_ledger_is_named(node: Path) -> None:
    path = node / "ledger/ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b"bank", b"bonk"))
    assert "ledger" in faults(examine(node, around()))


def test_a_ledger_that_is_away_is_named(node: Path) -> None:
    (node / "ledger/checkpoints.note").unlink()
    assert "there is no ledger" in faults(examine(node, around()))["ledger"]


def test_a_table_that_is_away_is_named(node: Path) -> None:
    (node / "data/a.csv").unlink()
    assert "table" in faults(examine(node, around()))


def test_a_database_and_too_little_memory_are_named(
    node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size class is that of the study that was put before the node last."""
    database = Database()
    database.rights["change tables"] = True
    monkeypatch.setattr("adbc_driver_postgresql.dbapi.connect", database.connect)
    write_place(node)
    place = node / "studies/one"
    place.mkdir(parents=True)
    (place / "plan.json").write_text(plan_to_json(plan()), "utf-8")
    (place / "schema.toml").write_text(write_schema(plan().schema), "utf-8")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable: 90000 kB\n")
    looked = faults(examine(node, replace(around(), root=tmp_path)))
    assert set(looked) == {"database", "memory"}
    assert "may change tables" in looked["database"]
    assert "'10k-100k' takes up to 0.3 GiB" in looked["memory"]


def test_a_slow_disk_is_named(node: Path) -> None:
    slow = Surroundings(resolve=system_resolve, now=utc_moment, clock=SlowClock(), environment={})
    assert "1000.0 ms" in faults(examine(node, slow))["fsync"]


def test_a_node_that_has_not_joined_is_told_so(node: Path) -> None:
    (node / "coordinator.json").unlink()
    assert "has not joined" in faults(examine(node, around()))["membership"]


def test_a_folder_of_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither node\.toml nor coordinator\.toml"):
        examine(tmp_path, around())


@pytest.mark.parametrize(
    ("there", "said"), [("0.9", "flwr is 0.9, and"), ("", "flwr is not installed")]
)
def test_a_package_outside_its_range_is_named(
    there: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if name == "flwr" and not there:
            raise PackageNotFoundError
        return there if name == "flwr" else real_version(name)

    monkeypatch.setattr(premises, "version", version)
    (found_,) = premises.versions()
    assert not found_.ok
    assert said in found_.what
    assert "pip install" in found_.do


def test_a_full_disk_is_named(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    assert "0.0 GiB are free" in faults(examine(node, around()))["disk"]


def test_a_disk_that_takes_nothing_is_named(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(premises, "write_file", full)
    assert "No space left on device" in faults(examine(node, around()))["disk"]


def test_a_certificate_of_tomorrow_is_named(node: Path) -> None:
    early = faults(examine(node, around(ahead=timedelta(days=-3))))
    assert "counts from" in early["certificate"]
    assert "behind the coordinator's" in early["clock"]


def _policy_with(node: Path, key: str, url: str) -> None:
    path = node / "policy.toml"
    text = path.read_text("utf-8").replace("witnesses = 0", "witnesses = 1")
    path.write_text(f'{text}\n[[witness]]\nkey = "{key}"\nurl = "{url}"\n', "utf-8")


def test_a_witness_that_answers_is_well_and_one_that_does_not_is_named(
    node: Path, consortium: Consortium
) -> None:
    shop = consortium.node("shop") / "witness"
    key = str(witness_key(shop))
    with WitnessServer(open_witness(shop), HOST, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://{HOST}:{server.server_port}"
        _policy_with(node, key, url)
        looked = examine(node, around())
        server.shutdown()
        thread.join()
    assert faults(looked) == {}
    assert url in next(one.what for one in looked if one.check == "witness")
    assert url.removeprefix("http://") in next(one.what for one in looked if one.check == "egress")
    gone = faults(examine(node, around()))
    assert "does not answer" in gone["witness"]
    assert "0 witnesses answer and 1 must sign" in gone["quorum"]


def test_another_witness_at_the_same_place_is_named(node: Path, consortium: Consortium) -> None:
    shop, telco = (consortium.node(name) / "witness" for name in ("shop", "telco"))
    with WitnessServer(open_witness(telco), HOST, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        _policy_with(node, str(witness_key(shop)), f"http://{HOST}:{server.server_port}")
        looked = examine(node, around())
        server.shutdown()
        thread.join()
    assert "is not the witness shop/witness" in faults(looked)["witness"]


def test_a_proxy_of_the_environment_is_named_and_its_address_is_not(node: Path) -> None:
    """Such an address can hold a password."""
    looked = examine(node, around(environment={"HTTPS_PROXY": "http://me:secret@proxy.example"}))
    (egress,) = [one for one in looked if one.check == "egress"]
    assert egress.ok
    assert "HTTPS_PROXY is set and not used" in egress.what
    assert "secret" not in egress.what + egress.do
