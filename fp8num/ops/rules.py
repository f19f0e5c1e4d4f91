"""
The exact results of sums, products, quotients and choices, or these rounded to odd.

A sum of scaled integers is

::

    hi   1xxxxxxxxxxxxxxxx000000000000     61 bits
    lo         1yyyyyyyyyyyyyyyyyyyyyy|yyy    shifted right; what is cut sets the last bit
    hi + lo

Bits are lost only where the exponents differ by more than the trailing zeros of an
addend of at most 46 bits, 15: then no leading bits cancel, and at least 59 are right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fp8num.ops.convention import Convention
from fp8num.ops.numbers import (
    FAR,
    INFINITE,
    NAN,
    NUMBER,
    Integers,
    Numbers,
    order_of,
    shift_right,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from fp8num.ops.execution import Circumstances

__all__ = [
    "Scaled",
    "add_scaled",
    "add_three",
    "choose",
    "difference",
    "fused",
    "product",
    "quotient",
    "total",
]

#: Bits of a normalised addend: the sum of two has one more, and a sign.
BITS = 61


class Scaled(NamedTuple):
    """The numbers ``significand * 2**exponent``, with their signs."""

    significand: Integers
    exponent: Integers


def add_scaled(x: Scaled, y: Scaled) -> Scaled:
    """Add numbers to at most 62 bits, rounding to odd."""
    # Both are exact, of at most 46 bits; or one of them is rounded to odd, and smaller than
    # the other by a factor of at least 2**24.
    high, low = _ordered(_normalise(x), _normalise(y))
    distance = np.minimum(high.exponent - low.exponent, 62)
    return Scaled(high.significand + shift_right(low.significand, distance), high.exponent)


def add_three(x: Scaled, y: Scaled, z: Scaled) -> Scaled:
    """Add three numbers of 16 bits, top bits set, or zeros, to 62 bits, rounding to odd."""
    x, y = _ordered(x, y)
    x, z = _ordered(x, z)
    y, z = _ordered(y, z)
    # With 28 places between them at most, x + y is exact and has 45 bits.  With more, what
    # y + z is hardly matters to x: only whether it is there, and on which side.
    near = x.exponent - y.exponent <= 28
    first = add_scaled(add_scaled(x, y), z)
    second = add_scaled(x, add_scaled(y, z))
    return Scaled(
        np.where(near, first.significand, second.significand),
        np.where(near, first.exponent, second.exponent),
    )


def _normalise(x: Scaled) -> Scaled:
    """Shift to 61 bits; zero gets the lowest exponent of all."""
    # Conversion to float64 may round the length up, by one.
    length = np.frexp(np.abs(x.significand).astype(np.float64))[1].astype(np.int64)
    up, down = np.maximum(BITS - length, 0), np.maximum(length - BITS, 0)
    significand = shift_right(x.significand << up, down)
    return Scaled(significand, np.where(significand == 0, FAR, x.exponent - up + down))


def _ordered(x: Scaled, y: Scaled) -> tuple[Scaled, Scaled]:
    """Return first what has the larger exponent."""
    swap = y.exponent > x.exponent
    return (
        Scaled(np.where(swap, y.significand, x.significand), np.maximum(x.exponent, y.exponent)),
        Scaled(np.where(swap, x.significand, y.significand), np.minimum(x.exponent, y.exponent)),
    )


def _kind(nan: npt.NDArray[np.bool_], infinite: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Return the kinds: NaN before infinity before number."""
    kind = np.where(infinite, np.uint8(INFINITE), np.uint8(NUMBER))
    return np.where(nan, np.uint8(NAN), kind)


def total(at: Circumstances, *terms: Numbers) -> Numbers:
    """Add two or three terms."""
    up = np.logical_or.reduce([x.is_infinite & ~x.negative for x in terms])
    down = np.logical_or.reduce([x.is_infinite & x.negative for x in terms])
    nan = np.logical_or.reduce([x.is_nan for x in terms]) | (up & down)
    scaled = [Scaled(x.signed, x.exponent) for x in terms]
    signed, exponent = (add_scaled if len(terms) == 2 else add_three)(*scaled)
    # IEEE 754-2019, 6.3: a sum of zeros has their sign if that is the same; else, and
    # where terms cancel, it is +0, and -0 in roundTowardNegative.
    first = terms[0].negative
    alike = np.logical_and.reduce([x.negative == first for x in terms])
    zero_sign = np.where(alike, first, at.downward)
    negative = np.where(up | down, down, np.where(signed == 0, zero_sign, signed < 0))
    return Numbers(np.abs(signed), exponent, _kind(nan, up | down), negative)


def difference(at: Circumstances, x: Numbers, y: Numbers) -> Numbers:
    """Subtract."""
    return total(at, x, y.with_sign(~y.negative))


def product(at: Circumstances, x: Numbers, y: Numbers) -> Numbers:
    """Multiply; the result is exact, of 32 bits."""
    del at
    infinite = x.is_infinite | y.is_infinite
    nan = x.is_nan | y.is_nan | (infinite & (x.is_zero | y.is_zero))
    return Numbers(
        x.magnitude * y.magnitude,
        x.exponent + y.exponent,
        _kind(nan, infinite),
        x.negative ^ y.negative,
    )


def quotient(at: Circumstances, x: Numbers, y: Numbers) -> Numbers:
    """Divide, in two steps of long division: 56 bits, and whether something remains."""
    divisor = np.maximum(y.magnitude, 1)
    high, rest = np.divmod(x.magnitude << 44, divisor)
    low, rest = np.divmod(rest << 12, divisor)
    magnitude = high << 12 | low | (rest != 0)
    nan = x.is_nan | y.is_nan | (x.is_infinite & y.is_infinite)
    # IEEE 754-2019, 7.2 and 7.3: 0 / 0 is invalid, x / 0 an infinity; P3109: both are NaN.
    nan |= y.is_zero & (x.is_zero | (at.convention is Convention.P3109))
    return Numbers(
        np.where(y.is_infinite, 0, magnitude),
        x.exponent - y.exponent - 56,
        _kind(nan, x.is_infinite | y.is_zero),
        x.negative ^ y.negative,
    )


def fused(at: Circumstances, x: Numbers, y: Numbers, z: Numbers) -> Numbers:
    """Multiply two and add the third."""
    return total(at, product(at, x, y), z)


def choose(
    at: Circumstances,
    x: Numbers,
    y: Numbers,
    *,
    larger: bool,
    number: bool = False,
    magnitude: bool = False,
    finite: bool = False,
) -> Numbers:
    """Return the one of each pair that an operation selects."""
    del at
    first, second = order_of(x), order_of(y)
    takes_y = first < second if larger else second < first
    if magnitude:  # IEEE 754-2019, 9.6: of equal magnitudes, as without
        sizes = [np.abs(first), np.abs(second)]  # those of both zeros are 1
        differ = sizes[0] != sizes[1]
        takes_y = np.where(differ, (sizes[0] < sizes[1]) == larger, takes_y)
    if finite:  # P3109: an infinity only beside another, or beside a NaN
        takes_y = np.where(x.is_infinite == y.is_infinite, takes_y, x.is_infinite)
    # A NaN is what comes of a NaN; of a number and a NaN the number, if so asked.
    takes_y = np.where(x.is_nan, number, takes_y)
    takes_y = np.where(y.is_nan & ~x.is_nan, not number, takes_y)
    return Numbers(
        np.where(takes_y, y.magnitude, x.magnitude),
        np.where(takes_y, y.exponent, x.exponent),
        np.where(takes_y, y.kind, x.kind),
        np.where(takes_y, y.negative, x.negative),
    )
