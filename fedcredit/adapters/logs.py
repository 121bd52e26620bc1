"""Logs of a long-lived process: lines for people, or JSON for machines, a record a line.

JSON lines hold five fields and no others: when, how grave, which logger, what, and of an
error its class. The text of an error and whatever else hangs on a record is left out, for it
could quote a customer's row. So is the text of a record that is not ours: only where it came
from is told. In our own, whatever looks like a key, a share or a certificate is withheld.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Final, TextIO

from structlog.processors import JSONRenderer
from structlog.stdlib import ProcessorFormatter

__all__ = ["WITHHELD", "json_handler", "log_json"]

WITHHELD: Final = "[withheld]"
_OURS: Final = "fedcredit"
_PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
_LONG: Final = re.compile(r"[A-Za-z0-9+/=_-]{32,}")
_HEX: Final = re.compile(r"[0-9a-fA-F]{32,}").search


def log_json(stream: TextIO = sys.stderr) -> None:
    """Send every record of the process to a stream, as JSON lines.

    Args:
        stream: where to.
    """
    root = logging.getLogger()
    root.handlers[:] = [json_handler(stream)]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(logging.INFO)


def json_handler(stream: TextIO) -> logging.Handler:
    """A handler that writes JSON lines.

    Args:
        stream: where to.
    """
    handler = _Lines(stream)
    handler.setFormatter(ProcessorFormatter(processors=[_fields, JSONRenderer()]))
    return handler


class _Lines(logging.StreamHandler[TextIO]):
    """Writes what is left of a record once it is bare."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return super().format(_bare(record))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """A line that cannot be written is lost; the standard way prints its arguments."""


def _bare(record: logging.LogRecord) -> logging.LogRecord:
    """A record of the five fields alone: nothing that came beside them can be passed on."""
    ours = record.name == _OURS or record.name.startswith(f"{_OURS}.")
    error = record.exc_info[0] if record.exc_info else None
    return logging.makeLogRecord(
        {
            "created": record.created,
            "levelname": record.levelname,
            "name": record.name,
            "msg": _scrubbed(_text(record)) if ours else f"{record.module}:{record.lineno}",
            "error": error.__name__ if error else "",
        }
    )


def _fields(_: object, __: str, event: MutableMapping[str, object]) -> Mapping[str, object]:
    """A bare record's fields, for the line."""
    record = event["_record"].__dict__
    moment = datetime.fromtimestamp(record["created"], UTC).isoformat(timespec="milliseconds")
    fields = {
        "at": moment,
        "level": str(record["levelname"]).lower(),
        "logger": record["name"],
        "event": event["event"],
    }
    return fields | ({"error": record["error"]} if record["error"] else {})


def _text(record: logging.LogRecord) -> str:
    """A record's message; a call with the wrong arguments costs its text and nothing else."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.module}:{record.lineno}"


def _scrubbed(text: str) -> str:
    """A text without what looks like a key.

    >>> _scrubbed("share 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
    'share [withheld]'
    >>> _scrubbed("study 4f1c00aa93de runs; see /etc/fedcredit/studies/4f1c00aa93de/progress")
    'study 4f1c00aa93de runs; see /etc/fedcredit/studies/4f1c00aa93de/progress'
    """
    return _LONG.sub(lambda found: _judged(found[0]), _PEM.sub(WITHHELD, text))


def _judged(run: str) -> str:
    """A long run of letters: a path in small letters is shown, all else is not."""
    path = "/" in run and run == run.lower() and "+" not in run and "=" not in run
    return WITHHELD if _HEX(run) or not path else run
