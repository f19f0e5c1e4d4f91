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

__all__ = [
    "Shifted",
    "Total",
    "decibels",
    "dot",
    "exact_sum",
    "is_safe",
    "quotient",
    "root",
    "run_sums",
]

#: Squares of magnitudes from 2**-300 to 2**300 are safe: sums of 2**60 of them stay below
#: 2**660, and what underflows is below 2**-400 of the largest.
_SAFE = 300
#: Products that are added up in one go.
_TOGETHER = 64
#: Numbers that wait for an exact sum.
_MANY = 1 << 15


@dataclass(frozen=True, slots=True, eq=False)
class Shifted:
    """Numbers ``values * 2**exponent``."""

    values: npt.NDArray[np.float64]
    exponent: int = 0

    def normalize(self, largest: float) -> Shifted:
        """Bring numbers into the safe range, `largest` being the largest of the magnitudes."""
        if is_safe(largest):
            return self
        exponent = max(-1000, min(math.frexp(largest)[1], 1000))  # powers of two are normal
        return Shifted(self.values * 2.0**-exponent, self.exponent + exponent)


def is_safe(largest: float) -> bool:
    """Whether products of numbers can be added up as they are, given the largest magnitude."""
    return abs(math.frexp(largest)[1]) <= _SAFE


def dot(a: Shifted, b: Shifted, run: int = 1 << 14) -> Fraction:
    """Return the sum of products, of runs in float64 and then exactly."""
    return exact_sum(run_sums(a.values, b.values, run)) * Fraction(2) ** (a.exponent + b.exponent)


def run_sums(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], run: int
) -> npt.NDArray[np.float64]:
    """
    Return the sums of products of runs, and of what is left of them.

    Sixty-four products are added at a time where they fill a run, in an order of their own,
    and the rest pairwise: to first order the error is at most about ``log2(run) + 8`` units of
    2**-53 of the sum of the products' magnitudes.  A BLAS would depend on its threads.
    """
    whole = len(a) // run * run
    if run % _TOGETHER or not whole:
        totals = np.add.reduce((a[:whole] * b[:whole]).reshape(-1, run), axis=1)
    else:
        pairs = (values[:whole].reshape(-1, _TOGETHER) for values in (a, b))
        totals = np.add.reduce(np.einsum("ij,ij->i", *pairs).reshape(whole // run, -1), axis=1)
    found: npt.NDArray[np.float64] = totals
    return found if whole == len(a) else np.append(found, np.add.reduce(a[whole:] * b[whole:]))


class Total:
    """An exact sum of float64 numbers times powers of two, which come in pieces."""

    def __init__(self) -> None:
        self._settled = Fraction(0)
        self._waiting: list[npt.NDArray[np.float64]] = []
        self._count = 0

    def add(self, values: npt.NDArray[np.float64], exponent: int = 0) -> None:
        """Add numbers; they wait until there are many, as exact sums take their time."""
        if exponent:
            self._settled += exact_sum(values) * Fraction(2) ** exponent
            return
        self._waiting.append(values)
        self._count += len(values)
        if self._count >= _MANY:
            self._settle()

    def plus(self, other: Total) -> Total:
        """Return the sum of both."""
        found = Total()
        found._settled = self._settled + other._settled
        found._waiting, found._count = self._waiting + other._waiting, self._count + other._count
        if found._count >= _MANY:
            found._settle()
        return found

    @property
    def value(self) -> Fraction:
        """The sum."""
        self._settle()
        return self._settled

    def _settle(self) -> None:
        if self._count:
            self._settled += exact_sum(np.concatenate(self._waiting))
        self._waiting, self._count = [], 0


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


def quotient(total: Fraction, count: int) -> float:
    """Return a sum over a count as float64: infinity if it is too large, NaN of nothing."""
    if not count:
        return math.nan
    try:
        return float(total / count)
    except OverflowError:
        return math.inf


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
