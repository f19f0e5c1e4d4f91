"""
Exact work on binary32 and binary64 numbers, whatever flush-to-zero says.

Values are held in float64, where every float32 and every product of two small floats is
exact and far from the subnormals; what becomes a float32 subnormal is assembled from bits.

::

    exponent   floor(log2 |x|)                 odd_sum   x + y, last bit odd if inexact
    on_grid    x rounded to a precision        to_float32, from_float32
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Floats",
    "exponent",
    "from_float32",
    "odd_product_sum",
    "odd_sum",
    "on_grid",
    "pow2",
    "to_float32",
]

Floats = npt.NDArray[np.float64]

_TINY = 2.0**-126  #: smallest normal float32


def exponent(x: Floats) -> npt.NDArray[np.int64]:
    """Return floor(log2 |x|) of normal numbers; -1023 for zero."""
    found: npt.NDArray[np.int64] = ((x.view(np.int64) >> 52) & 0x7FF) - 1023
    return found


def pow2(e: npt.NDArray[np.int64]) -> Floats:
    """Return 2**e for e from -1022 to 1023."""
    return ((e + 1023) << 52).view(np.float64)


def on_grid(x: Floats, bits: int, emin: int, rounding: Callable[..., Any] = np.rint) -> Floats:
    """
    Return `x` with `bits` bits behind the leading one, or the subnormal grid of `emin`.

    The exponent has no upper end.  `rounding` is the function that rounds to integers.
    """
    e = np.maximum(exponent(x), emin) - bits
    found: Floats = rounding(x * pow2(-e)) * pow2(e)
    return found


def to_float32(x: Floats) -> npt.NDArray[np.float32]:
    """Return the nearest float32, ties to even."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        found = x.astype(np.float32)
    small = (np.abs(x) < _TINY) & (x != 0)
    if small.any():  # a subnormal is its bits times 2**-149
        bits = np.rint(np.abs(x[small]) * 2.0**149).astype(np.uint32)
        found.view(np.uint32)[small] = bits | (np.signbit(x[small]).astype(np.uint32) << 31)
    return found


def from_float32(x: npt.NDArray[np.float32]) -> Floats:
    """Return float32 values as float64."""
    with np.errstate(invalid="ignore"):  # of a signalling NaN
        found = np.asarray(x, dtype=np.float64)
    bits = np.ascontiguousarray(x).view(np.uint32).reshape(np.shape(x))
    small = ((bits & 0x7F800000) == 0) & ((bits & 0x7FFFFF) != 0)
    if small.any():
        found = found.copy() if found is x else found
        magnitude = (bits[small] & 0x7FFFFF).astype(np.float64) * 2.0**-149
        found[small] = np.where(bits[small] >> 31, -magnitude, magnitude)
    return found


def odd_sum(x: Floats, y: Floats) -> Floats:
    """
    Return ``x + y`` rounded to odd: of the two neighbours of an inexact sum, the odd one.

    Whatever is rounded from it to at most 51 bits is rounded as from the exact sum.
    """
    with np.errstate(invalid="ignore"):
        total = np.asarray(x + y)
        part = total - x  # Knuth's two-sum
        error = (x - (total - part)) + (y - part)
    bits = total.view(np.int64)
    even = ((bits & 1) == 0) & (error != 0) & np.isfinite(error)
    if even.any():
        # The sum was rounded to the even neighbour; the exact one lies towards `error`.
        outward = (error > 0) == (total > 0)
        bits += np.where(even, np.where(outward, 1, -1), 0)
    return total


def odd_product_sum(x: Floats, y: Floats, z: Floats) -> Floats:
    """Return ``x * y + z`` rounded to odd, of products that float64 holds."""
    with np.errstate(invalid="ignore"):
        product = np.asarray(x * y)
    return odd_sum(product, z)
