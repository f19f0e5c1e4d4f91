"""
A block of elements, put in the order of their binades once for all formats.

::

    zeros | 2**-149 ... | 2**0 ... 1.99 | 2**1 ... | infinities | NaNs
          starts[0]     starts[1]       starts[2]
          <------------ nonzero ------------------>

Elements that are alike then lie together, and counting or comparing them is a slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fp8num._kernels.float32 import as_float64
from fp8num._kernels.words import as_values
from fp8num.analysis.binades import (
    INFINITY_KEY,
    KEYS,
    LOWEST_EXPONENT,
    NAN_KEY,
    binade_keys,
    magnitude_words,
)
from fp8num.analysis.sums import Scaled, dot

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy.typing as npt

__all__ = ["Block"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """
    Elements in ascending order of their binades.

    Attributes
    ----------
    values : ndarray of float64, shape (n,)
        The elements.  64-bit integers and longdouble are rounded to odd, which no later
        rounding to a small format can tell from the element itself; other types are exact.
    order : ndarray of intp, shape (n,)
        Where each came from.
    keys : ndarray of uint16, shape (n,)
        Their binades' keys.
    """

    values: npt.NDArray[np.float64]
    order: npt.NDArray[np.intp]
    keys: npt.NDArray[np.uint16]

    @classmethod
    def of(cls, x: npt.ArrayLike) -> Block:
        """Sort the elements of an array, stably."""
        values = as_float64(as_values(x).reshape(-1))
        keys = binade_keys(magnitude_words(values))
        order = np.argsort(keys, kind="stable")
        return cls(values=values.take(order), order=order, keys=keys.take(order))

    def select(self, keep: npt.NDArray[np.bool_]) -> Block:
        """Return the block of some of the elements."""
        return Block(values=self.values[keep], order=self.order[keep], keys=self.keys[keep])

    @cached_property
    def _counts(self) -> npt.NDArray[np.int64]:
        return np.bincount(self.keys, minlength=KEYS)

    @property
    def zeros(self) -> int:
        """How many zeros there are: where the others begin."""
        return int(self._counts[0])

    @property
    def finite(self) -> int:
        """How many finite numbers there are: where infinities and NaNs begin."""
        return len(self.values) - int(self._counts[INFINITY_KEY] + self._counts[NAN_KEY])

    @property
    def exponents(self) -> npt.NDArray[np.int64]:
        """The binades that occur, ascending."""
        return np.flatnonzero(self._counts[1:INFINITY_KEY]) + LOWEST_EXPONENT

    @property
    def starts(self) -> npt.NDArray[np.intp]:
        """Where each binade that occurs begins, counted from the first nonzero element."""
        counts = self._counts[1:INFINITY_KEY]
        counts = counts[counts > 0]
        return np.cumsum(counts) - counts

    @cached_property
    def magnitudes(self) -> npt.NDArray[np.float64]:
        """Magnitudes of the finite elements, zeros included."""
        return magnitude_words(self.values[: self.finite]).view(np.float64)

    @cached_property
    def amax(self) -> float:
        """The largest finite magnitude, 0.0 if there is none."""
        return float(self.magnitudes.max(initial=0.0))

    @cached_property
    def elements(self) -> Scaled:
        """The finite elements, ready for sums of products."""
        return Scaled(self.values[: self.finite]).normalize(self.amax)

    @cached_property
    def sum_of_squares(self) -> Fraction:
        """The sum of the finite elements' squares."""
        return dot(self.elements, self.elements)
