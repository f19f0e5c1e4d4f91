"""Measure what formats and scaling rules make of a tensor, block by block."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from fp8num._kernels.words import as_values
from fp8num.analysis.blocks import Block, is_wide
from fp8num.analysis.distribution import Distribution
from fp8num.analysis.metrics import ErrorMetrics, measure
from fp8num.analysis.results import FormatResult, TensorAnalysis
from fp8num.analysis.scales import RULES
from fp8num.codec import decode, encode
from fp8num.formats import Format, get_format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    import pandas as pd

__all__ = [
    "DEFAULT_FORMATS",
    "Tensor",
    "analyze",
    "analyze_tensor",
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

#: Elements that are looked at together: arrays of float64 of this length stay in the cache.
BLOCK = 1 << 16


class Tensor(Protocol):
    """What `analyze_tensor` needs; ``fp8num.inputs.StoredTensor`` has it."""

    @property
    def name(self) -> str:
        """The tensor's name."""

    @property
    def file(self) -> str:
        """Where it was found."""

    @property
    def dtype(self) -> str:
        """The type of its elements, for display."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    @property
    def order(self) -> Literal["C", "F"]:
        """The order in which `blocks` yields the elements."""

    @property
    def format_name(self) -> str | None:
        """The format of its codes, None if blocks hold floats."""

    def blocks(self, size: int, /) -> Iterator[npt.NDArray[np.generic]]:
        """Yield the elements, at most `size` at a time."""


def analyze(
    x: npt.ArrayLike,
    formats: Iterable[Format | str] | Format | str | None = None,
    rules: Iterable[str] | str | None = None,
) -> pd.DataFrame:
    """
    Measure what formats make of an array.

    Parameters
    ----------
    x : array_like, shape (...)
        Elements of any type that `fp8num.encode` accepts.
    formats : Format, str or several of them, optional
        Formats, or what `get_format` accepts.  The default is `DEFAULT_FORMATS`.
    rules : str or several, optional
        How elements are scaled before they are rounded to nearest, saturating: ``"none"``,
        or ``"tensor"``: all by one factor, which takes the largest magnitude to the
        format's largest value.  The default is both.

    Returns
    -------
    pandas.DataFrame
        A row for each format and rule, with the columns

        ``format``, ``rule``, ``scale``
            Which format and rule, and what elements were multiplied by.
        ``size``, ``amax``, ``zeros``, ``nans``, ``infinities``
            Elements, their largest finite magnitude, and how many are special.
        ``underflow``, ``underflow_rate``
            Nonzero finite elements that became zero; their share of those.
        ``saturated``, ``saturation_rate``
            Finite elements that round past the largest value; their share of those.
        ``sqnr_db``
            Ratio of the sum of squares to that of the errors, in decibels.
        ``relative_rms_error``, ``cosine_distance``
            Its square root, the other way up; one minus the cosine of the angle between
            the elements and the results.
        ``max_abs_error``, ``max_abs_at``, ``max_rel_error``, ``max_rel_at``
            The largest error, absolute and relative to the element, and its index.
        ``codes_used``, ``codes_total``
            How many different codes occur, and how many there are.

    Raises
    ------
    TypeError
        If `x` is complex, boolean, text, a date or an object, or a format or rule is not
        given by name.
    ValueError
        If there is no format or rule, one is unknown or given twice, or float64 cannot
        hold a format's values.

    Notes
    -----
    NaN and infinities are counted, and take no part in what is measured.  A rate without
    anything to be a share of, and a ratio without signal, is NaN.

    Examples
    --------
    >>> from fp8num import analyze
    >>> table = analyze([0.0, 0.001, 1.0, 1000.0], ["E4M3FN", "E5M2"], "none")
    >>> print(table[["format", "underflow", "saturated", "max_abs_at"]].to_string(index=False))
    format  underflow  saturated max_abs_at
    E4M3FN          0          1       (3,)
      E5M2          0          0       (3,)
    """
    values = as_values(x)
    return analyze_tensor(_ArrayTensor(values), formats, rules).to_frame()


def analyze_tensor(
    tensor: Tensor,
    formats: Iterable[Format | str] | Format | str | None = None,
    rules: Iterable[str] | str | None = None,
    *,
    progress: Callable[[int], object] | None = None,
    block_size: int = BLOCK,
) -> TensorAnalysis:
    """
    Measure what formats make of a tensor, holding one block of it in memory.

    Parameters
    ----------
    tensor : Tensor
        The tensor, such as a ``StoredTensor``; it is read twice.
    formats, rules
        As for `analyze`.
    progress : callable, optional
        Called with the number of elements of each block that is done: their sum is the
        size of the tensor.
    block_size : int, optional
        Elements that are held at a time; counts and largest errors do not depend on it,
        and sums but for rounding.

    Returns
    -------
    TensorAnalysis
        What was found.

    Raises
    ------
    TypeError, ValueError
        As for `analyze`.
    """
    chosen = _chosen_formats(formats)
    names = _chosen_rules(rules)
    distribution, wide = _survey(tensor, block_size)
    plans = [
        (fmt, name, RULES[name](fmt, distribution.amax, wide=wide))
        for fmt in chosen
        for name in names
    ]
    nothing = np.empty(0)
    totals = [ErrorMetrics.of(nothing, nothing.astype(fmt.code_dtype), fmt) for fmt, _, _ in plans]
    position = 0
    for values in _blocks(tensor, block_size):
        with np.errstate(all="ignore"):
            block = Block.of(values)
            for i, (fmt, _, scale) in enumerate(plans):
                totals[i] += _measure_format(block, fmt, scale, position)
        position += len(values)
        if progress is not None:
            progress(len(values))
    return TensorAnalysis(
        name=tensor.name,
        file=tensor.file,
        dtype=tensor.dtype,
        shape=tensor.shape,
        order=tensor.order,
        distribution=distribution,
        results=tuple(
            FormatResult(format=fmt, rule=name, scale=scale, metrics=metrics)
            for (fmt, name, scale), metrics in zip(plans, totals, strict=True)
        ),
    )


def _survey(tensor: Tensor, size: int) -> tuple[Distribution, bool]:
    """Return what a tensor holds, and whether its elements are of 64 bits."""
    distribution, wide = Distribution.of(np.empty(0)), False
    for values in _blocks(tensor, size):
        distribution += Distribution.of(values)
        wide = is_wide(values.dtype)
    return distribution, wide


def _measure_format(block: Block, fmt: Format, scale: float, offset: int) -> ErrorMetrics:
    scaled = block.times(scale)
    codes = encode(scaled, fmt)
    return measure(block, codes, fmt, scale=scale, offset=offset, scaled=scaled)


def _blocks(tensor: Tensor, size: int) -> Iterator[npt.NDArray[Any]]:
    """Yield the elements; codes are decoded, exactly."""
    for block in tensor.blocks(size):
        yield block if tensor.format_name is None else decode(block, tensor.format_name)


@dataclass(frozen=True, slots=True, eq=False)
class _ArrayTensor:
    """An array in memory as a tensor."""

    array: npt.NDArray[Any]
    name: str = ""
    file: str = ""
    order: Literal["C", "F"] = "C"
    format_name: str | None = None

    @property
    def dtype(self) -> str:
        return str(self.array.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def blocks(self, size: int, /) -> Iterator[npt.NDArray[Any]]:
        flat = self.array.reshape(-1)
        for start in range(0, flat.size, size):
            yield flat[start : start + size]


def _chosen_formats(formats: Iterable[Format | str] | Format | str | None) -> tuple[Format, ...]:
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


def _chosen_rules(rules: Iterable[str] | str | None) -> tuple[str, ...]:
    """Return the rules that were asked for."""
    if rules is None:
        return tuple(RULES)
    several = isinstance(rules, Iterable) and not isinstance(rules, str)
    asked: tuple[object, ...] = tuple(rules) if several else (rules,)
    chosen = []
    for rule in asked:
        msg = f"rules must be some of {', '.join(RULES)}, got {rule!r}"
        if not isinstance(rule, str):
            raise TypeError(msg)
        if rule not in RULES:
            raise ValueError(msg)
        chosen.append(rule)
    _check_distinct("rules", chosen)
    return tuple(chosen)


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
