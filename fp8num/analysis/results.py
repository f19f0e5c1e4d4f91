"""What was found about a tensor: records, and a table of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from fp8num.analysis.distribution import Distribution
    from fp8num.analysis.metrics import ErrorMetrics
    from fp8num.formats import Format

__all__ = ["COLUMNS", "FormatResult", "TensorAnalysis"]

#: Columns of the table that `analyze` returns.
COLUMNS = (
    "format",
    "rule",
    "scale",
    "size",
    "amax",
    "zeros",
    "nans",
    "infinities",
    "underflow",
    "underflow_rate",
    "saturated",
    "saturation_rate",
    "sqnr_db",
    "relative_rms_error",
    "cosine_distance",
    "max_abs_error",
    "max_abs_at",
    "max_rel_error",
    "max_rel_at",
    "codes_used",
    "codes_total",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class FormatResult:
    """
    What one format makes of a tensor under one rule.

    Attributes
    ----------
    format : Format
        The format.
    rule : str
        The rule's name.
    scale : float
        What the elements were multiplied by.
    metrics : ErrorMetrics
        How far the result is from the tensor.
    """

    format: Format
    rule: str
    scale: float
    metrics: ErrorMetrics


@dataclass(frozen=True, kw_only=True, eq=False)
class TensorAnalysis:
    """
    What formats make of a tensor.

    Attributes
    ----------
    name, file, dtype, shape, order
        As in the tensor that was analysed.
    distribution : Distribution
        What it holds.
    results : tuple of FormatResult
        For each format, each rule.
    """

    name: str
    file: str
    dtype: str
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    distribution: Distribution
    results: tuple[FormatResult, ...]

    def index(self, position: int | None) -> str | None:
        """Write a position in storage order as an index: ``"(3, 17)"``."""
        if position is None:
            return None
        found = np.unravel_index(position, self.shape, order=self.order)
        return str(tuple(int(i) for i in found))

    def rows(self) -> list[dict[str, Any]]:
        """
        Return a dictionary for each result, with the keys `COLUMNS`.

        Returns
        -------
        list of dict
            Numbers, and text for names and indices; what does not exist is NaN, an index
            None.
        """
        return [self._row(result) for result in self.results]

    def to_frame(self) -> pd.DataFrame:
        """
        Return the results as a table.

        Returns
        -------
        pandas.DataFrame
            A row for each result, with the columns `COLUMNS`.
        """
        import pandas as pd

        return pd.DataFrame(self.rows(), columns=list(COLUMNS))

    def _row(self, result: FormatResult) -> dict[str, Any]:
        found, metrics = self.distribution, result.metrics
        return {
            "format": result.format.name,
            "rule": result.rule,
            "scale": result.scale,
            "size": found.size,
            "amax": found.amax,
            "zeros": found.zeros,
            "nans": found.nans,
            "infinities": found.infinities,
            "underflow": metrics.underflow,
            "underflow_rate": metrics.underflow_rate,
            "saturated": metrics.saturated,
            "saturation_rate": metrics.saturation_rate,
            "sqnr_db": metrics.sqnr_db,
            "relative_rms_error": metrics.relative_rms_error,
            "cosine_distance": metrics.cosine_distance,
            "max_abs_error": metrics.max_abs_error,
            "max_abs_at": self.index(metrics.max_abs_index),
            "max_rel_error": metrics.max_rel_error,
            "max_rel_at": self.index(metrics.max_rel_index),
            "codes_used": metrics.code_count,
            "codes_total": metrics.codes_total,
        }
