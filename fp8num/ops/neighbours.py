"""
A code's neighbours, and distances in codes.

::

    -inf -max ... -smallest  0  smallest ... max inf      the ladder: both zeros are one rung
              next_down <- x -> next_up                   kappa: rungs between two codes
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.words import dyadic_words
from fp8num.formats import Format, TabulatedFormat, get_format
from fp8num.ops.comparing import places_of
from fp8num.ops.convention import Convention
from fp8num.ops.execution import by_block, look_up
from fp8num.ops.numbers import CACHE, numbers_of

if TYPE_CHECKING:
    Codes = npt.NDArray[Any]
    Floats = npt.NDArray[np.float64]

__all__ = ["kappa", "next_down", "next_up", "nextafter", "ulp"]


def _ladder(fmt: Format) -> tuple[Codes, npt.NDArray[np.intp]]:
    """Return one code for each rung, upward, and the rung of each code (NaN: the last)."""
    places = places_of(fmt)
    _, first, rungs = np.unique(places, return_index=True, return_inverse=True)
    return first.astype(fmt.code_dtype), rungs.reshape(-1)


def _neighbour_table(fmt: Format, convention: Convention, step: int) -> Codes:
    """Return the next code above (step 1) or below (-1) each."""

    def make() -> Codes:
        numbers = numbers_of(fmt)
        codes, rungs = _ladder(fmt)
        if fmt.has_nan:
            codes = codes[:-1]
        last = len(codes) - 1
        target = rungs + step
        found = codes.take(np.clip(target, 0, last))
        if step > 0 and fmt.has_negative_zero:  # IEEE 754-2019, 5.3.1: below zero it is -0
            found[numbers.negative & numbers_of(fmt).is_zero.take(found)] = fmt.sign_bit
        beyond = (target < 0) | (target > last)
        if fmt.has_nan:
            # IEEE 754: nextUp(infinity) is itself.  P3109: what has no next one gives NaN.
            stays = numbers.is_infinite if convention is Convention.IEEE else np.False_
            found[beyond & ~stays] = fmt.nan_code(negative=step < 0)
            nan = np.flatnonzero(numbers.is_nan)
            found[nan] = [fmt.nan_code(negative=sign) for sign in numbers.negative[nan].tolist()]
        return found

    return CACHE.get(("neighbours", fmt, convention, step), make)


def next_up(
    a: npt.ArrayLike,
    fmt: Format | str,
    *,
    convention: Convention | str | None = None,
    out: Codes | None = None,
    threads: int = 1,
) -> Codes:
    """
    Return the codes of the next larger values.

    Parameters
    ----------
    a : array_like of uint8 (uint16 for formats above 8 bits), shape (...)
        Codes.
    fmt : Format or str
        The format, or what `get_format` accepts.
    convention : Convention or str, optional
        "ieee": above infinity is infinity.  "p3109": it is NaN.  By default that of the
        format's family.
    out : ndarray, shape (...), optional
        Where to put the codes.
    threads : int, optional
        Threads that share the work.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits), shape (...)
        Codes.  Above the largest value of a format without infinity there is NaN, and in
        a format without NaN nothing: the value itself is returned.

    Raises
    ------
    TypeError, ValueError
        As for `negate`, and if the convention is unknown.

    References
    ----------
    IEEE 754-2019, 5.3.1; IEEE P3109 Interim Report v4.0 (2026), NextGreaterThan.

    Examples
    --------
    >>> from fp8num.ops import next_up
    >>> [hex(code) for code in next_up([0x38, 0x80, 0x81], "E5M2")]
    ['0x39', '0x1', '0x80']
    """
    fmt = get_format(fmt)
    table = _neighbour_table(fmt, Convention.parse(convention, (fmt,)), 1)
    return look_up(table, a, fmt, out, threads)


def next_down(
    a: npt.ArrayLike,
    fmt: Format | str,
    *,
    convention: Convention | str | None = None,
    out: Codes | None = None,
    threads: int = 1,
) -> Codes:
    """
    Return the codes of the next smaller values.

    Parameters
    ----------
    a, fmt, convention, out, threads
        As for `next_up`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits), shape (...)
        Codes; where there is no smaller value, as in `next_up` where there is no larger.

    Raises
    ------
    TypeError, ValueError
        As for `next_up`.

    Examples
    --------
    >>> from fp8num.ops import next_down
    >>> [hex(code) for code in next_down([0x38, 0x00, 0x01], "E5M2")]
    ['0x37', '0x81', '0x0']
    """
    fmt = get_format(fmt)
    table = _neighbour_table(fmt, Convention.parse(convention, (fmt,)), -1)
    return look_up(table, a, fmt, out, threads)


def nextafter(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    fmt: Format | str,
    *,
    out: Codes | None = None,
    threads: int = 1,
) -> Codes:
    """
    Return the codes next to `a` in the direction of `b`.

    Parameters
    ----------
    a, b : array_like of uint8 (uint16 above 8 bits), shapes that broadcast
        Codes.
    fmt, out, threads
        As for `next_up`.

    Returns
    -------
    ndarray of uint8 (uint16 above 8 bits)
        Codes; `b` where the values are equal, as C's nextafter, and NaN where one is NaN.

    Raises
    ------
    TypeError, ValueError
        As for `next_up`, and if the shapes do not broadcast.

    Examples
    --------
    >>> from fp8num import nextafter
    >>> [hex(code) for code in nextafter([0x38, 0x38, 0x00], [0x7E, 0x00, 0x80], "E4M3FN")]
    ['0x39', '0x37', '0x80']
    """
    fmt = get_format(fmt)
    places, is_nan = places_of(fmt), numbers_of(fmt).is_nan
    up, down = (_neighbour_table(fmt, Convention.IEEE, step) for step in (1, -1))

    def work(start: Codes, end: Codes, out: Codes) -> None:
        here, there = places.take(start), places.take(end)
        step = np.where(here < there, up.take(start), down.take(start))
        step = np.where(here == there, end, step)
        # The tables hand NaNs on, as this format writes them.
        step = np.where(is_nan.take(end), up.take(end), step)
        out[...] = np.where(is_nan.take(start), up.take(start), step)

    return by_block(work, (a, b), (fmt, fmt), fmt.code_dtype, out=out, threads=threads)


def ulp(
    a: npt.ArrayLike, fmt: Format | str, *, out: Floats | None = None, threads: int = 1
) -> Floats:
    r"""
    Return the unit in the last place of codes, as values.

    Parameters
    ----------
    a : array_like of uint8 (uint16 for formats above 8 bits), shape (...)
        Codes.
    fmt : Format or str
        The format, or what `get_format` accepts.
    out : ndarray of float64, shape (...), optional
        Where to put the values.
    threads : int, optional
        Threads that share the work.

    Returns
    -------
    ndarray of float64, shape (...)
        :math:`2^{\max(\lfloor\log_2|x|\rfloor, e_{\min}) - p + 1}`, Goldberg's definition:
        at a power of two the gap above it.  Of tabulated formats, which have no one p, the
        gap above the magnitude (below the largest, where nothing follows).  Infinities
        give infinity, NaNs NaN.

    Raises
    ------
    TypeError, ValueError
        As for `negate`, and if float64 cannot hold the format's values.

    Notes
    -----
    Rounding to nearest is wrong by at most half an ulp of the result, directed and
    stochastic rounding by less than one.

    Examples
    --------
    >>> from fp8num import ulp
    >>> [float(x) for x in ulp([0x38, 0x7E, 0x00], "E4M3FN")]
    [0.125, 32.0, 0.001953125]
    """
    fmt = get_format(fmt)
    fmt.require_float64()
    return look_up(CACHE.get(("ulps", fmt), lambda: _ulps(fmt)), a, fmt, out, threads)


def _ulps(fmt: Format) -> Floats:
    """Return the ulp of every code."""
    numbers = numbers_of(fmt)
    if isinstance(fmt, TabulatedFormat):
        values = fmt.values[fmt.magnitudes.codes]
        gaps = np.append(np.diff(values), np.nan)
        following = fmt.successor
        gaps[-1] = gaps[-2]
        if following is not None:
            gaps[-1] = math.ldexp(*following) - values[-1]
        sizes = np.abs(np.where(np.isfinite(fmt.values), fmt.values, 0.0))
        found = gaps.take(np.searchsorted(values, sizes), mode="clip")
    else:
        assert fmt.emin is not None
        assert fmt.precision is not None
        top = numbers.exponent + 15  # magnitudes have 16 bits; zero's exponent is the lowest
        exponent = np.maximum(top, fmt.emin) - fmt.precision + 1
        found = dyadic_words(np.ones_like(exponent), exponent).view(np.float64)
    found[numbers.is_infinite] = np.inf
    found[numbers.is_nan] = np.nan
    return found


def kappa(
    computed: npt.ArrayLike,
    defined: npt.ArrayLike,
    fmt: Format | str,
    *,
    out: Floats | None = None,
    threads: int = 1,
) -> Floats:
    """
    Return how many values of the format computed results are away from defined ones.

    IEEE P3109 calls an implementation of an operation a kappa-approximation: kappa is the
    largest of these numbers over the operands, ``kappa(computed, defined, fmt).max()``.

    Parameters
    ----------
    computed, defined : array_like of uint8 (uint16 above 8 bits), shapes that broadcast
        Codes.
    fmt : Format or str
        The format, or what `get_format` accepts.
    out : ndarray of float64, optional
        Where to put the numbers.
    threads : int, optional
        Threads that share the work.

    Returns
    -------
    ndarray of float64
        The number of values between the two, the computed one counted and the defined one
        not: 0 where they agree, NaN where one alone is NaN, infinity where they are not
        both finite and not equal.  Zeros of both signs are one value.

    Raises
    ------
    TypeError, ValueError
        As for `nextafter`.

    References
    ----------
    IEEE P3109 Interim Report v4.0 (2026), section 4.4.

    Examples
    --------
    >>> from fp8num import kappa
    >>> [float(k) for k in kappa([0x38, 0x3B, 0x7F, 0x80], [0x38, 0x38, 0x38, 0x00], "E4M3FN")]
    [0.0, 3.0, nan, 0.0]
    """
    fmt = get_format(fmt)
    _, rungs = _ladder(fmt)
    numbers = numbers_of(fmt)
    is_nan, is_infinite = numbers.is_nan, numbers.is_infinite

    def work(ours: Codes, theirs: Codes, out: Floats) -> None:
        distance = np.abs(rungs.take(ours) - rungs.take(theirs)).astype(np.float64)
        unlike = is_infinite.take(ours) | is_infinite.take(theirs)
        distance[unlike & (distance > 0)] = np.inf
        distance[is_nan.take(ours) != is_nan.take(theirs)] = np.nan
        out[...] = distance

    pair = (computed, defined)
    return by_block(work, pair, (fmt, fmt), np.dtype(np.float64), out=out, threads=threads)
