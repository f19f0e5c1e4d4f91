"""
Sums, products, quotients and fused sums of codes, each rounded once.

::

    add, subtract      a + b, a - b          fma    a * b + c
    multiply, divide   a * b, a / b          faa    a + b + c
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num.ops.convention import Convention
from fp8num.ops.execution import Circumstances, Operation, Options, apply
from fp8num.ops.numbers import INFINITE, NAN, NUMBER, Numbers
from fp8num.ops.sums import Scaled, add_scaled, add_three

if TYPE_CHECKING:
    from typing import Unpack

    import numpy.typing as npt

    from fp8num.formats import Format
    from fp8num.projection import Rounding, Saturation

__all__ = ["add", "divide", "faa", "fma", "multiply", "subtract"]


def _kind(nan: npt.NDArray[np.bool_], infinite: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Return the kinds: NaN before infinity before number."""
    kind = np.where(infinite, np.uint8(INFINITE), np.uint8(NUMBER))
    return np.where(nan, np.uint8(NAN), kind)


def _sum(at: Circumstances, *terms: Numbers) -> Numbers:
    """Add two or three terms."""
    up = np.logical_or.reduce([x.is_infinite & ~x.negative for x in terms])
    down = np.logical_or.reduce([x.is_infinite & x.negative for x in terms])
    nan = np.logical_or.reduce([x.is_nan for x in terms]) | (up & down)
    scaled = [Scaled(x.signed, x.exponent) for x in terms]
    total, exponent = (add_scaled if len(terms) == 2 else add_three)(*scaled)
    # IEEE 754-2019, 6.3: a sum of zeros has their sign if that is the same; else, and
    # where terms cancel, it is +0, and -0 in roundTowardNegative.
    first = terms[0].negative
    alike = np.logical_and.reduce([x.negative == first for x in terms])
    zero_sign = np.where(alike, first, at.downward)
    negative = np.where(up | down, down, np.where(total == 0, zero_sign, total < 0))
    return Numbers(np.abs(total), exponent, _kind(nan, up | down), negative)


def _difference(at: Circumstances, x: Numbers, y: Numbers) -> Numbers:
    return _sum(at, x, y.with_sign(~y.negative))


def _product(at: Circumstances, x: Numbers, y: Numbers) -> Numbers:
    """Multiply; the result is exact, of 32 bits."""
    del at
    infinite = x.is_infinite | y.is_infinite
    nan = x.is_nan | y.is_nan | (infinite & (x.is_zero | y.is_zero))
    return Numbers(
        x.magnitude * y.magnitude,
        x.exponent + y.exponent,
        _kind(nan, infinite),
        x.negative ^ y.negative,
    )


def _quotient(at: Circumstances, x: Numbers, y: Numbers) -> Numbers:
    """Divide, in two steps of long division: 56 bits, and whether something remains."""
    divisor = np.maximum(y.magnitude, 1)
    high, rest = np.divmod(x.magnitude << 44, divisor)
    low, rest = np.divmod(rest << 12, divisor)
    magnitude = high << 12 | low | (rest != 0)
    nan = x.is_nan | y.is_nan | (x.is_infinite & y.is_infinite)
    # IEEE 754-2019, 7.2 and 7.3: 0 / 0 is invalid, x / 0 an infinity; P3109: both are NaN.
    nan |= y.is_zero & (x.is_zero | (at.convention is Convention.P3109))
    return Numbers(
        np.where(y.is_infinite, 0, magnitude),
        x.exponent - y.exponent - 56,
        _kind(nan, x.is_infinite | y.is_zero),
        x.negative ^ y.negative,
    )


def _fused(at: Circumstances, x: Numbers, y: Numbers, z: Numbers) -> Numbers:
    return _sum(at, _product(at, x, y), z)


_ADD = Operation("add", _sum)
_SUBTRACT = Operation("subtract", _difference)
_MULTIPLY = Operation("multiply", _product)
_DIVIDE = Operation("divide", _quotient)
_FMA = Operation("fma", _fused)
_FAA = Operation("faa", _sum)


def add(
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
    """
    Add codes.

    Parameters
    ----------
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

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results, of the shape that `a` and `b` broadcast to.

    Raises
    ------
    TypeError
        If codes are not of their format's type.
    ValueError
        If a name is unknown, a code out of range, shapes do not broadcast, random bits are
        missing or too wide, `out` does not fit, float64 cannot hold the values of the
        result's format, or a NaN is refused (``nan="raise"``).

    Notes
    -----
    Exact, projected once.  A NaN has the sign of the first operand that is a NaN; an
    invalid operation gives NaN, its sign not set.

    References
    ----------
    IEEE 754-2019, 5.4.1 and 6.3; IEEE P3109 Interim Report v4.0 (2026), Add.

    Examples
    --------
    1 + 1/16 is halfway between 1 and 1.125, and goes to the even code of 1.

    >>> from fp8num.ops import add
    >>> [hex(int(add(0x38, 0x18, "E4M3FN", rounding=r))) for r in ("rne", "rna")]
    ['0x38', '0x39']
    """
    return apply(_ADD, (a, b), (fmt, b_format, out_format), (rounding, saturation), options)


def subtract(
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
    """
    Subtract codes: ``a - b``.

    Parameters
    ----------
    a, b, fmt, b_format, out_format, rounding, saturation, **options
        As for `add`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    Examples
    --------
    Equal numbers give +0, and -0 when rounding down.

    >>> from fp8num.ops import subtract
    >>> [hex(int(subtract(0x38, 0x38, "E4M3FN", rounding=r))) for r in ("rne", "rd")]
    ['0x0', '0x80']
    """
    return apply(_SUBTRACT, (a, b), (fmt, b_format, out_format), (rounding, saturation), options)


def multiply(
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
    """
    Multiply codes.

    Parameters
    ----------
    a, b, fmt, b_format, out_format, rounding, saturation, **options
        As for `add`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    Examples
    --------
    An E4M3FN element times its E8M0FNU scale, in bfloat16.

    >>> from fp8num.ops import multiply
    >>> hex(int(multiply(0x39, 0x80, "E4M3FN", b_format="E8M0FNU", out_format="BFLOAT16")))
    '0x4010'
    """
    return apply(_MULTIPLY, (a, b), (fmt, b_format, out_format), (rounding, saturation), options)


def divide(
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
    """
    Divide codes: ``a / b``.

    Parameters
    ----------
    a, b, fmt, b_format, out_format, rounding, saturation, **options
        As for `add`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    Notes
    -----
    By IEEE 754 a number divided by zero is an infinity, which is then projected: the
    largest finite value under SatFinite.  By P3109 it is NaN.

    Examples
    --------
    1 / 0 in E5M2, projected in two ways, and by P3109.

    >>> from fp8num.ops import divide
    >>> [hex(int(divide(0x3C, 0, "E5M2", saturation=s))) for s in ("SatFinite", "SatNone")]
    ['0x7b', '0x7c']
    >>> hex(int(divide(0x3C, 0, "E5M2", convention="p3109")))
    '0x7e'
    """
    return apply(_DIVIDE, (a, b), (fmt, b_format, out_format), (rounding, saturation), options)


def fma(
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
    """
    Multiply and add codes, rounding once: ``a * b + c``.

    Parameters
    ----------
    a, b, c : array_like of uint8 (uint16 above 8 bits), shapes that broadcast
        Codes.
    fmt, b_format, c_format, out_format, rounding, saturation, **options
        As for `add`; `c_format` is the format of `c`, if it is not `fmt`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    Examples
    --------
    1.125 * 1.125 - 1.25 is 1/64, though 1.125 * 1.125 rounds to 1.25.

    >>> from fp8num import decode
    >>> from fp8num.ops import fma
    >>> float(decode(fma(0x39, 0x39, 0xBA, "E4M3FN"), "E4M3FN"))
    0.015625
    """
    formats = (fmt, b_format, c_format, out_format)
    return apply(_FMA, (a, b, c), formats, (rounding, saturation), options)


def faa(
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
    """
    Add three codes, rounding once: ``a + b + c``.

    Parameters
    ----------
    a, b, c, fmt, b_format, c_format, out_format, rounding, saturation, **options
        As for `fma`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    References
    ----------
    IEEE P3109 Interim Report v4.0 (2026), FAA.

    Examples
    --------
    448 + 1 - 448 is 1, whatever the order.

    >>> from fp8num.ops import faa
    >>> hex(int(faa(0x7E, 0x38, 0xFE, "E4M3FN")))
    '0x38'
    """
    formats = (fmt, b_format, c_format, out_format)
    return apply(_FAA, (a, b, c), formats, (rounding, saturation), options)
