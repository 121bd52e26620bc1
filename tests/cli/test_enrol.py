"""`fedcredit coordinator` and `fedcredit node init|join|renew|leave`, as people type them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from fedcredit.adapters.coordinator_folder import read_settings, server_warning
from fedcredit.adapters.folders import read_node
from fedcredit.adapters.policies import read_policy
from fedcredit.adapters.system import utc_moment
from fedcredit.cli.main import main
from tests.adapters.enrolled import HOST, Consortium, serving, upstream

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _threads_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def centre(tmp_path: Path) -> str:
    folder = str(tmp_path / "coordinator")
    words = ["coordinator", "init", folder, "--consortium", "Delta «Nord»", "--host", HOST]
    assert main(words) == 0
    return folder


@pytest.fixture
def port(centre: str) -> Iterator[int]:
    """The front of the coordinator; invitations made from now on name its port."""
    made = Consortium(Path(centre).parent)
    with upstream(made) as there, serving(made, there) as found:
        path = Path(centre) / "coordinator.toml"
        path.write_text(path.read_text("utf-8").replace("8443", str(found)), "utf-8")
        yield found


def status(centre: str, capsys: Captured) -> dict[str, dict[str, object]]:
    capsys.readouterr()
    assert main(["coordinator", "institutions", centre, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["institutions"]
    return {row["name"]: row for row in rows}


def heard(capsys: Captured) -> str:
    """The six words that `node join` or `renew` has shown."""
    shown = capsys.readouterr()
    assert "nobody has approved" in shown.err
    found = re.search(r"^  ((?:[a-z]+ ){5}[a-z]+)$", shown.out, re.MULTILINE)
    assert found
    return found[1]


def test_an_institution_comes_in_and_goes(
    centre: str, port: int, tmp_path: Path, capsys: Captured
) -> None:
    """Invite, init, join, hear the words, approve, join on, renew, revoke."""
    node, invite = str(tmp_path / "bank"), str(tmp_path / "invite.json")
    assert main(["coordinator", "invite", centre, "bank", "--expires", "12h", "-o", invite]) == 0
    assert Path(invite).stat().st_mode & 0o777 == 0o600
    assert main(["node", "init", node, "--name", "bank"]) == 0
    assert main(["node", "join", node, invite, "--timeout", "0"]) == 3
    words = heard(capsys)
    assert status(centre, capsys)["bank"]["state"] == "waiting"
    assert words not in str(status(centre, capsys))  # they are to be heard, and not copied
    wrong = " ".join(reversed(words.split()))
    assert main(["coordinator", "approve", centre, "bank", "--words", wrong]) == 5
    assert "not the words" in capsys.readouterr().err
    assert main(["coordinator", "approve", centre, "bank", "--words", words.upper()]) == 0
    assert "ends in 364 days" in capsys.readouterr().out  # and some hours
    assert main(["node", "join", node, invite]) == 0
    assert "bank is a member of Delta «Nord»" in capsys.readouterr().out
    assert status(centre, capsys)["bank"]["days_left"] == 364  # and some hours

    assert main(["node", "renew", node, "--timeout", "0"]) == 3
    later = heard(capsys)
    assert main(["coordinator", "institutions", centre]) == 0
    assert "its next one waits for approval" in capsys.readouterr().out
    assert later != words
    assert main(["coordinator", "approve", centre, "bank", "--words", later]) == 0
    assert main(["node", "renew", node]) == 0

    assert main(["coordinator", "revoke", centre, "bank", "--reason", "left us"]) == 0
    row = status(centre, capsys)["bank"]
    assert (row["state"], row["reason"]) == ("revoked", "left us")
    assert main(["node", "renew", node, "--timeout", "0"]) == 5
    assert "has been revoked" in capsys.readouterr().err
    assert main(["coordinator", "revoke", centre, "bank", "--reason", "again"]) == 5


def test_an_institution_leaves_and_its_status_says_so(
    centre: str, port: int, tmp_path: Path, capsys: Captured
) -> None:
    made = Consortium(Path(centre).parent)
    node = made.member("bank").parents[1]
    place = {
        "consortium": "Delta",
        "url": f"https://{HOST}:{port}",
        "name": "bank",
        "role": "institution",
    }
    (node / "coordinator.json").write_text(json.dumps(place), "utf-8")
    (node / "keys/authority.pem").write_bytes((Path(centre) / "pki/authority.pem").read_bytes())
    assert main(["node", "status", str(node)]) == 1
    now = {"at": "2026-11-25T12:00:00Z", "connected": True, "visited": "", "trouble": ""}
    (node / "status.json").write_text(json.dumps(now), "ascii")
    assert main(["node", "status", str(node)]) == 0
    year = utc_moment().year + 1
    assert f"certificate until {year}-" in capsys.readouterr().out

    assert main(["node", "leave", str(node), "--reason", "caf\u00e9"]) == 1
    assert main(["node", "leave", str(node), "--reason", "merger"]) == 0
    assert main(["node", "leave", str(node)]) == 0
    assert "had left before" in capsys.readouterr().out
    assert main(["node", "run", str(node)]) == 1
    assert "fedcredit node join FOLDER INVITE" in capsys.readouterr().err
    assert main(["node", "status", str(node), "--json"]) == 3
    said = json.loads(capsys.readouterr().out)
    assert (said["connected"], said["left"][:2]) == (False, "20")
    assert status(centre, capsys)["bank"]["reason"] == "it left: merger"


def test_a_certificate_that_ends_soon_is_warned_of_in_a_nodes_status(
    centre: str, tmp_path: Path, capsys: Captured
) -> None:
    made = Consortium(Path(centre).parent)
    for name, days in (("bank", 0), ("shop", 340)):
        node = made.member(name, at=made.now - timedelta(days=days)).parents[1]
        (node / "status.json").write_text('{"connected": true}', "ascii")
        capsys.readouterr()
        assert main(["node", "status", str(node), "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        warned = said.get("warning", "")
        assert ("ends in 24 days" in warned and "fedcredit node renew" in warned) == (days > 0)


def test_a_coordinators_settings_read_back(centre: str, capsys: Captured) -> None:
    found = read_settings(Path(centre))
    assert (found.consortium, found.hosts, found.port) == ("Delta «Nord»", (HOST,), 8443)
    assert found.url == f"https://{HOST}:8443"
    words = ["coordinator", "init", centre, "--consortium", "Delta", "--host", HOST]
    assert main(words) == 1
    assert "there is a consortium" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["", "a b", "https://fed.example.org"])
def test_a_host_that_is_none_founds_nothing(host: str, tmp_path: Path) -> None:
    folder = tmp_path / "coordinator"
    words = ["coordinator", "init", str(folder), "--consortium", "Delta", "--host", host]
    assert main(words) == 1
    assert not (folder / "pki").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["Bank"], "cannot be a file's"),
        (["bank", "--role", "king"], "is no role"),
        (["bank", "--expires", "soon"], "no length of time"),
        (["bank", "--expires", "0d"], "no length of time"),
        (["bank", "--expires", "91d"], "cannot be open for"),
    ],
)
def test_an_invitation_that_makes_no_sense_is_not_written(
    words: list[str], why: str, centre: str, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "invite.json"
    assert main(["coordinator", "invite", centre, *words, "-o", str(out)]) == 1
    assert why in capsys.readouterr().err
    assert not out.exists()


def test_an_invitation_never_replaces_a_file(centre: str, tmp_path: Path) -> None:
    out = str(tmp_path / "invite.json")
    assert main(["coordinator", "invite", centre, "bank", "-o", out]) == 0
    before = Path(out).read_bytes()
    assert main(["coordinator", "invite", centre, "shop", "-o", out]) == 1
    assert Path(out).read_bytes() == before


def test_an_invitation_that_others_may_read_is_not_used(
    centre: str, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "invite.json"
    assert main(["coordinator", "invite", centre, "bank", "-o", str(out)]) == 0
    out.chmod(0o644)
    assert main(["node", "join", str(tmp_path / "bank"), str(out)]) == 1
    assert "others may read it" in capsys.readouterr().err


@pytest.mark.parametrize("change", [("https", "http"), ("token", "tokens"), ('"bank"', '"B"')])
def test_an_invitation_that_was_altered_is_not_used(
    change: tuple[str, str], centre: str, tmp_path: Path
) -> None:
    out = tmp_path / "invite.json"
    assert main(["coordinator", "invite", centre, "bank", "-o", str(out)]) == 0
    out.write_text(out.read_text().replace(*change))
    assert main(["node", "join", str(tmp_path / "bank"), str(out)]) == 1


def test_a_new_nodes_files_can_be_read_and_its_ledger_begun(
    tmp_path: Path, capsys: Captured
) -> None:
    """With the very keys that its card shows; and it is never made twice."""
    folder = tmp_path / "bank"
    assert main(["node", "init", str(folder), "--name", "bank"]) == 0
    assert read_node(folder).institution == "bank"
    written = read_policy(folder / "policy.toml")
    assert (written.origin, written.quorum.witnesses) == ("bank/ledger", 2)
    key = (folder / "keys/ledger.key").read_bytes()
    assert main(["ledger", "init", str(folder)]) != 0  # it names no witness yet
    policy = folder / "policy.toml"
    text = policy.read_text().replace("witnesses = 2", "witnesses = 0")
    policy.write_text(text.replace("beside_coordinator = 1", "beside_coordinator = 0"))
    capsys.readouterr()
    assert main(["ledger", "init", str(folder)]) == 0
    assert "bank/ledger" in capsys.readouterr().out
    assert (folder / "keys/ledger.key").read_bytes() == key
    assert main(["ledger", "init", str(folder)]) == 1
    assert main(["node", "init", str(folder), "--name", "bank"]) == 1
    assert main(["node", "init", str(tmp_path / "B"), "--name", "B k"]) == 1


def test_servers_are_renewed(centre: str, tmp_path: Path) -> None:
    before = (Path(centre) / "pki/server.pem").read_bytes()
    assert main(["coordinator", "renew", centre]) == 0
    assert (Path(centre) / "pki/server.pem").read_bytes() != before
    assert main(["coordinator", "renew", str(tmp_path / "none")]) == 1


def test_a_folder_without_a_consortium_is_named(tmp_path: Path, capsys: Captured) -> None:
    for words in (["institutions"], ["approve", "bank", "--words", "x"]):
        name, *more = words
        assert main(["coordinator", name, str(tmp_path), *more]) == 1
        assert "coordinator init FOLDER" in capsys.readouterr().err


def test_a_servers_certificate_that_ends_soon_is_warned_of(centre: str) -> None:
    folder, now = Path(centre), utc_moment()
    assert server_warning(folder, now + timedelta(days=334)) == ""
    assert "ends in 28 days" in server_warning(folder, now + timedelta(days=336))
    assert "has ended" in server_warning(folder, now + timedelta(days=366))
