"""The page: the template filled in."""

from __future__ import annotations

import base64
import hashlib
import math
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fp8num.report import labels
from fp8num.report.columns import COLUMN_GROUPS
from fp8num.report.figures import (
    error_against_magnitude,
    exponent_histogram,
    loss_curves,
    number_line,
    paired_differences,
)
from fp8num.report.sections import (
    describe_subject,
    format_row,
    heat_legend,
    overview_group,
    standing_rows,
    tensor_section,
    verification_rows,
)
from fp8num.report.summary import Name, Summary
from fp8num.report.training import training_section
from fp8num.verify.sources import SOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import jinja2

    from fp8num.analysis import TensorAnalysis
    from fp8num.report.tables import Contents, TensorRecord

__all__ = ["MAX_FIGURES", "MAX_ROWS", "MAX_SKIPPED", "hardest_first", "render_page"]

MAX_ROWS = 1000  #: of the overview: a browser sorts twenty thousand in twenty seconds
MAX_FIGURES = 40  #: tensors that are drawn
MAX_SKIPPED = 200  #: entries of the list of what was left out


def hardest_first(record: TensorRecord) -> tuple[bool, float]:
    """Return a key that puts tensors with a low SQNR first and those without signal last."""
    sqnr = record.typical_sqnr
    return (True, 0.0) if math.isnan(sqnr) else (False, sqnr)


def render_page(contents: Contents, analyses: Mapping[int, TensorAnalysis]) -> str:
    """
    Write the report as one HTML page that needs nothing else.

    Parameters
    ----------
    contents : Contents
        What the report says.
    analyses : mapping of int to TensorAnalysis
        What is drawn of some tensors, by their place among the records.

    Returns
    -------
    str
        An HTML document: no request, no script needed, names harmless.
    """
    from markupsafe import Markup

    style, script = _asset("style.css"), _asset("sort.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    summary = Summary(contents)
    order = sorted(range(len(contents.records)), key=lambda i: hardest_first(contents.records[i]))
    overview = [
        {
            "index": i,
            "drawn": i in analyses,
            "record": contents.records[i],
            "lines": overview_group(contents.records[i], contents.rules, contents.formats),
        }
        for i in order[: max(MAX_ROWS // len(contents.rules), 1)]
    ]
    # Markup is what is not escaped: our own style and script, and drawings, which escape
    # what they are given themselves.
    tensors = [
        {
            "index": i,
            "magnitudes": Markup(exponent_histogram(analyses[i], key=f"t{i}-magnitudes")),  # noqa: S704 - it is escaped
            "errors": Markup(error_against_magnitude(analyses[i], key=f"t{i}-errors")),  # noqa: S704 - it is escaped
            **tensor_section(contents, contents.records[i]),
        }
        for i in order
        if i in analyses
    ]
    training = None
    if contents.training is not None:
        training = training_section(contents.training) | {
            "curves": Markup(loss_curves(contents.training)),  # noqa: S704 - it is escaped
            "differences": Markup(paired_differences(contents.training)),  # noqa: S704 - it is escaped
        }
    template = _environment().get_template("report.html.j2")
    return template.render(
        style=Markup(style),  # noqa: S704 - it is escaped
        script=Markup(script),  # noqa: S704 - it is escaped
        script_digest=digest,
        number_line=Markup(number_line(contents.formats)),  # noqa: S704 - it is escaped
        contents=contents,
        subject=describe_subject(contents),
        findings=summary.findings,
        standings=standing_rows(summary),
        heat=heat_legend(),
        overview=overview,
        formats=[format_row(fmt) for fmt in contents.formats],
        training=training,
        tensors=tensors,
        groups=COLUMN_GROUPS,
        skipped=contents.skipped[:MAX_SKIPPED],
        verification=verification_rows(contents),
        sources=list(SOURCES),
    )


def _asset(name: str) -> str:
    return (files("fp8num.report") / "templates" / name).read_text(encoding="utf-8")


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
        "short": labels.shorten,
        "full": lambda text: labels.shorten(text, 300),
        "count": labels.count,
        "rule_name": labels.rule_name,
    }
    environment.filters |= filters
    environment.tests["name"] = lambda part: isinstance(part, Name)
    return environment
