"""
Roots, exponentials, logarithms and sigmoids of codes, correctly rounded.

::

    codes -> table of exact results, rounded to odd (`fp8num.ops.functions`) -> codes

A format's table is made when first used: milliseconds up to 8 bits, a second or two for
the 65,536 codes of a 16-bit one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fp8num.ops import functions
from fp8num.ops.execution import Circumstances, Operation, Options, apply

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    import numpy.typing as npt

    from fp8num.formats import Format
    from fp8num.ops.convention import Convention
    from fp8num.ops.numbers import Number, Numbers
    from fp8num.projection import Rounding, Saturation

__all__ = ["exp", "exp2", "log", "log2", "reciprocal", "rsqrt", "sigmoid", "sqrt", "tanh"]


def _operation(function: Callable[[Number, Convention], Number]) -> Operation:
    """Return the operation that applies a function to numbers one by one."""

    def exact(at: Circumstances, x: Numbers) -> Numbers:
        return x.map(lambda number: function(number, at.convention))

    return Operation(function.__name__, exact, one_by_one=True)


_SQRT = _operation(functions.sqrt)
_RSQRT = _operation(functions.rsqrt)
_RECIPROCAL = _operation(functions.reciprocal)
_EXP = _operation(functions.exp)
_EXP2 = _operation(functions.exp2)
_LOG = _operation(functions.log)
_LOG2 = _operation(functions.log2)
_TANH = _operation(functions.tanh)
_SIGMOID = _operation(functions.sigmoid)


def sqrt(
    a: npt.ArrayLike,
    fmt: Format | str,
    *,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return square roots of codes.

    Parameters
    ----------
    a : array_like of uint8 (uint16 for formats above 8 bits), shape (...)
        Codes.
    fmt : Format or str
        The format of `a`, or what `get_format` accepts.
    out_format : Format or str, optional
        The format of the result, if it is not `fmt`.
    rounding, saturation, **options
        As for `add`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits), shape (...)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    Notes
    -----
    The root of a negative number is NaN, that of -0 is -0.  Exact, projected once.

    Examples
    --------
    >>> from fp8num import decode
    >>> from fp8num.ops import sqrt
    >>> [float(x) for x in decode(sqrt([0x48, 0x40, 0xB8], "E4M3FN"), "E4M3FN")]
    [2.0, 1.375, nan]
    """
    return apply(_SQRT, (a,), (fmt, out_format), (rounding, saturation), options)


def rsqrt(
    a: npt.ArrayLike,
    fmt: Format | str,
    *,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return reciprocal square roots of codes, rounded once.

    Parameters
    ----------
    a, fmt, out_format, rounding, saturation, **options
        As for `sqrt`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits), shape (...)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    Notes
    -----
    At zero it is an infinity of its sign by IEEE 754, NaN by P3109.

    Examples
    --------
    >>> from fp8num import decode
    >>> from fp8num.ops import rsqrt
    >>> [float(x) for x in decode(rsqrt([0x48, 0x40, 0x00], "E4M3FN"), "E4M3FN")]
    [0.5, 0.6875, 448.0]
    """
    return apply(_RSQRT, (a,), (fmt, out_format), (rounding, saturation), options)


def reciprocal(
    a: npt.ArrayLike,
    fmt: Format | str,
    *,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return reciprocals of codes, rounded once.

    Parameters
    ----------
    a, fmt, out_format, rounding, saturation, **options
        As for `sqrt`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits), shape (...)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    Notes
    -----
    At zero it is an infinity of its sign by IEEE 754, NaN by P3109.

    Examples
    --------
    >>> from fp8num import decode
    >>> from fp8num.ops import reciprocal
    >>> [float(x) for x in decode(reciprocal([0x44, 0x00], "Binary8p3se"), "Binary8p3se")]
    [0.5, nan]
    """
    return apply(_RECIPROCAL, (a,), (fmt, out_format), (rounding, saturation), options)


def exp(
    a: npt.ArrayLike,
    fmt: Format | str,
    *,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return e to the power of codes, correctly rounded.

    Parameters
    ----------
    a, fmt, out_format, rounding, saturation, **options
        As for `sqrt`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits), shape (...)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    Notes
    -----
    Each result is enclosed until its rounding is certain.

    Examples
    --------
    >>> from fp8num import decode
    >>> from fp8num.ops import exp
    >>> [float(x) for x in decode(exp([0x00, 0x38, 0xC8], "E4M3FN"), "E4M3FN")]
    [1.0, 2.75, 0.017578125]
    """
    return apply(_EXP, (a,), (fmt, out_format), (rounding, saturation), options)


def exp2(
    a: npt.ArrayLike,
    fmt: Format | str,
    *,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return 2 to the power of codes, correctly rounded.

    Parameters
    ----------
    a, fmt, out_format, rounding, saturation, **options
        As for `sqrt`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits), shape (...)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    Notes
    -----
    Each result is exact, or enclosed until its rounding is certain.

    Examples
    --------
    >>> from fp8num import decode
    >>> from fp8num.ops import exp2
    >>> [float(x) for x in decode(exp2([0x40, 0x30, 0xC8], "E4M3FN"), "E4M3FN")]
    [4.0, 1.375, 0.0625]
    """
    return apply(_EXP2, (a,), (fmt, out_format), (rounding, saturation), options)


def log(
    a: npt.ArrayLike,
    fmt: Format | str,
    *,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return natural logarithms of codes, correctly rounded.

    Parameters
    ----------
    a, fmt, out_format, rounding, saturation, **options
        As for `sqrt`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits), shape (...)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    Notes
    -----
    At zero it is minus infinity, then projected; of a negative number it is NaN.

    Examples
    --------
    >>> from fp8num import decode
    >>> from fp8num.ops import log
    >>> [float(x) for x in decode(log([0x38, 0x40, 0x00], "E5M2", saturation="SatNone"), "E5M2")]
    [-0.75, 0.75, -inf]
    """
    return apply(_LOG, (a,), (fmt, out_format), (rounding, saturation), options)


def log2(
    a: npt.ArrayLike,
    fmt: Format | str,
    *,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return logarithms to base 2 of codes, correctly rounded.

    Parameters
    ----------
    a, fmt, out_format, rounding, saturation, **options
        As for `sqrt`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits), shape (...)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    Notes
    -----
    At zero it is minus infinity, then projected; of a negative number it is NaN.

    Examples
    --------
    >>> from fp8num import decode
    >>> from fp8num.ops import log2
    >>> [float(x) for x in decode(log2([0x48, 0x44, 0x01], "E4M3FN"), "E4M3FN")]
    [2.0, 1.625, -9.0]
    """
    return apply(_LOG2, (a,), (fmt, out_format), (rounding, saturation), options)


def tanh(
    a: npt.ArrayLike,
    fmt: Format | str,
    *,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return hyperbolic tangents of codes, correctly rounded.

    Parameters
    ----------
    a, fmt, out_format, rounding, saturation, **options
        As for `sqrt`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits), shape (...)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    Notes
    -----
    Each result is enclosed until its rounding is certain.

    Examples
    --------
    >>> from fp8num import decode
    >>> from fp8num.ops import tanh
    >>> [float(x) for x in decode(tanh([0x30, 0xC8], "E4M3FN"), "E4M3FN")]
    [0.46875, -1.0]
    """
    return apply(_TANH, (a,), (fmt, out_format), (rounding, saturation), options)


def sigmoid(
    a: npt.ArrayLike,
    fmt: Format | str,
    *,
    out_format: Format | str | None = None,
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    **options: Unpack[Options],
) -> npt.NDArray[Any]:
    """
    Return ``1 / (1 + exp(-a))`` of codes, correctly rounded.

    Parameters
    ----------
    a, fmt, out_format, rounding, saturation, **options
        As for `sqrt`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits), shape (...)
        Codes of the results.

    Raises
    ------
    TypeError, ValueError
        As for `add`.

    Notes
    -----
    Neither IEEE 754 nor P3109 has it: at infinities it is its limits, 0 and 1.

    Examples
    --------
    >>> from fp8num import decode
    >>> from fp8num.ops import sigmoid
    >>> [float(x) for x in decode(sigmoid([0x00, 0x38, 0xC8], "E4M3FN"), "E4M3FN")]
    [0.5, 0.75, 0.017578125]
    """
    return apply(_SIGMOID, (a,), (fmt, out_format), (rounding, saturation), options)
