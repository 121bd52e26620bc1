"""The registry's form is filled from findings, and says what they cannot know."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from fedcredit.errors import ConfigError, IntegrityError
from fedcredit.report.registry import OPEN, open_fields, registry_entry
from tests.report import audited
from tests.report.audited import Findings

TIER_3 = {
    "basic": {
        "name",
        "data_curators",
        "intended_use",
        "data_product_type",
        "data_product_region",
        "description",
        "publication_date",
        "data_product_sector",
    },
    "dp_variant": {"variant_name", "data_domain", "unprotected_quantities"},
    "privacy_loss": {
        "privacy_unit",
        "privacy_unit_details",
        "privacy_parameters",
        "privacy_parameters_details",
    },
    "deployment_model": {
        "model_name",
        "model_name_details",
        "actors",
        "release_type",
        "release_type_details",
        "data_source_type",
        "access_type",
        "access_type_details",
    },
    "accounting": {"post_processing", "composition"},
    "implementation": {
        "preprocessing_and_hyperparameter_tuning",
        "mechanisms",
        "justification",
    },
    "administrative": {"sources", "registry_authors"},
}
"""Fields of the registry's own records of 2026 at Tier 3."""


def deployment(found: Findings) -> dict[str, dict[str, object]]:
    entry = registry_entry(found)
    value = json.loads(json.dumps(entry["deployment"]))
    assert isinstance(value, dict)
    return value


def leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for one in value.values():
            yield from leaves(one)
    elif isinstance(value, list):
        for one in value:
            yield from leaves(one)
    else:
        yield value


def test_it_has_the_fields_of_the_registry_and_no_other() -> None:
    entry = registry_entry(audited.holds())
    assert list(entry) == ["url_slug", "status", "tier", "deployment"]
    assert {key: set(one) for key, one in deployment(audited.holds()).items()} == TIER_3
    assert (entry["status"], entry["tier"]) == ("Draft", 3)
    assert entry["url_slug"] == "consumer-pd-12m-bank-a-2026"


def test_every_field_is_filled() -> None:
    assert all(value not in ("", None) for value in leaves(registry_entry(audited.holds())))


def test_its_parameters_are_those_of_the_record_that_paid_most() -> None:
    cheap, dear = audited.ledger("bank-a"), audited.ledger("bank-b")
    dear["lifetime"] = {"rho": 30_000_000, "rho_local": 1, "epsilon": 0.99, "epsilon_local": 2.0}
    loss = deployment(audited.findings(cheap, dear, audited.coordinator()))["privacy_loss"]
    assert loss["privacy_parameters"] == {"epsilon": 0.99, "delta": 1e-05, "rho": 0.03}
    details = str(loss["privacy_parameters_details"])
    assert "those of bank-b" in details
    assert "bank-a, at delta 1e-05: rho 0.025, epsilon 0.8956" in details


def test_a_coordinator_is_no_curator() -> None:
    basic = deployment(audited.holds())["basic"]
    assert json.dumps(basic).count("data_curator_name") == 2
    assert "consortium" not in json.dumps(basic)


def test_a_broken_rule_is_told() -> None:
    assert "a rule was broken" in json.dumps(registry_entry(audited.rule_broken()))
    assert "a rule was broken" not in json.dumps(registry_entry(audited.holds()))


@pytest.mark.parametrize(
    "found",
    [
        audited.evidence_broken(),
        audited.holds() | {"verdict": "perfect"},
        audited.findings(audited.coordinator()),
        audited.findings(audited.ledger("bank-a") | {"lifetime": {}}),
        audited.findings(audited.ledger("bank-a") | {"policy": {}}),
    ],
)
def test_nothing_is_claimed_without_sound_figures(found: Findings) -> None:
    with pytest.raises(IntegrityError):
        registry_entry(found)


def test_findings_of_another_form_are_refused() -> None:
    with pytest.raises(ConfigError):
        registry_entry({"format": "fedcredit/findings/9"})


def test_no_path_key_or_hash_is_in_it() -> None:
    text = json.dumps(registry_entry(audited.holds()))
    assert "secret-folder" not in text
    assert not re.search(r"[0-9a-f]{16}", text)


def test_what_a_ledger_cannot_know_is_named() -> None:
    entry = registry_entry(audited.holds())
    named = open_fields(entry)
    assert {
        "deployment.basic.data_product_region",
        "deployment.basic.data_curators[1].data_curator_type",
        "deployment.deployment_model.data_source_type",
        "deployment.administrative.registry_authors[0]",
    } <= set(named)
    assert len(named) == json.dumps(entry).count(OPEN)


def test_without_listed_entries_the_day_of_publication_is_open() -> None:
    bare = audited.ledger("bank-a")
    del bare["entries"]
    entry = registry_entry(audited.findings(bare))
    assert entry["url_slug"] == "consumer-pd-12m-bank-a"
    assert "deployment.basic.publication_date" in open_fields(entry)


def test_the_same_findings_give_the_same_entry() -> None:
    found = audited.many()
    again = json.loads(json.dumps(found, sort_keys=True))
    assert registry_entry(found) == registry_entry(again)
