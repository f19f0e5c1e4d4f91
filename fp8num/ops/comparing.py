"""
Comparisons of codes: by value, and in the total order.

::

    IEEE 754   -NaN < -inf < ... < -0 < +0 < ... < +inf < +NaN     (total_order)
    P3109       NaN < -inf < ... < 0 < ... < +inf
    by value    -0 = +0, and a NaN is unordered with everything, itself too
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from fp8num.formats import Format, get_format
from fp8num.ops.convention import Convention
from fp8num.ops.execution import by_block, documented
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

    def work(first: npt.NDArray[Any], second: npt.NDArray[Any], out: Booleans) -> None:
        compare(tables[0].take(first), tables[1].take(second), out)

    return by_block(work, operands, formats, np.dtype(np.bool_), out=out, threads=threads)


def _ordered(compare: np.ufunc, x: Integers, y: Integers, out: Booleans) -> None:
    """Compare places: false for NaNs."""
    compare(x, y, out=out)
    out &= (x != NAN_PLACE) & (y != NAN_PLACE)


def _differ(x: Integers, y: Integers, out: Booleans) -> None:
    """Deny that places are equal, as two NaNs' are."""
    np.logical_or(x != y, x == NAN_PLACE, out=out)


def _unordered(x: Integers, y: Integers, out: Booleans) -> None:
    np.logical_or(x == NAN_PLACE, y == NAN_PLACE, out=out)


#: What the sections of docstrings say where a row does not say otherwise.
_USUAL = {
    "parameters": """
    a, b, fmt, b_format, out, threads
        As for `equal`.
    """,
    "returns": """
    ndarray of bool
        The answers; false if one is a NaN.
    """,
    "raises": """
    TypeError, ValueError
        As for `equal`.
    """,
}


class _Compares(Protocol):
    """How codes are compared."""

    def __call__(
        self,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        fmt: Format | str,
        *,
        b_format: Format | str | None = None,
        out: Booleans | None = None,
        threads: int = 1,
    ) -> Booleans: ...


def _comparison(name: str, compare: Callable[..., Any], summary: str, **sections: str) -> _Compares:
    """Return the comparison of a row, ``compare(places, places, out)``."""

    def comparison(
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        fmt: Format | str,
        *,
        b_format: Format | str | None = None,
        out: Booleans | None = None,
        threads: int = 1,
    ) -> Booleans:
        formats = _formats(fmt, b_format)
        tables = places_of(formats[0]), places_of(formats[1])
        return _compare(compare, (a, b), formats, tables, out=out, threads=threads)

    return documented(comparison, name, summary, _USUAL | sections)


def _formats(fmt: Format | str, b_format: Format | str | None) -> tuple[Format, Format]:
    """Return both operands' formats."""
    first = get_format(fmt)
    return first, first if b_format is None else get_format(b_format)


equal = _comparison(
    "equal",
    partial(_ordered, np.equal),
    "Return whether the values of codes are equal; -0 is equal to +0.",
    parameters="""
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
    """,
    raises="""
    TypeError
        If codes are not of their format's type.
    ValueError
        If a code is out of range, shapes do not broadcast or `out` does not fit.
    """,
    examples="""
    >>> from fp8num.ops import equal
    >>> equal([0x00, 0x38, 0x7F], [0x80, 0x40, 0x7F], "E4M3FN").tolist()
    [True, False, False]
    """,
)

less = _comparison(
    "less",
    partial(_ordered, np.less),
    "Return whether codes' values are less: ``a < b``.",
    examples="""
    >>> from fp8num.ops import less
    >>> less([0x00, 0x38, 0x7F], [0x80, 0x40, 0x7F], "E4M3FN").tolist()
    [False, True, False]
    """,
)

less_equal = _comparison(
    "less_equal",
    partial(_ordered, np.less_equal),
    "Return whether codes' values are less or equal: ``a <= b``.",
    examples="""
    >>> from fp8num.ops import less_equal
    >>> less_equal([0x00, 0x38, 0x7F], [0x80, 0x40, 0x7F], "E4M3FN").tolist()
    [True, True, False]
    """,
)

greater = _comparison(
    "greater",
    partial(_ordered, np.greater),
    "Return whether codes' values are greater: ``a > b``.",
    examples="""
    >>> from fp8num.ops import greater
    >>> greater([0x00, 0x38, 0x7F], [0x80, 0x40, 0x7F], "E4M3FN").tolist()
    [False, False, False]
    """,
)

greater_equal = _comparison(
    "greater_equal",
    partial(_ordered, np.greater_equal),
    "Return whether codes' values are greater or equal: ``a >= b``.",
    examples="""
    >>> from fp8num.ops import greater_equal
    >>> greater_equal([0x00, 0x38, 0x7F], [0x80, 0x40, 0x7F], "E4M3FN").tolist()
    [True, False, False]
    """,
)

unordered = _comparison(
    "unordered",
    _unordered,
    "Return whether one of two codes, or both, is a NaN.",
    returns="""
    ndarray of bool
        The answers.
    """,
    examples="""
    >>> from fp8num.ops import unordered
    >>> unordered([0x38, 0x7F], [0x38, 0x38], "E4M3FN").tolist()
    [False, True]
    """,
)

not_equal = _comparison(
    "not_equal",
    _differ,
    "Return whether the values of codes differ, or one is a NaN: what `equal` denies.",
    returns="""
    ndarray of bool
        The answers.
    """,
    examples="""
    >>> from fp8num.ops import not_equal
    >>> not_equal([0x00, 0x7F], [0x80, 0x7F], "E4M3FN").tolist()
    [False, True]
    """,
)


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
