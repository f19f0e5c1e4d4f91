"""
A deterministic projection is a staircase.

::

    code
      |            ______        thresholds: where each step begins
      |      _____|              outputs:    the code of each step
      |_____|                    one staircase for each sign
      +-----------------> |x|

Magnitudes are compared as integers, ``2 * word`` of the float64; a step that begins
just above a number rather than at it has its threshold one higher.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from fp8num._kernels.words import dyadic_words
from fp8num.formats import Overflow, TabulatedFormat
from fp8num.projection import NanResult, Projection, Result, Rounding, Saturation

if TYPE_CHECKING:
    import numpy.typing as npt

    from fp8num.formats import Format

__all__ = ["Staircase", "neighbours", "staircase"]

_NEAREST = {Rounding.NEAREST_TIES_TO_EVEN, Rounding.NEAREST_TIES_TO_AWAY}


@dataclass(frozen=True, slots=True)
class Staircase:
    """Where the steps of a projection begin, and the code of each."""

    #: by sign, ascending: step ``i + 1`` begins at ``thresholds[i]``
    thresholds: npt.NDArray[np.uint64]
    #: by sign: the codes of the steps 0 to n, then those of infinity and of NaN. Step n is
    #: overflow, unless nothing can overflow
    outputs: npt.NDArray[np.uint16]

    @property
    def infinity(self) -> int:
        """Index of infinity among the outputs; NaN is the next."""
        return int(self.outputs.shape[1]) - 2

    def index(self, magnitudes: npt.NDArray[np.uint64], sign: int) -> npt.NDArray[np.intp]:
        """Return the index of the output for each magnitude, float64 words without sign."""
        found = np.searchsorted(self.thresholds[sign], magnitudes << np.uint64(1), side="right")
        infinite = np.uint64(0x7FF << 52)
        found[magnitudes == infinite] = self.infinity
        found[magnitudes > infinite] = self.infinity + 1
        return found


@lru_cache(maxsize=64)
def staircase(fmt: Format, projection: Projection) -> Staircase:
    """
    Return the staircase of a projection; for a stochastic mode, that of truncation.

    The outputs are those of the mode asked for.
    """
    signs = (False, not projection.sign_dropped)
    outputs = np.stack([_outputs(fmt, projection, negative=sign) for sign in signs])
    for result, code in projection.results:
        outputs[_place(result, fmt, projection)] = code
    return Staircase(
        np.stack([_thresholds(fmt, projection, negative=sign) for sign in signs]), outputs
    )


def _place(result: Result, fmt: Format, projection: Projection) -> tuple[int, int]:
    """Return where the code of a kind of number stands among the outputs."""
    negative = result.value.startswith("-")
    kind = result.value.removeprefix("-")
    if result is Result.MINUS_UNDERFLOW and (fmt.signed or not fmt.has_zero):
        msg = f"results must not change {result.value} for {fmt.name}: it has a sign or no zero"
        raise ValueError(msg)
    shows = (
        fmt.overflow is not Overflow.MAX
        and projection.saturation is Saturation.SAT_NONE
        and projection.rounding in _NEAREST
        and (fmt.signed or not negative)
    )
    if kind == "overflow" and not shows:
        msg = f"results must not change {result.value} for {fmt.name}: it has no code of its own"
        raise ValueError(msg)
    if result in {Result.ZERO, Result.MINUS_ZERO} and fmt.has_zero:
        msg = f"results must not change zero for {fmt.name}: numbers near it become zero too"
        raise ValueError(msg)
    column = {"zero": 0, "underflow": 1, "overflow": -3, "infinity": -2, "nan": -1}[kind]
    return int(negative), column


def _seen_from_zero(rounding: Rounding, negative: bool) -> Rounding:  # noqa: FBT001
    """Return the mode as it acts on magnitudes: TOWARD_POSITIVE stands for away from zero."""
    if rounding.is_stochastic:
        return Rounding.TOWARD_ZERO
    if rounding in {Rounding.TOWARD_POSITIVE, Rounding.TOWARD_NEGATIVE}:
        outward = (rounding is Rounding.TOWARD_NEGATIVE) == negative
        return Rounding.TOWARD_POSITIVE if outward else Rounding.TOWARD_ZERO
    return rounding


def _thresholds(fmt: Format, projection: Projection, *, negative: bool) -> npt.NDArray[np.uint64]:
    """Return where each step after the first begins."""
    rounding = _seen_from_zero(projection.rounding, negative)
    codes, integers, exponents = fmt.magnitudes
    odd = codes % 2 == 1
    if fmt.successor is not None:
        integers = np.append(integers, fmt.successor[0])
        exponents = np.append(exponents, fmt.successor[1])
    words = dyadic_words(integers, exponents)
    low, high = words[: len(codes)], words[1:]
    if fmt.successor is None:  # all above the largest value overflows
        high = np.append(high, low[-1] + np.uint64(1))
    at, above = np.uint64(0), np.uint64(1)
    if isinstance(fmt, TabulatedFormat) and not fmt.regular and rounding in _NEAREST:
        middle, power, inclusive = (np.array(column) for column in zip(*fmt.nearest, strict=True))
        found = dyadic_words(middle, power) * np.uint64(2) + np.where(inclusive, at, above)
    elif rounding in _NEAREST:
        lows, highs, unit = neighbours(integers, exponents)
        middles = dyadic_words(lows + highs, unit - 1)
        tie_goes_up = odd | (rounding is Rounding.NEAREST_TIES_TO_AWAY)
        found = middles * np.uint64(2) + np.where(tie_goes_up, at, above)
    elif rounding is Rounding.TOWARD_ZERO:
        found = high * np.uint64(2)
    elif rounding is Rounding.TOWARD_POSITIVE:
        found = low * np.uint64(2) + above
    else:  # to odd: an odd step lasts to the next value, an even one is a single point
        found = np.where(odd, high * np.uint64(2), low * np.uint64(2) + above)
    if not fmt.has_zero:  # anything above zero is at least the smallest value
        found = np.insert(found, 0, above)
    for step, integer, exponent, begins_at in projection.moved:
        moved = dyadic_words(np.array([integer]), np.array([exponent]))[0] * np.uint64(2)
        found[step if not fmt.has_zero else step - 1] = moved + (at if begins_at else above)
    if negative and Result.MINUS_UNDERFLOW in dict(projection.results):
        # A step of its own beside zero; all others below zero have one code in such a format.
        found[:2] = above, found[0]
    return found


def neighbours(
    integers: npt.NDArray[np.int64], exponents: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the ends of each gap in units of a common power of two: low, high, exponent."""
    exponents = np.where(integers == 0, np.append(exponents[1:], 0), exponents)
    unit = np.minimum(exponents[:-1], exponents[1:])
    return integers[:-1] << (exponents[:-1] - unit), integers[1:] << (exponents[1:] - unit), unit


def _outputs(fmt: Format, projection: Projection, *, negative: bool) -> npt.NDArray[np.uint16]:
    """Return the code of each step, of overflow, of infinity and of NaN, for one sign."""
    codes = [int(code) for code in fmt.magnitudes.codes]
    if negative and fmt.signed:
        codes = [fmt.negate_code(code) for code in codes]
        if fmt.has_zero and not fmt.has_negative_zero:
            codes[0] = 0
    if not fmt.has_zero:
        missing = projection.saturation is Saturation.SAT_NONE
        nan = missing and fmt.has_nan
        codes.insert(0, fmt.nan_code(negative=negative) if nan else codes[0])
    if negative and not fmt.signed:
        below = _below_zero(fmt, projection)
        first = codes[0] if fmt.has_zero else below
        return np.array([first, *[below] * (len(codes) - 1), below,
                         _minus_infinity(fmt, projection), _nan(fmt, projection, negative=True)],
                        dtype=np.uint16)  # fmt: skip
    codes.append(_overflow(fmt, projection, negative=negative))
    if fmt.successor is None and projection.rounding in _NEAREST:
        codes.pop()  # nothing rounds past the largest value
    codes.append(_infinity(fmt, projection, negative=negative))
    codes.append(_nan(fmt, projection, negative=negative))
    return np.array(codes, dtype=np.uint16)


def _max(fmt: Format, *, negative: bool) -> int:
    code = int(fmt.magnitudes.codes[-1])
    return fmt.negate_code(code) if negative else code


def _overflow_result(fmt: Format, *, negative: bool) -> int:
    """Return what the format makes of overflow under SatNone."""
    if fmt.overflow is Overflow.INFINITY:
        return fmt.infinity_code(negative=negative)
    if fmt.overflow is Overflow.NAN:
        return fmt.nan_code(negative=negative)
    return _max(fmt, negative=negative)


def _overflow(fmt: Format, projection: Projection, *, negative: bool) -> int:
    """Return the result for a finite number that rounds past the largest value."""
    inward = Rounding.TOWARD_POSITIVE if negative else Rounding.TOWARD_NEGATIVE
    # Of the largest value and infinity ToOdd takes the odd code: P3109 v4.0 for unsigned
    # extended formats, SoftFloat's round_odd and RISC-V's vfncvt.rod for IEEE 754's.
    max_is_odd = fmt.has_infinity and fmt.magnitudes.codes[-1] % 2 == 1
    stops = (
        projection.saturation is not Saturation.SAT_NONE
        or projection.rounding in {Rounding.TOWARD_ZERO, inward}
        or (projection.rounding is Rounding.TO_ODD and max_is_odd)
    )
    return _max(fmt, negative=negative) if stops else _overflow_result(fmt, negative=negative)


def _infinity(fmt: Format, projection: Projection, *, negative: bool) -> int:
    """Return the result for an infinity."""
    if projection.saturation is Saturation.SAT_FINITE:
        return _max(fmt, negative=negative)
    if projection.saturation is Saturation.SAT_NONE:
        return _overflow_result(fmt, negative=negative)
    if fmt.has_infinity:
        return fmt.infinity_code(negative=negative)
    # SatPropagate: P3109 stops its finite formats at the largest value.
    p3109 = fmt.specials is not None and fmt.specials.is_p3109
    if p3109 or not fmt.has_nan:
        return _max(fmt, negative=negative)
    return fmt.nan_code(negative=negative)


def _below_zero(fmt: Format, projection: Projection) -> int:
    """Return the result of an unsigned format for a negative number that is not rounded to 0."""
    smallest = int(fmt.magnitudes.codes[0])
    if projection.saturation is not Saturation.SAT_NONE or not fmt.has_nan:
        return smallest
    stops = projection.rounding in {Rounding.TOWARD_ZERO, Rounding.TOWARD_POSITIVE}
    return smallest if stops and fmt.has_zero else fmt.nan_code()


def _minus_infinity(fmt: Format, projection: Projection) -> int:
    """Return the result of an unsigned format for minus infinity."""
    smallest = int(fmt.magnitudes.codes[0])
    if projection.saturation is Saturation.SAT_FINITE or not fmt.has_nan:
        return smallest
    p3109 = fmt.specials is not None and fmt.specials.is_p3109
    if projection.saturation is Saturation.SAT_PROPAGATE and (p3109 or fmt.has_infinity):
        return smallest
    return fmt.nan_code()


def _nan(fmt: Format, projection: Projection, *, negative: bool) -> int:
    """Return the result for a NaN."""
    if fmt.has_nan:
        return fmt.nan_code(negative=negative)
    if projection.nan is NanResult.ZERO:
        return 0 if negative or not fmt.has_negative_zero else fmt.sign_bit
    return _max(fmt, negative=False)
