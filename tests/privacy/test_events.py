"""Events are facts in integers: strictly read, written in one way."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import PrivacyError
from fedcredit.privacy.events import (
    MAX_DIM,
    MAX_HONEST,
    MAX_SENSITIVITY_SQUARED,
    MAX_VARIANCE,
    MIN_VARIANCE,
    PARTS,
    RATE_ONE,
    GaussianSum,
    SampledGaussianSum,
    event_from_dict,
    event_to_dict,
    whole,
)

EVENTS = st.builds(
    GaussianSum,
    name=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=64),
    part=st.sampled_from(PARTS),
    dim=st.integers(1, MAX_DIM),
    sensitivity_squared=st.integers(1, MAX_SENSITIVITY_SQUARED),
    variance=st.integers(MIN_VARIANCE, MAX_VARIANCE),
    honest=st.integers(1, MAX_HONEST),
)
SAMPLED = st.builds(
    lambda event, rate: SampledGaussianSum(
        **{field.name: getattr(event, field.name) for field in fields(event)}, rate=rate
    ),
    EVENTS,
    st.integers(1, RATE_ONE - 1),
)
GOOD: dict[str, object] = {
    "dim": 8,
    "event": "gaussian-sum",
    "honest": 7,
    "name": "bins",
    "part": "train",
    "sensitivity_squared": 23,
    "variance": 900,
}
GOOD_SAMPLED = GOOD | {"event": "sampled-gaussian-sum", "rate": 10_486}


@given(EVENTS | SAMPLED)
def test_the_canonical_form_gives_the_event_back(event: GaussianSum) -> None:
    assert event_from_dict(json.loads(json.dumps(event_to_dict(event)))) == event


@given(EVENTS | SAMPLED)
def test_the_canonical_form_holds_exact_integers_and_strings_only(event: GaussianSum) -> None:
    record = event_to_dict(event)

    assert list(record) == sorted(record)
    for value in record.values():
        if not isinstance(value, str):
            assert type(value) is int
            assert value < 2**53, "any JSON reader holds it exactly"


def test_the_parameters_of_an_event_are_never_removed() -> None:
    """The constitution, as a vector: a line of the first ledger reads as it always did."""
    event = event_from_dict(GOOD)

    assert event_to_dict(event) == GOOD
    assert {field.name for field in fields(event)} >= {
        "name", "part", "dim", "sensitivity_squared", "variance", "honest",
    }  # fmt: skip


def test_the_parameters_of_a_sampled_event_are_never_removed() -> None:
    event = event_from_dict(GOOD_SAMPLED)

    assert event_to_dict(event) == GOOD_SAMPLED
    assert isinstance(event, SampledGaussianSum)
    assert event.rate == 10_486


def test_a_sampled_sum_is_not_the_sum_of_all() -> None:
    event, full = event_from_dict(GOOD_SAMPLED), event_from_dict(GOOD)

    assert type(full) is GaussianSum
    assert event != full
    assert len({event, full}) == 2


@pytest.mark.parametrize("wrong", [0, -1, RATE_ONE, 0.01, math.nan, True, "1", None])
def test_a_rate_of_none_or_all_or_of_another_type_is_refused(wrong: object) -> None:
    with pytest.raises(PrivacyError, match="rate"):
        event_from_dict(GOOD_SAMPLED | {"rate": wrong})


def test_a_sampled_event_without_a_rate_and_a_full_one_with_it_are_refused() -> None:
    with pytest.raises(PrivacyError, match="lacks 1"):
        event_from_dict(GOOD | {"event": "sampled-gaussian-sum"})
    with pytest.raises(PrivacyError, match="1 unknown keys"):
        event_from_dict(GOOD | {"rate": 1})


@pytest.mark.parametrize("name", ["dim", "sensitivity_squared", "variance", "honest"])
@pytest.mark.parametrize(
    "wrong",
    [0, -1, 2**53, 10**400, 16.0, math.nan, math.inf, -math.inf, 5e-324, True, "16", None],
)
def test_a_number_out_of_range_or_of_another_type_is_refused(name: str, wrong: object) -> None:
    with pytest.raises(PrivacyError, match=name):
        event_from_dict(GOOD | {name: wrong})


@pytest.mark.parametrize("wrong", ["", "x" * 65, "naïve", "two\nlines", 3, None])
def test_a_name_that_a_ledger_line_cannot_hold_is_refused(wrong: object) -> None:
    with pytest.raises(PrivacyError, match="name"):
        event_from_dict(GOOD | {"name": wrong})


@pytest.mark.parametrize("wrong", ["test", "", "Train", 1, None])
def test_an_unknown_part_is_refused(wrong: object) -> None:
    with pytest.raises(PrivacyError, match="part"):
        event_from_dict(GOOD | {"part": wrong})


@pytest.mark.parametrize("wrong", ["gaussian", "", 1, None, ["gaussian-sum"], {}])
def test_another_kind_of_event_is_refused(wrong: object) -> None:
    with pytest.raises(PrivacyError, match="kind"):
        event_from_dict(GOOD | {"event": wrong})


def test_unknown_and_missing_keys_are_refused() -> None:
    with pytest.raises(PrivacyError, match="1 unknown keys"):
        event_from_dict(GOOD | {"sigma": 1})
    with pytest.raises(PrivacyError, match="lacks 1"):
        event_from_dict({key: value for key, value in GOOD.items() if key != "honest"})


def test_a_number_too_long_to_print_is_told_by_its_length() -> None:
    with pytest.raises(PrivacyError, match="rounds is 20001 bits long, expected 1 to 9"):
        whole("rounds", 2**20000, low=1, high=9)
