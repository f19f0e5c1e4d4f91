"""
Sums of scaled integers, rounded to odd.

::

    hi   1xxxxxxxxxxxxxxxx000000000000     61 bits
    lo         1yyyyyyyyyyyyyyyyyyyyyy|yyy    shifted right; what is cut sets the last bit
    hi + lo

Bits are lost only where the exponents differ by more than the trailing zeros of an
addend of at most 46 bits, 15: then no leading bits cancel, and at least 59 are right.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fp8num.ops.numbers import FAR, Integers, shift_right

__all__ = ["Scaled", "add_scaled", "add_three"]

#: Bits of a normalised addend: the sum of two has one more, and a sign.
BITS = 61


class Scaled(NamedTuple):
    """The numbers ``significand * 2**exponent``, with their signs."""

    significand: Integers
    exponent: Integers


def add_scaled(x: Scaled, y: Scaled) -> Scaled:
    """
    Add numbers, rounding to odd.

    Parameters
    ----------
    x, y : Scaled
        Exact, of at most 46 bits; or one of them rounded to odd, if it is smaller than
        the other by a factor of at least 2**24.

    Returns
    -------
    Scaled
        The sums, of at most 62 bits.
    """
    high, low = _ordered(_normalise(x), _normalise(y))
    distance = np.minimum(high.exponent - low.exponent, 62)
    return Scaled(high.significand + shift_right(low.significand, distance), high.exponent)


def add_three(x: Scaled, y: Scaled, z: Scaled) -> Scaled:
    """
    Add three numbers of 16 bits, top bits set, or zeros, rounding to odd.

    Returns
    -------
    Scaled
        The sums, of at most 62 bits.
    """
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
