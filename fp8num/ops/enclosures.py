"""
Irrational results, rounded to odd: enclose, and enclose more tightly until that decides.

::

    q            q + 1           units of 2**-60 or so of the result
    |----[--*--]---|             both ends are in one unit: the result is q | 1
    |-----------[--|--*-]        they are not: evaluate with twice the digits

A result that is irrational is on no boundary, so the loop ends (Ziv's method).  The ends
come from Python's decimal, whose exp and ln are correctly rounded to any number of
digits (General Decimal Arithmetic Specification 1.70), one unit added on each side.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, Inexact
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

__all__ = ["Enclosure", "Precision", "decimal_of", "round_to_odd"]

#: Digits to begin with: 106 bits, where 61 are needed.
DIGITS = 32
LARGEST = 999_999


def _context(digits: int, rounding: str = ROUND_HALF_EVEN, *traps: type[Inexact]) -> Context:
    """Return a context of which nothing is left to the process's default."""
    return Context(digits, rounding, -LARGEST, LARGEST, 1, 0, [], list(traps))


#: Raises an error rather than round.
EXACT = _context(LARGEST, ROUND_HALF_EVEN, Inexact)


class Enclosure(NamedTuple):
    """Where a number lies."""

    low: Decimal
    high: Decimal

    def negated(self) -> Enclosure:
        """Return it with the other sign, exactly: a minus would round to the thread's context."""
        return Enclosure(self.high.copy_negate(), self.low.copy_negate())


class Precision:
    """
    Arithmetic on intervals with a number of digits.

    Parameters
    ----------
    digits : int
        Significant digits of the ends.
    """

    def __init__(self, digits: int) -> None:
        self._near = _context(digits)
        self._down = _context(digits, ROUND_FLOOR)
        self._up = _context(digits, ROUND_CEILING)

    def exp(self, x: Enclosure) -> Enclosure:
        """Enclose the exponential function."""
        low, high = self._near.exp(x.low), self._near.exp(x.high)
        return Enclosure(self._near.next_minus(low), self._near.next_plus(high))

    def ln(self, x: Enclosure) -> Enclosure:
        """Enclose the natural logarithm."""
        low, high = self._near.ln(x.low), self._near.ln(x.high)
        return Enclosure(self._near.next_minus(low), self._near.next_plus(high))

    def add(self, x: Enclosure, y: Enclosure) -> Enclosure:
        """Enclose sums."""
        return Enclosure(self._down.add(x.low, y.low), self._up.add(x.high, y.high))

    def subtract(self, x: Enclosure, y: Enclosure) -> Enclosure:
        """Enclose differences."""
        return Enclosure(self._down.subtract(x.low, y.high), self._up.subtract(x.high, y.low))

    def multiply(self, x: Enclosure, y: Enclosure) -> Enclosure:
        """Enclose products of numbers that are not negative."""
        return Enclosure(self._down.multiply(x.low, y.low), self._up.multiply(x.high, y.high))

    def divide(self, x: Enclosure, y: Enclosure) -> Enclosure:
        """Enclose quotients of positive numbers."""
        return Enclosure(self._down.divide(x.low, y.high), self._up.divide(x.high, y.low))


@lru_cache(maxsize=8)
def _precision(digits: int) -> Precision:
    return Precision(digits)


def decimal_of(x: Fraction) -> Enclosure:
    """Return a dyadic number as it is."""
    exponent = x.denominator.bit_length() - 1
    digits = Decimal(x.numerator * 5**exponent)  # over 10**exponent
    value = EXACT.multiply(digits, Decimal((0, (1,), -exponent)))
    return Enclosure(value, value)


def round_to_odd(evaluate: Callable[[Precision], Enclosure]) -> tuple[int, int]:
    """Return a positive irrational number as an odd integer of 61 or 62 bits and an exponent."""
    digits = DIGITS
    while True:
        found = _common(evaluate(_precision(digits)))
        if found is not None:
            return found
        digits *= 2


def _common(interval: Enclosure) -> tuple[int, int] | None:
    """Round both ends to odd; None if they differ."""
    if interval.low <= 0:
        return None
    numerator, denominator = interval.low.as_integer_ratio()
    places = 61 - numerator.bit_length() + denominator.bit_length()
    low, high = (_floor(end, places) for end in interval)
    return (low | 1, -places) if low == high else None


def _floor(x: Decimal, places: int) -> int:
    """Return the integer part of ``x * 2**places``."""
    numerator, denominator = x.as_integer_ratio()
    if places >= 0:
        return (numerator << places) // denominator
    return numerator // (denominator << -places)
