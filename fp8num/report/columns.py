"""How each column of the results is headed, and how its numbers are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fp8num.report.labels import MISSING, count, decibels, number, percent, rule_name, shorten

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COLUMN_GROUPS", "Column"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table of results."""

    name: str  #: key of the row, heading of the CSV
    heading: str
    unit: str
    write: Callable[[Any], str]


def _index(text: str | None) -> str:
    return MISSING if text is None else shorten(text, 24)


#: Columns that differ from row to row, under common headings; the others are said once.
COLUMN_GROUPS: tuple[tuple[str, tuple[Column, ...]], ...] = (
    (
        "",
        (
            Column("format", "format", "", lambda name: shorten(name, 16)),
            Column("rule", "rule", "", rule_name),
        ),
    ),
    (
        "Scale",
        (
            Column("scale", "of x", "factor", number),
            Column("scales", "scales", "count", count),
            Column("scale_inv_min", "least", "of codes", number),
            Column("scale_inv_max", "largest", "of codes", number),
        ),
    ),
    (
        "Underflow",
        (
            Column("underflow", "elements", "count", count),
            Column("underflow_rate", "rate", "% of nonzero", percent),
        ),
    ),
    (
        "Saturation",
        (
            Column("saturated", "elements", "count", count),
            Column("saturation_rate", "rate", "% of finite", percent),
        ),
    ),
    (
        "Error as a whole",
        (
            Column("sqnr_db", "SQNR", "dB", decibels),
            Column("relative_rms_error", "relative RMS", "ratio", number),
            Column("cosine_distance", "cosine dist.", "1 − cos", number),
        ),
    ),
    (
        "Largest absolute error",
        (
            Column("max_abs_error", "error", "unit of x", number),
            Column("max_abs_at", "at", "index", _index),
        ),
    ),
    (
        "Largest relative error",
        (
            Column("max_rel_error", "error", "ratio", number),
            Column("max_rel_at", "at", "index", _index),
        ),
    ),
    (
        "Codes",
        (
            Column("codes_used", "used", "count", count),
            Column("codes_total", "of", "count", count),
        ),
    ),
)
