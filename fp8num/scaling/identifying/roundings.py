"""
How scales may have been rounded: to powers of two, or to a narrower type.

::

    0.0052 --> 2^-8 (down)   2^-7 (up)   0.00519 (bfloat16)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import as_float64, divide
from fp8num._kernels.words import float32_words
from fp8num.codec import decode, encode
from fp8num.formats import BFLOAT16, BINARY16, E4M3FN

if TYPE_CHECKING:
    from collections.abc import Callable

    from fp8num.formats import Format

__all__ = ["ROUNDINGS", "equal", "how_rounded", "nearest", "nearest_log2", "words"]

Floats = npt.NDArray[np.float32]
_ONE = np.float32(1)
_MANTISSA = np.uint32((1 << 23) - 1)


def words(values: Floats) -> npt.NDArray[np.uint32]:
    """Return the bits of float32 numbers."""
    return np.ascontiguousarray(values, np.float32).view(np.uint32).reshape(values.shape)


def equal(a: Floats, b: Floats) -> bool:
    """Return whether float32 arrays are the same, bit for bit."""
    return a.shape == b.shape and bool(np.array_equal(words(a), words(b)))


def _down(scales: Floats) -> Floats:
    return (words(scales) & ~_MANTISSA).view(np.float32)


def _up(scales: Floats) -> Floats:
    bits = words(scales)
    inexact = ((bits & _MANTISSA) != 0).astype(np.uint32)
    up: npt.NDArray[np.uint32] = (bits & ~_MANTISSA) + (inexact << np.uint32(23))
    return up.view(np.float32)


def nearest(scales: Floats) -> Floats:
    """Return the nearest powers of two."""
    return _down((words(scales) + np.uint32(1 << 22)).view(np.float32))


def nearest_log2(scales: Floats) -> Floats:
    """Return the powers of two of the nearest logarithms."""
    with np.errstate(all="ignore"):
        exponents = np.rint(np.log2(as_float64(np.ascontiguousarray(scales))))
        powers = np.exp2(exponents)
    rounded: Floats = float32_words(np.ascontiguousarray(powers)).view(np.float32)
    return rounded.reshape(scales.shape)


def _through(fmt: Format, rounding: str = "NearestTiesToEven") -> Callable[[Floats], Floats]:
    def rounded(scales: Floats) -> Floats:
        codes = encode(scales, fmt, rounding=rounding)
        return np.asarray(decode(codes, fmt), np.float32)

    return rounded


#: Ways to round scales, by name.
ROUNDINGS: dict[str, Callable[[Floats], Floats]] = {
    "rounded down to powers of two": _down,
    "rounded up to powers of two": _up,
    "to the nearest power of two": nearest,
    "to the power of two of the nearest logarithm": nearest_log2,
    "rounded to bfloat16": _through(BFLOAT16),
    "cut to bfloat16": _through(BFLOAT16, "TowardZero"),
    "rounded to float16": _through(BINARY16),
    "rounded to E4M3FN": _through(E4M3FN),
}


def how_rounded(wanted: Floats, found: Floats) -> str | None:
    """
    Return how scales were rounded.

    Parameters
    ----------
    wanted, found : ndarray of float32
        Before and after.

    Returns
    -------
    str or None
        How they were, or their inverses; None if they were not, in any of these ways.
    """
    if found.shape != wanted.shape or equal(wanted, found):
        return None
    for name, rounded in ROUNDINGS.items():
        if equal(rounded(wanted), found):
            return name
    for name, rounded in ROUNDINGS.items():
        inverse = divide(_ONE, rounded(divide(_ONE, wanted)))
        if equal(inverse, found):
            return f"{name}, as their inverses"
    return None
