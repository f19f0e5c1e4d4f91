"""The page: the template filled in."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fp8num._text import shorten
from fp8num.report import labels
from fp8num.report.configurations import configurations
from fp8num.report.decisions import KINDS, DecisionPage
from fp8num.report.sections import (
    budget_section,
    describe_subject,
    format_row,
    standing_rows,
    verification_rows,
)
from fp8num.report.summary import Name, Summary
from fp8num.report.training import training_section
from fp8num.verify.sources import SOURCES

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

    from fp8num.report.tables import Contents

__all__ = ["MAX_SKIPPED", "render_page"]

MAX_SKIPPED = 200  #: entries of the list of what was left out


def render_page(contents: Contents) -> str:
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
            subject=describe_subject(contents),
            page=DecisionPage(contents.decided, contents.records, pasted),
            kinds=KINDS,
            budget=None if contents.budget is None else budget_section(contents.budget),
            findings=summary.findings,
            standings=standing_rows(summary),
            formats=[format_row(fmt) for fmt in contents.formats],
            training=None if contents.training is None else training_section(contents.training),
            skipped=contents.skipped[:MAX_SKIPPED],
            verification=verification_rows(contents),
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
