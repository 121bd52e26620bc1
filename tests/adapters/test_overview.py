"""What an operator sees: who is in, late and out, how long it takes, what came of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from fedcredit.adapters.overview import Overview, auc_of, overview, progress_of, seconds_left
from fedcredit.adapters.system import utc_moment
from tests.adapters.enrolled import Consortium
from tests.adapters.made_centre import DONE, LINES, NEW, RUNNING, STOPPED, centre, line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return centre(tmp_path_factory.mktemp("centre"))


@pytest.fixture(scope="module")
def seen(folder: Path) -> Overview:
    return overview(folder, utc_moment())


def test_the_newest_study_comes_first(seen: Overview) -> None:
    plans = [one.state.plan for one in seen.studies]
    assert plans == [NEW, RUNNING, DONE, STOPPED]
    assert seen.consortium == "Delta"


def test_in_late_and_out_are_told_apart_with_when_they_were_last_seen(seen: Overview) -> None:
    """Whoever did not answer is late; whoever refused is out."""
    running = seen.studies[1].attendance
    assert [(one.name, one.word, one.standing, one.last_seen[11:]) for one in running] == [
        ("bank", "approved", "in", "12:00:10Z"),
        ("shop", "", "out", "12:00:05Z"),
        ("telco", "waiting", "late", "12:00:00Z"),
    ]
    assert running[1].why.startswith("refused")
    new = seen.studies[0].attendance
    assert {(one.standing, one.last_seen) for one in new} == {("", "")}


def test_rounds_epsilon_and_time_left_follow_from_the_lines(seen: Overview) -> None:
    running = seen.studies[1]
    assert (running.round, running.rounds) == (3, 9)
    assert running.epsilon == pytest.approx(0.3)
    assert running.left_s == 30
    assert [one["round"] for one in running.lines] == [3, 2, 1]


def test_a_study_that_is_over_has_its_auc_and_no_time_left(seen: Overview) -> None:
    done = seen.studies[2]
    assert done.left_s is None
    assert done.auc is not None
    assert (done.auc.low, done.auc.high) == pytest.approx((0.8104, 0.8496))
    assert seen.studies[3].auc is None


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ([], None),
        (LINES[:1], None),
        ([line(1, 0, ()), line(1, 5, ())], None),
        ([line(1, 0, ()), line(2, 5, (), opened=False)], None),
        ([line(8, 0, ()), line(9, 5, ())], 0),
        ([line(1, 0, ()), line(2, 9, (), opened=False), line(3, 20, ())], 60),
    ],
)
def test_a_pace_needs_two_rounds_that_were_opened(
    lines: list[dict[str, object]], left: int | None
) -> None:
    assert seconds_left(lines) == left


def test_a_line_that_is_being_written_is_not_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "progress.jsonl").write_text('{"round": 1}\n{"rou', "ascii")
    assert progress_of(tmp_path) == [{"round": 1}]


def test_a_study_without_an_evaluation_has_no_auc(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/metrics.json").write_text('{"metrics": {}}', "ascii")
    assert auc_of(tmp_path) is None


def test_certificates_that_end_soon_are_marked(folder: Path) -> None:
    later = overview(folder, utc_moment() + timedelta(days=350)).members
    assert [(one.name, one.ends_soon) for one in later] == [
        ("bank", True),
        ("shop", True),
        ("telco", True),
    ]
    assert not any(one.ends_soon for one in overview(folder, utc_moment()).members)


def test_the_ledgers_head_is_the_last_that_was_signed(seen: Overview) -> None:
    assert seen.ledger is not None
    assert seen.ledger.origin == "test.example/coordinator"
    assert seen.ledger.size == 1
    assert len(seen.ledger.root) == 64


def test_a_new_consortium_has_nothing_to_show(tmp_path: Path) -> None:
    seen = overview(Consortium(tmp_path).found().folder, utc_moment())
    assert (seen.studies, seen.members, seen.ledger) == ((), (), None)
