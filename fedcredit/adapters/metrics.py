"""Figures for Prometheus, from a list and no others: no customer, no count of rows, no name.

What is exposed is `ALLOWED`: each name, what it says, and the values that its label may
have. A label never holds a text from outside: an unknown one becomes ``other``. Figures of a
ledger or a folder are read when they are asked for. They are served on this machine alone;
who may read them can see how long each stage takes, which says roughly how large a table is.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fedcredit import errors
from fedcredit.adapters.asgi import App, Receive, Scope, Send
from fedcredit.adapters.ledgers import CHECKPOINTS, read_chain
from fedcredit.adapters.loopback import guarded
from fedcredit.adapters.meter import STAGES
from fedcredit.adapters.overview import overview
from fedcredit.errors import FedCreditError
from fedcredit.ledger.account import Account
from fedcredit.privacy.accounting import epsilon_of
from fedcredit.privacy.costs import WHOSE

__all__ = ["ALLOWED", "CentreFigures", "NodeFigures", "Tally", "metrics_app"]

_Kind: TypeAlias = Literal["counter", "gauge", "summary"]

_REFUSALS: Final = (*sorted(set(errors.__all__)), "no answer", "other")
_FIGURES: Final = ("record", "record_local", "person", "person_local")
_STATES: Final = ("proposed", "started", "done", "stopped")


class _Allowed(NamedTuple):
    """A figure that may be exposed."""

    kind: _Kind
    help: str
    label: str = ""
    values: tuple[str, ...] = ()


ALLOWED: Final[Mapping[str, _Allowed]] = {
    "fedcredit_node_answers": _Allowed(
        "counter", "Messages answered since the start.", "stage", STAGES
    ),
    "fedcredit_node_refusals": _Allowed(
        "counter", "Messages refused since the start.", "type", _REFUSALS
    ),
    "fedcredit_node_answer_seconds": _Allowed(
        "summary", "Time that answers took.", "stage", STAGES
    ),
    "fedcredit_node_rounds": _Allowed("counter", "Sums released, by the ledger."),
    "fedcredit_node_epsilon_spent": _Allowed("gauge", "Budget spent.", "figure", _FIGURES),
    "fedcredit_node_epsilon_cap": _Allowed("gauge", "Budget of the period.", "figure", _FIGURES),
    "fedcredit_node_ledger_entries": _Allowed("gauge", "Signed entries of the ledger."),
    "fedcredit_node_last_visit_seconds": _Allowed(
        "gauge", "When the coordinator was last reached, in seconds since 1970."
    ),
    "fedcredit_node_connected": _Allowed("gauge", "Whether Flower knows the node."),
    "fedcredit_coordinator_rounds": _Allowed("counter", "Rounds opened, of all studies."),
    "fedcredit_coordinator_attempts_lost": _Allowed(
        "counter", "Attempts at rounds that were not opened."
    ),
    "fedcredit_coordinator_refusals": _Allowed(
        "counter", "Institutions missing from attempts.", "type", _REFUSALS
    ),
    "fedcredit_coordinator_studies": _Allowed("gauge", "Studies.", "state", _STATES),
    "fedcredit_coordinator_seconds_left": _Allowed(
        "gauge", "Time that the running study will still take."
    ),
    "fedcredit_coordinator_ledger_entries": _Allowed("gauge", "Signed entries of the ledger."),
    "fedcredit_coordinator_certificate_days": _Allowed(
        "gauge", "Days left of the member's certificate that ends first."
    ),
}
"""Every figure that is ever exposed. Counters get ``_total``, summaries ``_count`` and ``_sum``."""


class Tally:
    """A `Meter` that adds up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[str] = Counter()
        self._seconds: dict[str, float] = {}
        self._refusals: Counter[str] = Counter()

    def answered(self, stage: str, seconds: float) -> None:
        """See `Meter`."""
        with self._lock:
            self._answers[stage] += 1
            self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def refused(self, kind: str) -> None:
        """See `Meter`."""
        with self._lock:
            self._refusals[_known(kind)] += 1

    def metrics(self) -> list[Metric]:
        """The sums so far."""
        with self._lock:
            answers, seconds = dict(self._answers), dict(self._seconds)
            refusals = dict(self._refusals)
        times = {stage: (count, seconds[stage]) for stage, count in answers.items()}
        return [
            _metric("fedcredit_node_answers", answers),
            _metric("fedcredit_node_refusals", refusals),
            _summary("fedcredit_node_answer_seconds", times),
        ]


class NodeFigures(Collector):
    """A node's figures.

    Args:
        folder: of the node.
        tally: what it has counted.
        status: name of the file in which a node says how it is.
    """

    def __init__(self, folder: Path, tally: Tally, status: str) -> None:
        self._folder, self._tally, self._status = folder, tally, folder / status
        self._lock = threading.Lock()
        self._read: tuple[int, Account, int] | None = None  # a chain is read once a checkpoint

    def collect(self) -> Iterable[Metric]:
        """What there is now; what cannot be read is left out."""
        found = self._tally.metrics()
        with suppress(FedCreditError, OSError), self._lock:
            found += self._ledger()
        with suppress(OSError, ValueError, KeyError):
            said = json.loads(self._status.read_text("ascii"))
            found.append(_metric("fedcredit_node_connected", {"": float(said["connected"])}))
            if said["visited"]:
                visited = _unix(said["visited"])
                found.append(_metric("fedcredit_node_last_visit_seconds", {"": visited}))
        return found

    def _ledger(self) -> list[Metric]:
        """What the ledger says."""
        notes = self._folder / "ledger" / CHECKPOINTS
        size = notes.stat().st_size
        if self._read is None or self._read[0] != size:
            chain = read_chain(self._folder / "ledger")
            self._read = size, chain.account, len(chain.written)
        _, account, entries = self._read
        released = sum(len(one.releases) for one in account.plans.values())
        caps, spent = account.policy.caps, account.spent
        persons, delta = caps.institutions, caps.delta
        paid = [spent.cost(whose, persons).epsilon(delta) for whose in WHOSE]
        caps_of = (caps.rho_cap, caps.rho_local_cap, caps.person_rho_cap, caps.person_rho_local_cap)
        most = [epsilon_of(cap, delta) for cap in caps_of]
        return [
            _metric("fedcredit_node_rounds", {"": released}),
            _metric("fedcredit_node_ledger_entries", {"": entries}),
            *(
                _metric(
                    f"fedcredit_node_epsilon_{name}",
                    dict(zip(_FIGURES, epsilons, strict=True)),
                )
                for name, epsilons in (("spent", paid), ("cap", most))
            ),
        ]


class CentreFigures(Collector):
    """A coordinator's figures, all of them from its folder.

    Args:
        folder: the coordinator's.
        now: time of day, with a time zone.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self._folder, self._now = folder, now

    def collect(self) -> Iterable[Metric]:
        """What there is now; nothing where the folder cannot be read."""
        try:
            seen = overview(self._folder, self._now(), lines=None)
        except (FedCreditError, OSError):
            return []
        lines = [line for study in seen.studies for line in study.lines]
        opened = sum(bool(line["opened"]) for line in lines)
        troubles = [line["troubles"] for line in lines]
        missing = Counter(
            _known(str(why).removeprefix("refused: "))
            for one in troubles
            if isinstance(one, dict)
            for why in one.values()
        )
        states = Counter(study.state.state for study in seen.studies)
        left = [study.left_s for study in seen.studies if study.left_s is not None]
        days = [one.days_left for one in seen.members if one.days_left is not None]
        found = [
            _metric("fedcredit_coordinator_rounds", {"": opened}),
            _metric("fedcredit_coordinator_attempts_lost", {"": len(lines) - opened}),
            _metric("fedcredit_coordinator_refusals", missing),
            _metric("fedcredit_coordinator_studies", {one: states[one] for one in _STATES}),
        ]
        if left:
            found.append(_metric("fedcredit_coordinator_seconds_left", {"": sum(left)}))
        if days:
            found.append(_metric("fedcredit_coordinator_certificate_days", {"": min(days)}))
        if seen.ledger is not None:
            found.append(_metric("fedcredit_coordinator_ledger_entries", {"": seen.ledger.size}))
        return found


def metrics_app(collector: Collector) -> App:
    """``GET /metrics`` in the text form of Prometheus, and nothing else.

    Args:
        collector: gives the figures.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        del receive
        asked = (scope.get("method"), scope.get("path"))
        status, body = (404, b"")
        if asked == ("GET", "/metrics"):
            status, body = 200, generate_latest(registry)
        headers = [
            (b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return guarded(app, [(b"cache-control", b"no-store")])


def _metric(name: str, values: Mapping[str, float]) -> Metric:
    """A figure of the list, for each value of its label; ``""`` where it has none."""
    allowed = ALLOWED[name]
    family: type[CounterMetricFamily | GaugeMetricFamily] = (
        CounterMetricFamily if allowed.kind == "counter" else GaugeMetricFamily
    )
    made = family(name, allowed.help, labels=[allowed.label] if allowed.label else [])
    for value, figure in values.items():
        made.add_metric(_checked(allowed, value), figure)
    return made


def _summary(name: str, values: Mapping[str, tuple[int, float]]) -> Metric:
    """How often and how long, for each value of a label."""
    allowed = ALLOWED[name]
    made = SummaryMetricFamily(name, allowed.help, labels=[allowed.label])
    for value, (count, total) in values.items():
        made.add_metric(_checked(allowed, value), count, total)
    return made


def _checked(allowed: _Allowed, value: str) -> list[str]:
    """A label's value, if it is one of the list; else ``other``."""
    if not allowed.label:
        return []
    return [value if value in allowed.values else "other"]


def _known(kind: str) -> str:
    """A refusal's kind."""
    return kind if kind in _REFUSALS else "other"


def _unix(text: str) -> float:
    """Seconds since 1970 of a time as our files have it."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
