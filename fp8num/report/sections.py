"""What the sections of the page show: numbers already written, in the order of the page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fp8num.report import labels
from fp8num.report.columns import COLUMN_GROUPS
from fp8num.report.summary import best_formats
from fp8num.verify.sources import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from fractions import Fraction

    from fp8num.formats import Format
    from fp8num.report.summary import Summary
    from fp8num.report.tables import Contents, TensorRecord

__all__ = [
    "Cell",
    "describe_subject",
    "format_row",
    "heat_legend",
    "overview_group",
    "standing_rows",
    "tensor_section",
    "verification_rows",
]

HEAT = (8, 16, 24, 32, 40, 48)  #: dB at which the shade of a cell changes
MAX_FILES = 5  #: that are named at the top


def describe_subject(contents: Contents) -> dict[str, Any]:
    """Say what was looked at."""
    paths = list(dict.fromkeys(record.file for record in contents.records))
    elements = sum(record.distribution["size"] for record in contents.records)
    return {
        "tensors": labels.plural(len(contents.records), "tensor"),
        "elements": labels.plural(elements, "element"),
        "formats": labels.plural(len(contents.formats), "format"),
        "files": paths[:MAX_FILES],
        "more_files": max(len(paths) - MAX_FILES, 0),
        "many_files": len(paths) > 1,
    }


def format_row(fmt: Format) -> dict[str, str]:
    """Return what a format holds."""
    return {
        "name": fmt.name,
        "bits": str(fmt.bits),
        "exponent": "varies" if fmt.exponent_bits is None else str(fmt.exponent_bits),
        "mantissa": "varies" if fmt.mantissa_bits is None else str(fmt.mantissa_bits),
        "max": _value(fmt.max),
        "normal": _value(fmt.smallest_normal),
        "subnormal": _value(fmt.smallest_subnormal),
        "source": fmt.source,
    }


def _value(exact: float | Fraction | None) -> str:
    """Write a format's value, exactly where that is short."""
    if exact is None:
        return labels.MISSING
    value = float(exact)
    mantissa, exponent = math.frexp(value)
    if mantissa == 0.5 and not -3 < exponent < 20:
        return labels.power_of_two(exponent - 1)
    return labels.count(int(value)) if value.is_integer() and value < 1e9 else labels.number(value)


def standing_rows(summary: Summary) -> list[dict[str, Any]]:
    """Return the comparison of formats: a row for each, four cells for each rule."""
    formats = summary.contents.formats
    rows = []
    for fmt in sorted(formats, key=lambda fmt: -fmt.bits):
        alone = sum(other.bits == fmt.bits for other in formats) == 1
        cells = []
        for rule in summary.contents.rules:
            one = summary.standings.get((fmt.name, rule))
            if one is None:
                cells += [labels.MISSING] * 4
                continue
            cells += [
                labels.decibels(one.sqnr_db),
                labels.MISSING if alone else f"{one.wins} of {one.judged}",
                labels.percent(one.underflow_rate),
                labels.percent(one.saturation_rate),
            ]
        rows.append({"format": fmt.name, "bits": fmt.bits, "cells": cells})
    return rows


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the overview."""

    sqnr: str
    value: str  #: what the column is sorted by
    shade: str
    underflow: str
    saturation: str

    @classmethod
    def of(cls, row: Mapping[str, Any] | None) -> Cell:
        """Write a result; a dash where the rule does not take the format."""
        if row is None:
            return cls(labels.MISSING, "-1e9", "none", "", "")
        sqnr = row["sqnr_db"]
        unknown = math.isnan(sqnr)
        return cls(
            sqnr=labels.decibels(sqnr),
            value="-1e9" if unknown else f"{min(max(sqnr, -1e6), 1e6):.2f}",
            shade="none" if unknown else str(sum(sqnr >= step for step in HEAT)),
            underflow=labels.percent(row["underflow_rate"]) if row["underflow"] else "",
            saturation=labels.percent(row["saturation_rate"]) if row["saturated"] else "",
        )


def overview_group(
    record: TensorRecord, rules: Iterable[str], formats: Iterable[Format]
) -> list[dict[str, Any]]:
    """Return a tensor's lines of the overview, one for each rule that takes it."""
    rows = {(row["rule"], row["format"]): row for row in record.rows}
    names = [fmt.name for fmt in formats]
    there = {rule for rule, _ in rows}
    return [
        {
            "rule": labels.rule_name(rule),
            "cells": [Cell.of(rows.get((rule, name))) for name in names],
        }
        for rule in rules
        if rule in there
    ]


def heat_legend() -> list[dict[str, str]]:
    """Return the shades of the overview and what they stand for."""
    between = [f"{low}–{high}" for low, high in pairwise(HEAT)]
    texts = [f"below {HEAT[0]}", *between, f"{HEAT[-1]} or more"]
    return [{"shade": str(shade), "label": text} for shade, text in enumerate(texts)]


def verification_rows(contents: Contents) -> list[dict[str, Any]]:
    """Return what was verified: a row for each format, a cell for each type of input."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for one in contents.verified:
        cell = f"{labels.count(one.mismatches)} of {labels.count(one.cases)}"
        rows.setdefault((one.format, one.against), {})[one.source] = cell
    return [
        {
            "format": name,
            "against": against,
            "cells": [cells.get(source, labels.MISSING) for source in SOURCES],
        }
        for (name, against), cells in rows.items()
    ]


def tensor_section(contents: Contents, record: TensorRecord) -> dict[str, Any]:
    """Return what is said about one tensor."""
    found = record.distribution
    zeros, size = found["zeros"], found["size"]
    share = f" ({labels.percent(zeros / size)})" if zeros else ""
    facts = [
        ("shape", labels.shorten(labels.shape_text(record.shape), 100)),
        ("type", record.dtype),
        ("size", labels.count(size)),
        ("zeros", labels.count(zeros) + share),
        ("NaN", labels.count(found["nans"])),
        ("infinities", labels.count(found["infinities"])),
        ("amax", labels.number(found["amax"])),
        ("amin", labels.number(found["amin"])),
        ("binades", labels.count(len(found["binades"]["counts"]))),
    ]
    columns = [column for _, group in COLUMN_GROUPS for column in group]
    return {
        "record": record,
        "facts": facts,
        "best": _best(contents, record),
        "rows": [
            [{"text": column.write(row[column.name]), "name": column.name} for column in columns]
            for row in record.rows
        ],
    }


def _best(contents: Contents, record: TensorRecord) -> list[dict[str, Any]]:
    """Return for each width which formats have the least error, by rule."""
    found = []
    for bits in sorted({fmt.bits for fmt in contents.formats}, reverse=True):
        names = [fmt.name for fmt in contents.formats if fmt.bits == bits]
        winners = []
        for rule in contents.rules:
            best = best_formats(record, names, rule)
            rows = [row for row in record.rows if row["format"] in best and row["rule"] == rule]
            if best:
                sqnr = labels.decibels(max(row["sqnr_db"] for row in rows))
                winners.append({"rule": labels.rule_name(rule), "names": best, "sqnr": sqnr})
        if winners and len(names) > 1:
            found.append({"bits": bits, "winners": winners})
    return found
