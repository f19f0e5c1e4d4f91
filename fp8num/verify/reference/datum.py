"""Numbers of the closed extended reals with signed zeros and NaNs, exactly, and IEEE 754's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import trunc
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BFLOAT16",
    "BINARY16",
    "BINARY32",
    "ZERO",
    "Binary",
    "Datum",
    "Kind",
    "Real",
    "add",
    "convert",
    "exact",
    "exact_product",
    "floor_log2",
    "fma",
    "multiply",
    "nearest",
    "power_of_two",
    "read",
    "special_sum",
    "toward_zero",
    "write",
]


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


# Binary formats of IEEE 754: reading, writing, rounding and the operations.


ZERO = Datum.finite(Fraction(0))


class Binary(NamedTuple):
    """A binary format of IEEE 754: its width, precision and largest exponent."""

    bits: int
    precision: int
    emax: int


BINARY32 = Binary(32, 24, 127)
BINARY16 = Binary(16, 11, 15)
BFLOAT16 = Binary(16, 8, 127)


def read(bits: int, binary: Binary) -> Datum:
    """Return what a bit pattern stands for (IEEE 754-2019, 3.4)."""
    fraction_bits = binary.precision - 1
    sign, rest = divmod(bits, 1 << (binary.bits - 1))
    exponent_field, fraction = divmod(rest, 1 << fraction_bits)
    if exponent_field == 2 * binary.emax + 1:
        return Datum.nan(negative=sign == 1) if fraction else Datum.infinite(negative=sign == 1)
    hidden = (1 << fraction_bits) if exponent_field else 0
    magnitude = (hidden + fraction) * power_of_two(
        max(exponent_field, 1) - binary.emax - fraction_bits
    )
    return Datum.finite(-magnitude if sign else magnitude, negative=sign == 1)


def write(datum: Datum, binary: Binary) -> int:
    """Return the bit pattern of a value of the format; a NaN is all ones but the sign."""
    sign = int(datum.negative) << (binary.bits - 1)
    infinity = (2 * binary.emax + 1) << (binary.precision - 1)
    if datum.kind is Kind.NAN:
        return (1 << (binary.bits - 1)) - 1
    if datum.kind is Kind.INFINITE:
        return sign + infinity
    if not datum.value:
        return sign
    magnitude = abs(datum.value)
    emin = 1 - binary.emax
    exponent = max(floor_log2(magnitude), emin)
    significand = magnitude * power_of_two(binary.precision - 1 - exponent)
    assert significand.denominator == 1, f"{datum} is not a value of {binary}"
    # The hidden bit of a normal number adds one to the exponent field.
    pattern = ((exponent - emin) << (binary.precision - 1)) + int(significand)
    assert pattern < infinity, f"{datum} is not a value of {binary}"
    return sign + pattern


def _quantum(x: Fraction, precision: int, emin: int) -> Fraction:
    """Return the distance of neighbours at a nonzero number."""
    return power_of_two(max(floor_log2(abs(x)), emin) - precision + 1)


def nearest(x: Fraction, binary: Binary, *, negative: bool = False) -> Datum:
    """Round to nearest, ties to even; `negative` is the sign of a zero that goes in."""
    if not x:
        return Datum.finite(x, negative=negative)
    quantum = _quantum(x, binary.precision, 1 - binary.emax)
    rounded = round(x / quantum) * quantum  # Python's round() takes ties to even
    if abs(rounded) >= power_of_two(binary.emax + 1):
        return Datum.infinite(negative=x < 0)
    return Datum.finite(rounded, negative=x < 0)


def toward_zero(x: Fraction, precision: int, binary: Binary) -> Datum:
    """Cut off to a precision within a format's exponents; a zero is +0."""
    if not x:
        return ZERO
    quantum = _quantum(x, precision, 1 - binary.emax)
    cut = trunc(x / quantum) * quantum
    # A scaled sum may be beyond the range, and then it is infinite.
    if abs(cut) >= power_of_two(binary.emax + 1):
        return Datum.infinite(negative=x < 0)
    return Datum.finite(cut, negative=bool(cut) and x < 0)


def special_sum(data: Iterable[Datum]) -> Datum | None:
    """Return the sum if it is a NaN or an infinity, else nothing."""
    special = {(datum.kind, datum.negative) for datum in data if not datum.is_finite}
    if not special:
        return None
    infinities = {negative for kind, negative in special if kind is Kind.INFINITE}
    if any(kind is Kind.NAN for kind, _ in special) or len(infinities) == 2:
        return Datum.nan()
    return Datum.infinite(negative=infinities.pop())


def exact_product(x: Datum, y: Datum) -> Datum:
    """Multiply exactly: infinity times zero is NaN."""
    if Kind.NAN in (x.kind, y.kind):
        return Datum.nan()
    negative = x.negative != y.negative
    if x.is_finite and y.is_finite:
        return Datum.finite(x.value * y.value, negative=negative)
    return Datum.nan() if x.is_zero or y.is_zero else Datum.infinite(negative=negative)


def add(x: Datum, y: Datum, binary: Binary) -> Datum:
    """Add and round to nearest; x + (-x) is +0, and -0 + -0 is -0."""
    special = special_sum((x, y))
    if special is not None:
        return special
    return nearest(x.value + y.value, binary, negative=x.negative and y.negative)


def multiply(x: Datum, y: Datum, binary: Binary) -> Datum:
    """Multiply and round to nearest."""
    exact = exact_product(x, y)
    return nearest(exact.value, binary, negative=exact.negative) if exact.is_finite else exact


def fma(x: Datum, y: Datum, z: Datum, binary: Binary) -> Datum:
    """Multiply exactly, add, and round to nearest once."""
    return add(exact_product(x, y), z, binary)


def convert(x: Datum, binary: Binary) -> Datum:
    """Round to nearest in another format."""
    return nearest(x.value, binary, negative=x.negative) if x.is_finite else x
