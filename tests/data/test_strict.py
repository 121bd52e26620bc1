"""Strict reading: nothing is guessed, and each error names the key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.data.strict import build, parse_toml, refuse_unknown
from fedcredit.errors import ConfigError, SchemaError

Name = NewType("Name", str)


@dataclass(frozen=True)
class Inner:
    depth: int


@dataclass(frozen=True)
class Study:
    name: Name
    epsilon: float
    noise: Literal["distributed", "local"] = "distributed"
    members: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    inner: Inner = Inner(1)
    parts: tuple[Inner, ...] = ()
    evaluate: bool = True


GOOD: dict[str, object] = {"name": "a", "epsilon": 1}


def test_a_table_becomes_a_dataclass_with_its_defaults() -> None:
    table = GOOD | {"members": ["x"], "bounds": [1, 2.5], "inner": {"depth": 2}}
    table |= {"parts": [{"depth": 3}], "noise": "local"}
    found = build(Study, table, "study.toml")
    assert found == Study(
        Name("a"), 1.0, "local", ("x",), (1.0, 2.5), Inner(2), (Inner(3),), evaluate=True
    )
    assert isinstance(found.epsilon, float), "an integer is taken where a number is wanted"


@pytest.mark.parametrize(
    ("change", "what", "remedy"),
    [
        ({"epsilom": 1}, "unknown key 'epsilom'", "did you mean 'epsilon'"),
        ({"zzz": 1}, "unknown key 'zzz'", "known keys: bounds, epsilon"),
        ({"epsilon": "1"}, "study.toml: epsilon is text", "a finite number"),
        ({"epsilon": True}, "epsilon is true or false", "a finite number"),
        ({"epsilon": float("nan")}, "epsilon is not a finite number", "a finite number"),
        ({"epsilon": float("inf")}, "epsilon is not a finite number", "a finite number"),
        ({"name": 5}, "name is an integer", "text in quotes"),
        ({"members": "x"}, "members is text", "an array"),
        ({"members": [1]}, r"members\[0\] is an integer", "text in quotes"),
        ({"noise": "locl"}, "noise is 'locl'", "did you mean 'local'"),
        ({"noise": 3}, "noise is 3", '"distributed" or "local"'),
        ({"evaluate": 1}, "evaluate is an integer", "true or false"),
        ({"evaluate": 1.5}, "evaluate is a number with a fraction", "true or false"),
        ({"inner": {"depth": 1.0}}, "inner: depth is a number", "an integer"),
        ({"inner": {"dept": 1}}, "inner: unknown key 'dept'", "did you mean 'depth'"),
        ({"inner": {}}, "inner: the key 'depth' is missing", "add depth = an integer"),
        ({"inner": [1]}, "inner is an array", "a table"),
        ({"name": {}}, "name is a table", "text in quotes"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(
    change: dict[str, object], what: str, remedy: str
) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        build(Study, GOOD | change, "study.toml")
    assert remedy in caught.value.remedy


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="'epsilon' is missing"):
        build(Study, {"name": "a"}, "study.toml")


def test_toml_that_cannot_be_parsed_names_the_line() -> None:
    with pytest.raises(SchemaError, match="line 2"):
        parse_toml("a = 1\nb = = 2", "x.toml", SchemaError)
    with pytest.raises(ConfigError, match="name is a date or time"):
        build(Study, GOOD | parse_toml("name = 2020-01-01", "x.toml"), "x.toml")


@given(key=st.text(min_size=1), known=st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_only_known_keys_pass(key: str, known: list[str]) -> None:
    if key in known:
        refuse_unknown([key], known, "x")
    else:
        with pytest.raises(ConfigError, match="unknown key"):
            refuse_unknown([key], known, "x")
