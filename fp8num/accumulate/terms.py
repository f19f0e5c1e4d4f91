"""
What a unit knows of its operands: values, the exponents they are aligned by, specials.

::

    code -> value (0 for infinity and NaN), exponent max(floor(log2 |x|), emin), sign
    lane NARROW: float32 and int8, where every sum is exact in 24 bits;  WIDE: float64, int16
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.accumulate.binary import from_float32

if TYPE_CHECKING:
    from fp8num.formats import Format

__all__ = ["NARROW", "WIDE", "Lane", "Terms", "exponent_range", "make_terms", "special_sums"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Lane:
    """The types in which a unit's sums are computed."""

    floats: type[np.floating[Any]]
    integers: type[np.signedinteger[Any]]
    exponents: type[np.signedinteger[Any]]
    mantissa_bits: int
    bias: int
    zero: int  #: exponent that marks a zero: with another's it is below any sum's
    least: int  #: exponent to align to where all terms are zero


NARROW = Lane(np.float32, np.int32, np.int8, 23, 127, -57, -114)
WIDE = Lane(np.float64, np.int64, np.int16, 52, 1023, -8192, -900)


@dataclass(frozen=True)
class Terms:
    """
    An operand with k along the first axis, shape (K, X).

    `signs` holds -1, 0, 1, infinities and NaN, and is None if all values are finite.
    """

    values: Array
    exponents: Array
    signs: npt.NDArray[np.float32] | None


@lru_cache(maxsize=256)
def _tables(fmt: Format, emin: int | None, lane: Lane) -> tuple[Array, Array, Array]:
    """Return value, alignment exponent and sign of each code."""
    values = np.where(np.isfinite(fmt.values), fmt.values, 0.0)
    exponents = np.frexp(values)[1] - 1
    least = fmt.emin if emin is None else emin
    if least is not None:
        exponents = np.maximum(exponents, least)
    exponents[values == 0] = lane.zero
    signs = np.where(np.isinf(fmt.values), fmt.values, np.sign(fmt.values)).astype(np.float32)
    return values.astype(lane.floats), exponents.astype(lane.exponents), signs


@lru_cache(maxsize=256)
def exponent_range(fmt: Format, emin: int | None = None) -> tuple[int, int, int, int]:
    """Return the least and largest alignment exponent, the lowest bit, the significant bits."""
    _, integers, exponents = fmt.magnitudes
    some = integers > 0
    integers, exponents = integers[some], exponents[some]
    odd = integers // (integers & -integers)
    low = exponents + np.frexp((integers & -integers).astype(np.float64))[1] - 1
    top = exponents + np.frexp(integers.astype(np.float64))[1] - 1
    least = fmt.emin if emin is None else emin
    first = int(top.min()) if least is None else max(int(top.min()), least)
    return first, int(top.max()), int(low.min()), int(odd.max()).bit_length()


def make_terms(
    codes: Array,
    fmt: Format,
    emin: int | None,
    lane: Lane,
    scales: npt.NDArray[np.float32] | None = None,
) -> Terms:
    """
    Return the terms of codes of shape (K, X), with scales that belong to the unit.

    Scales are powers of two per element, or broadcast; they move the exponents.
    """
    values, exponents, signs = (np.take(table, codes) for table in _tables(fmt, emin, lane))
    finite = bool(np.isfinite(signs).all())
    if scales is not None:
        wide = from_float32(np.broadcast_to(scales, codes.shape))
        bad = ~np.isfinite(wide)
        wide = np.where(bad, 0.0, wide)
        moved = np.where(wide == 0, 0, np.frexp(wide)[1] - 1)
        present = (values != 0) & (wide != 0)
        exponents = np.where(present, exponents + moved, lane.zero).astype(lane.exponents)
        values = values * wide
        if bad.any():
            signs = np.where(bad, np.float32(np.nan), signs)
            finite = False
    return Terms(values, exponents, None if finite else signs)


def special_sums(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> Array:
    """Return what infinities and NaNs among products add up to: 0 where there are none."""
    parts = []
    for x in (a, b):
        infinite = np.where(np.isinf(x), np.sign(x), np.float32(0))
        finite = np.where(np.isfinite(x), x, np.float32(0))
        parts.append((infinite, finite, (x == 0).astype(np.float32), np.isnan(x)))
    (inf_a, fin_a, zero_a, nan_a), (inf_b, fin_b, zero_b, nan_b) = parts
    # Sums of at most K ones: float32 is exact whatever order the BLAS takes.
    balance = inf_a.T @ (fin_b + inf_b) + fin_a.T @ inf_b
    count = abs(inf_a).T @ abs(fin_b + inf_b) + abs(fin_a).T @ abs(inf_b)
    bad = abs(inf_a).T @ zero_b + zero_a.T @ abs(inf_b)
    nan = np.asarray((bad > 0) | (np.abs(balance) != count))
    nan |= np.any(nan_a, axis=0)[:, None] | np.any(nan_b, axis=0)
    found = np.zeros(balance.shape, np.float32)
    found[balance > 0] = np.inf
    found[balance < 0] = -np.inf
    found[nan] = np.nan
    return found
