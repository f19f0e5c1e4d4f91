"""How far a tensor is from what a format makes of it: counts, largest errors and sums."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fp8num._kernels.blocks import BLOCK
from fp8num._kernels.float32 import as_float64
from fp8num._kernels.state import float_arithmetic
from fp8num.analysis.binades import BinadeErrors
from fp8num.analysis.blocks import Block, Space
from fp8num.analysis.distribution import byte_counts
from fp8num.analysis.sums import Scaled, Total, decibels, is_safe, quotient, root, run_sums
from fp8num.codec._arguments import as_codes, check_codes
from fp8num.formats import Format, TabulatedFormat, get_format
from fp8num.scaled import Descale, ScaledArray
from fp8num.scaling.applying import odd_product
from fp8num.scaling.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

__all__ = [
    "ErrorMetrics",
    "Peak",
    "Tally",
    "decoded",
    "overflow_threshold",
]

#: Fields of the metrics that add up.
_COUNTS = ("size", "finite", "nonzero", "underflow", "saturated", "pairs", "code_counts")
_ADDED = (*_COUNTS, "xx", "xe", "ee", "xq", "qq")
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

    def after(self, elements: int) -> Peak:
        """Return the peak as it is where some elements come before."""
        return self if self.position is None else Peak(self.error, self.position + elements)


@dataclass(frozen=True, kw_only=True, eq=False)
class ErrorMetrics:
    r"""
    Elements x compared with what a format makes of them.

    The result q is what a code and its scale stand for, turned back if the rule rotates,
    and the error is e = q - x, both in float64.  Metrics of parts merge to those of the
    whole: counts and largest errors exactly, sums but for the rounding within the parts.

    Attributes
    ----------
    size, finite, nonzero : int
        Elements, the finite ones, and those of them that are not zero.
    underflow : int
        Nonzero finite elements whose result is zero, of either sign.
    saturated : int
        Finite elements that round past the format's largest value, to nearest, in units of
        their scale; of a rule that rotates, once they are rotated.
    pairs : int
        Elements that are finite and have a finite result.  What follows is about these.
    xx, xe, ee, xq, qq : Fraction
        Sums of products of elements, errors and results.
    max_abs : Peak
        The largest abs(e).
    max_rel : Peak
        The largest abs(e / x) of the nonzero elements, at most 2**1023.
    code_counts : ndarray of int64, shape (2**bits,)
        How often each code occurs, for any element.
    binades : BinadeErrors
        Relative errors by the binade of x, if that was asked for; else of no number.
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
    code_counts: npt.NDArray[np.int64] = field(repr=False)
    binades: BinadeErrors = field(repr=False)

    @classmethod
    @float_arithmetic
    def of(
        cls,
        x: npt.ArrayLike,
        codes: npt.ArrayLike | ScaledArray,
        fmt: Format | str | None = None,
        *,
        offset: int = 0,
    ) -> ErrorMetrics:
        """
        Compare elements with their codes.

        Parameters
        ----------
        x : array_like, shape (...)
            The elements, of any type that `fp8num.encode` accepts.
        codes : array_like of uint8 (uint16 above 8 bits) or ScaledArray, shape (...)
            The codes of the elements; or codes with their scales.
        fmt : Format or str, optional
            The format of codes without scales.
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
            If the shapes differ, a code is out of range, `fmt` is missing or not needed, or
            float64 cannot hold the format's values.

        Examples
        --------
        >>> import fp8num as fp
        >>> x = [1.0, 1.1, 1e-9, 1000.0]
        >>> found = ErrorMetrics.of(x, fp.encode(x, "E4M3FN"), "E4M3FN")
        >>> found.underflow, found.saturated, found.max_abs_error, found.max_abs_index
        (1, 1, 552.0, 3)
        >>> found = ErrorMetrics.of(x, fp.scale_quantize(x, "block-2", fmt="E4M3FN"))
        >>> found.underflow, found.saturated, round(found.max_abs_error, 4)
        (1, 0, 0.0214)
        """
        scaled = _scaled(codes, fmt)
        if scaled.shape != np.shape(x):
            msg = f"codes must have the shape of x, {np.shape(x)}, got {scaled.shape}"
            raise ValueError(msg)
        tally = Tally(len(scaled.format.values))
        tally.add(Block(x), scaled, decoded(scaled), offset=offset, binades=True)
        return tally.metrics

    @float_arithmetic
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
            binades=self.binades.merge(other.binades),
        )

    __add__ = merge

    @property
    @float_arithmetic
    def underflow_rate(self) -> float:
        """Share of the nonzero finite elements that become zero; NaN if there are none."""
        return self.underflow / self.nonzero if self.nonzero else math.nan

    @property
    @float_arithmetic
    def saturation_rate(self) -> float:
        """Share of the finite elements that saturate; NaN if there are none."""
        return self.saturated / self.finite if self.finite else math.nan

    @property
    @float_arithmetic
    def sqnr_db(self) -> float:
        """Signal to noise, ``10 log10(xx / ee)``: infinite without noise, NaN without signal."""
        if not self.xx:
            return math.nan
        return decibels(self.xx / self.ee) if self.ee else math.inf

    @property
    @float_arithmetic
    def mse(self) -> float:
        """The mean squared error, ``ee / pairs``; NaN if there are no pairs."""
        return quotient(self.ee, self.pairs)

    @property
    @float_arithmetic
    def rms(self) -> float:
        """Root mean square of the elements, ``sqrt(xx / pairs)``; NaN if there are no pairs."""
        return root(self.xx / self.pairs) if self.pairs else math.nan

    @property
    @float_arithmetic
    def relative_rms_error(self) -> float:
        """The error's norm relative to that of the elements: sqrt(ee / xx); NaN without signal."""
        return root(self.ee / self.xx) if self.xx else math.nan

    @property
    @float_arithmetic
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
    def codes_total(self) -> int:
        """How many codes the format has."""
        return len(self.code_counts)

    @property
    def codes_used(self) -> int:
        """A set of codes: bit c is set if code c occurs."""
        used = np.packbits(self.code_counts > 0, bitorder="little")
        return int.from_bytes(used.tobytes(), "little")

    @property
    def code_count(self) -> int:
        """How many different codes occur."""
        return int(np.count_nonzero(self.code_counts))

    @property
    def code_entropy(self) -> float:
        """Shannon entropy of the codes in bits; NaN if there are none."""
        total = self.code_counts.sum()
        shares = self.code_counts[self.code_counts > 0] / max(total, 1)
        return float(-(shares * np.log2(shares)).sum()) if total else math.nan

    @property
    def effective_bits(self) -> float:
        """
        Bits that a uniform quantiser of a full-scale sine would need for the same SQNR.

        Notes
        -----
        ``(sqnr_db - 1.76) / 6.02``, the ENOB of IEEE Std 1241.
        """
        return (self.sqnr_db - 10 * math.log10(1.5)) / (20 * math.log10(2))


def _scaled(codes: npt.ArrayLike | ScaledArray, fmt: Format | str | None) -> ScaledArray:
    """Return codes with their scales; with the scale 1 if they have none."""
    if isinstance(codes, ScaledArray) != (fmt is None):
        msg = f"fmt must be given for codes, and for codes alone, got {fmt!r:.80}"
        raise ValueError(msg)
    if isinstance(codes, ScaledArray):
        codes.format.require_float64()
        return codes
    found = get_format(fmt)
    array = as_codes(codes, found)
    check_codes(array, found)
    block = tuple(max(n, 1) for n in array.shape)
    return ScaledArray(array, found, np.ones((), np.float32), block)


@lru_cache(maxsize=64)
def _may_saturate(fmt: Format) -> npt.NDArray[np.bool_]:
    """Whether a code is what numbers past the largest value may become."""
    return ~(np.abs(fmt.values) < float(fmt.max))  # infinities and NaN too


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
    middle, inclusive = _end(fmt)
    return middle if inclusive else math.nextafter(middle, math.inf)


@lru_cache(maxsize=64)
def _end(fmt: Format) -> tuple[float, bool]:
    """Return what lies halfway above the largest value, and whether it rounds past that."""
    if fmt.successor is None:
        return math.inf, True
    if isinstance(fmt, TabulatedFormat):
        integer, exponent, inclusive = fmt.nearest[-1]
    else:  # halfway to the successor; the tie goes to the even code
        code = int(fmt.magnitudes.codes[-1])
        integer, exponent = fmt.decompose(code)
        integer, exponent, inclusive = 2 * integer + 1, exponent - 1, code % 2 == 1
    return math.ldexp(integer, exponent), inclusive


def decoded(
    scaled: ScaledArray,
    space: Space | None = None,
    operands: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float64]:
    """Return what codes and scales stand for in float64, turned back if the rule rotates."""
    if space is None or not scaled.ndim:
        found = scaled.dequantize(np.float64)
    else:
        results = space.array("results", scaled.codes.size).reshape(scaled.shape)
        found = scaled.dequantize_into(results, operands)
    if scaled.rule is not None:
        found = as_float64(scaled.rule.unrotated(found, scaled.axis))
    return found


class _Errors(NamedTuple):
    """What was found of a block's errors."""

    crossed: npt.NDArray[np.float64]  #: runs' sums of products with the elements
    noise: npt.NDArray[np.float64]  #: runs' sums of squares
    max_abs: Peak
    max_rel: Peak


class Tally:
    """
    Metrics of pieces that come one after the other.

    Parameters
    ----------
    codes : int
        How many codes the format has.
    """

    def __init__(self, codes: int) -> None:
        self._counts = dict.fromkeys(("size", "finite", "nonzero", "underflow", "saturated"), 0)
        self._pairs = 0
        self._codes = np.zeros(codes, np.int64)
        self._sums = {name: Total() for name in ("xx", "xe", "ee", "xq", "qq")}
        self._max_abs = self._max_rel = Peak(math.nan, None)
        self._binades: BinadeErrors | None = None

    def add(
        self,
        block: Block,
        scaled: ScaledArray,
        results: npt.NDArray[np.float64],
        *,
        offset: int = 0,
        binades: bool = False,
        operands: npt.NDArray[np.float32] | None = None,
        look: Callable[[npt.NDArray[np.float64]], object] | None = None,
    ) -> bool:
        """
        Compare a piece's elements with what they were quantised to, decoded.

        Parameters
        ----------
        look : callable, optional
            Called with the errors of each of the block's parts, which it may write over.

        Returns
        -------
        bool
            Whether every element that is finite has a finite result.  If not, what `look` was
            given is not all, or not the errors.
        """
        codes, q, x, keep = scaled.codes.reshape(-1), results.reshape(-1), block.x, block.is_finite
        operands = scaled.operands if operands is None else operands
        relative = np.empty(len(x)) if binades else None
        found = None if keep is not None else _compare(block, x, q, relative=relative, look=look)
        whole = found is not None
        if found is None:  # what takes no part is zero in both
            finite = np.isfinite(q)
            whole = keep is not None and bool((finite | ~keep).all())
            keep = finite if keep is None else finite & keep
            q, x = np.where(keep, q, 0.0), np.where(keep, x, 0.0)
            found = _compare(block, x, q, keep=keep, relative=relative, look=look)
            assert found is not None
        counts = _count(codes, len(self._codes))
        self._codes += counts
        for name, count in (
            ("size", len(codes)),
            ("finite", block.finite),
            ("nonzero", len(codes) - block.zeros),
            ("underflow", _count_lost(block, counts, scaled, results, operands)),
            ("saturated", _count_saturated(block, codes, counts, scaled, operands)),
        ):
            self._counts[name] += count
        self._pairs += len(codes) if keep is None else int(np.count_nonzero(keep))
        self._add_sums(block, x, q, found, keep)
        self._max_abs = self._max_abs.merge(found.max_abs.after(offset))
        self._max_rel = self._max_rel.merge(found.max_rel.after(offset))
        if relative is not None:
            there = np.flatnonzero(x)
            some = BinadeErrors.of(relative[there], np.abs(x[there]))
            self._binades = some if self._binades is None else self._binades.merge(some)
        return whole

    def _add_sums(
        self,
        block: Block,
        x: npt.NDArray[np.float64],
        q: npt.NDArray[np.float64],
        found: _Errors,
        keep: npt.NDArray[np.bool_] | None,
    ) -> None:
        """Add the runs' sums of products."""
        if keep is None:
            elements, squares = block.elements, block.squares
        else:
            elements = Scaled(x).normalize(float(np.abs(x).max(initial=0.0)))
            squares = run_sums(elements.values, elements.values, block.run)
        crossed, noise, power = found.crossed, found.noise, 0
        largest = found.max_abs.error if found.crossed.size else 0.0
        if elements.exponent or not is_safe(largest):
            errors = Scaled(q - x).normalize(largest)
            crossed = run_sums(elements.values, errors.values, block.run)
            noise = run_sums(errors.values, errors.values, block.run)
            power = errors.exponent
        both = elements.exponent + power
        self._sums["xx"].add(squares, 2 * elements.exponent)
        self._sums["xe"].add(crossed, both)
        self._sums["ee"].add(noise, 2 * power)
        near = noise <= squares / 4
        if not both and near.all():  # q = x + e, and nothing cancels
            self._sums["xq"].add(squares + crossed)
            self._sums["qq"].add(squares + 2 * crossed + noise)
            return
        made = Scaled(q).normalize(float(np.abs(q).max(initial=0.0)))
        inner = run_sums(elements.values, made.values, block.run)
        signal = run_sums(made.values, made.values, block.run)
        if not (both or made.exponent):  # each run by itself: pieces do not matter
            inner = np.where(near, squares + crossed, inner)
            signal = np.where(near, squares + 2 * crossed + noise, signal)
        self._sums["xq"].add(inner, elements.exponent + made.exponent)
        self._sums["qq"].add(signal, 2 * made.exponent)

    @property
    def metrics(self) -> ErrorMetrics:
        """What was found."""
        found: dict[str, Any] = {name: total.value for name, total in self._sums.items()}
        return ErrorMetrics(
            **found | self._counts,
            pairs=self._pairs,
            code_counts=self._codes,
            max_abs=self._max_abs,
            max_rel=self._max_rel,
            binades=self._binades or BinadeErrors.of(np.empty(0), np.empty(0)),
        )


def _compare(
    block: Block,
    x: npt.NDArray[np.float64],
    q: npt.NDArray[np.float64],
    *,
    keep: npt.NDArray[np.bool_] | None = None,
    relative: npt.NDArray[np.float64] | None = None,
    look: Callable[[npt.NDArray[np.float64]], object] | None = None,
) -> _Errors | None:
    """Measure a block's parts one after the other; None if an error is not finite."""
    crossed, noise, max_abs, max_rel = [], [], Peak(math.nan, None), Peak(math.nan, None)
    for part in block.parts:
        exact, size = x[part], part.stop - part.start
        e = np.subtract(q[part], exact, out=block.space.array("errors", size))
        room = block.space.array("magnitudes", size)
        peak = _peak(np.abs(e, out=room), part.start)
        if not math.isfinite(peak.error):
            return None
        among = exact != 0 if block.zeros or keep is not None else None
        max_abs = max_abs.merge(peak if keep is None else _peak(room, part.start, keep[part]))
        if relative is not None:
            room = relative[part]
        np.abs(np.divide(e, block.divisors[part], out=room), out=room)
        peak = _peak(room, part.start, among)
        if peak.error > _MOST:
            peak = _peak(np.minimum(room, _MOST, out=room), part.start, among)
        max_rel = max_rel.merge(peak)
        crossed.append(run_sums(exact, e, block.run))
        noise.append(run_sums(e, e, block.run))
        if look is not None:
            look(e)
    nothing = [np.empty(0)]
    return _Errors(
        np.concatenate(crossed or nothing), np.concatenate(noise or nothing), max_abs, max_rel
    )


def _count(codes: npt.NDArray[Any], total: int) -> npt.NDArray[np.int64]:
    """Count how often each code occurs."""
    if codes.dtype == np.uint8:
        return byte_counts(codes)[:total]
    counts = np.zeros(total, np.int64)
    for start in range(0, len(codes), BLOCK):  # NumPy widens codes: those stay in the cache
        counts += np.bincount(codes[start : start + BLOCK], minlength=total)
    return counts


def _rotates(scaled: ScaledArray) -> bool:
    return isinstance(scaled.rule, Rule) and scaled.rule.rotation is not None


def _count_lost(
    block: Block,
    counts: npt.NDArray[np.int64],
    scaled: ScaledArray,
    results: npt.NDArray[np.float64],
    operands: npt.NDArray[np.float32],
) -> int:
    """Count the finite elements that are not zero and whose result is."""
    if not _rotates(scaled) and _keeps_nonzero(scaled, operands):
        lost = int(counts[scaled.format.values == 0].sum())
        if not lost or (not block.zeros and block.is_finite is None):
            return lost
    return int(np.count_nonzero((results.reshape(-1) == 0) & (block.x != 0)))


def _keeps_nonzero(scaled: ScaledArray, operands: npt.NDArray[np.float32]) -> bool:
    """Whether no value but zero gives zero with any of the scales."""
    values = np.abs(scaled.format.values)
    least = values.min(where=values > 0, initial=math.inf)
    divides = scaled.descale is Descale.DIVIDE
    scale = operands.max(initial=0.0) if divides else operands.min(initial=math.inf)
    return bool((least / scale if divides else least * scale) >= np.finfo(np.float64).tiny)


def _count_saturated(
    block: Block,
    codes: npt.NDArray[Any],
    counts: npt.NDArray[np.int64],
    scaled: ScaledArray,
    operands: npt.NDArray[np.float32],
) -> int:
    """Count the finite elements that round past the largest value in units of their scale."""
    middle, inclusive = _end(scaled.format)
    may = np.flatnonzero(_may_saturate(scaled.format) & (counts > 0))
    if middle == math.inf or not may.size:
        return 0
    found = np.zeros(len(codes), np.bool_)
    for code in may.astype(codes.dtype):
        found |= codes == code
    at = np.flatnonzero(found)
    if block.is_finite is not None:
        at = at[block.is_finite[at]]
    x = _as_scaled(block, scaled).take(at)
    if scaled.format.signed:
        x = np.abs(x)
    scales = operands.reshape(-1)[_blocks_of(at, scaled)] if operands.size > 1 else operands
    if scaled.descale is Descale.DIVIDE:  # to odd: nothing crosses the middle
        x, end = odd_product(x, scales), np.asarray(middle)
    else:  # exact: a few bits times float32
        end = middle * as_float64(scales)
    return int(np.count_nonzero(x >= end if inclusive else x > end))


def _blocks_of(at: npt.NDArray[np.intp], scaled: ScaledArray) -> npt.NDArray[np.intp]:
    """Return which block elements are in, by their positions in C order."""
    shape, block = scaled.shape, scaled.block
    if block[-1:] != (0,) and shape[-1] % block[-1] == 0 and set(block[:-1]) <= {1}:
        return at // block[-1]
    places = np.unravel_index(at, shape)
    inside = tuple(i // n for i, n in zip(places, block, strict=True))
    return np.ravel_multi_index(inside, scaled.blocks.counts)


def _as_scaled(block: Block, scaled: ScaledArray) -> npt.NDArray[np.float64]:
    """Return a block's elements as the rule multiplies them: rotated, if it rotates."""
    rule = scaled.rule
    if not isinstance(rule, Rule) or rule.rotation is None:
        return block.values
    return as_float64(rule.rotation.apply(block.values.reshape(scaled.shape), scaled.axis)).ravel()


def _peak(
    errors: npt.NDArray[np.float64], offset: int, among: npt.NDArray[np.bool_] | None = None
) -> Peak:
    """Return the largest error, and of those as large the first, among some elements."""
    if among is not None and not among.any():
        return Peak(math.nan, None)
    at = int(errors.argmax())
    if among is not None and not errors[at]:  # all are 0: the first of those that take part
        at = int(among.argmax())
    return Peak(float(errors[at]), at + offset)
