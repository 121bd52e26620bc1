"""A bundle: the ledgers that an auditor is handed, as one file that is the same every time."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from fedcredit.ledger.store import Readable

__all__ = ["bundle"]

_BEFORE_ALL: Final = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can say


def bundle(ledgers: Mapping[str, Readable]) -> bytes:
    """Pack ledgers, without the answers that are kept beside them.

    Args:
        ledgers: by institution.

    Returns:
        A zip with ``<institution>/ledger.jsonl`` and ``<institution>/checkpoints.note``;
        names sorted, times fixed.
    """
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as file:
        for name in sorted(ledgers):
            store = ledgers[name]
            for part, data in (
                ("checkpoints.note", store.notes()),
                ("ledger.jsonl", store.lines()),
            ):
                info = ZipInfo(f"{name}/{part}", _BEFORE_ALL)
                info.compress_type, info.external_attr = ZIP_DEFLATED, 0o644 << 16
                file.writestr(info, data)
    return buffer.getvalue()
