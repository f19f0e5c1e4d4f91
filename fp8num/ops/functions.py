"""
Functions of one number, each result exact or rounded to odd with 60 bits and more.

::

    sqrt rsqrt reciprocal     integer square roots and quotients, and what remains
    exp exp2 tanh sigmoid     irrational but at 0 (exp2: at integers): enclosures
    log log2                  irrational but at 1 (log2: at powers of two): enclosures

That they are irrational elsewhere is the theorem of Lindemann and Weierstrass; for exp2
and log2, that a root of 2, or a power of 2 that is no power of two, is not rational.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import isqrt
from typing import TYPE_CHECKING

from fp8num.ops.convention import Convention
from fp8num.ops.enclosures import Enclosure, Precision, decimal_of, round_to_odd
from fp8num.ops.numbers import FAR, INFINITE, NAN, Number

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["exp", "exp2", "log", "log2", "reciprocal", "rsqrt", "sigmoid", "sqrt", "tanh"]

#: Invalid operations give this one; NaNs that are handed on get their sign back later.
INVALID = Number(0, FAR, NAN)
ZERO = Number(0, FAR)
INFINITY = Number(0, FAR, INFINITE)
MINUS_INFINITY = Number(0, FAR, INFINITE, negative=True)
ONE = Number(1 << 60, -60)
ABOVE_ONE = Number(1 << 60 | 1, -60)  # by less than 2**-60
BELOW_ONE = Number((1 << 61) - 1, -61)  # by less than 2**-61
#: Beyond every format that fits float64, and so far that nothing else matters.
HUGE, TINY = Number(1, 1300), Number(1, -1300)


def sqrt(x: Number, convention: Convention) -> Number:
    """Square root."""
    del convention
    if x.kind == NAN or _is_zero(x):  # IEEE 754-2019, 5.4.1: squareRoot(-0) is -0
        return x
    if x.negative or x.kind == INFINITE:
        return INVALID if x.negative else INFINITY
    odd = x.exponent % 2
    square = x.magnitude << (106 + odd)
    root = isqrt(square)
    return Number(root | (root * root != square), (x.exponent - odd - 106) // 2)


def rsqrt(x: Number, convention: Convention) -> Number:
    """Reciprocal square root."""
    if x.kind == NAN:
        return x
    if _is_zero(x):  # IEEE 754-2019, 9.2: rSqrt(+-0) is +-infinity
        return _divided_by_zero(x, convention)
    if x.negative or x.kind == INFINITE:
        return INVALID if x.negative else ZERO
    places = 136 + x.exponent % 2  # so that places - exponent is even
    root = isqrt((1 << places) // x.magnitude)
    exact = root * root * x.magnitude == 1 << places
    return Number(root | (not exact), -(places + x.exponent) // 2)


def reciprocal(x: Number, convention: Convention) -> Number:
    """Reciprocal."""
    if x.kind == NAN:
        return x
    if _is_zero(x):
        return _divided_by_zero(x, convention)
    if x.kind == INFINITE:
        return ZERO._replace(negative=x.negative)
    quotient, rest = divmod(1 << 76, x.magnitude)
    return Number(quotient | (rest != 0), -76 - x.exponent, negative=x.negative)


def exp(x: Number, convention: Convention) -> Number:
    """Return e to the power x."""
    del convention
    special = _special_of_exponential(x)
    if special is not None:
        return special
    value = decimal_of(_value(x))
    return Number(*round_to_odd(lambda precision: precision.exp(value)))


def exp2(x: Number, convention: Convention) -> Number:
    """Return 2 to the power x."""
    del convention
    special = _special_of_exponential(x)
    if special is not None:
        return special
    whole, fraction = divmod(_value(x), 1)
    if not fraction:
        return ONE._replace(exponent=int(whole) - 60)

    def power(precision: Precision) -> Enclosure:
        return precision.exp(precision.multiply(decimal_of(fraction), _ln2(precision)))

    magnitude, exponent = round_to_odd(power)
    return Number(magnitude, exponent + int(whole))


def log(x: Number, convention: Convention) -> Number:
    """Natural logarithm."""
    del convention
    special = _special_of_logarithm(x)
    if special is not None:
        return special
    return _log_of(x, lambda precision: precision.ln(decimal_of(_value(x))))


def log2(x: Number, convention: Convention) -> Number:
    """Logarithm to base 2."""
    del convention
    special = _special_of_logarithm(x)
    if special is not None:
        return special
    if x.magnitude & (x.magnitude - 1) == 0:
        power = x.exponent + x.magnitude.bit_length() - 1
        return Number(abs(power), 0, negative=power < 0)

    def ratio(precision: Precision) -> Enclosure:
        size = precision.ln(decimal_of(_value(x)))
        if size.low > 0:
            return precision.divide(size, _ln2(precision))
        return precision.divide(size.negated(), _ln2(precision)).negated()

    return _log_of(x, ratio)


def tanh(x: Number, convention: Convention) -> Number:
    """Hyperbolic tangent."""
    del convention
    if x.kind == NAN or _is_zero(x):
        return x
    if x.kind == INFINITE:
        return ONE._replace(negative=x.negative)
    if _top(x) <= -32:  # x (1 - x^2 / 3) < tanh x < x: less than 2**-64 x below x
        length = x.magnitude.bit_length()
        below = (x.magnitude << (61 - length)) - 1
        return Number(below, x.exponent - 61 + length, negative=x.negative)
    if _top(x) >= 7:  # 1 - 2 e^-128 < tanh x
        return BELOW_ONE._replace(negative=x.negative)
    doubled = decimal_of(-2 * abs(_value(x)))
    one = decimal_of(Fraction(1))

    def quotient(precision: Precision) -> Enclosure:
        power = precision.exp(doubled)
        return precision.divide(precision.subtract(one, power), precision.add(one, power))

    return Number(*round_to_odd(quotient), negative=x.negative)


def sigmoid(x: Number, convention: Convention) -> Number:
    """Logistic function, 1 / (1 + e^-x): in neither standard; infinities give its limits."""
    del convention
    if x.kind == NAN:
        return x
    if x.kind == INFINITE:
        return ZERO if x.negative else ONE
    if _is_zero(x) or _top(x) <= -62:  # 1/2 + x / 4 to first order
        near = BELOW_ONE if x.negative else ABOVE_ONE
        return _halved(ONE if _is_zero(x) else near)
    if _top(x) >= (12 if x.negative else 8):  # 1 - e^-128 < sigmoid x
        return TINY if x.negative else BELOW_ONE
    negated, one = decimal_of(-_value(x)), decimal_of(Fraction(1))

    def quotient(precision: Precision) -> Enclosure:
        return precision.divide(one, precision.add(one, precision.exp(negated)))

    return Number(*round_to_odd(quotient))


def _is_zero(x: Number) -> bool:
    """Whether it is a zero of either sign."""
    return x.kind not in {INFINITE, NAN} and x.magnitude == 0


def _value(x: Number) -> Fraction:
    """Return a number exactly."""
    value = x.magnitude * Fraction(2) ** x.exponent
    return -value if x.negative else value


def _top(x: Number) -> int:
    """Return the exponent that a nonzero number is below: 2**(top - 1) <= abs(x) < 2**top."""
    return x.exponent + x.magnitude.bit_length()


def _halved(x: Number) -> Number:
    return x._replace(exponent=x.exponent - 1)


def _divided_by_zero(x: Number, convention: Convention) -> Number:
    """Return what 1 over a zero is."""
    if convention is Convention.P3109:  # Recip(0) and RSqrt(0) are NaN
        return INVALID
    return MINUS_INFINITY if x.negative else INFINITY


@lru_cache(maxsize=8)
def _ln2(precision: Precision) -> Enclosure:
    return precision.ln(decimal_of(Fraction(2)))


def _special_of_exponential(x: Number) -> Number | None:
    """Return exp and exp2 where no evaluation is needed, else None."""
    if x.kind == NAN:
        return x
    if x.kind == INFINITE:
        return ZERO if x.negative else INFINITY
    if _is_zero(x):
        return ONE
    if _top(x) <= -62:  # less than 2**-61 from 1
        return BELOW_ONE if x.negative else ABOVE_ONE
    if _top(x) >= 12:  # 2**2048 and more
        return TINY if x.negative else HUGE
    return None


def _special_of_logarithm(x: Number) -> Number | None:
    """Return log and log2 where they have special values, else None."""
    if x.kind == NAN:
        return x
    if _is_zero(x):  # IEEE 754-2019, 9.2, and P3109: log(0) is -infinity
        return MINUS_INFINITY
    if x.negative:
        return INVALID
    if x.kind == INFINITE:
        return INFINITY
    return ZERO if _value(x) == 1 else None


def _log_of(x: Number, evaluate: Callable[[Precision], Enclosure]) -> Number:
    """Round a logarithm to odd, which is negative below 1."""
    if _value(x) > 1:
        return Number(*round_to_odd(evaluate))

    def negated(precision: Precision) -> Enclosure:
        return evaluate(precision).negated()

    return Number(*round_to_odd(negated), negative=True)
