"""The page: the template filled in."""

from __future__ import annotations

import base64
import hashlib
import math
from collections import Counter
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fp8num._records import counted
from fp8num._text import shorten
from fp8num.report import labels
from fp8num.report.configurations import configurations
from fp8num.report.decisions import KINDS, DecisionPage
from fp8num.report.summary import Name, Summary
from fp8num.report.training import training_section
from fp8num.verify.sources import SOURCES

if TYPE_CHECKING:
    from fractions import Fraction

    import jinja2
    from markupsafe import Markup

    from fp8num.analysis import FrontierPoint
    from fp8num.formats import Format
    from fp8num.report.tables import Budget, ReportContents

__all__ = ["MAX_SKIPPED", "render_page"]

MAX_SKIPPED = 200  #: entries of the list of what was left out


def render_page(contents: ReportContents) -> str:
    """Write the report as one HTML page that needs nothing else."""
    from markupsafe import Markup

    if contents.decided is None:
        msg = "contents must have decisions, got none; fp8num.analysis.recommend makes them"
        raise ValueError(msg)
    style, script = _asset("style.css"), _asset("sort.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    summary = Summary(contents)
    # The built-in tensors are a demonstration and no model's layers.
    builtin = all(record.file == "built-in" for record in contents.records)
    pasted = () if builtin else configurations(contents.decided)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            style=Markup(style),  # noqa: S704 - our own, which must not be escaped
            script=Markup(script),  # noqa: S704 - our own, which must not be escaped
            script_digest=digest,
            contents=contents,
            subject=_describe_subject(contents),
            page=DecisionPage(contents.decided, contents.records, pasted),
            kinds=KINDS,
            budget=None if contents.budget is None else _budget_section(contents.budget),
            findings=summary.findings,
            standings=_standing_rows(summary),
            formats=[_format_row(fmt) for fmt in contents.formats],
            training=None if contents.training is None else training_section(contents.training),
            skipped=contents.skipped[:MAX_SKIPPED],
            verification=_verification_rows(contents),
            sources=list(SOURCES),
        )
    )


def _asset(name: str) -> str:
    return (files("fp8num.report") / "templates" / name).read_text(encoding="utf-8")


def _wrapped(text: str, limit: int = 300) -> Markup:
    """Escape a name, whole up to a limit, and let it wrap after its dots."""
    from markupsafe import Markup, escape

    return Markup(".<wbr>").join(map(escape, shorten(text, limit).split(".")))


def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fp8num.report"),
        autoescape=True,  # select_autoescape would go by the template's name
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Any] = {
        "short": shorten,
        "full": lambda text: shorten(text, 300),
        "wrapped": _wrapped,
        "count": labels.count,
        "rule_name": labels.rule_name,
    }
    environment.filters |= filters
    environment.tests["name"] = lambda part: isinstance(part, Name)
    return environment


MAX_FILES = 5  #: that are named at the top
MAX_POINTS = 12  #: of bits against error that are shown, frontier.json has them all


def _describe_subject(contents: ReportContents) -> dict[str, Any]:
    """Say what was looked at."""
    paths = list(dict.fromkeys(record.file for record in contents.records))
    elements = sum(record.distribution["size"] for record in contents.records)
    return {
        "tensors": counted(len(contents.records), "tensor"),
        "elements": counted(elements, "element"),
        "formats": counted(len(contents.formats), "format"),
        "types": ", ".join(dict.fromkeys(record.dtype for record in contents.records)),
        "files": paths[:MAX_FILES],
        "more_files": max(len(paths) - MAX_FILES, 0),
        "many_files": len(paths) > 1,
    }


def _budget_section(budget: Budget) -> dict[str, Any]:
    """Say what a budget of bits allows, beside what other budgets would."""
    points = budget.frontier.points
    low, high = points[0].bits, points[-1].bits
    wanted = [low + (high - low) * i / (MAX_POINTS - 1) for i in range(MAX_POINTS)]
    nearest = [min(range(len(points)), key=lambda i: abs(points[i].bits - at)) for at in wanted]
    shown = sorted({0, len(points) - 1, *nearest, points.index(budget.point)})
    return {
        "measure": budget.frontier.measure,
        "asked": f"{budget.bits:g}",
        "chosen": _taken(budget.point),
        "total": len(points),
        "rows": [
            {
                "bits": f"{points[i].bits:.2f}",
                "error": f"{100 * points[i].error:.2f}",
                "schemes": _taken(points[i]),
                "chosen": points[i] is budget.point,
            }
            for i in shown
        ],
    }


def _taken(point: FrontierPoint) -> str:
    """Say how many tensors take which scheme."""
    schemes = Counter("16 bits" if it == "keep" else it for it in point.choices.values())
    return ", ".join(f"{name} for {count:,}" for name, count in schemes.most_common())


def _format_row(fmt: Format) -> dict[str, str]:
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


def _standing_rows(summary: Summary) -> list[dict[str, Any]]:
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


def _verification_rows(contents: ReportContents) -> list[dict[str, Any]]:
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
