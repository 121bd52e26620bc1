"""The demo tells the whole story, honestly, and leaves a folder that can be used."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from fedcredit.cli.main import main
from fedcredit.measures import measure as measuring
from fedcredit.report.folder import FILES
from fedcredit.scoring.model import read_model
from fedcredit.scoring.points import tier_of

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"north-bank", "south-bank", "direct-bank", "telco", "utility", "shop"}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The folder of a demo, and what it said on standard output and standard error."""
    keep = tmp_path_factory.mktemp("below") / "a" / "demo"
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("OMP_NUM_THREADS", "1")
        assert main(["demo", "--scale", "0.3", "--keep", str(keep)]) == 0
    return keep, out.getvalue(), err.getvalue()


def test_it_shows_what_each_gains(told: tuple[Path, str, str]) -> None:
    """AUC alone and together, and that such figures are for the institution's own eyes."""
    _, out, _ = told
    for name in NAMES:
        assert re.search(rf"(?m)^{name} +\d\.\d{{3}} +\d\.\d{{3}} +[+-]\d\.\d{{3}}$", out)
    assert "own eyes" in out
    assert re.search(r"(?m)^AUC \d\.\d{3} ± \d+\.\d{3}, Gini ", out)


def test_it_leads_with_the_claim_in_force(told: tuple[Path, str, str]) -> None:
    """Epsilon of a record and of a person at 1, 2 and 3 institutions; 1.00 is in force."""
    _, out, err = told
    assert re.search(r"record +person: m = 1 +m = 2 +m = 3", out)
    rows = r"in force: only totals are opened +1\.00{m}\nif all masks were broken +2\.14{m}\n"
    assert re.search(rows.replace("{m}", r"( +\d\.\d\d){3}"), out)
    assert "round 10 of 10, score histogram: 6 of 6 answered, ε 1.00" in err


def test_it_says_what_the_coordinator_could_see(told: tuple[Path, str, str]) -> None:
    """Totals, masked vectors and who took part; on the page too."""
    keep, out, _ = told
    assert "What the coordinator could see:\n  10 totals of " in out
    assert "not seen: a row, a count, a metric; nor, with one institution, a sum of" in out
    assert "What the coordinator could see" in (keep / "report.html").read_text("utf-8")


def test_a_sample_applicant_has_a_score_and_its_tier(told: tuple[Path, str, str]) -> None:
    _, out, _ = told
    ((score, tier),) = re.findall(r"A sample applicant: (\d+) points, (\w+), PD", out)
    assert 350 <= int(score) <= 950
    assert tier_of(int(score)).name == tier


def test_the_folder_can_be_used(told: tuple[Path, str, str]) -> None:
    """The report, and a model that reads back and says what is in force."""
    keep, out, _ = told
    assert f"The report: {keep}/report.html" in out
    assert f"The ledgers: {keep}/audit.zip  (check them: fedcredit ledger verify {keep}/" in out
    assert sorted(one.name for one in keep.iterdir()) == sorted(FILES)
    weights = (keep / "model.safetensors").read_bytes()
    assert read_model(weights, (keep / "manifest.json").read_bytes()).in_force == "distributed"
    assert "are made up" in (keep / "report.html").read_text("utf-8")


def test_a_second_demo_replaces_the_first_opens_no_connection_and_speaks_json(
    told: tuple[Path, str, str],
) -> None:
    """Python tells an audit hook of every socket that is connected and every name looked up."""
    keep, _, _ = told
    before = (keep / "model.safetensors").read_bytes()
    code = """
import sys
from contextlib import redirect_stderr, redirect_stdout
seen = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"):
        seen.append(event)
sys.addaudithook(hook)
from fedcredit.cli.main import main
status = main(["demo", "--scale", "0.3", "--json", "--keep", sys.argv[1]])
sys.exit(status or len(seen))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(keep)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {one["institution"] for one in found["own"]} == NAMES
    assert found["claims"]["in_force_name"] == "distributed"
    assert found["claims"]["with_masks"]["epsilon"] == pytest.approx(1, abs=1e-3)
    assert found["report"] == str(keep / "report.html")
    assert found["ledgers"] == str(keep / "audit.zip")
    record = json.loads((keep / "model_record.json").read_text("utf-8"))
    assert record["own"] == found["own"]
    assert (keep / "model.safetensors").read_bytes() != before


@pytest.mark.parametrize("stranger", ["folder", "file", "below a file"])
def test_it_overwrites_nothing_but_an_earlier_run(
    stranger: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Somebody's folder is left as it was, and he is told before any work is done."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    keep = tmp_path / "mine"
    if stranger == "folder":
        keep.mkdir()
        (keep / "thesis.tex").write_text("precious")
    else:
        keep.write_text("precious")
    wanted = keep / "demo" if stranger == "below a file" else keep
    assert main(["demo", "--keep", str(wanted)]) == 1
    shown = capsys.readouterr()
    assert re.search("fix: name (another|a) folder", shown.err)
    assert "round" not in shown.err
    left = ["mine", "thesis.tex"] if stranger == "folder" else ["mine"]
    assert sorted(one.name for one in tmp_path.rglob("*")) == left


def test_where_torch_is_missing_the_demo_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "find_spec", lambda name: None)
    keep = tmp_path / "demo"

    assert main(["demo", "--learner", "neural", "--scale", "0.05", "--keep", str(keep)]) == 1

    assert "fedcredit[neural]" in capsys.readouterr().err
    assert not keep.exists()


def test_an_unknown_learner_is_refused_with_the_known_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep = tmp_path / "demo"

    assert main(["demo", "--learner", "forest", "--keep", str(keep)]) == 1

    assert "'neural'" in capsys.readouterr().err
    assert not keep.exists()
