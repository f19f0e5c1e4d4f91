"""
Sums of products that neither overflow nor vanish, and that merge exactly.

Products are summed in float64, relative to powers of two where squares would leave its
range; the sum of a block is kept as a fraction.  Fractions add without rounding, so it
does not matter in which order blocks are merged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Scaled", "decibels", "dot", "root"]

#: Squares of magnitudes from 2**-300 to 2**300 are safe: sums of 2**60 of them stay below
#: 2**660, and what underflows is below 2**-400 of the largest.
_SAFE = 300


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """Numbers ``values * 2**exponent``."""

    values: npt.NDArray[np.float64]
    exponent: int = 0

    def normalize(self, largest: float) -> Scaled:
        """Bring numbers into the safe range, `largest` being the largest of the magnitudes."""
        exponent = math.frexp(largest)[1]
        if abs(exponent) <= _SAFE:
            return self
        exponent = max(-1000, min(exponent, 1000))  # whose powers of two are normal numbers
        return Scaled(self.values * 2.0**-exponent, self.exponent + exponent)


def dot(a: Scaled, b: Scaled) -> Fraction:
    """
    Return the sum of products.

    NumPy adds pairwise: to first order the error is at most about ``log2(n) + 8`` units
    of 2**-53 of the sum of the products' magnitudes.  A BLAS would depend on its threads.
    """
    total = float(np.add.reduce(a.values * b.values))
    return Fraction(total) * Fraction(2) ** (a.exponent + b.exponent)


def root(value: Fraction) -> float:
    """Return the square root of a number that is not negative, as float64."""
    mantissa, exponent = _split(value)
    try:
        return math.ldexp(math.sqrt(mantissa), exponent)
    except OverflowError:
        return math.inf


def decibels(value: Fraction) -> float:
    """Return ten times the decimal logarithm of a positive number."""
    mantissa, exponent = _split(value)
    return 10.0 * (math.log10(mantissa) + 2 * exponent * math.log10(2.0))


def _split(value: Fraction) -> tuple[float, int]:
    """Write a number as ``mantissa * 4**exponent`` with a mantissa around 1."""
    exponent = (value.numerator.bit_length() - value.denominator.bit_length()) // 2
    return float(value / Fraction(4) ** exponent), exponent
