"""A node's visits: what is new comes in, what was decided goes out, a bad visit harms nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fedcredit.adapters.hosting import Host, write_refusal
from fedcredit.adapters.keyring import read_roster, write_roster
from fedcredit.adapters.ledgers import Copy
from fedcredit.adapters.studies import Studies, StudyState
from fedcredit.adapters.studies_api import respond
from fedcredit.adapters.visiting import Visitor
from fedcredit.cli.main import main
from fedcredit.data.schema import write_schema
from fedcredit.errors import PeerError, UnreachableError
from fedcredit.secagg.roster import SignedRoster, sign_roster
from tests.adapters.founded import found
from tests.adapters.test_folders import agree, table
from tests.federation.made import NAMES, SCHEMA, keys, plan, roster

ME = NAMES[0]


@dataclass
class Front:
    """The coordinator's front without a network."""

    folder: Path
    down: bool = False
    bend: Callable[[str, bytes], bytes] = lambda path, body: body
    asked: list[str] = field(default_factory=list)

    def get(self, path: str) -> bytes:
        return self._ask("GET", path, b"")

    def post(self, path: str, body: bytes) -> bytes:
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: bytes) -> bytes:
        self.asked.append(f"{method} {path}")
        if self.down:
            raise UnreachableError("no answer", remedy="wait")
        reply = respond(self.folder, ME, method, path, body)
        if reply.status != 200:
            raise PeerError(f"status {reply.status}", remedy="ask")
        return self.bend(path, reply.body)


@dataclass
class There:
    host: Host
    front: Front
    visitor: Visitor
    studies: Studies

    def word(self, study: StudyState) -> str:
        answers = self.studies.find(study.id).answers
        return answers[ME].word if ME in answers else ""

    def propose(self, name: str = "pilot") -> StudyState:
        data = (self.front.folder / "roster.json").read_bytes()
        made = plan("scorecard", name=name, retries=0)
        return self.studies.propose(made, write_schema(SCHEMA), data)


@pytest.fixture
def there(tmp_path: Path) -> There:
    node, centre = tmp_path / ME, tmp_path / "centre"
    agree(node, plan("scorecard", retries=0))
    for name in ("plan.json", "schema.toml"):
        (node / name).unlink()
    (node / "node.toml").write_text(f'institution = "{ME}"\ntable = "table.csv"\n', "utf-8")
    (node / "table.csv").write_text(table(200, 0), "utf-8")
    found(node, ME)
    centre.mkdir()
    (centre / "roster.json").write_bytes((node / "roster.json").read_bytes())
    host, front = Host(node), Front(centre)
    return There(host, front, Visitor(host, front), Studies(centre))


def test_a_study_within_the_policy_is_fetched_approved_and_told_once(there: There) -> None:
    study = there.propose()
    for _ in range(3):
        there.visitor.visit()
    assert there.word(study) == "approved"
    told = [one for one in there.front.asked if one.endswith("/answer")]
    assert len(told) == 1
    assert there.host.member(bytes.fromhex(study.plan)).identity.name == ME
    assert b'"kind":"approve"' in Copy(there.host.folder / "ledger").lines()


def test_a_study_beyond_the_automatic_limit_waits_for_the_officer(
    there: There, tmp_path: Path
) -> None:
    for name in ("ledger", "keys"):
        shutil.rmtree(there.host.folder / name)
    found(there.host.folder, ME, automatic=0.1)
    study = there.propose()
    there.visitor.visit()
    assert there.word(study) == "waiting"
    officer = str(there.host.folder / "keys/officer.key")
    folder = str(there.host.folder)
    assert main(["study", "approve", folder, study.id, "--officer", officer]) == 0
    there.visitor.visit()
    assert there.word(study) == "approved"


def test_a_study_that_people_refuse_is_refused(there: There) -> None:
    study = there.propose()
    there.visitor.visit()
    write_refusal(there.host.folder / "studies" / study.id, "purpose")
    there.visitor.visit()
    assert there.word(study) == "refused"


def test_a_coordinator_that_is_down_is_visited_again(there: There) -> None:
    study = there.propose()
    there.front.down = True
    with pytest.raises(UnreachableError):
        there.visitor.visit()
    there.front.down = False
    there.visitor.visit()
    assert there.word(study) == "approved"


@pytest.mark.parametrize(
    "bent", [b"x", b"[]", b'{"studies": [{"id": "../../etc"}]}', b'{"studies": [7]}']
)
def test_a_list_that_makes_no_sense_writes_nothing(there: There, bent: bytes) -> None:
    there.propose()
    there.front.bend = lambda path, body: bent if path == "/v1/studies" else body
    with pytest.raises(PeerError):
        there.visitor.visit()
    assert not (there.host.folder / "studies").exists()


def test_a_study_under_another_id_than_its_plans_is_refused(there: There) -> None:
    """Whatever a coordinator swaps, the id is the plan's digest."""
    first, second = there.propose("one"), there.propose("two")
    good = there.front.get(f"/v1/studies/{second.id}")
    there.front.bend = lambda path, body: good if path.endswith(first.id) else body
    there.visitor.visit()
    assert (there.word(first), there.word(second)) == ("refused", "approved")


def test_a_roster_is_fetched_for_people_and_signatures_are_exchanged(there: There) -> None:
    identities, _ = keys(NAMES)
    fresh = SignedRoster(roster(plan()))
    write_roster(there.front.folder / "roster.json", fresh)
    own = there.host.folder / "roster.json"
    own.unlink()
    there.visitor.visit()
    assert read_roster(own).signatures == {}
    write_roster(own, sign_roster(fresh, identities[ME]))
    there.visitor.visit()
    assert set(read_roster(there.front.folder / "roster.json").signatures) == {ME}
    both = sign_roster(read_roster(there.front.folder / "roster.json"), identities[NAMES[1]])
    write_roster(there.front.folder / "roster.json", both)
    there.visitor.visit()
    assert set(read_roster(own).signatures) == {ME, NAMES[1]}


def test_another_roster_than_the_one_that_was_signed_is_not_taken(there: There) -> None:
    """A person looks at it first."""
    own = (there.host.folder / "roster.json").read_bytes()
    others = keys(NAMES[:4])[1]
    write_roster(there.front.folder / "roster.json", SignedRoster(others))
    there.visitor.visit()
    assert (there.host.folder / "roster.json").read_bytes() == own
