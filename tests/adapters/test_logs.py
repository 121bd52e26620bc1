"""JSON logs: five fields, and nothing planted ever appears in them."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedcredit.adapters import logs
from fedcredit.adapters.logs import WITHHELD, json_handler, log_json
from fedcredit.adapters.system import system_random
from tests.adapters.enrolled import Consortium

FIELDS = {"at", "level", "logger", "event"}
VALUES = [f"{name}-{number * 7919 % 9973:04d}" for number, name in enumerate(["roe", "doe"] * 500)]
OURS, THEIRS = logging.getLogger("fedcredit.trial"), logging.getLogger("polars.trial")


@contextmanager
def logged(handler: logging.Handler) -> Iterator[None]:
    """Both loggers write to a handler, and to it alone."""
    loggers = (OURS, THEIRS)
    before = [(one.level, one.propagate) for one in loggers]
    for one in loggers:
        one.addHandler(handler)
        one.propagate = False
        one.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        for one, (level, propagate) in zip(loggers, before, strict=True):
            one.removeHandler(handler)
            one.setLevel(level)
            one.propagate = propagate


def spill(value: str) -> None:
    """Every way in which code could put a customer's value beside a record of the log."""
    try:
        int(value)
    except ValueError as problem:
        OURS.exception("a message came to nothing")
        OURS.warning("a message came to nothing: %s", type(problem).__name__, exc_info=problem)
        OURS.error("it failed", extra={"row": value, "event": value})
        OURS.info("it failed", stack_info=True, extra={"stack": value})
        THEIRS.warning("the value %s is no number", value)
        THEIRS.exception("could not parse %r", {"row": value})
        THEIRS.debug(value)
    OURS.warning("two arguments are wanted: %s %s", value)


def secrets() -> list[str]:
    """Keys and shares in the forms that they have."""
    made = [system_random(32) for _ in range(200)]
    texts = [one.hex() for one in made] + [base64.b64encode(one).decode() for one in made]
    return texts + [one.hex().upper() for one in made] + [system_random(16).hex()]


def written(*, plain: bool = False) -> tuple[str, list[dict[str, object]]]:
    """What the log holds after everything was spilled."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream) if plain else json_handler(stream)
    with logged(handler):
        for value in VALUES:
            spill(value)
    text = stream.getvalue()
    return text, [] if plain else [json.loads(line) for line in text.splitlines()]


def test_a_thousand_planted_values_never_appear(capfd: pytest.CaptureFixture[str]) -> None:
    """In the log, or beside it: a call with the wrong arguments is not told on stderr either."""
    text, lines = written()
    assert capfd.readouterr() == ("", "")
    assert len(VALUES) == 1000
    assert len(set(VALUES)) == 1000
    assert [value for value in VALUES if value in text] == []
    assert len(lines) == 8 * len(VALUES)


def test_a_plain_handler_would_have_shown_every_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the search finds what is there."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    text, _ = written(plain=True)
    assert [value for value in VALUES if value not in text] == []


def test_a_line_has_its_fields_and_no_others() -> None:
    text, lines = written()
    assert {frozenset(one) for one in lines} == {frozenset(FIELDS), frozenset(FIELDS | {"error"})}
    assert {one.get("error") for one in lines} == {None, "ValueError"}
    assert {one["logger"] for one in lines} == {"fedcredit.trial", "polars.trial"}
    assert "Traceback" not in text


def test_keys_and_shares_never_appear_in_our_own_words() -> None:
    stream, planted = io.StringIO(), secrets()
    with logged(json_handler(stream)):
        for one in planted:
            OURS.warning("the share is %s", one)
            OURS.warning("keys={'signing': '%s'}", one)
    text = stream.getvalue()
    assert len(planted) > 600
    assert [one for one in planted if one in text] == []
    assert text.count(WITHHELD) == 2 * len(planted)


def test_no_file_with_a_secret_can_be_logged(tmp_path: Path) -> None:
    """Keys as their own files have them: PEM, OpenSSH, JSON."""
    made = Consortium(tmp_path).found()
    made.member("bank")
    paths = [*made.folder.glob("pki/*.key"), *tmp_path.glob("bank/keys/*.key")]
    paths += [tmp_path / "bank/identity.json", tmp_path / "bank/witness/key.json"]
    stream = io.StringIO()
    with logged(json_handler(stream)):
        for path in paths:
            OURS.warning("read %s", path.read_text("ascii"))
    text = stream.getvalue()
    assert len(paths) >= 8
    for path in paths:
        words = path.read_text("ascii").replace('"', " ").split()
        assert [one for one in words if len(one) >= 32 and one in text] == []


def test_without_the_scrubber_a_share_would_appear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_scrubbed", lambda text: text)
    stream, share = io.StringIO(), system_random(32).hex()
    with logged(json_handler(stream)):
        OURS.warning("the share is %s", share)
    assert share in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "study 4f1c00aa93de runs as Flower's run 17",
        "the coordinator answers at https://fed.north-bank.example.org:8443",
        "round 3 of 9, attempt 0: 3 answered; epsilon 0.512; telco: no answer",
        "/etc/fedcredit/studies/4f1c00aa93de/journal cannot be read",
    ],
)
def test_what_an_operator_needs_is_told(text: str) -> None:
    stream = io.StringIO()
    with logged(json_handler(stream)):
        OURS.info("%s", text)
    line = json.loads(stream.getvalue())
    assert line["event"] == text
    assert line["level"] == "info"
    assert line["at"].endswith("+00:00")


def test_somebody_elses_record_is_told_by_its_place() -> None:
    stream = io.StringIO()
    with logged(json_handler(stream)):
        THEIRS.warning("roe-0001 is no number")
    assert json.loads(stream.getvalue())["event"].startswith("test_logs:")


def test_every_logger_of_the_process_goes_the_same_way() -> None:
    root, ours = logging.getLogger(), logging.getLogger("fedcredit")
    before = (root.handlers[:], root.level, ours.level)
    stream = io.StringIO()
    try:
        log_json(stream)
        ours.info("told")
        logging.getLogger("httpx").info("not told")
        logging.getLogger("httpx").warning("told")
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])
    assert [json.loads(line)["logger"] for line in stream.getvalue().splitlines()] == [
        "fedcredit",
        "httpx",
    ]
