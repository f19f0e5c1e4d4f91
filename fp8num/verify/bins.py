"""
What a rounder looks at, as bins, and which of them a source type can reach.

::

    |x|  low --------- place --------- high       last     parity of low's code
               guard 0   |    guard 1             guard    at or above the place
    sticky 0 at low and at the place, else 1      sticky   what lies below the guard bit

    bin = class of the rounded number x sign x last x guard x sticky

Where rounding to nearest divides gaps half way these are the three bits of a hardware
rounder; for tabulated formats the place is where their standard divides the gap.

Which bins can be hit is decided and not guessed.  All five are constant between one line,
a value or a place, and the next, so each stretch between them that holds a word of the
source is listed: the bins of that list are the possible ones, and all others are impossible.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fp8num.formats import TabulatedFormat
from fp8num.projection import Rounding
from fp8num.verify.classes import gaps

if TYPE_CHECKING:
    from fractions import Fraction

    from fp8num.formats import Format
    from fp8num.verify.sources import SourceType

__all__ = ["BINS", "RESULTS", "Stretches", "bin_of_each", "stretches_of"]

#: The classes of a number after rounding, before saturation.
RESULTS = ("zero", "subnormal", "normal", "overflow", "infinity", "nan")
_ZERO, _SUBNORMAL, _NORMAL, _OVERFLOW, _INFINITY, _NAN = range(len(RESULTS))
#: Bins of one projection: sign, last, guard and sticky are the low four bits of the index.
BINS = len(RESULTS) << 4
_NEAREST = (Rounding.NEAREST_TIES_TO_EVEN, Rounding.NEAREST_TIES_TO_AWAY)


class Stretches(NamedTuple):
    """Stretches of words that a rounder cannot tell apart, in the order of the words."""

    starts: npt.NDArray[Any]  #: the first word of each
    below: npt.NDArray[np.int64]  #: index of the magnitude at or below; -1 without zero
    guard: npt.NDArray[np.int64]
    sticky: npt.NDArray[np.int64]
    sign: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]  #: _INFINITY, _NAN, or 0 for numbers


@lru_cache(maxsize=64)
def stretches_of(fmt: Format, source: SourceType) -> Stretches:
    """Return the stretches of words between neighbouring lines, of both signs."""
    # At the successor of the largest value and above guard is 0, and sticky tells whether it is
    # the successor; of zeros, infinities and NaNs both are 0.  Below the smallest value of a
    # format without zero, guard and sticky are 1.
    ladder = gaps(fmt)
    rows = {0: (0, 0, 0)} if fmt.has_zero else {0: (-1, 0, 0), 1: (-1, 1, 1)}

    def draw(point: Fraction, below: int, guard: int, *, at: bool = True) -> None:
        """Draw a line: sticky is 0 at it, 1 above it.  Later lines are at or above."""
        place, is_number = source.place(point)
        if is_number and at:
            rows[place] = (below, guard, 0)
        rows[place + 1] = (below, guard, 1)

    for index, (low, place, _) in enumerate(ladder):
        draw(low, index, 0)
        draw(place, index, 1, at=place > low)  # posit8 goes up from 0 at once
    draw(ladder[-1].high, len(ladder), 0)
    finite = sorted((start, row) for start, row in rows.items() if start < source.infinity)
    starts = [start for start, _ in finite] + [source.infinity, source.infinity + 1]
    columns = np.array([row for _, row in finite] + [(0, 0, 0)] * 2, np.int64).T
    below, guard, sticky = np.concatenate([columns, columns], axis=1)
    kind = np.zeros((2, len(starts)), np.int64)
    kind[:, -2:] = _INFINITY, _NAN
    magnitudes = np.array(starts, np.uint64)
    words = np.concatenate([magnitudes, magnitudes + np.uint64(source.sign)]).astype(source.word)
    sign = np.repeat([0, 1], len(starts))
    found = Stretches(words, below, guard, sticky, sign, kind.ravel())
    for array in found:
        array.flags.writeable = False
    return found


def bin_of_each(stretches: Stretches, fmt: Format, rounding: Rounding) -> npt.NDArray[np.int64]:
    """Return the index of the bin of each stretch."""
    _, below, guard, sticky, sign, kind = stretches
    codes = fmt.magnitudes.codes.astype(np.int64)
    # What follows the largest value would have the next code; below all values is even.
    last = np.concatenate([codes, [codes[-1] + 1, 0]])[below] & 1
    inexact = guard | sticky
    up = np.where(below < 0, inexact, _goes_up(stretches, last, fmt, rounding))
    rounded = below + up
    result = np.where(rounded < fmt.first_normal, _SUBNORMAL, _NORMAL)
    result[rounded >= codes.size] = _OVERFLOW
    result[rounded < int(fmt.has_zero)] = _ZERO
    if fmt.successor is None and rounding not in _NEAREST:
        # Nothing is there to round to above the largest value, in either direction.
        result[(below == codes.size - 1) & (sticky == 1)] = _OVERFLOW
    special = kind > 0
    result[special] = kind[special]
    last[special] = 0
    found: npt.NDArray[np.int64] = result << 4 | sign << 3 | last << 2 | guard << 1 | sticky
    return found


def _goes_up(
    stretches: Stretches, last: npt.NDArray[np.int64], fmt: Format, rounding: Rounding
) -> npt.NDArray[np.int64]:
    """Return 1 where a magnitude is rounded to the value above it."""
    inexact = stretches.guard | stretches.sticky
    match rounding:
        case Rounding.TOWARD_ZERO:
            return np.zeros_like(last)
        case Rounding.TOWARD_POSITIVE:
            return inexact & (1 - stretches.sign)
        case Rounding.TOWARD_NEGATIVE:
            return inexact & stretches.sign
        case Rounding.TO_ODD:
            return inexact & (1 - last)
    if isinstance(fmt, TabulatedFormat):  # ties are the standard's, whatever the mode
        flags = [int(at) for _, _, at in fmt.nearest]
        tie = np.array([*flags, 0, 0])[stretches.below]
    else:
        tie = last if rounding is Rounding.NEAREST_TIES_TO_EVEN else np.ones_like(last)
    up: npt.NDArray[np.int64] = stretches.guard & (stretches.sticky | tie)
    return up
