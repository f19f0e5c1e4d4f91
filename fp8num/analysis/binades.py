"""
Binades: the ranges from one power of two to the next, in which relative error is alike.

::

    key    0      1 ... 2098        2099       2100
           zero   2**-1074 ... 1023 infinity   NaN      (exponents of float64's binades)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import flushes_subnormals
from fp8num._kernels.state import float_arithmetic

__all__ = [
    "BINADES",
    "LOWEST_EXPONENT",
    "BinadeErrors",
    "binade_keys",
    "byte_counts",
    "magnitude_words",
]

LOWEST_EXPONENT = -1074  #: of float64's smallest subnormal number
BINADES = 2098  #: from there to 1023, the exponent of the largest number

#: What `binade_keys` gives infinity and NaN, and how many keys there are.
INFINITY_KEY, NAN_KEY, KEYS = BINADES + 1, BINADES + 2, BINADES + 3

_INFINITY = np.uint64(0x7FF << 52)
#: Bytes that are counted at once, and from how many on it pays to count pairs.
_COUNTED, _MANY = 1 << 19, 1 << 17

T = TypeVar("T", bound=np.generic)


def magnitude_words(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint64]:
    """Return the words of float64 magnitudes, which are in the order of the numbers."""
    return values.view(np.uint64) & np.uint64((1 << 63) - 1)


def binade_keys(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
    """Return the key of each magnitude word, ascending with it; refuse what would be flushed."""
    keys = (words >> np.uint64(52)).astype(np.uint16)
    keys += np.uint16(52)  # the exponent field is 1 for -1022, the 53rd binade
    subnormal = keys == np.uint16(52)
    if subnormal.any():  # an integer times 2**-1074; its length is its key
        if flushes_subnormals() and words[subnormal].any():
            msg = (
                "x must hold no subnormal float64 where the processor flushes them to zero, as "
                "another library has made it do; switch that off, or multiply x by a power of two"
            )
            raise ValueError(msg)
        keys[subnormal] = np.frexp(words[subnormal].astype(np.float64))[1]
    keys[words > _INFINITY] = NAN_KEY
    return keys


def byte_counts(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Count how often each byte occurs, of many two at a time."""
    counts = np.zeros(256, np.int64)
    for start in range(0, len(values), _COUNTED):
        some = np.ascontiguousarray(values[start : start + _COUNTED])
        pairs = some[: len(some) & ~1] if len(some) >= _MANY else some[:0]
        if len(pairs):
            both = np.bincount(pairs.view(np.uint16), minlength=1 << 16).reshape(256, 256)
            counts += both.sum(axis=0) + both.sum(axis=1)
        counts += np.bincount(some[len(pairs) :], minlength=256)
    return counts


@dataclass(frozen=True, kw_only=True, eq=False)
class BinadeErrors:
    """
    Relative errors by the binade of the exact number.

    Attributes
    ----------
    start : int
        Exponent of the first binade: numbers from ``2**start``.
    count : ndarray of int64, shape (n,)
        How many numbers of each binade were compared.
    rms : ndarray of float64, shape (n,)
        Root of their mean squared relative error; 0 where there are none.
    maximum : ndarray of float64, shape (n,)
        Their largest relative error; 0 where there are none.
    """

    start: int
    count: npt.NDArray[np.int64]
    rms: npt.NDArray[np.float64]
    maximum: npt.NDArray[np.float64]

    @property
    def exponents(self) -> npt.NDArray[np.int64]:
        """The exponent of each binade."""
        return np.arange(self.start, self.start + len(self.count))

    @classmethod
    @float_arithmetic
    def of(
        cls, errors: npt.NDArray[np.float64], magnitudes: npt.NDArray[np.float64]
    ) -> BinadeErrors:
        """
        Summarise relative errors.

        Parameters
        ----------
        errors : ndarray of float64, shape (m,)
            Magnitudes of relative errors.
        magnitudes : ndarray of float64, shape (m,)
            Magnitudes of the exact numbers, finite and not zero.

        Returns
        -------
        BinadeErrors
            The summary.
        """
        keys = binade_keys(magnitude_words(magnitudes))
        order = np.argsort(keys, kind="stable")
        errors = errors.take(order)
        present, starts = np.unique(keys.take(order), return_index=True)
        exponents = present.astype(np.int64) - 1 + LOWEST_EXPONENT
        if not len(starts):
            return cls(start=0, count=np.empty(0, np.int64), rms=np.empty(0), maximum=np.empty(0))
        counts = np.diff(starts, append=len(errors))
        maximum = np.maximum.reduceat(errors, starts)
        unit = np.ones(1)
        if maximum.max() > 2.0**480:  # squares would overflow
            unit = np.maximum(maximum, 1.0)
            errors = errors / np.repeat(unit, counts)
        rms = unit * np.sqrt(np.add.reduceat(errors * errors, starts) / counts)
        start, stop = int(exponents[0]), int(exponents[-1]) + 1
        return cls(
            start=start,
            count=_spread(counts, exponents, start, stop),
            rms=_spread(rms, exponents, start, stop),
            maximum=_spread(maximum, exponents, start, stop),
        )

    @float_arithmetic
    def merge(self, other: BinadeErrors) -> BinadeErrors:
        """Return the errors of both."""
        if not len(self.count) or not len(other.count):
            return self if len(self.count) else other
        start = min(self.start, other.start)
        stop = max(self.start + len(self.count), other.start + len(other.count))
        a, b = (
            {
                name: _spread(getattr(part, name), part.exponents, start, stop)
                for name in ("count", "rms", "maximum")
            }
            for part in (self, other)
        )
        count = a["count"] + b["count"]
        # The mean of squares, relative to the larger so that none overflows.
        unit = np.maximum(a["rms"], b["rms"])
        unit[unit == 0] = 1.0
        squares = sum(part["count"] * (part["rms"] / unit) ** 2 for part in (a, b))
        return BinadeErrors(
            start=start,
            count=count,
            rms=unit * np.sqrt(squares / np.maximum(count, 1)),
            maximum=np.maximum(a["maximum"], b["maximum"]),
        )


def _spread(
    entries: npt.NDArray[T], exponents: npt.NDArray[np.int64], start: int, stop: int
) -> npt.NDArray[T]:
    """Return entries for some exponents as entries for each of a range, zero elsewhere."""
    found = np.zeros(stop - start, entries.dtype)
    found[exponents - start] = entries
    return found
