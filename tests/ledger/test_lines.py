"""An entry and its line: every kind is read back as it was written, and nothing else is."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import IntegrityError
from fedcredit.ledger.entries import (
    Approve,
    Audit,
    Burn,
    Charge,
    Close,
    Entry,
    Genesis,
    KeyRotate,
    Note,
    Planned,
    PolicyChange,
    Receipt,
    Refuse,
    Release,
    Sampled,
    Step,
)
from fedcredit.ledger.grammar import INTEGER_LIMIT, Item, read_line, write_line
from fedcredit.ledger.lines import FORMAT, body_of, entry_of, kind_of
from fedcredit.privacy.accounting import rho, rho_local
from fedcredit.privacy.events import RATE_ONE, GaussianSum, SampledGaussianSum
from fedcredit.privacy.renyi import ORDERS, renyi
from tests.ledger.bank import Watchers, charge, genesis, planned, policy, sampled, samples

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
SIGNED = st.text("0123456789abcdef", min_size=128, max_size=128)
OPTIONAL = st.one_of(st.just(""), SIGNED)
TEXT = st.text([chr(code) for code in range(32, 127)], max_size=40)
COUNT = st.integers(0, 1 << 20)
COST = st.integers(0, INTEGER_LIMIT)
TURN = {"plan": HEX, "round": COUNT, "attempt": COUNT}
OF_EVENT = {
    "name": st.text("abc /1", min_size=1, max_size=64),
    "part": st.sampled_from(["train", "held-out"]),
    "dim": st.integers(1, 2**32),
    "sensitivity_squared": st.integers(1, 2**20),
    "variance": st.integers(16, 2**40),
    "honest": st.integers(1, 2**20),
}
FULL = st.builds(GaussianSum, **OF_EVENT)
SAMPLED = st.builds(SampledGaussianSum, **OF_EVENT, rate=st.sampled_from([1, 2**14, RATE_ONE - 1]))
EVENTS = st.one_of(FULL, SAMPLED)
NAME = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True)
POLICY = st.sampled_from([policy(), Watchers().rules(purposes=("a", 'b "c"'))])
COUNTS = ("institutions", "threshold", "colluders", "rounds", "retries")
COSTS = ("rho", "rho_local", "person_rho", "person_rho_local")

CURVE = st.builds(lambda cost: tuple(cost + at for at in range(len(ORDERS))), st.integers(0, 2**40))
PLANNED = st.builds(
    Sampled,
    st.lists(st.integers(1, RATE_ONE), max_size=9).map(lambda rates: (*rates, 2**14)),
    st.tuples(*[CURVE] * 4),
)

STRATEGIES: dict[str, st.SearchStrategy[Entry]] = {
    "genesis": st.builds(
        Genesis,
        origin=st.from_regex(r"[!-*,-~]{1,200}", fullmatch=True),
        institution=NAME,
        role=st.sampled_from(["institution", "coordinator"]),
        root=HEX,
        officer=HEX,
        key=HEX,
        policy=POLICY,
        grant=SIGNED,
    ),
    "plan": st.builds(
        Planned,
        plan=HEX,
        name=TEXT,
        purpose=TEXT,
        noise=st.sampled_from(["distributed", "local", "alone"]),
        **dict.fromkeys(COUNTS, COUNT),
        **dict.fromkeys(COSTS, COST),
        sampled=st.one_of(st.none(), PLANNED),
    ),
    "approve": st.builds(
        Approve, plan=HEX, by=st.sampled_from(["policy", "officer"]), note=TEXT, second=OPTIONAL
    ),
    "charge": st.builds(Charge, **TURN, request=HEX, event=EVENTS, software=TEXT),
    "release": st.builds(Release, **TURN, reply=HEX),
    "agree": st.builds(Step, **TURN, step=st.just("agree"), request=HEX, reply=HEX),
    "reveal": st.builds(Step, **TURN, step=st.just("reveal"), request=HEX, reply=HEX),
    "burn": st.builds(Burn, **TURN, why=TEXT),
    "refuse": st.builds(
        Refuse, **TURN, request=HEX, why=st.sampled_from(["budget", "policy", "plan"])
    ),
    "policy_change": st.builds(PolicyChange, policy=POLICY, root=SIGNED, second=OPTIONAL),
    "key_rotate": st.builds(KeyRotate, key=HEX, proof=SIGNED, old=OPTIONAL, root=OPTIONAL),
    "audit": st.builds(Audit, what=TEXT, result=TEXT),
    "note": st.builds(Note, text=TEXT),
    "receipt": st.builds(Receipt, **TURN, institution=NAME, reply=HEX),
    "close": st.builds(
        Close,
        **TURN,
        outcome=st.sampled_from(["opened", "aborted"]),
        survivors=COUNT,
        transcript=HEX,
    ),
}


@pytest.mark.parametrize("kind", STRATEGIES)
@given(st.data())
def test_an_entry_of_every_kind_is_read_as_it_was_written(kind: str, data: st.DataObject) -> None:
    entry = data.draw(STRATEGIES[kind])
    body = body_of(entry)
    assert body["kind"] == kind == kind_of(entry)
    own: dict[str, Item] = {"seq": 7, "prev": "0" * 64, "time": "2026-11-25T12:00:00Z"}
    try:
        line = write_line({**body, **own})
    except Exception:  # noqa: BLE001 - some texts together are longer than a line
        assert sum(len(str(one)) for one in body.values()) > 8000
        return
    assert entry_of(read_line(line)) == entry


def test_a_sampled_charge_says_its_divergences_too() -> None:
    """Distributed and local; the figures in rho are what all records would cost."""
    body = body_of(charge(event=sampled()))

    assert body["renyi"] == {"rho": renyi(sampled()), "rho_local": renyi(sampled(), alone=True)}
    assert (body["rho"], body["rho_local"]) == (rho(sampled()), rho_local(sampled()))
    assert "renyi" not in body_of(charge())


def test_a_plan_says_its_rates_and_divergences_only_if_a_round_is_sampled() -> None:
    assert "sampled" not in body_of(planned())
    table = body_of(samples())["sampled"]
    assert isinstance(table, dict)
    assert table.keys() == {"rates", *COSTS}


SHORT: tuple[Item, ...] = (1,) * (len(ORDERS) - 1)


@pytest.mark.parametrize(
    "change",
    [
        {"rates": ()},
        {"rates": (RATE_ONE,) * 3},
        {"rates": (0, 2**14)},
        {"rates": (RATE_ONE + 1, 2**14)},
        {"rates": 2**14},
        {"rho": SHORT},
        {"person_rho": (*SHORT, 1, 1)},
        {"rho_local": (*SHORT, -1)},
        {"rho_local": (*SHORT, 0.5)},
        {"refund": SHORT},
    ],
)
def test_rates_and_divergences_that_are_none_are_refused(change: dict[str, Item]) -> None:
    body = body_of(samples())
    table = body["sampled"]
    assert isinstance(table, dict)
    entry_of(body)
    with pytest.raises(IntegrityError):
        entry_of({**body, "sampled": {**table, **change}})


@given(EVENTS)
def test_a_charge_says_what_its_event_costs(event: GaussianSum) -> None:
    body = body_of(Charge(plan="aa" * 32, round=0, attempt=0, request="cc" * 32, event=event))
    assert (body["rho"], body["rho_local"]) == (rho(event), rho_local(event))
    assert body["sampler"] == "discrete-gaussian/1"


def test_a_first_entry_says_by_which_rules_it_is_read() -> None:
    body = body_of(genesis())
    assert (body["format"], body["unit"], body["adjacency"]) == (FORMAT, "record", "add-remove")


def an_entry(kind: str) -> Entry:
    found: list[Entry] = []

    @given(STRATEGIES[kind])
    def first(entry: Entry) -> None:
        found.append(entry)

    first()
    return found[0]


@pytest.mark.parametrize("kind", STRATEGIES)
def test_a_field_that_is_missing_or_of_another_type_is_no_entry(kind: str) -> None:
    body = body_of(an_entry(kind))
    entry_of(body)
    whole: dict[str, object] = dict(body)
    names = [one.name for one in fields(an_entry(kind)) if one.name not in ("step", "sampled")]
    for name in names:
        lacking = {one: value for one, value in whole.items() if one != name}
        wrong: list[object] = [None, 0.5, True, (), -1, {"kind": "note"}]
        wrong += ["zz"] if isinstance(body[name], int) else [7]
        for one in (lacking, *({**whole, name: value} for value in wrong)):
            with pytest.raises(IntegrityError):
                entry_of(one)


@pytest.mark.parametrize("kind", ["refund", "", "step", "Charge", 7, None, ("charge",), True])
def test_a_kind_that_there_is_not_is_refused(kind: object) -> None:
    """There is no entry that gives anything back."""
    with pytest.raises(IntegrityError, match="is not an entry"):
        entry_of({**body_of(an_entry("charge")), "kind": kind})
    with pytest.raises(IntegrityError):
        entry_of({})


@pytest.mark.parametrize("name", ["plan", "request", "reply"])
@pytest.mark.parametrize(
    "value", ["", "ee", "EE" * 32, "zz" * 32, "ee" * 33, " " + "ee" * 31 + "e"]
)
def test_a_digest_is_sixty_four_small_letters(name: str, value: str) -> None:
    with pytest.raises(IntegrityError):
        entry_of({**body_of(an_entry("agree")), name: value})


@pytest.mark.parametrize("value", [1 << 21, 2**53])
def test_counts_and_costs_have_limits(value: int) -> None:
    body = body_of(an_entry("plan"))
    for name in COUNTS:
        with pytest.raises(IntegrityError):
            entry_of({**body, name: value})
    with pytest.raises(IntegrityError):
        entry_of({**body, "rho": 2**53})
    entry_of({**body, "rho": 2**53 - 1})
