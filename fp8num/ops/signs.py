"""
Sign operations: they take the bits, round nothing, and leave NaNs NaNs.

::

    negate     s eeee mmm -> ~s eeee mmm     where -x has that code; posits: two's complement
    absolute   s eeee mmm ->  0 eeee mmm
    copysign   magnitude of a, sign of b
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num.formats import Format, get_format
from fp8num.ops.convention import Convention
from fp8num.ops.execution import by_block, look_up
from fp8num.ops.numbers import CACHE, numbers_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Codes = npt.NDArray[Any]

__all__ = ["absolute", "copysign", "negate"]


def _opposites(fmt: Format) -> Codes:
    """Return the code of minus each code."""

    def make() -> Codes:
        opposite = np.arange(1 << fmt.bits, dtype=fmt.code_dtype)
        if fmt.has_negative_zero:  # then NaNs, if any, have both signs too
            return opposite ^ fmt.code_dtype.type(fmt.sign_bit)
        numbers = numbers_of(fmt)
        positive = np.flatnonzero(~numbers.negative & ~numbers.is_nan & ~numbers.is_zero)
        for code in positive.tolist():
            negated = fmt.negate_code(code)
            opposite[code], opposite[negated] = negated, code
        alone = numbers.negative & (opposite == np.arange(1 << fmt.bits))  # MXINT8's -2
        opposite[alone] = fmt.magnitudes.codes[-1]
        return opposite

    return CACHE.get(("opposites", fmt), make)


def negate(
    a: npt.ArrayLike, fmt: Format | str, *, out: Codes | None = None, threads: int = 1
) -> Codes:
    """
    Return codes of the opposite sign.

    Parameters
    ----------
    a : array_like of uint8 (uint16 for formats above 8 bits), shape (...)
        Codes.
    fmt : Format or str
        The format, or what `get_format` accepts.
    out : ndarray, shape (...), optional
        Where to put the codes.
    threads : int, optional
        Threads that share the work.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits), shape (...)
        Codes, exact: nothing is rounded or saturated.  NaNs change their signs where they
        have any; a zero that has none stays.

    Raises
    ------
    TypeError
        If the codes are not of the format's type.
    ValueError
        If the format is unsigned, a code is out of range, or `out` does not fit.

    References
    ----------
    IEEE 754-2019, 5.5.1; IEEE P3109 Interim Report v4.0 (2026), Negate.

    Examples
    --------
    >>> from fp8num.ops import negate
    >>> [hex(code) for code in negate([0x38, 0x00, 0x80], "E4M3FNUZ")]  # 1, 0, NaN
    ['0xb8', '0x0', '0x80']
    """
    fmt = get_format(fmt)
    if not fmt.signed:
        msg = (
            f"fmt must be signed to negate, got {fmt.name}; subtract() from zero gives what a "
            "negative number is projected to"
        )
        raise ValueError(msg)
    return look_up(_opposites(fmt), a, fmt, out, threads)


def absolute(
    a: npt.ArrayLike, fmt: Format | str, *, out: Codes | None = None, threads: int = 1
) -> Codes:
    """
    Return codes without their signs.

    Parameters
    ----------
    a, fmt, out, threads
        As for `negate`; an unsigned format is taken too.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits), shape (...)
        Codes, exact; NaNs lose their signs where they have any.

    Raises
    ------
    TypeError, ValueError
        As for `negate`.

    Examples
    --------
    >>> from fp8num.ops import absolute
    >>> [hex(code) for code in absolute([0xB8, 0x80, 0xFF], "E4M3FN")]
    ['0x38', '0x0', '0x7f']
    """
    fmt = get_format(fmt)
    codes = np.arange(1 << fmt.bits, dtype=fmt.code_dtype)
    if fmt.signed:
        codes = np.where(numbers_of(fmt).negative, _opposites(fmt), codes)
    return look_up(codes, a, fmt, out, threads)


def copysign(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    b_format: Format | str | None = None,
    convention: Convention | str | None = None,
    out: Codes | None = None,
    threads: int = 1,
) -> Codes:
    """
    Return codes with the magnitude of `a` and the sign of `b`.

    Parameters
    ----------
    a, b : array_like of uint8 (uint16 above 8 bits), shapes that broadcast
        Codes.
    fmt, b_format : Format or str
        The format of `a` and the result, which is signed; that of `b`, if it is another.
    convention : Convention or str, optional
        "ieee": zeros and NaNs have the sign of their codes.  "p3109": the sign of zero is
        +, and NaN gives NaN.  By default that of the formats' families.
    out, threads
        As for `negate`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes, exact.

    Raises
    ------
    TypeError, ValueError
        As for `negate`, and if the shapes do not broadcast or the convention is unknown.

    References
    ----------
    IEEE 754-2019, 5.5.1; IEEE P3109 Interim Report v4.0 (2026), CopySign.

    Examples
    --------
    >>> from fp8num.ops import copysign
    >>> hex(int(copysign(0x38, 0x80, "E4M3FN")))  # 1, with the sign of -0
    '0xb8'
    """
    fmt = get_format(fmt)
    other = fmt if b_format is None else get_format(b_format)
    found = Convention.parse(convention, (fmt, other))
    if not fmt.signed:
        msg = f"fmt must be signed to take a sign, got {fmt.name}"
        raise ValueError(msg)
    opposite, ours, theirs = _opposites(fmt), numbers_of(fmt).negative, numbers_of(other)
    p3109 = found is Convention.P3109
    sign = theirs.negative & ~(theirs.is_zero | theirs.is_nan) if p3109 else theirs.negative

    def work(block: Codes, signs: Codes, out: Codes) -> None:
        out[...] = np.where(ours.take(block) != sign.take(signs), opposite.take(block), block)
        if p3109 and fmt.has_nan:
            nan = theirs.is_nan.take(signs)
            minus = theirs.negative.take(signs)
            out[nan] = np.where(minus[nan], fmt.nan_code(negative=True), fmt.nan_code())

    return by_block(work, (a, b), (fmt, other), fmt.code_dtype, out=out, threads=threads)
