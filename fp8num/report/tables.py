"""
What a report says, as data: a record per tensor, the CSV and the JSON made of them.

CSV and JSON hold everything, whatever the page leaves out.
"""

from __future__ import annotations

import csv
import json
import math
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import fp8num
from fp8num._kernels.state import float_arithmetic
from fp8num._text import guarded
from fp8num.analysis import COLUMNS, LOWEST_EXPONENT
from fp8num.projection import Rounding

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from fp8num.analysis import FileRecommendation, Frontier, FrontierPoint, TensorAnalysis
    from fp8num.formats import Format
    from fp8num.nn import Comparison
    from fp8num.report.verification import Verified
    from fp8num.scaling import Rule

__all__ = [
    "Budget",
    "ReportContents",
    "Skipped",
    "TensorRecord",
    "frame_to_csv",
    "to_csv",
    "to_json",
]

SCHEMA_VERSION = 1  #: changes when a reader of an older report.json would be misled


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """
    What was in a file and was not analysed.

    Attributes
    ----------
    file, name : str
        Where it is, and what it is called there.
    reason : str
        Why it was left out.
    """

    file: str
    name: str
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class TensorRecord:
    """
    What was found about one tensor, without what only its figures need.

    Attributes
    ----------
    name, file, dtype, shape
        As in the tensor.
    distribution : dict
        Counts and extremes, and ``binades``: the lowest exponent and counts from there.
    rows : list of dict
        The results, with the keys `COLUMNS`.
    """

    name: str
    file: str
    dtype: str
    shape: tuple[int, ...]
    distribution: dict[str, Any]
    rows: list[dict[str, Any]]

    @classmethod
    @float_arithmetic
    def of(cls, analysis: TensorAnalysis) -> TensorRecord:
        """Make the record of an analysis."""
        found, exponents = analysis.distribution, analysis.distribution.exponents
        lowest = exponents[0] if exponents else None
        counts = found.binades[(lowest or 0) - LOWEST_EXPONENT :][: len(exponents)]
        return cls(
            name=analysis.name,
            file=analysis.file,
            dtype=analysis.dtype,
            shape=analysis.shape,
            distribution={
                "size": found.size,
                "zeros": found.zeros,
                "nans": found.nans,
                "infinities": found.infinities,
                "amax": found.amax,
                "amin": found.amin,
                "binades": {"lowest_exponent": lowest, "counts": counts.tolist()},
            },
            rows=analysis.records(),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Budget:
    """The least error of a file within a budget of bits."""

    bits: float  #: the budget, for a weight on average
    frontier: Frontier  #: the least errors for all budgets
    point: FrontierPoint  #: the one within this budget

    def to_json(self) -> str:
        """Return the point, what each tensor takes there, and the frontier, as JSON."""
        document = {
            "bits": self.point.bits,
            "error": self.point.error,
            "choices": self.point.choices,
            "frontier": self.frontier.to_dict(),
        }
        return json.dumps(document, indent=1) + "\n"


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportContents:
    """
    Everything a report says.

    Attributes
    ----------
    records : list of TensorRecord
        The tensors, in the order they were given.
    formats : tuple of Format
        What they were rounded to.
    rules : tuple of str
        How they were scaled: the rules' names.
    skipped : tuple of Skipped
        What was left out.
    command : str
        The command line, empty if there was none.
    verified : tuple of Verified
        What was verified of the conversions.
    training : Comparison or None
        What recipes did in training, if that was asked for.
    definitions : tuple of Rule
        What the names of rules stand for.
    decided : FileRecommendation or None
        How the tensors should be quantised, in their order.
    budget : Budget or None
        What a budget of bits allows, if there is one.
    """

    records: list[TensorRecord]
    formats: tuple[Format, ...]
    rules: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    command: str
    verified: tuple[Verified, ...] = ()
    training: Comparison | None = None
    definitions: tuple[Rule, ...] = ()
    decided: FileRecommendation | None = None
    budget: Budget | None = None

    @property
    def is_nearest(self) -> bool:
        """Whether all rules round to nearest, ties to even."""
        return all(_rounding(rule) == "NearestTiesToEven" for rule in self.definitions)

    @property
    def versions(self) -> dict[str, str]:
        """Versions of what the numbers come from."""
        return {
            "fp8num": fp8num.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        }


def to_csv(contents: ReportContents) -> str:
    """
    Write a row for each tensor, format and rule.

    Text is always quoted.  A name that a spreadsheet could take for a formula has a space
    before it (see `frame_to_csv`); ``report.json`` has every name as it is.
    """
    import pandas as pd

    rows = [
        {
            "file": record.file,
            "tensor": record.name,
            "dtype": record.dtype,
            "shape": str(record.shape),
            **row,
        }
        for record in contents.records
        for row in record.rows
    ]
    frame = pd.DataFrame(rows, columns=["file", "tensor", "dtype", "shape", *COLUMNS])
    return frame_to_csv(frame)


def frame_to_csv(frame: pd.DataFrame, *, quoted: bool = True) -> str:
    """
    Write a table that a spreadsheet may open: no text in it is run as a formula.

    Text whose first character but for spaces is one of ``= + - @``, a tab or the end of a
    line has a space before it, and numbers are as they are: take one space away from text
    that begins with spaces and one of these, and it is what it was.
    """
    import pandas as pd

    columns = {
        name: pd.Series(
            [guarded(cell) if isinstance(cell, str) else cell for cell in column],
            index=frame.index,
            dtype=column.dtype,
        )
        if column.dtype.kind == "O"
        else column
        for name, column in frame.items()
    }
    safe = pd.DataFrame(columns, columns=frame.columns)
    if not quoted:
        return str(safe.to_csv(index=False))
    return str(
        safe.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC, na_rep="nan", lineterminator="\n")
    )


def to_json(contents: ReportContents, files: Mapping[str, str] | None = None) -> str:
    """Write everything as one JSON document."""
    document = {
        "schema": "fp8num-report",
        "schema_version": SCHEMA_VERSION,
        **({} if files is None else {"files": dict(files)}),
        "versions": contents.versions,
        "command": contents.command,
        "projection": {
            "rounding": "NearestTiesToEven" if contents.is_nearest else None,
            "saturation": "SatFinite",
        },
        "rules": contents.rules,
        "rule_definitions": [_rule_facts(rule) for rule in contents.definitions],
        "formats": [_format_facts(fmt) for fmt in contents.formats],
        "tensors": [
            {
                "name": record.name,
                "file": record.file,
                "dtype": record.dtype,
                "shape": record.shape,
                "distribution": record.distribution,
                "results": record.rows,
            }
            for record in contents.records
        ],
        **({} if contents.decided is None else contents.decided.to_dict()),
        "budget": None if contents.budget is None else _budget_facts(contents.budget),
        "verification": [one.to_dict() for one in contents.verified],
        "skipped": [
            {"file": one.file, "name": one.name, "reason": one.reason} for one in contents.skipped
        ],
        "training": None if contents.training is None else contents.training.to_dict(),
    }
    return f"{_lines(_strict(document))}\n"


def _lines(value: Any) -> str:  # noqa: ANN401 - JSON holds anything
    """Write a value, a list with a line for each element, which `diff` then names."""
    if isinstance(value, dict):
        entries = (f"{json.dumps(key)}: {_lines(part)}" for key, part in value.items())
        return "{\n" + ",\n".join(entries) + "\n}"
    if not isinstance(value, list):
        return json.dumps(value, allow_nan=False)
    return "[\n" + ",\n".join(json.dumps(part, allow_nan=False) for part in value) + "\n]"


def _format_facts(fmt: Format) -> dict[str, Any]:
    parameters = "name bits exponent_bits mantissa_bits bias"
    derived = "max smallest_normal smallest_subnormal source"
    return {name: getattr(fmt, name) for name in f"{parameters} {derived}".split()}


def _budget_facts(budget: Budget) -> dict[str, Any]:
    return {
        "asked": budget.bits,
        "bits": budget.point.bits,
        "error": budget.point.error,
        "measure": budget.frontier.measure,
    }


def _rule_facts(rule: Rule) -> dict[str, str]:
    return {
        "name": rule.name,
        "granularity": str(rule.granularity),
        "rounding": _rounding(rule),
        "source": rule.source,
    }


def _rounding(rule: Rule) -> str:
    return Rounding.parse(rule.cast.rounding).value


def _strict(value: Any) -> Any:  # noqa: ANN401 - JSON holds anything
    """Return a copy in which JSON's types are the only ones."""
    if isinstance(value, dict):
        return {key: _strict(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(part) for part in value]
    if isinstance(value, np.generic):
        return _strict(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    return value
