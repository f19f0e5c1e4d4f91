"""What was found about a tensor: records, and a table of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fp8num._kernels.float32 import as_float64
from fp8num.scaled import Descale

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from fp8num.analysis.distribution import Distribution
    from fp8num.analysis.excess import RowErrors
    from fp8num.analysis.metrics import ErrorMetrics
    from fp8num.formats import Format
    from fp8num.scaled import ScaledArray

__all__ = ["COLUMNS", "FormatResult", "ScaleRange", "TensorAnalysis"]

#: Columns of the table that `analyze` returns.
COLUMNS = (
    "format",
    "rule",
    "sqnr_db",
    "underflow_rate",
    "scale",
    "scales",
    "scale_inv_min",
    "scale_inv_max",
    "size",
    "amax",
    "zeros",
    "nans",
    "infinities",
    "underflow",
    "saturated",
    "saturation_rate",
    "relative_rms_error",
    "cosine_distance",
    "max_abs_error",
    "max_abs_at",
    "max_rel_error",
    "max_rel_at",
    "codes_used",
    "codes_total",
)


@dataclass(frozen=True, kw_only=True)
class ScaleRange:
    """
    The scales of a tensor.  Those of parts merge to those of the whole.

    Attributes
    ----------
    count : int
        How many there are.
    inv_min, inv_max : float
        The least and the largest of what decoded values are multiplied by, NaN left out.
    one : float
        What the elements were multiplied by, if that is one number for all of them; NaN if
        it is not.
    """

    count: int
    inv_min: float
    inv_max: float
    one: float

    @classmethod
    def of(
        cls, scaled: ScaledArray, operands: npt.NDArray[np.float32] | None = None
    ) -> ScaleRange:
        """Look at the scales of an array, whose `operands` may be at hand."""
        divides = scaled.descale is Descale.DIVIDE
        found = as_float64(scaled.scales if divides or operands is None else operands)
        one = math.nan
        if found.size == 1:
            with np.errstate(all="ignore"):  # of zero
                inverse = np.divide(1.0, found)
            one = float((as_float64(scaled.operands) if divides else inverse).item())
        return cls(
            count=found.size,
            inv_min=float(np.fmin.reduce(found, axis=None, initial=math.nan)),
            inv_max=float(np.fmax.reduce(found, axis=None, initial=math.nan)),
            one=one,
        )

    def merge(self, other: ScaleRange) -> ScaleRange:
        """Return the range of both together."""
        return ScaleRange(
            count=self.count + other.count,
            inv_min=float(np.fmin(self.inv_min, other.inv_min)),
            inv_max=float(np.fmax(self.inv_max, other.inv_max)),
            one=math.nan,
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
    scales : ScaleRange
        Its scales.
    metrics : ErrorMetrics
        How far the result is from the tensor.
    rows : RowErrors or None
        How far each row is; None for a tensor that has none.
    """

    format: Format
    rule: str
    scales: ScaleRange
    metrics: ErrorMetrics
    rows: RowErrors | None = None

    @property
    def scale(self) -> float:
        """What the elements were multiplied by; NaN where there is no such number."""
        return self.scales.one

    @property
    def subnormal_rate(self) -> float:
        """Share of the elements whose code is a subnormal number; NaN if there are none."""
        values, counts = np.abs(self.format.values), self.metrics.code_counts
        if self.format.smallest_normal is None or not self.metrics.size:
            return 0.0 if self.metrics.size else math.nan
        low = (values > 0) & (values < float(self.format.smallest_normal))
        return float(counts[low].sum() / self.metrics.size)


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
        For each format, each rule that takes it.
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

    @property
    def rows(self) -> dict[tuple[str, str], RowErrors]:
        """Errors of the tensor's rows, by the names of format and rule; none if it has none."""
        return {
            (result.format.name, result.rule): result.rows
            for result in self.results
            if result.rows is not None
        }

    def records(self) -> list[dict[str, Any]]:
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

        return pd.DataFrame(self.records(), columns=list(COLUMNS))

    def _row(self, result: FormatResult) -> dict[str, Any]:
        found, metrics = self.distribution, result.metrics
        return {
            "format": result.format.name,
            "rule": result.rule,
            "sqnr_db": metrics.sqnr_db,
            "underflow_rate": metrics.underflow_rate,
            "scale": result.scale,
            "scales": result.scales.count,
            "scale_inv_min": result.scales.inv_min,
            "scale_inv_max": result.scales.inv_max,
            "size": found.size,
            "amax": found.amax,
            "zeros": found.zeros,
            "nans": found.nans,
            "infinities": found.infinities,
            "underflow": metrics.underflow,
            "saturated": metrics.saturated,
            "saturation_rate": metrics.saturation_rate,
            "relative_rms_error": metrics.relative_rms_error,
            "cosine_distance": metrics.cosine_distance,
            "max_abs_error": metrics.max_abs_error,
            "max_abs_at": self.index(metrics.max_abs_index),
            "max_rel_error": metrics.max_rel_error,
            "max_rel_at": self.index(metrics.max_rel_index),
            "codes_used": metrics.code_count,
            "codes_total": metrics.codes_total,
        }
