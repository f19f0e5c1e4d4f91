"""
The definition of operations, in exact rationals: slow and obviously right.

::

    codes -> decode -> operation on closed extended reals -> project -> code

What IEEE 754-2019 and IEEE P3109 say of special cases stands, restated, above the lines
that obey it.  A square root that is irrational is replaced by a rational so near that no
format has a boundary between them.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from typing import TYPE_CHECKING

from fp8num.projection import Rounding
from fp8num.verify.reference.codes import P3109, decode
from fp8num.verify.reference.datum import Datum, Kind, power_of_two
from fp8num.verify.reference.projecting import project

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fp8num.formats import Format
    from fp8num.projection import Saturation

__all__ = ["OPERATIONS", "compute", "convention_of", "operate"]

NAN = Datum.nan()
#: Places of square roots: float64 has none below 2**-1074.
PLACES = 1200


def convention_of(*formats: Format) -> str:
    """Return "p3109" where one of the formats is P3109's or the posit, else "ieee"."""
    p3109 = any(fmt.specials in P3109 or fmt.name == "POSIT8" for fmt in formats)
    return "p3109" if p3109 else "ieee"


def compute(
    name: str,
    codes: Sequence[int],
    formats: Sequence[Format],
    to_format: Format,
    modes: tuple[Rounding | str, Saturation | str],
    *,
    convention: str | None = None,
) -> int:
    """Return the code that an operation gives."""
    found = convention or convention_of(*formats, to_format)
    operands = [decode(code, fmt) for code, fmt in zip(codes, formats, strict=True)]
    exact = operate(name, operands, convention=found, rounding=modes[0])
    return project(exact, to_format, *modes)


def operate(
    name: str,
    operands: Sequence[Datum],
    *,
    convention: str = "ieee",
    rounding: Rounding | str = Rounding.NEAREST_TIES_TO_EVEN,
) -> Datum:
    """Return the exact result of an operation, before it is projected."""
    p3109 = convention == "p3109"
    if p3109:  # "-0 decodes to 0"
        operands = [Datum.finite(Fraction(0)) if x.is_zero else x for x in operands]
    down = Rounding.parse(rounding) is Rounding.TOWARD_NEGATIVE
    result = OPERATIONS[name](operands, p3109, down)
    if result.kind is Kind.NAN:
        # The sign of a NaN is that of the first operand that is one; else it is not set.
        nans = [x for x in operands if x.kind is Kind.NAN]
        return nans[0] if nans else NAN
    if p3109 and result.is_zero:
        return Datum.finite(Fraction(0))
    return result


def _has_nan(operands: Sequence[Datum]) -> bool:
    return any(x.kind is Kind.NAN for x in operands)


def _negated(x: Datum) -> Datum:
    return Datum(x.kind, not x.negative, -x.value)


def _sum(operands: Sequence[Datum], p3109: bool, down: bool) -> Datum:  # noqa: FBT001
    """Add, FAA, and what FMA does after multiplying."""
    del p3109
    infinities = [x for x in operands if x.kind is Kind.INFINITE]
    # 754, 7.2 d: magnitude subtraction of infinities is invalid.  P3109: Add(inf, -inf) = NaN
    if _has_nan(operands) or len({x.negative for x in infinities}) == 2:
        return NAN
    if infinities:
        return infinities[0]
    total = sum((x.value for x in operands), Fraction(0))
    # 754, 6.3: x + x retains the sign of x where x is zero; where a sum of operands of
    # opposite signs is exactly zero, it is +0 in all modes but roundTowardNegative
    signs = {x.negative for x in operands}
    return Datum.finite(total, negative=signs == {True} or (len(signs) == 2 and down))


def _difference(operands: Sequence[Datum], p3109: bool, down: bool) -> Datum:  # noqa: FBT001
    return _sum([operands[0], _negated(operands[1])], p3109, down)


def _product(operands: Sequence[Datum], p3109: bool, down: bool) -> Datum:  # noqa: FBT001
    del p3109, down
    x, y = operands
    # 754, 6.3: the sign of a product is the exclusive or of the operands' signs
    negative = x.negative != y.negative
    infinite = Kind.INFINITE in (x.kind, y.kind)
    # 754, 7.2 b: multiplication(0, inf) is invalid.  P3109: Multiply(0, inf) = NaN
    if _has_nan(operands) or (infinite and (x.is_zero or y.is_zero)):
        return NAN
    if infinite:
        return Datum.infinite(negative=negative)
    return Datum.finite(x.value * y.value, negative=negative)


def _quotient(operands: Sequence[Datum], p3109: bool, down: bool) -> Datum:  # noqa: FBT001
    del down
    x, y = operands
    negative = x.negative != y.negative
    # 754, 7.2 e: division(0, 0) and division(inf, inf) are invalid.  P3109: so is (_, 0)
    invalid = (x.is_zero and y.is_zero) or (x.kind is y.kind is Kind.INFINITE)
    if _has_nan(operands) or invalid or (p3109 and y.is_zero):
        return NAN
    # 754, 7.3: x / 0 is an exact infinity
    if x.kind is Kind.INFINITE or y.is_zero:
        return Datum.infinite(negative=negative)
    if y.kind is Kind.INFINITE:
        return Datum.finite(Fraction(0), negative=negative)
    return Datum.finite(x.value / y.value, negative=negative)


def _fma(operands: Sequence[Datum], p3109: bool, down: bool) -> Datum:  # noqa: FBT001
    x, y, z = operands
    return _sum([_product([x, y], p3109, down), z], p3109, down)


def _sqrt(operands: Sequence[Datum], p3109: bool, down: bool) -> Datum:  # noqa: FBT001
    del p3109, down
    (x,) = operands
    # 754, 5.4.1: squareRoot(-0) is -0; 7.2 g: of an operand less than zero it is invalid
    if x.kind is Kind.NAN or x.is_zero:
        return x
    if x.negative or x.kind is Kind.INFINITE:
        return NAN if x.negative else x
    return Datum.finite(_root(x.value))


def _root(x: Fraction) -> Fraction:
    """Return a root, or the middle of the two multiples of ``2**-PLACES`` beside it."""
    scale = power_of_two(PLACES)
    scaled = x * scale * scale
    root = isqrt(scaled.__floor__())
    return root / scale if root * root == scaled else (root + Fraction(1, 2)) / scale


def _reciprocal(operands: Sequence[Datum], p3109: bool, down: bool) -> Datum:  # noqa: FBT001
    # P3109: Recip(0) is NaN, as is the quotient
    return _quotient([Datum.finite(Fraction(1)), *operands], p3109, down)


def _rsqrt(operands: Sequence[Datum], p3109: bool, down: bool) -> Datum:  # noqa: FBT001
    # 754, 9.2: rSqrt(+-0) is +-inf, rSqrt of what is less than zero is invalid.  As for the
    # reciprocal, P3109 has NaN for RSqrt(0).
    (x,) = operands
    if not x.is_finite or x.is_zero or x.negative:
        return _reciprocal([_sqrt(operands, p3109, down)], p3109, down)
    return Datum.finite(_root(1 / x.value))


def _order(x: Datum) -> tuple[int, Fraction, bool]:
    """Return what puts numbers in order, infinities and both zeros too."""
    infinite = {False: 1, True: -1}[x.negative] if x.kind is Kind.INFINITE else 0
    return infinite, x.value, not x.negative


def _size(x: Datum) -> tuple[bool, Fraction]:
    return x.kind is Kind.INFINITE, abs(x.value)


def _extremum(*, larger: bool, number: bool, magnitude: bool, finite: bool) -> Operation:
    """Return one of the minima and maxima."""

    def choose(operands: Sequence[Datum], p3109: bool, down: bool) -> Datum:  # noqa: FBT001
        del p3109, down
        x, y = operands
        if _has_nan(operands):
            # ...Number: the other operand if one is a NaN; else NaN if either is
            rest = [datum for datum in operands if datum.kind is not Kind.NAN]
            return rest[0] if number and rest else NAN
        # P3109, MinimumFinite(+-inf, Y) = Y
        if finite and x.is_finite != y.is_finite:
            return x if x.is_finite else y
        # 754, 9.6: minimumMagnitude is x if |x| < |y|, y if |y| < |x|, else minimum
        if magnitude and _size(x) != _size(y):
            return (max if larger else min)(operands, key=_size)
        return (max if larger else min)(operands, key=_order)

    return choose


if TYPE_CHECKING:
    #: Operands, whether P3109's special cases hold, whether rounding is downward.
    Operation = Callable[[Sequence[Datum], bool, bool], Datum]

#: By the names that `fp8num.ops` has for them.
OPERATIONS: dict[str, Operation] = {
    "add": _sum,
    "subtract": _difference,
    "multiply": _product,
    "divide": _quotient,
    "fma": _fma,
    "faa": _sum,
    "sqrt": _sqrt,
    "rsqrt": _rsqrt,
    "reciprocal": _reciprocal,
    **{
        f"{name}{suffix}": _extremum(
            larger=name == "maximum",
            number=suffix in {"_number", "_magnitude_number", "_finite"},
            magnitude="magnitude" in suffix,
            finite=suffix == "_finite",
        )
        for name in ("minimum", "maximum")
        for suffix in ("", "_number", "_magnitude", "_magnitude_number", "_finite")
    },
}
