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
from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num._kernels.words import as_values, float32_words, source_of, widen
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

__all__ = ["Block", "as_float64", "is_wide"]


def is_wide(dtype: np.dtype[Any]) -> bool:
    """Whether elements of a type are analysed in float64 rather than float32."""
    return source_of(dtype).layout.bits == 64


def as_float64(x: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """
    Return elements as they are encoded and as float64, both flat and in C order.

    64-bit integers and longdouble are rounded to odd in float64, which no later rounding
    to a small format can tell from the element itself; other types are exact.
    """
    array = as_values(x)
    source = source_of(array.dtype)
    native = array.astype(array.dtype.newbyteorder("="), copy=False).reshape(-1)
    # In integers: a conversion of floats would lose subnormals where a library in this
    # process has made the processor flush them to zero.
    words = source.words(native)
    mask = words.dtype.type(source.layout.magnitude_mask)
    wide = widen(words & mask, source.layout)
    wide |= (words > mask).astype(np.uint64) << np.uint64(63)
    values = wide.view(np.float64)
    return (values if is_wide(array.dtype) else native), values


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """
    Elements in ascending order of their binades.

    Attributes
    ----------
    native : ndarray of a floating-point type, shape (n,)
        The elements, as they are encoded.
    values : ndarray of float64, shape (n,)
        The same elements.
    order : ndarray of intp, shape (n,)
        Where each came from.
    keys : ndarray of uint16, shape (n,)
        Their binades' keys.
    """

    native: npt.NDArray[Any]
    values: npt.NDArray[np.float64]
    order: npt.NDArray[np.intp]
    keys: npt.NDArray[np.uint16]

    @classmethod
    def of(cls, x: npt.ArrayLike) -> Block:
        """Sort the elements of an array, stably."""
        native, values = as_float64(x)
        keys = binade_keys(magnitude_words(values))
        order = np.argsort(keys, kind="stable")
        return cls(
            native=native.take(order),
            values=values.take(order),
            order=order,
            keys=keys.take(order),
        )

    def select(self, keep: npt.NDArray[np.bool_]) -> Block:
        """Return the block of some of the elements."""
        return Block(
            native=self.native[keep],
            values=self.values[keep],
            order=self.order[keep],
            keys=self.keys[keep],
        )

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

    def times(self, scale: float) -> npt.NDArray[Any]:
        """
        Return the elements times a scale, as they are encoded.

        The product is rounded to float64 if the elements are of 64 bits, else to float32,
        as kernels do it; times 1 they stay what they are.
        """
        return self.native if scale == 1.0 else self._product(self.values, scale)

    def largest_times(self, scale: float) -> float:
        """Return the largest of the finite magnitudes times a scale, rounded as by `times`."""
        if scale == 1.0:
            return self.amax
        return float(self._product(np.array([self.amax]), scale)[0])

    def _product(self, values: npt.NDArray[np.float64], scale: float) -> npt.NDArray[Any]:
        product = values * scale  # exact if neither has more than 32 bits
        return product if is_wide(self.native.dtype) else float32_words(product).view(np.float32)
