"""Numbers of the closed extended reals with signed zeros and NaNs, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import TypeAlias

import numpy as np

__all__ = ["Datum", "Kind", "Real", "exact", "floor_log2", "power_of_two"]


class Kind(Enum):
    """What a datum is."""

    FINITE = "finite"
    INFINITE = "infinite"
    NAN = "nan"


@dataclass(frozen=True, slots=True)
class Datum:
    """
    A rational number, an infinity or a NaN, each with a sign.

    Data compare by kind, sign and value, so -0 and +0 differ and a NaN equals itself.

    Parameters
    ----------
    kind : Kind
        Whether it is a number, an infinity or a NaN.
    negative : bool, optional
        Its sign, which zeros and NaNs have too.
    value : Fraction, optional
        The number with its sign; 0 unless the kind is finite.
    """

    kind: Kind
    negative: bool = False
    value: Fraction = Fraction(0)

    @classmethod
    def finite(cls, value: Fraction, *, negative: bool = False) -> Datum:
        """Return a number; `negative` matters to a zero alone."""
        return cls(Kind.FINITE, value < 0 if value else negative, value)

    @classmethod
    def infinite(cls, *, negative: bool = False) -> Datum:
        """Return an infinity."""
        return cls(Kind.INFINITE, negative)

    @classmethod
    def nan(cls, *, negative: bool = False) -> Datum:
        """Return a NaN."""
        return cls(Kind.NAN, negative)

    @property
    def is_finite(self) -> bool:
        """Whether it is a number."""
        return self.kind is Kind.FINITE

    @property
    def is_zero(self) -> bool:
        """Whether it is a zero of either sign."""
        return self.is_finite and not self.value


#: What `exact` reads; NumPy's scalars and ml_dtypes' are `np.generic`.
Real: TypeAlias = Datum | Fraction | int | float | np.generic


def exact(x: Real) -> Datum:
    """
    Return a number of any type as it is, without rounding.

    Parameters
    ----------
    x : Fraction, int, float, Datum, or a real scalar of NumPy or ml_dtypes
        What to read.

    Returns
    -------
    Datum
        Its value, or its kind, with its sign.

    Raises
    ------
    TypeError
        If `x` is not a real number, or is a boolean.

    Examples
    --------
    >>> exact(0.1).value
    Fraction(3602879701896397, 36028797018963968)
    >>> exact(-0.0).negative, exact(float("-inf")).kind
    (True, <Kind.INFINITE: 'infinite'>)
    """
    if isinstance(x, Datum):
        return x
    if isinstance(x, Fraction):
        return Datum.finite(x)
    if isinstance(x, (int, np.integer)) and not isinstance(x, bool):
        return Datum.finite(Fraction(int(x)))
    if type(x).__module__.startswith("ml_dtypes"):
        x = float(x)  # exact: float64 holds them all
    if not isinstance(x, (float, np.floating)):
        msg = (
            f"x must be a real number, got {x!r} of type {type(x).__name__}; "
            "pass a Fraction, an int, a float, or a real NumPy scalar"
        )
        raise TypeError(msg)
    negative = bool(np.signbit(x))
    if np.isnan(x):
        return Datum.nan(negative=negative)
    if np.isinf(x):
        return Datum.infinite(negative=negative)
    return Datum.finite(Fraction(*x.as_integer_ratio()), negative=negative)


def power_of_two(exponent: int) -> Fraction:
    """Return ``2**exponent``."""
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def floor_log2(x: Fraction) -> int:
    """Return the integer e such that ``2**e <= x < 2**(e + 1)``, for a positive x."""
    # 2**(a-1) <= numerator < 2**a and 2**(b-1) <= denominator < 2**b leave two candidates.
    e = x.numerator.bit_length() - x.denominator.bit_length()
    shifted = x.denominator << e if e >= 0 else x.denominator
    against = x.numerator if e >= 0 else x.numerator << -e
    return e if against >= shifted else e - 1
