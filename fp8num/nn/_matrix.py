"""
A matrix for products: float32 values or codes, widened to float64 when it is needed.

::

    codes, or float32  --wide--> float64, in a buffer that the thread keeps
    quanta             powers of two that all of a row or column is a multiple of
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import as_float32, as_float64, flushes_subnormals
from fp8num.codec import decode

if TYPE_CHECKING:
    from fp8num.formats import Format

__all__ = ["KEPT", "Matrix", "buffer"]

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]

#: The most numbers of a buffer that is kept: memory that goes back and forth between a
#: process and its system costs as much as the products of a small layer.
KEPT = 1 << 20


class _Buffers(threading.local):
    """Memory that each thread keeps."""

    def __init__(self) -> None:
        self.by_name: dict[str, Floats] = {}


_BUFFERS = _Buffers()


def buffer(name: str, shape: tuple[int, int]) -> Floats:
    """Return memory for a matrix, which is the caller's until it asks for that name again."""
    size = shape[0] * shape[1]
    if size > KEPT:
        return np.empty(shape)
    found = _BUFFERS.by_name.get(name)
    if found is None or found.size < size:
        found = _BUFFERS.by_name[name] = np.empty(size)
    return found[:size].reshape(shape)


class Matrix:
    """
    Values, or codes with their format.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (rows, columns)
        Numbers that float32 holds; or codes.
    fmt : Format, optional
        Of codes.
    grid : Format, optional
        Of values, if they are such a format's.
    """

    def __init__(
        self, values: Array, fmt: Format | None = None, *, grid: Format | None = None
    ) -> None:
        self.values, self.format = values, fmt
        #: The format whose values the numbers are, if that is known.
        self.grid = fmt if grid is None else grid

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.values.shape
        return rows, columns

    def __getitem__(self, key: tuple[slice, slice]) -> Matrix:
        return Matrix(self.values[key], self.format, grid=self.grid)

    def wide(self, name: str) -> Floats:
        """Return the numbers in float64, in a buffer of a name unless they are so already."""
        if self.values.dtype == np.float64:
            return self.values
        if self.format is None and flushes_subnormals():
            return as_float64(self.values)
        found = buffer(name, self.shape)
        if self.format is None:
            np.copyto(found, self.values)
        else:
            decode(self.values, self.format, dtype=np.float64, out=found)
        return found

    @property
    def single(self) -> npt.NDArray[np.float32]:
        """The numbers in float32."""
        if self.format is not None:
            return decode(self.values, self.format, dtype=np.float32)
        return as_float32(self.values)

    def quanta(self, axis: int) -> Floats:
        """Return what all numbers along an axis are multiples of; of zeros, anything."""
        fmt = self.format
        if fmt is not None and fmt.mantissa_bits is not None and fmt.signed:
            return _of_codes(self.values, fmt, axis)
        values = self.values if fmt is None else decode(self.values, fmt)
        grid = self.grid
        if grid is not None and grid.mantissa_bits is not None and grid.emin is not None:
            return _of_grid(values, grid.emin, grid.mantissa_bits, axis)
        return _of_words(values, axis)


def _of_words(values: Array, axis: int) -> Floats:
    """Return quanta of floats: the lowest bit of all their mantissas, at the lowest exponent."""
    bits, mantissa_bits, bias = (32, 23, 127) if values.itemsize == 4 else (64, 52, 1023)
    kind = np.dtype(f"u{bits // 8}")
    words, one = values.view(kind), kind.type(1)
    used = np.bitwise_or.reduce(words & kind.type((1 << mantissa_bits) - 1), axis)
    # Without its sign, and with zero as the largest: 0 - 1 wraps.
    most = np.iinfo(kind).max
    smallest = np.minimum.reduce((words << one) - one, axis, initial=most) + one
    field = np.maximum(smallest >> kind.type(mantissa_bits + 1), one).astype(np.int64)
    lowest = (used & (~used + one)).astype(np.float64)
    trailing = np.where(used > 0, np.frexp(lowest)[1] - 1, mantissa_bits)
    exponents = (field - bias - mantissa_bits + trailing).astype(np.int32)
    return np.asarray(np.ldexp(1.0, exponents))


def _of_grid(values: Array, emin: int, mantissa_bits: int, axis: int) -> Floats:
    """Return quanta of values of a format: the last place of the smallest that is not zero."""
    kind, stored, bias = (np.uint32, 23, 127) if values.itemsize == 4 else (np.uint64, 52, 1023)
    words = np.left_shift(values.view(kind), kind(1))  # without the sign
    words -= kind(1)  # zero wraps, and becomes the largest
    smallest = np.minimum.reduce(words, axis, initial=np.iinfo(kind).max) + kind(1)
    exponents = np.maximum((smallest >> kind(stored + 1)).astype(np.int32) - bias, emin)
    return np.asarray(np.ldexp(1.0, exponents - mantissa_bits))


def _of_codes(codes: Array, fmt: Format, axis: int) -> Floats:
    """Return quanta of codes: the last place of the smallest magnitude that is not zero."""
    one = codes.dtype.type(1)
    magnitudes = codes & codes.dtype.type((1 << (fmt.bits - 1)) - 1)
    smallest = np.minimum.reduce(magnitudes - one, axis, initial=np.iinfo(codes.dtype).max)
    return np.asarray(_last_places(fmt).take(smallest, mode="clip"))


@lru_cache(maxsize=32)
def _last_places(fmt: Format) -> Floats:
    """Return the unit in the last place of each magnitude's code after 0."""
    assert fmt.mantissa_bits is not None
    assert fmt.emin is not None
    codes = np.arange(1, 1 << (fmt.bits - 1))
    exponents = np.maximum((codes >> fmt.mantissa_bits) - 1, 0) + fmt.emin - fmt.mantissa_bits
    return np.asarray(np.ldexp(1.0, exponents.astype(np.int32)))
