"""
Operations whose exact results are projected: a row of each family says what one is.

::

    a, b         add subtract multiply divide    minimum maximum, and as they are varied:

                               NaN, x      |x| < |y|      inf, x
    minimum                    NaN         min(x, y)      min(x, y)
    minimum_number             x           min(x, y)      min(x, y)
    minimum_magnitude          NaN         x              x
    minimum_magnitude_number   x           x              x
    minimum_finite             x           min(x, y)      x, for infinities of both signs

    a, b, c      fma: a * b + c       faa: a + b + c
    a            sqrt rsqrt reciprocal    exp exp2 log log2    tanh sigmoid

-0 is less than +0.  As every operation these project their result: under the default
SatFinite an infinity becomes the largest finite value.  A format's table of a function of
one operand is made when first used: milliseconds up to 8 bits, a second or two for 16.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from fp8num.ops import functions
from fp8num.ops.execution import Circumstances, Operation, Options, apply, documented
from fp8num.ops.rules import choose, difference, fused, product, quotient, total

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    import numpy.typing as npt

    from fp8num.formats import Format
    from fp8num.ops.convention import Convention
    from fp8num.ops.numbers import Number, Numbers
    from fp8num.projection import Rounding, Saturation

__all__ = [
    "add",
    "divide",
    "exp",
    "exp2",
    "faa",
    "fma",
    "log",
    "log2",
    "maximum",
    "maximum_finite",
    "maximum_magnitude",
    "maximum_magnitude_number",
    "maximum_number",
    "minimum",
    "minimum_finite",
    "minimum_magnitude",
    "minimum_magnitude_number",
    "minimum_number",
    "multiply",
    "reciprocal",
    "rsqrt",
    "sigmoid",
    "sqrt",
    "subtract",
    "tanh",
]

# What the sections of docstrings say where a row does not say otherwise.

_PARAMETERS = """
    a, b, fmt, b_format, out_format, rounding, saturation, **options
        As for `add`.
    """
_PARAMETERS_OF_ONE = """
    a, fmt, out_format, rounding, saturation, **options
        As for `sqrt`.
    """
_PARAMETERS_OF_THREE = """
    a, b, c, fmt, b_format, c_format, out_format, rounding, saturation, **options
        As for `fma`.
    """
_RETURNS = """
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.
    """
_RETURNS_OF_ONE = """
    ndarray of uint8 (uint16 above 8 bits), shape (...)
        Codes of the results.
    """
_RAISES = """
    TypeError, ValueError
        As for `add`.
    """


class _OfTwo(Protocol):
    """How an operation on two operands is called."""

    def __call__(
        self,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        fmt: Format | str,
        *,
        b_format: Format | str | None = None,
        out_format: Format | str | None = None,
        rounding: Rounding | str = "NearestTiesToEven",
        saturation: Saturation | str = "SatFinite",
        **options: Unpack[Options],
    ) -> npt.NDArray[Any]: ...


class _OfThree(Protocol):
    """How an operation on three operands is called."""

    def __call__(
        self,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        c: npt.ArrayLike,
        fmt: Format | str,
        *,
        b_format: Format | str | None = None,
        c_format: Format | str | None = None,
        out_format: Format | str | None = None,
        rounding: Rounding | str = "NearestTiesToEven",
        saturation: Saturation | str = "SatFinite",
        **options: Unpack[Options],
    ) -> npt.NDArray[Any]: ...


class _OfOne(Protocol):
    """How a function of one operand is called."""

    def __call__(
        self,
        a: npt.ArrayLike,
        fmt: Format | str,
        *,
        out_format: Format | str | None = None,
        rounding: Rounding | str = "NearestTiesToEven",
        saturation: Saturation | str = "SatFinite",
        **options: Unpack[Options],
    ) -> npt.NDArray[Any]: ...


def _binary(name: str, exact: Callable[..., Numbers], summary: str, **sections: str) -> _OfTwo:
    """Return the operation on two operands of a row."""
    found = Operation(name, exact)

    def operation(
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        fmt: Format | str,
        *,
        b_format: Format | str | None = None,
        out_format: Format | str | None = None,
        rounding: Rounding | str = "NearestTiesToEven",
        saturation: Saturation | str = "SatFinite",
        **options: Unpack[Options],
    ) -> npt.NDArray[Any]:
        return apply(found, (a, b), (fmt, b_format, out_format), (rounding, saturation), options)

    usual = {"parameters": _PARAMETERS, "returns": _RETURNS, "raises": _RAISES}
    return documented(operation, name, summary, usual | sections)


def _ternary(name: str, exact: Callable[..., Numbers], summary: str, **sections: str) -> _OfThree:
    """Return the operation on three operands of a row."""
    found = Operation(name, exact)

    def operation(
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        c: npt.ArrayLike,
        fmt: Format | str,
        *,
        b_format: Format | str | None = None,
        c_format: Format | str | None = None,
        out_format: Format | str | None = None,
        rounding: Rounding | str = "NearestTiesToEven",
        saturation: Saturation | str = "SatFinite",
        **options: Unpack[Options],
    ) -> npt.NDArray[Any]:
        formats = (fmt, b_format, c_format, out_format)
        return apply(found, (a, b, c), formats, (rounding, saturation), options)

    usual = {"parameters": _PARAMETERS_OF_THREE, "returns": _RETURNS, "raises": _RAISES}
    return documented(operation, name, summary, usual | sections)


def _unary(
    name: str, function: Callable[[Number, Convention], Number], summary: str, **sections: str
) -> _OfOne:
    """Return the function of one operand of a row, which takes numbers one by one."""

    def exact(at: Circumstances, x: Numbers) -> Numbers:
        return x.map(lambda number: function(number, at.convention))

    found = Operation(name, exact, one_by_one=True)

    def operation(
        a: npt.ArrayLike,
        fmt: Format | str,
        *,
        out_format: Format | str | None = None,
        rounding: Rounding | str = "NearestTiesToEven",
        saturation: Saturation | str = "SatFinite",
        **options: Unpack[Options],
    ) -> npt.NDArray[Any]:
        return apply(found, (a,), (fmt, out_format), (rounding, saturation), options)

    usual = {"parameters": _PARAMETERS_OF_ONE, "returns": _RETURNS_OF_ONE, "raises": _RAISES}
    return documented(operation, name, summary, usual | sections)


add = _binary(
    "add",
    total,
    "Add codes.",
    parameters="""
    a, b : array_like of uint8 (uint16 for formats above 8 bits), shapes that broadcast
        Codes.
    fmt : Format or str
        The format of `a`, or what `get_format` accepts.
    b_format, out_format : Format or str, optional
        The formats of `b` and of the result, if they are not `fmt`.
    rounding, saturation : Rounding, Saturation or str, optional
        How the exact result becomes a code, as for `encode`.
    **options
        `like`, `nan`, `random_bits`, `random_width`, `rng`, `out` and `threads` as for
        `encode`.  `convention`: whose special cases hold, "ieee" (IEEE 754-2019) or
        "p3109"; by default P3109's where one of the formats is one of its, or a posit.
    """,
    returns="""
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results, of the shape that `a` and `b` broadcast to.
    """,
    raises="""
    TypeError
        If codes are not of their format's type.
    ValueError
        If a name is unknown, a code out of range, shapes do not broadcast, random bits are
        missing or too wide, `out` does not fit, float64 cannot hold the values of the
        result's format, or a NaN is refused (``nan="raise"``).
    """,
    notes="""
    Exact, projected once.  A NaN has the sign of the first operand that is a NaN; an
    invalid operation gives NaN, its sign not set.
    """,
    references="IEEE 754-2019, 5.4.1 and 6.3; IEEE P3109 Interim Report v4.0 (2026), Add.",
    examples="""
    1 + 1/16 is halfway between 1 and 1.125, and goes to the even code of 1.

    >>> from fp8num.ops import add
    >>> [hex(int(add(0x38, 0x18, "E4M3FN", rounding=r))) for r in ("rne", "rna")]
    ['0x38', '0x39']
    """,
)

subtract = _binary(
    "subtract",
    difference,
    "Subtract codes: ``a - b``.",
    examples="""
    Equal numbers give +0, and -0 when rounding down.

    >>> from fp8num.ops import subtract
    >>> [hex(int(subtract(0x38, 0x38, "E4M3FN", rounding=r))) for r in ("rne", "rd")]
    ['0x0', '0x80']
    """,
)

multiply = _binary(
    "multiply",
    product,
    "Multiply codes.",
    examples="""
    An E4M3FN element times its E8M0FNU scale, in bfloat16.

    >>> from fp8num.ops import multiply
    >>> hex(int(multiply(0x39, 0x80, "E4M3FN", b_format="E8M0FNU", out_format="BFLOAT16")))
    '0x4010'
    """,
)

divide = _binary(
    "divide",
    quotient,
    "Divide codes: ``a / b``.",
    notes="""
    By IEEE 754 a number divided by zero is an infinity, which is then projected: the
    largest finite value under SatFinite.  By P3109 it is NaN.
    """,
    examples="""
    1 / 0 in E5M2, projected in two ways, and by P3109.

    >>> from fp8num.ops import divide
    >>> [hex(int(divide(0x3C, 0, "E5M2", saturation=s))) for s in ("SatFinite", "SatNone")]
    ['0x7b', '0x7c']
    >>> hex(int(divide(0x3C, 0, "E5M2", convention="p3109")))
    '0x7e'
    """,
)

fma = _ternary(
    "fma",
    fused,
    "Multiply and add codes, rounding once: ``a * b + c``.",
    parameters="""
    a, b, c : array_like of uint8 (uint16 above 8 bits), shapes that broadcast
        Codes.
    fmt, b_format, c_format, out_format, rounding, saturation, **options
        As for `add`; `c_format` is the format of `c`, if it is not `fmt`.
    """,
    examples="""
    1.125 * 1.125 - 1.25 is 1/64, though 1.125 * 1.125 rounds to 1.25.

    >>> from fp8num import decode
    >>> from fp8num.ops import fma
    >>> float(decode(fma(0x39, 0x39, 0xBA, "E4M3FN"), "E4M3FN"))
    0.015625
    """,
)

faa = _ternary(
    "faa",
    total,
    "Add three codes, rounding once: ``a + b + c``.",
    references="IEEE P3109 Interim Report v4.0 (2026), FAA.",
    examples="""
    448 + 1 - 448 is 1, whatever the order.

    >>> from fp8num.ops import faa
    >>> hex(int(faa(0x7E, 0x38, 0xFE, "E4M3FN")))
    '0x38'
    """,
)

minimum = _binary(
    "minimum",
    partial(choose, larger=False),
    "Return the smaller of two codes; NaN if either is.",
    references="IEEE 754-2019, 9.6, and P3109: Minimum.",
    examples="""
    >>> from fp8num.ops import minimum
    >>> hex(int(minimum(0x00, 0x80, "E4M3FN"))), hex(int(minimum(0x38, 0x7F, "E4M3FN")))
    ('0x80', '0x7f')
    """,
)

minimum_number = _binary(
    "minimum_number",
    partial(choose, larger=False, number=True),
    "Return the smaller of two codes; the number if one is a NaN.",
    references="IEEE 754-2019, 9.6, and P3109: MinimumNumber.",
    examples="""
    >>> from fp8num.ops import minimum_number
    >>> hex(int(minimum_number(0x38, 0x7F, "E4M3FN")))
    '0x38'
    """,
)

minimum_magnitude = _binary(
    "minimum_magnitude",
    partial(choose, larger=False, magnitude=True),
    "Return the code of smaller magnitude of two; NaN if either is.",
    references="IEEE 754-2019, 9.6, and P3109: MinimumMagnitude.",
    examples="""
    >>> from fp8num.ops import minimum_magnitude
    >>> hex(int(minimum_magnitude(0x38, 0xC0, "E4M3FN")))  # of 1 and -2
    '0x38'
    """,
)

minimum_magnitude_number = _binary(
    "minimum_magnitude_number",
    partial(choose, larger=False, magnitude=True, number=True),
    "Return the code of smaller magnitude of two; the number if one is a NaN.",
    references="IEEE 754-2019, 9.6, and P3109: MinimumMagnitudeNumber.",
    examples="""
    >>> from fp8num.ops import minimum_magnitude_number
    >>> hex(int(minimum_magnitude_number(0x7F, 0xC0, "E4M3FN")))
    '0xc0'
    """,
)

minimum_finite = _binary(
    "minimum_finite",
    partial(choose, larger=False, number=True, finite=True),
    "Return the smaller of two codes; a finite number before an infinity or a NaN.",
    references="IEEE P3109 Interim Report v4.0 (2026): MinimumFinite.",
    examples="""
    >>> from fp8num.ops import minimum_finite
    >>> hex(int(minimum_finite(0x3C, 0xFC, "E5M2")))  # of 1 and -infinity
    '0x3c'
    """,
)

maximum = _binary(
    "maximum",
    partial(choose, larger=True),
    "Return the larger of two codes; NaN if either is.",
    references="IEEE 754-2019, 9.6, and P3109: Maximum.",
    examples="""
    >>> from fp8num.ops import maximum
    >>> hex(int(maximum(0x00, 0x80, "E4M3FN"))), hex(int(maximum(0x38, 0x7F, "E4M3FN")))
    ('0x0', '0x7f')
    """,
)

maximum_number = _binary(
    "maximum_number",
    partial(choose, larger=True, number=True),
    "Return the larger of two codes; the number if one is a NaN.",
    references="IEEE 754-2019, 9.6, and P3109: MaximumNumber.",
    examples="""
    >>> from fp8num.ops import maximum_number
    >>> hex(int(maximum_number(0x38, 0x7F, "E4M3FN")))
    '0x38'
    """,
)

maximum_magnitude = _binary(
    "maximum_magnitude",
    partial(choose, larger=True, magnitude=True),
    "Return the code of larger magnitude of two; NaN if either is.",
    references="IEEE 754-2019, 9.6, and P3109: MaximumMagnitude.",
    examples="""
    >>> from fp8num.ops import maximum_magnitude
    >>> hex(int(maximum_magnitude(0x38, 0xC0, "E4M3FN")))  # of 1 and -2
    '0xc0'
    """,
)

maximum_magnitude_number = _binary(
    "maximum_magnitude_number",
    partial(choose, larger=True, magnitude=True, number=True),
    "Return the code of larger magnitude of two; the number if one is a NaN.",
    references="IEEE 754-2019, 9.6, and P3109: MaximumMagnitudeNumber.",
    examples="""
    >>> from fp8num.ops import maximum_magnitude_number
    >>> hex(int(maximum_magnitude_number(0x7F, 0xC0, "E4M3FN")))
    '0xc0'
    """,
)

maximum_finite = _binary(
    "maximum_finite",
    partial(choose, larger=True, number=True, finite=True),
    "Return the larger of two codes; a finite number before an infinity or a NaN.",
    references="IEEE P3109 Interim Report v4.0 (2026): MaximumFinite.",
    examples="""
    >>> from fp8num.ops import maximum_finite
    >>> hex(int(maximum_finite(0x3C, 0x7C, "E5M2")))  # of 1 and infinity
    '0x3c'
    """,
)

sqrt = _unary(
    "sqrt",
    functions.sqrt,
    "Return square roots of codes.",
    parameters="""
    a : array_like of uint8 (uint16 for formats above 8 bits), shape (...)
        Codes.
    fmt : Format or str
        The format of `a`, or what `get_format` accepts.
    out_format : Format or str, optional
        The format of the result, if it is not `fmt`.
    rounding, saturation, **options
        As for `add`.
    """,
    notes="The root of a negative number is NaN, that of -0 is -0.  Exact, projected once.",
    examples="""
    >>> from fp8num import decode
    >>> from fp8num.ops import sqrt
    >>> [float(x) for x in decode(sqrt([0x48, 0x40, 0xB8], "E4M3FN"), "E4M3FN")]
    [2.0, 1.375, nan]
    """,
)

rsqrt = _unary(
    "rsqrt",
    functions.rsqrt,
    "Return reciprocal square roots of codes, rounded once.",
    notes="At zero it is an infinity of its sign by IEEE 754, NaN by P3109.",
    examples="""
    >>> from fp8num import decode
    >>> from fp8num.ops import rsqrt
    >>> [float(x) for x in decode(rsqrt([0x48, 0x40, 0x00], "E4M3FN"), "E4M3FN")]
    [0.5, 0.6875, 448.0]
    """,
)

reciprocal = _unary(
    "reciprocal",
    functions.reciprocal,
    "Return reciprocals of codes, rounded once.",
    notes="At zero it is an infinity of its sign by IEEE 754, NaN by P3109.",
    examples="""
    >>> from fp8num import decode
    >>> from fp8num.ops import reciprocal
    >>> [float(x) for x in decode(reciprocal([0x44, 0x00], "Binary8p3se"), "Binary8p3se")]
    [0.5, nan]
    """,
)

exp = _unary(
    "exp",
    functions.exp,
    "Return e to the power of codes, correctly rounded.",
    notes="Each result is enclosed until its rounding is certain.",
    examples="""
    >>> from fp8num import decode
    >>> from fp8num.ops import exp
    >>> [float(x) for x in decode(exp([0x00, 0x38, 0xC8], "E4M3FN"), "E4M3FN")]
    [1.0, 2.75, 0.017578125]
    """,
)

exp2 = _unary(
    "exp2",
    functions.exp2,
    "Return 2 to the power of codes, correctly rounded.",
    notes="Each result is exact, or enclosed until its rounding is certain.",
    examples="""
    >>> from fp8num import decode
    >>> from fp8num.ops import exp2
    >>> [float(x) for x in decode(exp2([0x40, 0x30, 0xC8], "E4M3FN"), "E4M3FN")]
    [4.0, 1.375, 0.0625]
    """,
)

log = _unary(
    "log",
    functions.log,
    "Return natural logarithms of codes, correctly rounded.",
    notes="At zero it is minus infinity, then projected; of a negative number it is NaN.",
    examples="""
    >>> from fp8num import decode
    >>> from fp8num.ops import log
    >>> [float(x) for x in decode(log([0x38, 0x40, 0x00], "E5M2", saturation="SatNone"), "E5M2")]
    [-0.75, 0.75, -inf]
    """,
)

log2 = _unary(
    "log2",
    functions.log2,
    "Return logarithms to base 2 of codes, correctly rounded.",
    notes="At zero it is minus infinity, then projected; of a negative number it is NaN.",
    examples="""
    >>> from fp8num import decode
    >>> from fp8num.ops import log2
    >>> [float(x) for x in decode(log2([0x48, 0x44, 0x01], "E4M3FN"), "E4M3FN")]
    [2.0, 1.625, -9.0]
    """,
)

tanh = _unary(
    "tanh",
    functions.tanh,
    "Return hyperbolic tangents of codes, correctly rounded.",
    notes="Each result is enclosed until its rounding is certain.",
    examples="""
    >>> from fp8num import decode
    >>> from fp8num.ops import tanh
    >>> [float(x) for x in decode(tanh([0x30, 0xC8], "E4M3FN"), "E4M3FN")]
    [0.46875, -1.0]
    """,
)

sigmoid = _unary(
    "sigmoid",
    functions.sigmoid,
    "Return ``1 / (1 + exp(-a))`` of codes, correctly rounded.",
    notes="Neither IEEE 754 nor P3109 has it: at infinities it is its limits, 0 and 1.",
    examples="""
    >>> from fp8num import decode
    >>> from fp8num.ops import sigmoid
    >>> [float(x) for x in decode(sigmoid([0x00, 0x38, 0xC8], "E4M3FN"), "E4M3FN")]
    [0.5, 0.75, 0.017578125]
    """,
)
