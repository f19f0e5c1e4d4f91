"""
Sums of products that neither overflow nor vanish, and that merge exactly.

Products are summed in float64, relative to powers of two where squares would leave its
range; sums of rows are kept as fractions.  Fractions add without rounding, so it does not
matter in which pieces rows come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Scaled", "decibels", "dot", "exact_sum", "root"]

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


def dot(a: Scaled, b: Scaled, run: int = 1 << 14) -> Fraction:
    """
    Return the sum of products, of runs in float64 and then exactly.

    NumPy adds a run pairwise: to first order the error is at most about ``log2(run) + 8``
    units of 2**-53 of the sum of the products' magnitudes.  A BLAS would depend on its
    threads.
    """
    products = a.values * b.values
    whole = len(products) // run * run
    totals = np.add.reduce(products[:whole].reshape(-1, run), axis=1)
    rest = np.add.reduce(products[whole:])
    return exact_sum(np.append(totals, rest)) * Fraction(2) ** (a.exponent + b.exponent)


def exact_sum(values: npt.NDArray[np.float64]) -> Fraction:
    """Return the sum of finite numbers, exactly: it does not depend on their order."""
    mantissas, exponents = np.frexp(values)
    wholes = np.ldexp(mantissas, 53).astype(np.int64)
    total = Fraction(0)
    for exponent in np.unique(exponents[wholes != 0]):
        same = wholes[exponents == exponent]
        # Of 2**10 numbers the sum could leave int64: high and low halves apart.
        high, low = int((same >> 27).sum()), int((same & ((1 << 27) - 1)).sum())
        total += Fraction((high << 27) + low) * Fraction(2) ** (int(exponent) - 53)
    return total


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
