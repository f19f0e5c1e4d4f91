"""Measure what formats and scaling rules make of a tensor, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from fp8num._kernels.float32 import as_float64
from fp8num._kernels.state import float_arithmetic
from fp8num._kernels.words import as_values
from fp8num.analysis.blocks import Block, Decoded, Space
from fp8num.analysis.distribution import Distribution
from fp8num.analysis.excess import RowBlocks, RowErrors, RowTally
from fp8num.analysis.metrics import ErrorMetrics
from fp8num.analysis.pieces import LargestMagnitudes, Tensor, pieces, refusal
from fp8num.analysis.results import FormatResult, ScaleRange, TensorAnalysis
from fp8num.analysis.running import RunningMetrics
from fp8num.formats import Format, get_format
from fp8num.projection import Rounding
from fp8num.scaling import Rule, get_rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    import pandas as pd

    from fp8num.scaled import ScaledArray

__all__ = [
    "DEFAULT_FORMATS",
    "DEFAULT_RULES",
    "ArrayTensor",
    "Tensor",
    "analyze",
    "analyze_tensor",
    "choose",
]

#: Formats that a tensor may be stored in; those of scales are left out.
DEFAULT_FORMATS = (
    "E4M3FN",
    "E5M2",
    "E3M4",
    "HIFLOAT8",
    "POSIT8",
    "E2M3FN",
    "E3M2FN",
    "E2M1FN",
    "BFLOAT16",
)

#: Rules that formats are measured under: without a scale, and with one for the tensor.
DEFAULT_RULES = ("unit", "tensor")

#: What makes pieces whole rows, where a tensor has rows.
_WHOLE_ROWS = (get_rule("row"),)

#: Elements that are quantised together; they are measured in parts that stay in the cache.
BLOCK = 1 << 18

Transposable = TypeVar("Transposable", "npt.NDArray[Any]", "ScaledArray")
Formats = Iterable[Format | str] | Format | str | None
Rules = Iterable[Rule | str] | Rule | str | None


@float_arithmetic
def analyze(x: npt.ArrayLike, formats: Formats = None, rules: Rules = None) -> pd.DataFrame:
    """
    Measure what formats make of an array.

    Parameters
    ----------
    x : array_like, shape (...)
        Elements of any type that `fp8num.encode` accepts.
    formats : Format, str or several of them, optional
        Formats, or what `get_format` accepts.  The default is `DEFAULT_FORMATS`, and the
        formats of rules that take none of these.
    rules : str, Rule or several of them, optional
        How elements are scaled and rounded: what `fp8num.scale_quantize` takes, along the
        last axis.  The default is ``"unit"``, no scale, and ``"tensor"``, one factor that
        takes the largest magnitude to the format's largest value.

    Returns
    -------
    pandas.DataFrame
        A row for each format and each rule that takes it, with the columns

        ``format``, ``rule``
            Their names.
        ``scale``
            What elements were multiplied by; NaN if blocks have several scales.
        ``scales``, ``scale_inv_min``, ``scale_inv_max``
            How many scales there are, and the least and the largest of what decoded values
            are multiplied by: the ``scales`` of a `ScaledArray`, TransformerEngine's
            ``scale_inv``.
        ``size``, ``amax``, ``zeros``, ``nans``, ``infinities``
            Elements, their largest finite magnitude, and how many are special.
        ``underflow``, ``underflow_rate``
            Nonzero finite elements that became zero; their share of those.
        ``saturated``, ``saturation_rate``
            Finite elements that round past the largest value, in units of their scale;
            their share of those.
        ``sqnr_db``
            Ratio of the sum of squares to that of the errors, in decibels.
        ``relative_rms_error``, ``cosine_distance``
            Its square root, the other way up; one minus the cosine of the angle between
            the elements and the results.
        ``max_abs_error``, ``max_abs_at``, ``max_rel_error``, ``max_rel_at``
            The largest error, absolute and relative to the element, and its index.
        ``codes_used``, ``codes_total``
            How many different codes occur, and how many there are.
        ``excess``
            Of the median row along the last axis: the root mean square of the relative errors
            of its 32-element blocks, each without its largest element, over what the format
            costs Gaussian data under the finest scheme it is deployed with (`gaussian_cost`).
            Around 1 nothing is wrong.  NaN for a tensor without rows.
        ``worst_row``, ``worst_row_excess``, ``rows_above``
            The row with the largest excess, rows of leading axes counted through; its excess;
            how many rows have more than 2.
        ``near_dead_rows``
            Rows below 10^-3 of the median row's norm, but not zero: they are not judged.
        ``crest_factor``, ``dynamic_range``
            ``amax / rms`` of the elements; ``log2(amax / amin)`` of the nonzero ones: binades.
        ``subnormal_rate``
            Share of the elements whose code is a subnormal number.
        ``code_entropy``, ``effective_bits``
            Shannon entropy of the codes, ``-sum(p log2 p)``; ``(sqnr_db - 1.76) / 6.02``.
        ``scale_inv_mean``, ``scale_inv_std``
            Mean and standard deviation of what ``scale_inv_min`` is the least of.
        ``mse``
            The mean squared error.

    Raises
    ------
    TypeError
        If `x` is complex, boolean, text, a date or an object, or a format or rule is none.
    ValueError
        If there is no format or rule, one is unknown or given twice or goes with none of
        the others, a rule does not fit the shape or draws at random, or float64 cannot hold
        a format's values.

    Notes
    -----
    What is measured is ``scale_quantize(x, rule, fmt=fmt)``, code for code, dequantised in
    float64 and turned back if the rule rotates.  Rules that keep a state (te-delayed, flax)
    stand at their first step, with the scale 1.

    `fp8num.analysis.ALIASES` has TransformerEngine's names of these columns.

    NaN and infinities are counted, and take no part in what is measured.  A rate without
    anything to be a share of, and a ratio without signal, is NaN.

    Examples
    --------
    >>> from fp8num import analyze
    >>> table = analyze([0.0, 0.001, 1.0, 1000.0], ["E4M3FN", "E5M2"], "unit")
    >>> print(table[["format", "underflow", "saturated", "max_abs_at"]].to_string(index=False))
    format  underflow  saturated max_abs_at
    E4M3FN          0          1       (3,)
      E5M2          0          0       (3,)
    >>> table = analyze([[0.001, 1.0, 1000.0, 0.5]], rules=["nvfp4", "block-2"])
    >>> table[["format", "rule", "scales"]].iloc[-2:].values.tolist()
    [['E2M1FN', 'block-2', 2], ['BFLOAT16', 'block-2', 2]]
    """
    values = as_values(x)
    return analyze_tensor(ArrayTensor(values), formats, rules).to_frame()


@float_arithmetic
def analyze_tensor(
    tensor: Tensor,
    formats: Formats = None,
    rules: Rules = None,
    *,
    progress: Callable[[int], object] | None = None,
    block_size: int = BLOCK,
    binades: bool = False,
    mean_squares: npt.NDArray[np.float64] | None = None,
) -> TensorAnalysis:
    """
    Measure what formats make of a tensor, holding one piece of it in memory.

    Parameters
    ----------
    tensor : Tensor
        The tensor, such as a ``StoredTensor``; it is read twice.
    formats, rules
        As for `analyze`.
    progress : callable, optional
        Called with the number of elements of each piece that is done: their sum is the
        size of the tensor.
    block_size : int, optional
        Elements of a piece; of a tensor with rows, no result depends on it.
    binades : bool, optional
        Whether to summarise errors by the elements' binades too, which takes longer.
    mean_squares : ndarray of float64, shape (K,), optional
        Of the channels that rows are multiplied with, for the error of the product.

    Returns
    -------
    TensorAnalysis
        What was found.

    Raises
    ------
    TypeError, ValueError
        As for `analyze`.

    Notes
    -----
    A piece is whole rows, as many as blocks are high at least.  The whole tensor is held for
    scales of channels, for one that is a percentile or was searched for, for a tensor that is
    stored column by column, and for two levels of scales where the tensor's largest magnitude
    is infinite.
    """
    chosen, used = choose(formats, rules)
    pairs = [_SoFar(fmt, rule) for fmt in chosen for rule in used if rule.takes(fmt)]
    wrong = next(filter(None, (refusal(rule, tensor.shape) for rule in used)), None)
    if wrong is not None:
        raise ValueError(wrong)
    distribution, magnitudes = Distribution.of(np.empty(0)), LargestMagnitudes(used)
    for values in pieces(tensor, used, block_size):
        distribution += Distribution.of(values)
        magnitudes.look(values)
    whole = magnitudes.needs_all
    has_rows = len(tensor.shape) > 1 and math.prod(tensor.shape) > 0
    position, space = 0, Space()
    for values in pieces(tensor, (*used, *_WHOLE_ROWS[:has_rows]), block_size, whole=whole):
        block = Block(_in_storage_order(values, tensor), space, distribution)
        known = None if tensor.order == "F" else block
        rows = RowBlocks(_as_rows(values, known), known) if has_rows else None
        for pair in pairs:
            scaled = magnitudes.quantize(values, pair.rule, pair.format)
            made = Decoded(scaled, space, tensor.order)
            judged = RowTally(rows, mean_squares) if rows is not None and known else None
            is_complete = pair.metrics.add(
                block,
                made,
                offset=position,
                binades=binades,
                look=None if judged is None else judged.add,
            )
            pair.add_scales(ScaleRange.of(scaled, made.operands if known else None))
            if judged is not None and is_complete:
                pair.rows.append(judged.errors)
            elif rows is not None:
                pair.rows.append(rows.errors(_as_rows(made.values), mean_squares))
        position += values.size
        if progress is not None and values.size:
            progress(values.size)
    results = (pair.result(has_rows=has_rows) for pair in pairs)
    return TensorAnalysis(
        name=tensor.name,
        file=tensor.file,
        dtype=tensor.dtype,
        shape=tensor.shape,
        order=tensor.order,
        distribution=distribution,
        results=tuple(one for one in results if one is not None),
    )


def _in_storage_order(array: Transposable, tensor: Tensor) -> Transposable:
    """Return an array whose C order is the order in which a tensor is stored."""
    return array.transpose() if tensor.order == "F" else array


def _as_rows(values: npt.NDArray[Any], known: Block | None = None) -> npt.NDArray[np.float64]:
    """Return elements as rows along the last axis, float64."""
    shape = (-1, values.shape[-1])
    return as_float64(values.reshape(shape)) if known is None else known.x.reshape(shape)


class _SoFar:
    """What was found of the pieces so far, for a format and a rule."""

    def __init__(self, fmt: Format, rule: Rule) -> None:
        self.format, self.rule = fmt, rule
        self.metrics = RunningMetrics(len(fmt.values))
        self.scales: ScaleRange | None = None
        self.rows: list[RowErrors] = []

    def add_scales(self, scales: ScaleRange) -> None:
        """Add the next piece's; a scale of the whole tensor is in every piece the same."""
        if self.scales is None:
            self.scales = scales
        elif self.rule.granularity.kind != "tensor":
            self.scales = self.scales.merge(scales)

    def result(self, *, has_rows: bool) -> FormatResult | None:
        """Return what all pieces came to; None if there were none."""
        if self.scales is None:
            return None
        return FormatResult(
            format=self.format,
            rule=self.rule.name,
            metrics=ErrorMetrics(**self.metrics.fields),
            scales=self.scales,
            rows=RowErrors.joined(self.rows) if has_rows else None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ArrayTensor:
    """An array in memory as a tensor."""

    array: npt.NDArray[Any]
    name: str = ""
    file: str = ""
    order: Literal["C", "F"] = "C"
    format_name: str | None = None

    @property
    def dtype(self) -> str:
        """The type of its elements."""
        return str(self.array.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.array.shape

    def blocks(self, size: int, /) -> Iterator[npt.NDArray[Any]]:
        """Yield the elements in C order, at most `size` at a time."""
        flat = self.array.reshape(-1)
        for start in range(0, flat.size, size):
            yield flat[start : start + size]


def choose(formats: Formats, rules: Rules) -> tuple[tuple[Format, ...], tuple[Rule, ...]]:
    """
    Return the formats and rules to measure: each goes with one of the others at least.

    Parameters
    ----------
    formats, rules
        As for `analyze`.

    Returns
    -------
    tuple of tuples of Format and of Rule
        In the order they were given.

    Raises
    ------
    TypeError, ValueError
        As for `analyze`.
    """
    taking = _chosen_rules(rules)
    chosen = _chosen_formats(formats)
    if formats is None:  # for a rule that takes none of the usual ones, its own
        left = [rule for rule in taking if not any(map(rule.takes, chosen))]
        own = tuple(rule.choose_format(None) for rule in left)
        usual = (fmt for fmt in chosen if any(rule.takes(fmt) for rule in taking))
        return tuple({fmt.name: fmt for fmt in (*usual, *own)}.values()), taking
    for rule in taking:
        if not any(map(rule.takes, chosen)):
            names = ", ".join(fmt.name for fmt in chosen)
            msg = f"formats must hold one of {', '.join(rule.formats)} for {rule.name}, got {names}"
            raise ValueError(msg)
    for fmt in chosen:
        if not any(rule.takes(fmt) for rule in taking):
            which = "; ".join(f"{rule.name} takes {', '.join(rule.formats)}" for rule in taking)
            msg = f"formats must each be taken by a rule, got {fmt.name}; {which}"
            raise ValueError(msg)
    return chosen, taking


def _chosen_formats(formats: Formats) -> tuple[Format, ...]:
    """Return the formats that were asked for."""
    if formats is None:
        formats = DEFAULT_FORMATS
    elif isinstance(formats, str) or not isinstance(formats, Iterable):
        formats = (formats,)
    chosen = tuple(get_format(fmt) for fmt in formats)
    for fmt in chosen:
        fmt.require_float64()
    _check_distinct("formats", [fmt.name for fmt in chosen])
    return chosen


def _chosen_rules(rules: Rules) -> tuple[Rule, ...]:
    """Return the rules that were asked for."""
    if rules is None:
        rules = DEFAULT_RULES
    elif isinstance(rules, str) or not isinstance(rules, Iterable):
        rules = (rules,)
    chosen = tuple(get_rule(rule) for rule in rules)
    _check_distinct("rules", [rule.name for rule in chosen])
    for rule in chosen:
        if Rounding.parse(rule.cast.rounding).is_stochastic:
            msg = (
                f"rules must round the same way every time, {rule.name} draws at random; "
                "ErrorMetrics.of measures what scale_quantize(x, rule, rng=...) returns"
            )
            raise ValueError(msg)
    return chosen


def _check_distinct(argument: str, names: Iterable[str]) -> None:
    """Refuse an empty choice, and one that names something twice."""
    names = list(names)
    if not names:
        msg = f"{argument} must name at least one, got none; leave it out for the default"
        raise ValueError(msg)
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        msg = f"{argument} must differ from each other, got {', '.join(sorted(twice))} twice"
        raise ValueError(msg)
