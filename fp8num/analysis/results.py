"""What was found about a tensor: records, and a table of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fp8num._kernels.float32 import as_float64
from fp8num.analysis.schemes import TARGETS, gaussian_cost, schemes_for
from fp8num.analysis.sums import Total, quotient, root
from fp8num.scaled import Descale

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pandas as pd

    from fp8num.analysis.distribution import Distribution
    from fp8num.analysis.excess import RowErrors
    from fp8num.analysis.metrics import ErrorMetrics
    from fp8num.formats import Format
    from fp8num.scaled import ScaledArray

__all__ = ["ALIASES", "COLUMNS", "DAMAGED", "FormatResult", "ScaleRange", "TensorAnalysis"]

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
    "excess",
    "worst_row",
    "worst_row_excess",
    "rows_above",
    "near_dead_rows",
    "crest_factor",
    "dynamic_range",
    "subnormal_rate",
    "code_entropy",
    "effective_bits",
    "scale_inv_mean",
    "scale_inv_std",
    "mse",
)

#: TransformerEngine's names of statistics, each with the column that is nearest, and how many of
#: its units the column's number 1 is.  Its percentages are of all elements, zeros counted; ours are
#: of the nonzero and of the finite ones, and saturation means rounding past the largest value.
ALIASES: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "underflows%": ("underflow_rate", 100.0),
        "overflows%": ("saturation_rate", 100.0),
        "cur_amax": ("amax", 1.0),
        "dynamic_range": ("dynamic_range", 1.0),
        "scale_inv_min": ("scale_inv_min", 1.0),
        "scale_inv_max": ("scale_inv_max", 1.0),
        "scale_inv_std": ("scale_inv_std", 1.0),
        "mse": ("mse", 1.0),
    }
)

#: A row of a larger excess is damaged.
DAMAGED = 2.0


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
    finite : int
        How many of what decoded values are multiplied by are finite.
    total, squares : Total
        Their sum, and that of their squares.
    """

    count: int
    inv_min: float
    inv_max: float
    one: float
    finite: int
    total: Total
    squares: Total

    @classmethod
    def of(cls, scaled: ScaledArray, operands: npt.NDArray[np.float32] | None = None) -> ScaleRange:
        """Look at the scales of an array, whose `operands` may be at hand."""
        divides = scaled.descale is Descale.DIVIDE
        found = as_float64(scaled.scales if divides or operands is None else operands)
        one = math.nan
        if found.size == 1:
            with np.errstate(all="ignore"):  # of zero
                inverse = np.divide(1.0, found)
            one = float((as_float64(scaled.operands) if divides else inverse).item())
        total, squares = Total(), Total()
        low, high = found.min(initial=0.0), found.max(initial=0.0)
        whole = math.isfinite(low) and math.isfinite(high)
        rows = found if whole else np.where(np.isfinite(found), found, 0.0)
        rows = rows.reshape(-1, found.shape[-1] if found.size and found.ndim else 1)
        total.add(np.add.reduce(rows, axis=1))
        squares.add(np.einsum("ij,ij->i", rows, rows))
        return cls(
            count=found.size,
            inv_min=float(np.fmin.reduce(found, axis=None, initial=math.nan)),
            inv_max=float(np.fmax.reduce(found, axis=None, initial=math.nan)),
            one=one,
            finite=found.size if whole else int(np.count_nonzero(np.isfinite(found))),
            total=total,
            squares=squares,
        )

    def merge(self, other: ScaleRange) -> ScaleRange:
        """Return the range of both together."""
        return ScaleRange(
            count=self.count + other.count,
            inv_min=float(np.fmin(self.inv_min, other.inv_min)),
            inv_max=float(np.fmax(self.inv_max, other.inv_max)),
            one=math.nan,
            finite=self.finite + other.finite,
            total=self.total.plus(other.total),
            squares=self.squares.plus(other.squares),
        )

    @property
    def inv_mean(self) -> float:
        """Mean of what decoded values are multiplied by, the finite ones; NaN of none."""
        return quotient(self.total.value, self.finite)

    @property
    def inv_std(self) -> float:
        """Their standard deviation, ``sqrt(mean(s**2) - mean(s)**2)``; NaN of none."""
        if not self.finite:
            return math.nan
        if self.inv_min == self.inv_max:
            return 0.0
        spread = self.squares.value / self.finite - (self.total.value / self.finite) ** 2
        return root(max(spread, Fraction(0)))


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

    @property
    def excess(self) -> npt.NDArray[np.float64] | None:
        """
        What the format costs each row over what it costs Gaussian data; None without rows.

        Notes
        -----
        ``rows.relative`` over the least `gaussian_cost` of ``schemes_for(format)``, the schemes
        that the format is deployed with; of a format that is in none, without a scale
        if that is less.  Zero of rows that are not judged.
        """
        return None if self.rows is None else self.rows.excess(_least_cost(self.format))

    def row_record(self) -> dict[str, Any]:
        """Return what the columns about rows say."""
        excess = self.excess
        if self.rows is None or excess is None:
            names = ("excess", "worst_row", "worst_row_excess", "rows_above", "near_dead_rows")
            return dict.fromkeys(names, math.nan)
        worst = int(excess.argmax()) if self.rows.is_live.any() else math.nan
        return {
            "excess": self.rows.median / _least_cost(self.format),
            "worst_row": worst,
            "worst_row_excess": float(excess.max()) if self.rows.is_live.any() else math.nan,
            "rows_above": int((excess > DAMAGED).sum()),
            "near_dead_rows": self.rows.near_dead,
        }


@lru_cache(maxsize=64)
def _least_cost(fmt: Format) -> float:
    """Return what a format costs Gaussian data at least."""
    found = min(gaussian_cost(scheme) for scheme in schemes_for(fmt))
    if fmt.name in TARGETS:
        return found
    return min(found, gaussian_cost(schemes_for(fmt, "unit")[0]))  # some are finest around 1


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
            **result.row_record(),
            "crest_factor": found.amax / metrics.rms if metrics.xx else math.nan,
            "dynamic_range": math.log2(found.amax) - math.log2(found.amin)
            if found.nonzero
            else math.nan,
            "subnormal_rate": result.subnormal_rate,
            "code_entropy": metrics.code_entropy,
            "effective_bits": metrics.effective_bits,
            "scale_inv_mean": result.scales.inv_mean,
            "scale_inv_std": result.scales.inv_std,
            "mse": metrics.mse,
        }
