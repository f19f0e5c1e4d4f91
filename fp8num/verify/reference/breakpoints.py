"""
Where a deterministic projection changes, found by asking `project` alone.

::

    code   c0       c1      c2          searchsorted over the breakpoints, as integers
    x    -----|---------|---------->    in the order of the floats, gives every code
              b1 (in)   b2 (out)

Between neighbouring values a projection changes at a value, at a midpoint, or, for
posit8, at a nine-bit posit.  `project` is asked at each such candidate and on both
sides of it; that nothing changes in between is checked, as it never decreases.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fp8num.projection import NanResult, Rounding, Saturation
from fp8num.verify.reference.codes import finite_values, posit8_boundary
from fp8num.verify.reference.datum import floor_log2, power_of_two
from fp8num.verify.reference.projecting import project, successor

if TYPE_CHECKING:
    import numpy.typing as npt

    from fp8num.formats import Format

__all__ = ["Breakpoint", "breakpoints", "expected_codes"]

#: Precision and least exponent of the inputs that can be put in order as integers.
BINARY = {
    "float16": (11, -14),
    "bfloat16": (8, -126),
    "float32": (24, -126),
    "float64": (53, -1022),
}
#: A step to the side of a candidate, in units of the smallest magnitude: no float64
#: beside a midpoint is as near to it.
NEARBY = power_of_two(-64)
#: The same beside zero, and the distance of the ends of the line: beyond every float64.
TINY, HUGE = power_of_two(-1200), power_of_two(1200)


class Breakpoint(NamedTuple):
    """From `value` on, or just above it if not `inclusive`, the result is `code`."""

    value: Fraction | None  #: None in the first one: the code of the most negative numbers
    inclusive: bool
    code: int


def breakpoints(
    fmt: Format, rounding: Rounding | str, saturation: Saturation | str
) -> tuple[Breakpoint, ...]:
    """
    Return where a deterministic projection changes over the finite numbers.

    Parameters
    ----------
    fmt : Format
        The format.
    rounding : Rounding or str
        A deterministic mode.
    saturation : Saturation or str
        What a number beyond the range becomes.

    Returns
    -------
    tuple of Breakpoint
        Ascending.  The zero in it is +0; -0, infinities and NaN are not in it.

    Raises
    ------
    ValueError
        If `rounding` is stochastic: it has no breakpoints.

    Examples
    --------
    >>> from fp8num.formats import E4M3FN
    >>> last = breakpoints(E4M3FN, "NearestTiesToEven", "SatNone")[-1]
    >>> str(last.value), last.inclusive, hex(last.code)
    ('464', False, '0x7f')
    """
    return _breakpoints(fmt, _deterministic(rounding), Saturation.parse(saturation))


@lru_cache(maxsize=1024)
def _breakpoints(fmt: Format, rounding: Rounding, saturation: Saturation) -> tuple[Breakpoint, ...]:
    """Walk up the values, asking for the code at each and on both its sides."""

    def ask(x: Fraction) -> int:
        return project(x, fmt, rounding, saturation)

    grid, smallest = _grid(fmt)
    left = grid[0] * HUGE
    found = [Breakpoint(None, inclusive=False, code=ask(left))]

    def note(value: Fraction, at: int, after: int) -> None:
        """Keep what changes at a point or just above it."""
        if at != found[-1].code:
            found.append(Breakpoint(value, inclusive=True, code=at))
        if after != at:
            found.append(Breakpoint(value, inclusive=False, code=after))

    for right in grid:
        step = smallest * (NEARBY if right else TINY)
        before = ask(right - step)
        if before != found[-1].code:
            middle = _boundary(left, right, fmt)
            side = smallest * NEARBY
            assert ask(middle - side) == found[-1].code, (fmt, rounding, left, right)
            note(middle, ask(middle), ask(middle + side))
        assert before == found[-1].code, (fmt, rounding, left, right)
        note(right, ask(right), ask(right + step))
        left = right
    assert ask(left * HUGE) == found[-1].code, (fmt, rounding, left)
    return tuple(found)


def _grid(fmt: Format) -> tuple[list[Fraction], Fraction]:
    """Return zero, the magnitudes and what follows them, of both signs; and the smallest."""
    magnitudes = [value for value in finite_values(fmt).magnitudes if value > 0]
    beyond = successor(fmt)
    positive = magnitudes if beyond is None else [*magnitudes, beyond]
    return [*(-value for value in reversed(positive)), Fraction(0), *positive], magnitudes[0]


def _boundary(left: Fraction, right: Fraction, fmt: Format) -> Fraction:
    """Return where a projection to nearest changes between neighbours."""
    if fmt.exponent_bits is None and fmt.name == "POSIT8":
        low, sign = (left, 1) if left >= 0 else (-right, -1)
        return sign * posit8_boundary(finite_values(fmt).codes[low])
    return (left + right) / 2


# Whole arrays.


def expected_codes(
    x: npt.NDArray[np.generic],
    fmt: Format,
    rounding: Rounding | str,
    saturation: Saturation | str,
    *,
    nan: NanResult | str = NanResult.MAX,
) -> npt.NDArray[np.uint8 | np.uint16]:
    """
    Return the codes that an array of floats becomes, by the definition.

    Each float is placed among the breakpoints as an integer: floats of one type are
    in the order of their bits.  No arithmetic is done on values.  Zeros, infinities
    and NaNs are given to `project` one of each sign.

    Parameters
    ----------
    x : ndarray, shape (...)
        Numbers.  Of float16, bfloat16, float32 or float64, by breakpoints; other
        real types, and few numbers for a wide format, one by one.
    fmt : Format
        The format.
    rounding : Rounding or str
        A deterministic mode.
    saturation : Saturation or str
        What a number beyond the range becomes.
    nan : NanResult or str, optional
        What a NaN becomes where the format has none.

    Returns
    -------
    ndarray of uint8, or of uint16 above 8 bits, shape (...)
        The codes.

    Raises
    ------
    TypeError
        If `x` holds no real numbers.
    ValueError
        If `rounding` is stochastic.
    """
    rounding, saturation = _deterministic(rounding), Saturation.parse(saturation)
    flat = np.ravel(x)
    if x.dtype.name not in BINARY or (fmt.bits > 8 and flat.size < 1 << fmt.bits):
        each = [project(item, fmt, rounding, saturation, nan=nan) for item in flat]
        return np.array(each, _code_dtype(fmt)).reshape(x.shape)
    starts, codes = _sorted_keys(fmt, rounding, saturation, x.dtype.name)
    keys, negative = _order(flat)
    found = codes[np.searchsorted(starts, keys, side="right") - 1]
    places = np.abs(keys)
    infinity = _key(HUGE, x.dtype.name)[0] + 1
    for special, where in (
        (0.0, places == 0),
        (np.inf, places == infinity),
        (np.nan, places > infinity),
    ):
        for signed, here in ((special, where & ~negative), (-special, where & negative)):
            if here.any():
                found[here] = project(signed, fmt, rounding, saturation, nan=nan)
    return found.reshape(x.shape)


def _code_dtype(fmt: Format) -> np.dtype[np.uint8 | np.uint16]:
    """Return the type of an array of codes."""
    return np.dtype(np.uint8 if fmt.bits <= 8 else np.uint16)


def _deterministic(rounding: Rounding | str) -> Rounding:
    """Return a rounding mode that has breakpoints."""
    rounding = Rounding.parse(rounding)
    if rounding.value.startswith("Stochastic"):
        msg = (
            f"rounding must be deterministic to have breakpoints, got {rounding.value}; "
            "project() takes its random bits"
        )
        raise ValueError(msg)
    return rounding


def _order(x: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return integers in the order of the floats, with 0 for both zeros; and the signs."""
    width = 8 * x.dtype.itemsize
    native = np.ascontiguousarray(x, dtype=x.dtype.newbyteorder("="))
    bits = native.view(f"u{x.dtype.itemsize}").astype(np.uint64)
    negative = bits >> np.uint64(width - 1) == 1
    magnitude = (bits & np.uint64((1 << (width - 1)) - 1)).astype(np.int64)
    return np.where(negative, -magnitude, magnitude), negative


@lru_cache(maxsize=4096)
def _sorted_keys(
    fmt: Format, rounding: Rounding, saturation: Saturation, dtype: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8 | np.uint16]]:
    """Return the first float at or after each breakpoint, as an integer; and the codes."""
    points = _breakpoints(fmt, rounding, saturation)
    lowest = np.iinfo(np.int64).min
    starts = [_first(point, dtype) if point.value is not None else lowest for point in points]
    codes = np.array([point.code for point in points], _code_dtype(fmt))
    return np.array(starts, np.int64), codes


def _first(point: Breakpoint, dtype: str) -> int:
    """Return the place of the first float that is not before a breakpoint."""
    assert point.value is not None
    below, is_float = _key(abs(point.value), dtype)
    if point.value >= 0:
        return below if is_float and point.inclusive else below + 1
    return -below if point.inclusive or not is_float else -(below - 1)


def _key(magnitude: Fraction, dtype: str) -> tuple[int, bool]:
    """Return the place of the largest finite float up to a magnitude, and if it is equal."""
    precision, emin = BINARY[dtype]
    if magnitude == 0:
        return 0, True
    exponent = max(floor_log2(magnitude), emin)
    scaled = magnitude * power_of_two(precision - 1 - exponent)
    # Packing by addition: the hidden bit is worth one in the exponent field.
    place = scaled.__floor__() + (exponent - emin) * (1 << (precision - 1))
    # emax = 1 - emin; the place after the largest finite float is infinity's.
    last = (1 - emin - emin + 2) * (1 << (precision - 1)) - 1
    return (last, False) if place > last else (place, scaled.denominator == 1)
