"""Figures for Prometheus: those of the list, and nothing of anybody's rows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fedcredit import errors
from fedcredit.adapters.loopback import serving
from fedcredit.adapters.meter import SILENT, STAGES, metered
from fedcredit.adapters.metrics import ALLOWED, CentreFigures, NodeFigures, Tally, metrics_app
from fedcredit.adapters.studies import Studies
from fedcredit.adapters.system import StandingClock, utc_moment
from fedcredit.errors import PeerError
from fedcredit.secagg.messages import Prepare, encode_request
from tests.adapters.founded import found
from tests.adapters.made_centre import LINES, RUNNING, centre, progress

EVERY_NAME = {
    "fedcredit_node_answers_total": {"stage"},
    "fedcredit_node_refusals_total": {"type"},
    "fedcredit_node_answer_seconds_count": {"stage"},
    "fedcredit_node_answer_seconds_sum": {"stage"},
    "fedcredit_node_rounds_total": set(),
    "fedcredit_node_epsilon_spent": {"figure"},
    "fedcredit_node_epsilon_cap": {"figure"},
    "fedcredit_node_ledger_entries": set(),
    "fedcredit_node_last_visit_seconds": set(),
    "fedcredit_node_connected": set(),
    "fedcredit_coordinator_rounds_total": set(),
    "fedcredit_coordinator_attempts_lost_total": set(),
    "fedcredit_coordinator_refusals_total": {"type"},
    "fedcredit_coordinator_studies": {"state"},
    "fedcredit_coordinator_seconds_left": set(),
    "fedcredit_coordinator_ledger_entries": set(),
    "fedcredit_coordinator_certificate_days": set(),
}
"""Every name and label that is ever exposed. A new one is a decision: what does it tell?"""

EVERY_VALUE = {
    *STAGES,
    *errors.__all__,
    "no answer",
    *("record", "record_local", "person", "person_local"),
    *("proposed", "started", "done", "stopped"),
}
"""Every value of a label."""

Figures = dict[tuple[str, str], float]


def scraped(collector: NodeFigures | CentreFigures) -> Figures:
    """Figures by name and label's value, as Prometheus reads them."""
    with serving(metrics_app(collector), 0) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
    assert answer.status_code == 200
    found: Figures = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            assert set(sample.labels) == EVERY_NAME[sample.name]
            found[(sample.name, "".join(sample.labels.values()))] = sample.value
    return found


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node with a ledger, that has run."""
    found(tmp_path, "bank")
    status = {"at": "2026-11-25T12:00:00Z", "connected": True, "visited": "2026-11-25T12:00:00Z"}
    (tmp_path / "status.json").write_text(json.dumps(status | {"trouble": ""}), "ascii")
    return tmp_path


def answered(kind: str, data: bytes) -> bytes:
    return b"an answer"


def refused(kind: str, data: bytes) -> bytes:
    raise PeerError("customer 4711 is late", remedy="none")


def failed(kind: str, data: bytes) -> bytes:
    raise KeyError("customer 4711")


def busy() -> Tally:
    """A tally that has seen everything."""
    tally, clock = Tally(), StandingClock()

    def slow(kind: str, data: bytes) -> bytes:
        clock.wait(1.5)
        return b""

    digest = bytes(32)
    metered(slow, tally, clock)("train.turn", digest + encode_request(Prepare(digest, (0, 0))))
    metered(answered, tally, clock)("query.hello", digest)
    metered(answered, tally, clock)("train.turn", b"nonsense")
    for bad in (refused, failed):
        with pytest.raises((PeerError, KeyError)):
            metered(bad, tally, clock)("train.turn", digest)
    return tally


def test_every_name_and_label_is_on_the_list(node: Path, tmp_path: Path) -> None:
    """And all of the list is shown, but for a label's values that have not come up."""
    seen = scraped(NodeFigures(node, busy(), "status.json"))
    seen |= scraped(CentreFigures(centre(tmp_path / "centre"), utc_moment))
    assert {name for name, _ in seen} == set(EVERY_NAME)
    assert {value for _, value in seen} - {""} <= EVERY_VALUE


def test_no_list_is_wider_than_the_test_says() -> None:
    assert {value for one in ALLOWED.values() for value in one.values} == EVERY_VALUE
    names = {re.sub(r"_(total|count|sum)$", "", name) for name in EVERY_NAME}
    assert names == set(ALLOWED)


def test_answers_and_refusals_are_counted_by_stage_and_type(node: Path) -> None:
    seen = scraped(NodeFigures(node, busy(), "status.json"))
    assert seen["fedcredit_node_answers_total", "prepare"] == 1
    assert seen["fedcredit_node_answer_seconds_sum", "prepare"] == pytest.approx(1.5)
    assert seen["fedcredit_node_answers_total", "hello"] == 1
    assert seen["fedcredit_node_answers_total", "other"] == 1
    assert seen["fedcredit_node_refusals_total", "PeerError"] == 1
    assert seen["fedcredit_node_refusals_total", "other"] == 1, "a KeyError is nobody's affair"


def test_a_label_never_holds_a_text_from_outside(node: Path) -> None:
    tally = Tally()
    tally.refused("customer 4711")
    tally.answered("customer 4711", 1.0)
    seen = scraped(NodeFigures(node, tally, "status.json"))
    assert not [value for _, value in seen if "4711" in value]
    assert seen["fedcredit_node_answers_total", "other"] == 1


def test_budget_ledger_and_last_visit_are_those_of_the_folder(node: Path) -> None:
    seen = scraped(NodeFigures(node, Tally(), "status.json"))
    assert seen["fedcredit_node_epsilon_spent", "record"] == 0
    assert seen["fedcredit_node_epsilon_cap", "record"] == pytest.approx(4.0, abs=1e-3)
    assert seen["fedcredit_node_ledger_entries", ""] == 1
    assert seen["fedcredit_node_rounds_total", ""] == 0
    assert seen["fedcredit_node_last_visit_seconds", ""] == 1795608000
    assert seen["fedcredit_node_connected", ""] == 1


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    assert scraped(NodeFigures(tmp_path, Tally(), "status.json")) == {}
    assert scraped(CentreFigures(tmp_path, utc_moment)) == {}


def test_a_coordinators_figures_follow_from_its_studies(tmp_path: Path) -> None:
    folder = centre(tmp_path)
    seen = scraped(CentreFigures(folder, utc_moment))
    assert seen["fedcredit_coordinator_rounds_total", ""] == 12
    assert seen["fedcredit_coordinator_refusals_total", "no answer"] == 2
    assert seen["fedcredit_coordinator_refusals_total", "other"] == 1
    assert seen["fedcredit_coordinator_seconds_left", ""] == 30
    assert {
        state: seen["fedcredit_coordinator_studies", state] for state in ("started", "done")
    } == {
        "started": 1,
        "done": 1,
    }
    many = [dict(LINES[1], opened=False, troubles={"telco": "refused: BudgetExceeded"})] * 40
    progress(Studies(folder).folder / RUNNING[:12], *LINES, *many)
    seen = scraped(CentreFigures(folder, utc_moment))
    assert seen["fedcredit_coordinator_attempts_lost_total", ""] == 40
    assert seen["fedcredit_coordinator_refusals_total", "BudgetExceeded"] == 40


def test_nothing_else_is_served_and_only_under_our_name(node: Path) -> None:
    with serving(metrics_app(NodeFigures(node, Tally(), "status.json")), 0) as port:
        url = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{url}/", trust_env=False).status_code == 404
        assert httpx.post(f"{url}/metrics", trust_env=False).status_code == 404
        other = httpx.get(f"{url}/metrics", headers={"host": "evil.example"}, trust_env=False)
    assert other.status_code == 421
    assert "fedcredit_node" not in other.text


def test_nothing_is_measured_where_nobody_asked() -> None:
    assert metered(answered, SILENT, StandingClock()) is answered
