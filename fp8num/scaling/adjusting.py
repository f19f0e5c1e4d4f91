"""
Slips of a library's float32 rounding that no rounding mode has, put into the words.

::

    word of x * factor --> the word that the proper rounding takes where the library does
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.words import FLOAT32
from fp8num.scaling.scales import floor_log2

if TYPE_CHECKING:
    from fp8num.formats import Format
    from fp8num.scaling.rule import Cast

__all__ = ["Adjustment", "adjustment", "flushed"]

Words = npt.NDArray[np.uint32]
Adjustment = Callable[[npt.NDArray[Any], "Format"], npt.NDArray[Any]]

_MAGNITUDE = np.uint32(FLOAT32.magnitude_mask)
#: Only mantissas from here on can have a logarithm that rounds up to the next integer:
#: within 2**-15 of a power of two, for float32's spacing is at most 2**-17 below 128.
_NEAR_TOP = np.uint32(0x7FFF00)


def flushed(values: npt.NDArray[np.float32] | np.float32) -> npt.NDArray[np.float32]:
    """Return values with zero of their sign for subnormals, as XLA's CPU backend has it."""
    words = np.asarray(values, np.float32).view(np.uint32)
    small = words & _MAGNITUDE < np.uint32(1 << 23)
    return np.where(small, words & ~_MAGNITUDE, words).view(np.float32)


def adjustment(cast: Cast) -> Adjustment | None:
    """Return what puts a cast's slips into float32 words; None if it has none."""
    if cast.early_tie:
        return _lift_early_tie
    if cast.coarse_top:
        return _cut_coarse_top
    if not (cast.ties_toward_zero or cast.minus_zeros):
        return None

    def adjust(words: Words, fmt: Format) -> Words:
        words = _lower_ties(words, fmt) if cast.ties_toward_zero else words
        return _mark_zeros(words) if cast.minus_zeros else words

    return adjust


def _lift_early_tie(words: Words, fmt: Format) -> Words:
    """Move the number just below half the smallest value above it."""
    half = np.float32(fmt.values[fmt.magnitudes.codes[1]] / 2)
    early = (words & _MAGNITUDE) == half.view(np.uint32) - np.uint32(1)
    return np.asarray(words + 2 * early.astype(np.uint32))


def _lower_ties(words: Words, fmt: Format) -> Words:
    """Move what is halfway between two values below it."""
    values = fmt.values[fmt.magnitudes.codes]
    halves = ((values[1:] + values[:-1]) / 2).astype(np.float32).view(np.uint32)
    return np.asarray(words - np.isin(words & _MAGNITUDE, halves).astype(np.uint32))


def _mark_zeros(words: Words) -> Words:
    """Make -0 of zeros and NaN."""
    magnitude = words & _MAGNITUDE
    marked = (magnitude == 0) | (magnitude > np.uint32(FLOAT32.infinity))
    return np.where(marked, ~_MAGNITUDE, words)


def _cut_coarse_top(words: Words, fmt: Format) -> Words:
    """Cut numbers whose float32 logarithm is the next integer to the grid above it."""
    at = np.flatnonzero((words & np.uint32((1 << 23) - 1)) >= _NEAR_TOP)
    if not at.size or fmt.mantissa_bits is None:
        return words
    near = words[at]
    magnitude = near & _MAGNITUDE
    exponent = (magnitude >> np.uint32(23)).astype(np.int32) - 127
    found = floor_log2(magnitude.view(np.float32))
    assert fmt.emin is not None
    rounded_up = (found > exponent) & (found > fmt.emin) & np.isfinite(found)
    # 2**k less one step of the grid above: the mantissa's bits below that step are cleared.
    step = np.uint32(fmt.mantissa_bits)
    cut = (near >> (np.uint32(24) - step)) << (np.uint32(24) - step)
    adjusted = words.copy()
    adjusted[at] = np.where(rounded_up, cut, near)
    return adjusted
