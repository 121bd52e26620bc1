"""The report: one self-contained HTML page made from the JSON record, and nothing else.

No script, no reference to anything outside the page, every text from the record escaped;
it reads well in light, in dark and on paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fedcredit.report.plots import calibration_plot, gain_plot, roc_plot, score_plot, woe_plot
from fedcredit.report.record import Json
from fedcredit.report.render import render

__all__ = ["report_page"]

_PLOTS: Final = (calibration_plot, gain_plot, roc_plot, score_plot, woe_plot)


def report_page(record: Mapping[str, Json]) -> str:
    """Show a record.

    Guarantee: the page holds figures of the record only, and asks for no other file.

    Args:
        record: from `record.model_record`, or read back from its JSON.

    Returns:
        The page.
    """
    plots = {plot.__name__: plot for plot in _PLOTS}
    return render("report.html", {**record, **plots, "adjusted": _is_adjusted(record)})


def _is_adjusted(record: Mapping[str, Json]) -> bool:
    """Whether a bin has log-odds beside coefficient times WoE."""
    points = record["points"]
    rows = points["rows"] if isinstance(points, Mapping) else ()
    return isinstance(rows, list) and any(
        bool(row["adjustment"]) for row in rows if isinstance(row, Mapping)
    )
