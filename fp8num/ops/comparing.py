"""
Comparisons of codes: by value, and in the total order.

::

    IEEE 754   -NaN < -inf < ... < -0 < +0 < ... < +inf < +NaN     (total_order)
    P3109       NaN < -inf < ... < 0 < ... < +inf
    by value    -0 = +0, and a NaN is unordered with everything, itself too
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.blocks import run
from fp8num.codec._arguments import check_codes, check_threads, output
from fp8num.formats import Format, get_format
from fp8num.ops.convention import Convention
from fp8num.ops.execution import broadcast
from fp8num.ops.numbers import CACHE, Integers, numbers_of, order_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "equal",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "not_equal",
    "places_of",
    "total_order",
    "unordered",
]

Booleans = npt.NDArray[np.bool_]

#: The place of NaNs, beyond those of infinities.
NAN_PLACE = 1 << 54
BLOCK = 1 << 15


def places_of(fmt: Format) -> Integers:
    """Return an integer for each code, in the order of the values; NaNs have the largest."""

    def make() -> Integers:
        numbers = numbers_of(fmt)
        place = np.where(numbers.is_zero, 0, order_of(numbers))
        return np.where(numbers.is_nan, NAN_PLACE, place)

    return CACHE.get(("places", fmt), make)


def _total_places(fmt: Format, convention: Convention) -> Integers:
    """Return an integer for each code, in the total order."""
    numbers = numbers_of(fmt)
    codes = np.arange(1 << fmt.bits)
    if convention is Convention.P3109:  # one zero, and NaN below all
        return np.where(numbers.is_nan, -NAN_PLACE, places_of(fmt))
    # IEEE 754-2019, 5.10: NaNs by sign, then signalling before quiet, then by payload
    nan = NAN_PLACE + (codes & ~fmt.sign_bit)
    return np.where(numbers.is_nan, np.where(numbers.negative, -nan, nan), order_of(numbers))


def _compare(
    compare: Callable[..., Any],
    operands: tuple[npt.ArrayLike, npt.ArrayLike],
    formats: tuple[Format, Format],
    tables: tuple[Integers, Integers],
    *,
    out: Booleans | None,
    threads: int,
) -> Booleans:
    """Compare the places of codes."""
    a, b = broadcast(operands, formats)
    result = output(out, a.shape, np.dtype(np.bool_), (a, b))

    def work(first: npt.NDArray[Any], second: npt.NDArray[Any], out: Booleans) -> None:
        check_codes(first, formats[0])
        check_codes(second, formats[1])
        compare(tables[0].take(first), tables[1].take(second), out)

    run(work, (a, b, result), check_threads(threads), BLOCK)
    return result


def _formats(fmt: Format | str, b_format: Format | str | None) -> tuple[Format, Format]:
    """Return both operands' formats."""
    first = get_format(fmt)
    return first, first if b_format is None else get_format(b_format)


def _by_value(
    compare: Callable[..., Any],
    operands: tuple[npt.ArrayLike, npt.ArrayLike],
    fmt: Format | str,
    b_format: Format | str | None,
    *,
    out: Booleans | None,
    threads: int,
) -> Booleans:
    """Compare values: false for NaNs."""
    formats = _formats(fmt, b_format)

    def ordered(x: Integers, y: Integers, out: Booleans) -> None:
        compare(x, y, out=out)
        out &= (x != NAN_PLACE) & (y != NAN_PLACE)

    tables = places_of(formats[0]), places_of(formats[1])
    return _compare(ordered, operands, formats, tables, out=out, threads=threads)


def equal(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out: Booleans | None = None,
    threads: int = 1,
) -> Booleans:
    """
    Return whether the values of codes are equal; -0 is equal to +0.

    Parameters
    ----------
    a, b : array_like of uint8 (uint16 for formats above 8 bits), shapes that broadcast
        Codes.
    fmt : Format or str
        The format of `a`, or what `get_format` accepts.
    b_format : Format or str, optional
        The format of `b`, if it is not `fmt`.
    out : ndarray of bool, optional
        Where to put the answers.
    threads : int, optional
        Threads that share the work.

    Returns
    -------
    ndarray of bool
        The answers; false if one is a NaN.

    Raises
    ------
    TypeError
        If codes are not of their format's type.
    ValueError
        If a code is out of range, shapes do not broadcast or `out` does not fit.

    Examples
    --------
    >>> from fp8num.ops import equal
    >>> equal([0x00, 0x38, 0x7F], [0x80, 0x40, 0x7F], "E4M3FN").tolist()
    [True, False, False]
    """
    return _by_value(np.equal, (a, b), fmt, b_format, out=out, threads=threads)


def less(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out: Booleans | None = None,
    threads: int = 1,
) -> Booleans:
    """
    Return whether codes' values are less: ``a < b``.

    Parameters
    ----------
    a, b, fmt, b_format, out, threads
        As for `equal`.

    Returns
    -------
    ndarray of bool
        The answers; false if one is a NaN.

    Raises
    ------
    TypeError, ValueError
        As for `equal`.

    Examples
    --------
    >>> from fp8num.ops import less
    >>> less([0x00, 0x38, 0x7F], [0x80, 0x40, 0x7F], "E4M3FN").tolist()
    [False, True, False]
    """
    return _by_value(np.less, (a, b), fmt, b_format, out=out, threads=threads)


def less_equal(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out: Booleans | None = None,
    threads: int = 1,
) -> Booleans:
    """
    Return whether codes' values are less or equal: ``a <= b``.

    Parameters
    ----------
    a, b, fmt, b_format, out, threads
        As for `equal`.

    Returns
    -------
    ndarray of bool
        The answers; false if one is a NaN.

    Raises
    ------
    TypeError, ValueError
        As for `equal`.

    Examples
    --------
    >>> from fp8num.ops import less_equal
    >>> less_equal([0x00, 0x38, 0x7F], [0x80, 0x40, 0x7F], "E4M3FN").tolist()
    [True, True, False]
    """
    return _by_value(np.less_equal, (a, b), fmt, b_format, out=out, threads=threads)


def greater(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out: Booleans | None = None,
    threads: int = 1,
) -> Booleans:
    """
    Return whether codes' values are greater: ``a > b``.

    Parameters
    ----------
    a, b, fmt, b_format, out, threads
        As for `equal`.

    Returns
    -------
    ndarray of bool
        The answers; false if one is a NaN.

    Raises
    ------
    TypeError, ValueError
        As for `equal`.

    Examples
    --------
    >>> from fp8num.ops import greater
    >>> greater([0x00, 0x38, 0x7F], [0x80, 0x40, 0x7F], "E4M3FN").tolist()
    [False, False, False]
    """
    return _by_value(np.greater, (a, b), fmt, b_format, out=out, threads=threads)


def greater_equal(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out: Booleans | None = None,
    threads: int = 1,
) -> Booleans:
    """
    Return whether codes' values are greater or equal: ``a >= b``.

    Parameters
    ----------
    a, b, fmt, b_format, out, threads
        As for `equal`.

    Returns
    -------
    ndarray of bool
        The answers; false if one is a NaN.

    Raises
    ------
    TypeError, ValueError
        As for `equal`.

    Examples
    --------
    >>> from fp8num.ops import greater_equal
    >>> greater_equal([0x00, 0x38, 0x7F], [0x80, 0x40, 0x7F], "E4M3FN").tolist()
    [True, False, False]
    """
    return _by_value(np.greater_equal, (a, b), fmt, b_format, out=out, threads=threads)


def unordered(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out: Booleans | None = None,
    threads: int = 1,
) -> Booleans:
    """
    Return whether one of two codes, or both, is a NaN.

    Parameters
    ----------
    a, b, fmt, b_format, out, threads
        As for `equal`.

    Returns
    -------
    ndarray of bool
        The answers.

    Raises
    ------
    TypeError, ValueError
        As for `equal`.

    Examples
    --------
    >>> from fp8num.ops import unordered
    >>> unordered([0x38, 0x7F], [0x38, 0x38], "E4M3FN").tolist()
    [False, True]
    """
    formats = _formats(fmt, b_format)

    def either(x: Integers, y: Integers, out: Booleans) -> None:
        np.logical_or(x == NAN_PLACE, y == NAN_PLACE, out=out)

    tables = places_of(formats[0]), places_of(formats[1])
    return _compare(either, (a, b), formats, tables, out=out, threads=threads)


def not_equal(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    out: Booleans | None = None,
    threads: int = 1,
) -> Booleans:
    """
    Return whether the values of codes differ, or one is a NaN: what `equal` denies.

    Parameters
    ----------
    a, b, fmt, b_format, out, threads
        As for `equal`.

    Returns
    -------
    ndarray of bool
        The answers.

    Raises
    ------
    TypeError, ValueError
        As for `equal`.

    Examples
    --------
    >>> from fp8num.ops import not_equal
    >>> not_equal([0x00, 0x7F], [0x80, 0x7F], "E4M3FN").tolist()
    [False, True]
    """
    result = equal(a, b, fmt, b_format=b_format, out=out, threads=threads)
    return np.logical_not(result, out=result)


def total_order(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    convention: Convention | str | None = None,
    out: Booleans | None = None,
    threads: int = 1,
) -> Booleans:
    """
    Return whether codes are in order: ``a <= b`` in an order of all codes, NaNs included.

    Parameters
    ----------
    a, b, fmt, b_format, out, threads
        As for `equal`.
    convention : Convention or str, optional
        "ieee": negative NaNs are lowest and the others highest, -0 is below +0.  "p3109":
        NaN is lowest.  By default that of the formats' families.

    Returns
    -------
    ndarray of bool
        The answers.

    Raises
    ------
    TypeError, ValueError
        As for `equal`, and if the convention is unknown.

    References
    ----------
    IEEE 754-2019, 5.10; IEEE P3109 Interim Report v4.0 (2026), TotalOrder.

    Examples
    --------
    NaN is above 448 in E4M3FN, and below everything in a P3109 format.

    >>> from fp8num.ops import total_order
    >>> bool(total_order(0x7F, 0x7E, "E4M3FN")), bool(total_order(0x80, 0x7E, "Binary8p4se"))
    (False, True)
    """
    formats = _formats(fmt, b_format)
    found = Convention.parse(convention, formats)
    tables = (_total_places(formats[0], found), _total_places(formats[1], found))
    return _compare(np.less_equal, (a, b), formats, tables, out=out, threads=threads)
