"""What a tensor holds, whatever the format: counts of its binades and specials."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.blocks import BLOCK
from fp8num._kernels.float32 import as_float32, as_float64, flushes_subnormals
from fp8num._kernels.words import as_values
from fp8num.analysis.binades import (
    BINADES,
    INFINITY_KEY,
    KEYS,
    LOWEST_EXPONENT,
    NAN_KEY,
    binade_keys,
    byte_counts,
    magnitude_words,
)

__all__ = ["Distribution"]

#: Types whose numbers are numbers of float32, and some of its words.
_NARROW = {"float16", "bfloat16", "float32"}
_MAGNITUDE, _INFINITY, _NORMAL = np.uint32((1 << 31) - 1), np.uint32(0x7F800000), np.uint32(1 << 23)


@dataclass(frozen=True, kw_only=True, eq=False)
class Distribution:
    """
    What a tensor holds.  Distributions of parts merge to that of the whole, exactly.

    Attributes
    ----------
    size : int
        Number of elements.
    zeros : int
        Elements equal to zero, -0 counted.
    nans, infinities : int
        NaNs, and infinities of both signs.
    amax : float
        The largest finite magnitude, 0.0 if there is none.
    amin : float
        The smallest nonzero finite magnitude, NaN if there is none.
    binades : ndarray of int64, shape (2098,)
        How many finite nonzero elements have each exponent, ``floor(log2(abs(x)))``,
        from -1074 to 1023.
    """

    size: int
    zeros: int
    nans: int
    infinities: int
    amax: float
    amin: float
    binades: npt.NDArray[np.int64]

    @property
    def nonzero(self) -> int:
        """Number of finite nonzero elements."""
        return int(self.binades.sum())

    @property
    def finite(self) -> int:
        """Number of finite elements."""
        return self.size - self.nans - self.infinities

    @property
    def exponents(self) -> range:
        """Exponents from that of `amin` to that of `amax`; empty if there is none."""
        present = np.flatnonzero(self.binades)
        if not len(present):
            return range(0)
        return range(int(present[0]) + LOWEST_EXPONENT, int(present[-1]) + LOWEST_EXPONENT + 1)

    @classmethod
    def of(cls, x: npt.ArrayLike) -> Distribution:
        """
        Look at an array.

        Parameters
        ----------
        x : array_like, shape (...)
            Elements of any type that `fp8num.encode` accepts.

        Returns
        -------
        Distribution
            What it holds.

        Raises
        ------
        TypeError
            If `x` is complex, boolean, text, a date or an object.

        Examples
        --------
        >>> found = Distribution.of([0.0, -0.0, 3.0, -0.5, float("inf")])
        >>> found.zeros, found.infinities, found.amax, found.amin, found.exponents
        (2, 1, 3.0, 0.5, range(-1, 2))
        """
        array = as_values(x).reshape(-1)
        if array.dtype.name in _NARROW and not flushes_subnormals():
            return _of_narrow(array)
        values = as_float64(array)
        words = magnitude_words(values)
        keys = binade_keys(words)
        counts = np.bincount(keys, minlength=KEYS)
        binades = counts[1 : BINADES + 1]
        nonzero = words[(keys > 0) & (keys < INFINITY_KEY)]
        binades.flags.writeable = False
        return cls(
            size=len(values),
            zeros=int(counts[0]),
            nans=int(counts[NAN_KEY]),
            infinities=int(counts[INFINITY_KEY]),
            amax=_number(nonzero.max()) if len(nonzero) else 0.0,
            amin=_number(nonzero.min()) if len(nonzero) else math.nan,
            binades=binades,
        )

    def merge(self, other: Distribution) -> Distribution:
        """Return the distribution of both together."""
        binades = self.binades + other.binades
        binades.flags.writeable = False
        return Distribution(
            size=self.size + other.size,
            zeros=self.zeros + other.zeros,
            nans=self.nans + other.nans,
            infinities=self.infinities + other.infinities,
            amax=max(self.amax, other.amax),
            amin=float(np.fmin(self.amin, other.amin)),  # fmin takes the number, not the NaN
            binades=binades,
        )

    __add__ = merge


def _of_narrow(array: npt.NDArray[Any]) -> Distribution:
    """Look at numbers of float32, most of which are normal."""
    fields = np.empty(len(array), np.uint8)
    zeros = nans = 0
    binades = np.zeros(BINADES, np.int64)
    low, high = _INFINITY, np.uint32(0)
    for start in range(0, len(array), BLOCK):
        words = as_float32(array[start : start + BLOCK]).view(np.uint32) & _MAGNITUDE
        fields[start : start + BLOCK] = words >> np.uint32(23)
        if words.max() >= _INFINITY:
            nans += int(np.count_nonzero(words > _INFINITY))
            words = words[words < _INFINITY]
        if words.min(initial=_INFINITY) < _NORMAL:
            nonzero = words[words > 0]
            zeros += len(words) - len(nonzero)
            words = nonzero
            subnormal = words[words < _NORMAL].astype(np.float64)  # in units of 2**-149
            lengths = np.frexp(subnormal)[1] - 150 - LOWEST_EXPONENT
            binades += np.bincount(lengths, minlength=BINADES)
        low, high = words.min(initial=low), words.max(initial=high)
    counts = byte_counts(fields)
    first = -127 - LOWEST_EXPONENT
    binades[first + 1 : first + 255] += counts[1:255]
    binades.flags.writeable = False
    return Distribution(
        size=len(array),
        zeros=zeros,
        nans=nans,
        infinities=int(counts[255]) - nans,
        amax=float(high.view(np.float32)),
        amin=float(low.view(np.float32)) if high else math.nan,
        binades=binades,
    )


def _number(word: np.uint64) -> float:
    return float(word.view(np.float64))
