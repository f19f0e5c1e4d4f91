"""
Which IEEE exceptions a conversion must raise, for every word: a list of runs.

::

    words   0 | ..... | a value | ..... | a value ...
    flags   0 |   x u |       0 |     x |       0        by the exact reference

Between neighbouring values the exceptions change at most once for each of them, which is
where bisection finds it; the codec's own flags are not asked.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.projection import NanResult
from fp8num.verify import reference
from fp8num.verify.classes import class_runs
from fp8num.verify.truth import truth_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fp8num.formats import Format
    from fp8num.projection import Projection
    from fp8num.verify.sources import SourceType

__all__ = ["FLAG_BITS", "expected_flags"]

#: The bit of each exception, as SoftFloat's and RISC-V's, which have 08 for division by zero.
FLAG_BITS = {"inexact": 1, "underflow": 2, "overflow": 4, "invalid": 16}


def expected_flags(
    words: npt.NDArray[Any], fmt: Format, source: SourceType, projection: Projection
) -> npt.NDArray[np.uint8]:
    """Return the exceptions that conversions should raise."""
    if projection.moved or projection.results or projection.sign_dropped:
        msg = (
            "flags must not be judged with like= a library that departs from the rules: its "
            "exceptions are not known; judge codes alone, or name rounding and saturation"
        )
        raise ValueError(msg)
    starts, bits = _runs(fmt, projection, source)
    return bits[np.searchsorted(starts, words.astype(np.uint64), side="right") - 1]


@lru_cache(maxsize=64)
def _runs(
    fmt: Format, projection: Projection, source: SourceType
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """Return the first word of each run, and its exceptions."""
    nan = NanResult.MAX if projection.nan is NanResult.RAISE else projection.nan

    def ask(word: int) -> int:
        value = source.values(np.array([word], np.uint64).astype(source.word))[0]
        found = reference.flags(value, fmt, projection.rounding, projection.saturation, nan=nan)
        return sum(bit for name, bit in FLAG_BITS.items() if getattr(found, name))

    codes = truth_of(fmt, projection, source).starts
    classes = class_runs(fmt, source)[0].astype(np.uint64)
    ends = [*np.union1d(codes, classes).tolist(), 1 << source.bits]
    starts: list[int] = []
    bits: list[int] = []
    for first, stop in pairwise(ends):
        for start, found in _changes(first, stop - 1, ask):
            if not bits or found != bits[-1]:
                starts.append(start)
                bits.append(found)
    return np.array(starts, np.uint64), np.array(bits, np.uint8)


def _changes(first: int, last: int, ask: Callable[[int], int]) -> list[tuple[int, int]]:
    """Return where the exceptions change between two words, the first one included."""
    low, high = ask(first), ask(last)
    if low == high:
        return [(first, low)]
    below, above = first, last
    while above - below > 1:
        middle = (below + above) // 2
        if ask(middle) == low:
            below = middle
        else:
            above = middle
    return [(first, low), *_changes(above, last, ask)]
