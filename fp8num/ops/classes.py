"""
What kind of number a code is.

::

    nan | infinite | finite: zero, subnormal, normal          is_sign_minus beside it
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from fp8num.formats import Format, Specials, get_format
from fp8num.ops.convention import Convention
from fp8num.ops.execution import documented, look_up
from fp8num.ops.numbers import CACHE, NUMBER, numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Booleans = npt.NDArray[np.bool_]

__all__ = [
    "classify",
    "is_finite",
    "is_infinite",
    "is_nan",
    "is_normal",
    "is_sign_minus",
    "is_subnormal",
    "is_zero",
]


def _kinds(fmt: Format) -> npt.NDArray[np.str_]:
    """Return the kind of every code: nan, infinity, zero, subnormal or normal."""

    def make() -> npt.NDArray[np.str_]:
        return np.array([fmt.classify(code) for code in range(1 << fmt.bits)])

    return CACHE.get(("kinds", fmt), make)


#: What the sections of docstrings say where a row does not say otherwise.
_USUAL = {
    "parameters": """
    a, fmt, out, threads
        As for `is_nan`.
    """,
    "returns": """
    ndarray of bool, shape (...)
        The answers.
    """,
    "raises": """
    TypeError, ValueError
        As for `is_nan`.
    """,
}


class _Predicate(Protocol):
    """How a question about codes is asked."""

    def __call__(
        self,
        a: npt.ArrayLike,
        fmt: Format | str,
        *,
        out: Booleans | None = None,
        threads: int = 1,
    ) -> Booleans: ...


def _predicate(
    name: str, holds: Callable[[Format], Booleans], summary: str, **sections: str
) -> _Predicate:
    """Return the question of a row, which a format answers for every code."""

    def predicate(
        a: npt.ArrayLike, fmt: Format | str, *, out: Booleans | None = None, threads: int = 1
    ) -> Booleans:
        fmt = get_format(fmt)
        return look_up(holds(fmt), a, fmt, out, threads)

    return documented(predicate, name, summary, _USUAL | sections)


is_nan = _predicate(
    "is_nan",
    lambda fmt: numbers_of(fmt).is_nan,
    "Return which codes are NaNs.",
    parameters="""
    a : array_like of uint8 (uint16 for formats above 8 bits), shape (...)
        Codes.
    fmt : Format or str
        The format, or what `get_format` accepts.
    out : ndarray of bool, shape (...), optional
        Where to put the answers.
    threads : int, optional
        Threads that share the work.
    """,
    raises="""
    TypeError
        If the codes are not of the format's type.
    ValueError
        If a code is out of range, or `out` does not fit.
    """,
    examples="""
    >>> from fp8num.ops import is_nan
    >>> is_nan([0x00, 0x01, 0x3C, 0xFC, 0x7E], "E5M2").tolist()
    [False, False, False, False, True]
    """,
)

is_infinite = _predicate(
    "is_infinite",
    lambda fmt: numbers_of(fmt).is_infinite,
    "Return which codes are infinities.",
    examples="""
    >>> from fp8num.ops import is_infinite
    >>> is_infinite([0x00, 0x01, 0x3C, 0xFC, 0x7E], "E5M2").tolist()
    [False, False, False, True, False]
    """,
)

is_finite = _predicate(
    "is_finite",
    lambda fmt: numbers_of(fmt).kind == NUMBER,
    "Return which codes are finite numbers.",
    examples="""
    >>> from fp8num.ops import is_finite
    >>> is_finite([0x00, 0x01, 0x3C, 0xFC, 0x7E], "E5M2").tolist()
    [True, True, True, False, False]
    """,
)

is_zero = _predicate(
    "is_zero",
    lambda fmt: numbers_of(fmt).is_zero,
    "Return which codes are zeros.",
    examples="""
    >>> from fp8num.ops import is_zero
    >>> is_zero([0x00, 0x01, 0x3C, 0xFC, 0x7E], "E5M2").tolist()
    [True, False, False, False, False]
    """,
)

is_normal = _predicate(
    "is_normal",
    lambda fmt: _kinds(fmt) == "normal",
    "Return which codes are normal numbers, neither zero nor subnormal.",
    examples="""
    >>> from fp8num.ops import is_normal
    >>> is_normal([0x00, 0x01, 0x3C, 0xFC, 0x7E], "E5M2").tolist()
    [False, False, True, False, False]
    """,
)

is_subnormal = _predicate(
    "is_subnormal",
    lambda fmt: _kinds(fmt) == "subnormal",
    "Return which codes are subnormal numbers.",
    examples="""
    >>> from fp8num.ops import is_subnormal
    >>> is_subnormal([0x00, 0x01, 0x3C, 0xFC, 0x7E], "E5M2").tolist()
    [False, True, False, False, False]
    """,
)


def is_sign_minus(
    a: npt.ArrayLike,
    fmt: Format | str,
    *,
    convention: Convention | str | None = None,
    out: Booleans | None = None,
    threads: int = 1,
) -> Booleans:
    """
    Return which codes have a negative sign.

    Parameters
    ----------
    a, fmt, out, threads
        As for `is_nan`.
    convention : Convention or str, optional
        "ieee": the sign of zeros and NaNs counts.  "p3109": they have none.  By default
        that of the format's family.

    Returns
    -------
    ndarray of bool, shape (...)
        The answers.

    Raises
    ------
    TypeError, ValueError
        As for `is_nan`, and if the convention is unknown.

    Examples
    --------
    >>> from fp8num.ops import is_sign_minus
    >>> is_sign_minus([0x80, 0xB8], "E4M3FN").tolist()
    [True, True]
    >>> is_sign_minus([0x80, 0xB8], "E4M3FN", convention="p3109").tolist()
    [False, True]
    """
    fmt = get_format(fmt)
    numbers = numbers_of(fmt)
    table = numbers.negative
    if Convention.parse(convention, (fmt,)) is Convention.P3109:
        table = table & ~(numbers.is_zero | numbers.is_nan)
    return look_up(table, a, fmt, out, threads)


def classify(
    a: npt.ArrayLike,
    fmt: Format | str,
    *,
    convention: Convention | str | None = None,
    threads: int = 1,
) -> npt.NDArray[np.str_]:
    """
    Return the classes of codes, by name.

    Parameters
    ----------
    a, fmt, threads
        As for `is_nan`.
    convention : Convention or str, optional
        By default that of the format's family.

    Returns
    -------
    ndarray of str, shape (...)
        By "ieee" one of signalingNaN, quietNaN, negativeInfinity, negativeNormal,
        negativeSubnormal, negativeZero, positiveZero, positiveSubnormal, positiveNormal
        and positiveInfinity; only IEEE 754's own layout has signalling NaNs.  By "p3109"
        NaN and zero are one class each.

    Raises
    ------
    TypeError, ValueError
        As for `is_nan`, and if the convention is unknown.

    References
    ----------
    IEEE 754-2019, 5.7.2; IEEE P3109 Interim Report v4.0 (2026), Class.

    Examples
    --------
    >>> from fp8num.ops import classify
    >>> classify([0x7D, 0x80, 0x38], "E5M2").tolist()
    ['signalingNaN', 'negativeZero', 'positiveNormal']
    >>> classify([0x80, 0xFF], "Binary8p3se").tolist()
    ['NaN', 'negativeInfinity']
    """
    fmt = get_format(fmt)
    p3109 = Convention.parse(convention, (fmt,)) is Convention.P3109
    table = CACHE.get(("classes", fmt, p3109), lambda: _classes(fmt, p3109=p3109))
    return look_up(table, a, fmt, None, threads)


def _classes(fmt: Format, *, p3109: bool) -> npt.NDArray[np.str_]:
    """Return the class of every code."""
    kinds, negative = _kinds(fmt).tolist(), numbers_of(fmt).negative.tolist()
    quiet = fmt.mantissa_bits - 1 if fmt.specials is Specials.IEEE and fmt.mantissa_bits else None

    def name(code: int, kind: str, *, minus: bool) -> str:
        if kind == "nan":
            if p3109:
                return "NaN"
            signals = quiet is not None and not code >> quiet & 1
            return "signalingNaN" if signals else "quietNaN"
        if kind == "zero" and p3109:
            return "zero"
        return ("negative" if minus else "positive") + kind.capitalize()

    rows = zip(range(1 << fmt.bits), kinds, negative, strict=True)
    return np.array([name(code, kind, minus=minus) for code, kind, minus in rows])
