"""How far a tensor is from what a format makes of it: counts, largest errors and sums."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fp8num.analysis.binades import BinadeErrors
from fp8num.analysis.blocks import Block
from fp8num.analysis.sums import Scaled, decibels, dot, root
from fp8num.codec._arguments import as_codes, check_codes
from fp8num.formats import Format, TabulatedFormat, get_format

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["ErrorMetrics", "Peak", "measure", "overflow_threshold"]

#: Fields of the metrics that add up.
_COUNTS = ("size", "finite", "nonzero", "underflow", "saturated", "pairs")
_ADDED = (*_COUNTS, "xx", "xe", "ee", "xq", "qq")
_LARGEST = float(np.finfo(np.float64).max)
#: Relative errors count as no more than this, which leaves room for rounding their means.
_MOST = 2.0**1023


class Peak(NamedTuple):
    """
    The largest of some errors and where it is: of equal ones, the first.

    Attributes
    ----------
    error : float
        The error's magnitude, NaN if there is no element.
    position : int or None
        The element's position in storage order, None if there is no element.
    """

    error: float
    position: int | None

    def merge(self, other: Peak) -> Peak:
        """Return the larger one."""
        if self.position is None or other.position is None:
            return other if self.position is None else self
        return min(self, other, key=lambda peak: (-peak.error, peak.position))


@dataclass(frozen=True, kw_only=True, eq=False)
class ErrorMetrics:
    r"""
    Elements x compared with what a format makes of them.

    The result q is a code's value divided by the scale, and the error is e = q - x, both
    in float64.  Metrics of parts merge to those of the whole: counts and largest errors
    exactly, sums but for the rounding within the parts.

    Attributes
    ----------
    size, finite, nonzero : int
        Elements, the finite ones, and those of them that are not zero.
    underflow : int
        Nonzero finite elements whose result is zero, of either sign.
    saturated : int
        Finite elements that round past the format's largest value, to nearest.
    pairs : int
        Elements that are finite and have a finite result.  What follows is about these.
    xx, xe, ee, xq, qq : Fraction
        Sums of products of elements, errors and results.
    max_abs : Peak
        The largest abs(e).
    max_rel : Peak
        The largest abs(e / x) of the nonzero elements, at most 2**1023.
    codes_used : int
        A set of codes: bit c is set if code c occurs, for any element.
    codes_total : int
        How many codes the format has.
    binades : BinadeErrors
        Relative errors by the binade of x.
    """

    size: int
    finite: int
    nonzero: int
    underflow: int
    saturated: int
    pairs: int
    xx: Fraction = field(repr=False)  # integers of hundreds of digits
    xe: Fraction = field(repr=False)
    ee: Fraction = field(repr=False)
    xq: Fraction = field(repr=False)
    qq: Fraction = field(repr=False)
    max_abs: Peak
    max_rel: Peak
    codes_used: int = field(repr=False)
    codes_total: int
    binades: BinadeErrors = field(repr=False)

    @classmethod
    def of(
        cls,
        x: npt.ArrayLike,
        codes: npt.ArrayLike,
        fmt: Format | str,
        *,
        scale: float = 1.0,
        offset: int = 0,
    ) -> ErrorMetrics:
        """
        Compare elements with their codes.

        Parameters
        ----------
        x : array_like, shape (...)
            The elements, of any type that `fp8num.encode` accepts.
        codes : array_like of uint8 (uint16 above 8 bits), shape (...)
            The codes of ``x * scale``.
        fmt : Format or str
            Their format.
        scale : float, optional
            What the elements were multiplied by: positive, and 1 / scale finite.
        offset : int, optional
            Position of the first element in the whole tensor.

        Returns
        -------
        ErrorMetrics
            The comparison.

        Raises
        ------
        TypeError
            If `x` has no such type, or the codes are not of the format's type.
        ValueError
            If the shapes differ, the scale or a code is out of range, or float64 cannot
            hold the format's values.

        Examples
        --------
        >>> from fp8num import E4M3FN, encode
        >>> x = [1.0, 1.1, 1e-9, 1000.0]
        >>> found = ErrorMetrics.of(x, encode(x, E4M3FN), E4M3FN)
        >>> found.underflow, found.saturated, found.max_abs_error, found.max_abs_index
        (1, 1, 552.0, 3)
        """
        fmt = get_format(fmt)
        array, shape = as_codes(codes, fmt), np.shape(x)
        if array.shape != shape:
            msg = f"codes must have the shape of x, {shape}, got {array.shape}"
            raise ValueError(msg)
        if not (scale > 0 and math.isfinite(scale) and math.isfinite(1 / scale)):
            msg = f"scale must be positive with a finite reciprocal, got {scale!r}"
            raise ValueError(msg)
        check_codes(array, fmt)
        with np.errstate(all="ignore"):
            block = Block.of(x)
            ordered = array.reshape(-1).take(block.order)
            return measure(block, ordered, fmt, scale=scale, offset=offset)

    def merge(self, other: ErrorMetrics) -> ErrorMetrics:
        """
        Return the metrics of both together.

        Raises
        ------
        ValueError
            If they are about formats with different numbers of codes.
        """
        if self.codes_total != other.codes_total:
            msg = (
                f"other must be about the same format, got one of {other.codes_total} codes "
                f"for one of {self.codes_total}"
            )
            raise ValueError(msg)
        return ErrorMetrics(
            **{name: getattr(self, name) + getattr(other, name) for name in _ADDED},
            max_abs=self.max_abs.merge(other.max_abs),
            max_rel=self.max_rel.merge(other.max_rel),
            codes_used=self.codes_used | other.codes_used,
            codes_total=self.codes_total,
            binades=self.binades.merge(other.binades),
        )

    __add__ = merge

    @property
    def underflow_rate(self) -> float:
        """Share of the nonzero finite elements that become zero; NaN if there are none."""
        return self.underflow / self.nonzero if self.nonzero else math.nan

    @property
    def saturation_rate(self) -> float:
        """Share of the finite elements that saturate; NaN if there are none."""
        return self.saturated / self.finite if self.finite else math.nan

    @property
    def sqnr_db(self) -> float:
        """Signal to noise, ``10 log10(xx / ee)``: infinite without noise, NaN without signal."""
        if not self.xx:
            return math.nan
        return decibels(self.xx / self.ee) if self.ee else math.inf

    @property
    def relative_rms_error(self) -> float:
        """The error's norm relative to that of the elements: sqrt(ee / xx); NaN without signal."""
        return root(self.ee / self.xx) if self.xx else math.nan

    @property
    def cosine_distance(self) -> float:
        r"""
        One minus the cosine of the angle between x and q; NaN if either is all zero.

        With the sine's square :math:`s = (xx \cdot qq - xq^2) / (xx \cdot qq)` it is
        :math:`s / (1 + \cos)`.  The numerator equals :math:`xx \cdot ee - xe^2`, which
        loses nothing when the error is small; the other form serves when it is large.
        """
        if not self.xx or not self.qq:
            return math.nan
        cosine = min(root(self.xq**2 / (self.xx * self.qq)), 1.0)
        if self.xq <= 0:
            return 1.0 + cosine
        if self.ee < self.qq:
            numerator = self.xx * self.ee - self.xe**2
        else:
            numerator = self.xx * self.qq - self.xq**2
        sine_squared = max(numerator, Fraction(0)) / (self.xx * self.qq)
        return float(sine_squared) / (1.0 + cosine)

    @property
    def max_abs_error(self) -> float:
        """The largest abs(e), NaN if there are no pairs."""
        return self.max_abs.error

    @property
    def max_abs_index(self) -> int | None:
        """Its position in storage order: of equal errors, the first."""
        return self.max_abs.position

    @property
    def max_rel_error(self) -> float:
        """The largest abs(e / x), NaN if there is no nonzero x."""
        return self.max_rel.error

    @property
    def max_rel_index(self) -> int | None:
        """Its position in storage order: of equal errors, the first."""
        return self.max_rel.position

    @property
    def code_count(self) -> int:
        """How many different codes occur."""
        return self.codes_used.bit_count()


class _Codes(NamedTuple):
    """What each code stands for."""

    values: npt.NDArray[np.float64]
    zero: npt.NDArray[np.bool_]
    finite: npt.NDArray[np.bool_]


@lru_cache(maxsize=64)
def _codes(fmt: Format) -> _Codes:
    return _Codes(fmt.values, fmt.values == 0, np.isfinite(fmt.values))


@lru_cache(maxsize=64)
def overflow_threshold(fmt: Format) -> float:
    """
    Return the smallest float64 that rounds past the largest value, to nearest.

    Parameters
    ----------
    fmt : Format
        A format that fits float64.

    Returns
    -------
    float
        Infinity if no finite number does.
    """
    if fmt.successor is None:
        return math.inf
    if isinstance(fmt, TabulatedFormat):
        integer, exponent, inclusive = fmt.nearest[-1]
    else:  # halfway to the successor; the tie goes to the even code
        code = int(fmt.magnitudes.codes[-1])
        integer, exponent = fmt.decompose(code)
        integer, exponent, inclusive = 2 * integer + 1, exponent - 1, code % 2 == 1
    middle = math.ldexp(integer, exponent)
    return middle if inclusive else math.nextafter(middle, math.inf)


def measure(
    block: Block,
    codes: npt.NDArray[Any],
    fmt: Format,
    *,
    scale: float = 1.0,
    offset: int = 0,
    scaled: npt.NDArray[Any] | None = None,
) -> ErrorMetrics:
    """
    Compare a block with codes in its order.

    Parameters
    ----------
    block : Block
        The elements.
    codes : ndarray of uint8 or uint16, shape (n,)
        The codes of `scaled`.
    fmt : Format
        Their format.
    scale : float, optional
        What the elements were multiplied by.
    offset : int, optional
        Position of the block in the tensor.
    scaled : ndarray, shape (n,), optional
        ``block.times(scale)``, if at hand.

    Returns
    -------
    ErrorMetrics
        The comparison.
    """
    table = _codes(fmt)
    zeros, finite = block.zeros, block.finite
    counts = np.bincount(codes[zeros:finite], minlength=len(table.values))
    used = counts > 0
    used[codes[:zeros]] = True
    pairs, pair_codes = block, codes[:finite]
    if not table.finite[used].all():
        keep = np.zeros(len(codes), np.bool_)
        keep[:finite] = table.finite[pair_codes]
        pairs, pair_codes = block.select(keep), codes[keep]
    used[codes[finite:]] = True
    sums = _sums(pairs, table.values.take(pair_codes), scale, offset)
    return ErrorMetrics(
        size=len(codes),
        finite=finite,
        nonzero=finite - zeros,
        underflow=int(counts[table.zero].sum()),
        saturated=_count_saturated(block, fmt, scale, scaled),
        pairs=len(pair_codes),
        codes_used=int.from_bytes(np.packbits(used, bitorder="little").tobytes(), "little"),
        codes_total=len(table.values),
        **sums,
    )


def _count_saturated(
    block: Block, fmt: Format, scale: float, scaled: npt.NDArray[Any] | None
) -> int:
    """Count the finite elements that round past the largest value once scaled."""
    threshold = overflow_threshold(fmt)
    if threshold == math.inf or block.largest_times(scale) < threshold:
        return 0
    if scale == 1.0:
        scaled = block.values
    elif scaled is None:
        scaled = block.times(scale)
    finite = scaled[: block.finite]
    past = (np.abs(finite) if fmt.signed else finite) >= np.float64(threshold)
    return int(np.count_nonzero(past))


def _sums(
    block: Block, values: npt.NDArray[np.float64], scale: float, offset: int
) -> dict[str, Any]:
    """Measure the errors of a block of finite elements, given the values of their codes."""
    results, e = _compare(block.values[: len(values)], values, scale)
    errors = np.abs(e)
    largest = float(errors.max(initial=0.0))
    relative = errors[block.zeros :] / block.magnitudes[block.zeros :]
    np.minimum(relative, _MOST, out=relative)
    binades = BinadeErrors.of(relative, block.starts, block.exponents)
    worst = float(binades.maximum.max(initial=0.0))
    scaled_e = Scaled(e).normalize(largest)
    return {
        "xx": block.sum_of_squares,
        "xe": dot(block.elements, scaled_e),
        "ee": dot(scaled_e, scaled_e),
        "xq": dot(block.elements, results),
        "qq": dot(results, results),
        "max_abs": _peak(errors, largest, block.order, offset),
        "max_rel": _peak(relative, worst, block.order[block.zeros :], offset),
        "binades": binades,
    }


def _compare(
    x: npt.NDArray[np.float64], values: npt.NDArray[np.float64], scale: float
) -> tuple[Scaled, npt.NDArray[np.float64]]:
    """Return results, the values over the scale, and errors."""
    q = values if scale == 1.0 else values / scale
    e = q - x
    largest = float(np.abs(q).max(initial=0.0))
    if largest < math.inf:
        return Scaled(q).normalize(largest), e
    # A quotient beyond float64's range, of an element near its end: in units of 2**8.
    over = np.isinf(q)
    q = np.clip(values * 2.0**-8 / scale, -_LARGEST, _LARGEST)
    difference = (q[over] - x[over] * 2.0**-8) * 2.0**8
    e[over] = np.clip(difference, -_LARGEST, _LARGEST)
    return Scaled(q, 8).normalize(float(np.abs(q).max())), e


def _peak(
    errors: npt.NDArray[np.float64], largest: float, order: npt.NDArray[np.intp], offset: int
) -> Peak:
    """Return the largest error, and of those as large the first in storage order."""
    if not len(errors):
        return Peak(math.nan, None)
    return Peak(largest, int(order[: len(errors)][errors == largest].min()) + offset)
