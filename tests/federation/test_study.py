"""The study file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fedcredit.errors import ConfigError, PrivacyError
from fedcredit.federation.study import Source, Split, Study, Target, draw_up, read_study
from fedcredit.privacy.accounting import rho_for
from fedcredit.units import InstitutionId
from tests.federation.made import NAMES, SCHEMA, learner, plan

EXAMPLE = Path(__file__).resolve().parents[2] / "configs" / "study.toml"

TEXT = """
name = "small"
purpose = "to test"
learner = "scorecard"
schema = "schema.toml"
salt = "0011223344556677"
seed = "8899aabbccddeeff"
"""
OWN = "".join(f'[[institutions]]\nname = "{name}"\ntable = "{name}.csv"\n' for name in NAMES)


def test_the_example_names_every_key_at_its_default() -> None:
    """So that it documents them all, and copying it changes nothing."""
    text = EXAMPLE.read_text("utf-8")
    study = read_study(text, "study.toml")
    written = set(re.findall(r"(\w+) = ", text)) | set(re.findall(r"`(\w+)`", text))
    fields = {
        *Study.__dataclass_fields__,
        *Target.__dataclass_fields__,
        *Split.__dataclass_fields__,
        *Source.__dataclass_fields__,
    }
    assert fields - {"institutions", "target", "split"} <= written
    assert study.target == Target()
    plain = Study(name="a", purpose="b", learner="c", salt="", seed="")
    for key in ("threshold", "colluders", "retries", "deadline_s", "evaluate", "noise"):
        assert getattr(study, key) == getattr(plain, key)


def test_institutions_with_their_own_tables_are_read() -> None:
    study = read_study(TEXT + OWN, "study.toml")
    assert [one.name for one in study.institutions] == list(NAMES)
    assert study.split.table == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (TEXT, "names no records"),
        (TEXT + OWN + '[split]\ntable = "all.csv"\n', "to split"),
        (TEXT.replace("salt", "slat") + OWN, "'slat'"),
        (TEXT.replace('schema = "schema.toml"\n', "") + OWN, "names no schema"),
        (TEXT + 'noise = "none"\n' + OWN, "noise"),
        (TEXT + 'noise = "alone"\n' + OWN, "noise"),
        (TEXT + 'retries = "two"\n' + OWN, "retries"),
        (TEXT + "sigma = 1.1\n" + OWN, "'sigma'"),
        (TEXT + "[target]\nepsilom = 1\n" + OWN, "'epsilom'"),
        (TEXT + '[split]\ntable = "a.csv"\nby = "column"\n', "column"),
        (TEXT + '[split]\ntable = "a.csv"\ncolumn = "region"\n', "column"),
        (TEXT + '[split]\ntable = "a.csv"\ninstitutions = 2\n', "institutions is 2"),
        (TEXT + '[split]\ntable = "a.csv"\nconcentration = 0.0\n', "concentration"),
        ("name = ", "study.toml"),
    ],
)
def test_a_study_that_cannot_be_run_is_refused(text: str, found: str) -> None:
    """Each names what was found and what to write instead."""
    with pytest.raises(ConfigError) as refusal:
        read_study(text, "study.toml")
    assert found in refusal.value.what
    assert refusal.value.remedy


def test_a_study_is_drawn_up_with_the_learners_rounds() -> None:
    """Training shares the whole rho of the target; evaluation has it once more."""
    study = Study(name="a", purpose="b", learner="scorecard", salt="00" * 8, seed="00" * 8)
    drawn = draw_up(study, learner("scorecard"), SCHEMA, NAMES[::-1])
    total = rho_for(1.0, 1e-5)
    train = [one.rho for one in drawn.rounds if one.part == "train"]
    assert total - len(train) <= sum(train) <= total
    assert drawn.rounds[-1].rho == total
    assert drawn.rounds[-1].part == "held-out"
    assert drawn.institutions == NAMES
    assert (drawn.threshold, drawn.colluders, drawn.honest) == (5, 1, 4)


def test_a_study_may_set_its_own_threshold() -> None:
    assert plan(threshold=6, colluders=2).honest == 4
    with pytest.raises(ConfigError):
        plan(threshold=3)


def test_too_few_institutions_are_refused() -> None:
    with pytest.raises(ConfigError):
        plan(members=[InstitutionId("a"), InstitutionId("b")])


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan"), 2000.0])
def test_a_price_that_is_none_is_refused(epsilon: float) -> None:
    with pytest.raises(PrivacyError):
        plan(epsilon=epsilon)
