"""
A library's answers as codes, and what stands for an answer that is no code.

::

    codes   0 .. 2**bits - 1 -> themselves
    values  in the format    -> the code of the value, NaN and the sign of zero included
    others  480 in E4M3FN    -> a code that no conversion gives for that input

A wrong answer has to count as wrong whatever rule it is judged by, and only once: so what
a format does not have is neither left out nor rounded to something that may be right.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from fp8num.formats import Format

__all__ = ["read_answers", "stand_ins"]


def read_answers(
    answers: npt.NDArray[Any], fmt: Format
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return answers as codes, and which of them the format has."""
    if answers.dtype.kind in "iu":
        known = (answers >= 0) & (answers < 1 << fmt.bits)
        return np.where(known, answers, 0).astype(fmt.code_dtype), known
    keys, codes = _codes_by_bits(fmt)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        wide = np.array(answers, np.float64)
    wide[np.isnan(wide)] = np.nan  # one NaN for all
    if not fmt.has_negative_zero:
        wide[wide == 0] = 0.0
    bits = wide.view(np.uint64)
    places = np.minimum(np.searchsorted(keys, bits), len(keys) - 1)
    known = keys[places] == bits
    return np.where(known, codes[places], 0).astype(fmt.code_dtype), known


@lru_cache(maxsize=64)
def _codes_by_bits(fmt: Format) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return the bits of a format's values, ascending, and their codes; the first code of NaN."""
    values = fmt.values.copy()
    values[np.isnan(values)] = np.nan
    keys, codes = np.unique(values.view(np.uint64), return_index=True)
    return keys, codes


def stand_ins(x: npt.NDArray[Any], fmt: Format) -> npt.NDArray[Any]:
    """Return a code for each input that no rule of conversion gives for it."""
    codes = fmt.magnitudes.codes
    largest, smallest, middle = int(codes[-1]), int(codes[0]), int(codes[len(codes) // 2])
    with np.errstate(invalid="ignore"):  # signalling NaNs
        wide = x.astype(np.float64)
    negative = np.signbit(wide) & ~np.isnan(wide)
    if fmt.signed:
        chosen = np.where(negative, largest, fmt.negate_code(largest))
    else:
        large = np.isnan(wide) | (np.abs(wide) >= fmt.max / 2)
        chosen = np.where(large, np.where(negative, middle, smallest), largest)
    return chosen.astype(fmt.code_dtype)
