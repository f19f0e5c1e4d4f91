"""How often codes occur, and how many elements a format loses: to zero, or past its end."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num._kernels.blocks import BLOCK
from fp8num._kernels.float32 import as_float64
from fp8num.analysis.binades import byte_counts
from fp8num.analysis.blocks import blocks_of
from fp8num.formats import TabulatedFormat
from fp8num.scaled import Descale
from fp8num.scaling.applying import odd_product
from fp8num.scaling.rule import Rule

if TYPE_CHECKING:
    import numpy.typing as npt

    from fp8num.analysis.blocks import Block, Decoded
    from fp8num.formats import Format
    from fp8num.scaled import ScaledArray

__all__ = ["code_counts", "count_lost", "count_saturated", "overflow_threshold"]


@lru_cache(maxsize=64)
def _may_saturate(fmt: Format) -> npt.NDArray[np.bool_]:
    """Whether a code is what numbers past the largest value may become."""
    return ~(np.abs(fmt.values) < float(fmt.max))  # infinities and NaN too


@lru_cache(maxsize=64)
def overflow_threshold(fmt: Format) -> float:
    """
    Return the smallest float64 that rounds past the largest value, to nearest.

    Parameters
    ----------
    fmt : Format
        A format that fits float64.

    Returns
    -------
    float
        Infinity if no finite number does.
    """
    middle, inclusive = _end(fmt)
    return middle if inclusive else math.nextafter(middle, math.inf)


@lru_cache(maxsize=64)
def _end(fmt: Format) -> tuple[float, bool]:
    """Return what lies halfway above the largest value, and whether it rounds past that."""
    if fmt.successor is None:
        return math.inf, True
    if isinstance(fmt, TabulatedFormat):
        integer, exponent, inclusive = fmt.nearest[-1]
    else:  # halfway to the successor; the tie goes to the even code
        code = int(fmt.magnitudes.codes[-1])
        integer, exponent = fmt.decompose(code)
        integer, exponent, inclusive = 2 * integer + 1, exponent - 1, code % 2 == 1
    return math.ldexp(integer, exponent), inclusive


def code_counts(codes: npt.NDArray[Any], total: int) -> npt.NDArray[np.int64]:
    """Count how often each code occurs."""
    if codes.dtype == np.uint8:
        return byte_counts(codes)[:total]
    counts = np.zeros(total, np.int64)
    for start in range(0, len(codes), BLOCK):  # NumPy widens codes: those stay in the cache
        counts += np.bincount(codes[start : start + BLOCK], minlength=total)
    return counts


def count_lost(block: Block, made: Decoded, counts: npt.NDArray[np.int64]) -> int:
    """Count the finite elements that are not zero and whose result is."""
    if not made.rotates and _keeps_nonzero(made.scaled, made.operands):
        lost = int(counts[made.scaled.format.values == 0].sum())
        if not lost or (not block.zeros and block.is_finite is None):
            return lost
    return int(np.count_nonzero((made.whole == 0) & (block.x != 0)))


def _keeps_nonzero(scaled: ScaledArray, operands: npt.NDArray[np.float32]) -> bool:
    """Whether no value but zero gives zero with any of the scales."""
    values = np.abs(scaled.format.values)
    least = values.min(where=values > 0, initial=math.inf)
    divides = scaled.descale is Descale.DIVIDE
    scale = operands.max(initial=0.0) if divides else operands.min(initial=math.inf)
    return bool((least / scale if divides else least * scale) >= np.finfo(np.float64).tiny)


def count_saturated(block: Block, made: Decoded, counts: npt.NDArray[np.int64]) -> int:
    """Count the finite elements that round past the largest value in units of their scale."""
    scaled, codes, operands = made.scaled, made.codes, made.operands
    middle, inclusive = _end(scaled.format)
    may = np.flatnonzero(_may_saturate(scaled.format) & (counts > 0))
    if middle == math.inf or not may.size:
        return 0
    found = np.zeros(len(codes), np.bool_)
    for code in may.astype(codes.dtype):
        found |= codes == code
    at = np.flatnonzero(found)
    if block.is_finite is not None:
        at = at[block.is_finite[at]]
    x = _as_scaled(block, scaled).take(at)
    if scaled.format.signed:
        x = np.abs(x)
    scales = operands.reshape(-1)[blocks_of(at, scaled)] if operands.size > 1 else operands
    if scaled.descale is Descale.DIVIDE:  # to odd: nothing crosses the middle
        x, end = odd_product(x, scales), np.asarray(middle)
    else:  # exact: a few bits times float32
        end = middle * as_float64(scales)
    return int(np.count_nonzero(x >= end if inclusive else x > end))


def _as_scaled(block: Block, scaled: ScaledArray) -> npt.NDArray[np.float64]:
    """Return a block's elements as the rule multiplies them: rotated, if it rotates."""
    rule = scaled.rule
    if not isinstance(rule, Rule) or rule.rotation is None:
        return block.values
    return as_float64(rule.rotation.apply(block.values.reshape(scaled.shape), scaled.axis)).ravel()
