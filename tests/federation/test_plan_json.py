"""A plan as text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fedcredit.errors import ConfigError, IntegrityError, PrivacyError
from fedcredit.federation.plan import StudyPlan, alone
from fedcredit.federation.plan_json import plan_from_json, plan_to_json
from tests.federation.made import NAMES, SCHEMA, plan


@pytest.mark.parametrize(
    "study", [plan(), plan(noise="local", epsilon=0.3), alone(plan(), NAMES[0])], ids=str
)
def test_a_plan_is_read_as_it_was_written(study: StudyPlan) -> None:
    assert plan_from_json(plan_to_json(study), "plan.json", SCHEMA) == study


@pytest.mark.parametrize(
    ("key", "value"), [("epsilon", 2.0), ("retries", 3), ("threshold", 6), ("digest", "00" * 32)]
)
def test_a_changed_plan_is_noticed(key: str, value: object) -> None:
    """A larger epsilon above all."""
    table = json.loads(plan_to_json(plan())) | {key: value}
    with pytest.raises(IntegrityError, match="was changed"):
        plan_from_json(json.dumps(table), "plan.json", SCHEMA)


def test_a_plan_about_another_schema_is_refused() -> None:
    with pytest.raises(IntegrityError, match="another schema"):
        plan_from_json(plan_to_json(plan()), "plan.json", replace(SCHEMA, version=2))


@pytest.mark.parametrize("text", ["", "[]", "[" * 10_000, '{"sigma": 1}', '{"name": 1}'])
def test_text_that_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        plan_from_json(text, "plan.json", SCHEMA)


@pytest.mark.parametrize("rate", [0, -1, 2**20 + 1, 0.5, "1/2", None, True])
def test_a_rate_that_is_none_is_refused(rate: object) -> None:
    table = json.loads(plan_to_json(plan()))
    table["rounds"][0]["rate"] = rate
    with pytest.raises((ConfigError, PrivacyError)):
        plan_from_json(json.dumps(table), "plan.json", SCHEMA)
